"""The verb `outbox`, beside a running gateway and after it."""

from __future__ import annotations

import asyncio
import json
import shutil
from typing import TYPE_CHECKING

import pytest

from gateway.cli import main
from gateway.events import DeadLetter
from gateway.outbox.schema import FILE
from gateway.ports import Rejected
from tests.outbox.conftest import SINKS, alert, transaction, write

if TYPE_CHECKING:
    from pathlib import Path

    from tests.outbox.conftest import Open


@pytest.fixture
async def busy(opened: Open, tmp_path: Path) -> Path:
    """A store with rows that wait, a dead letter of the door and one of a sink; closed."""
    async with opened() as outbox:
        await write(outbox, transaction(b"air pm25=1 5\nair pm25=2 6\n", b"bad 1", alerts=[alert(3)]))
        letter = DeadLetter(5, "air", "air/x/up", "found no number at pm25", b'{"pm25": "\xff"}')
        await write(outbox, transaction(dead=[("here", letter)]))
        await outbox.declare([*SINKS, ("second", "series", "oldest")])
        rows = await outbox.read("series", "second", 10, 1000)
        await outbox.advance("series", "second", rows, [Rejected(rows[1], b"bad 1", "out of retention")])
    return tmp_path


def _json(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> list[dict[str, object]]:
    assert main(["outbox", *words, "--json"]) == code
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


async def test_stat_says_how_far_each_sink_is(busy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Given a store, when asked, then waiting rows and dead letters are counted, for people and machines."""
    [state] = _json(capsys, "stat", "--state", str(busy))
    sinks = {(sink["sink"], sink["stream"]): sink["waiting_rows"] for sink in state["sinks"]}  # pyright: ignore[reportIndexIssue, reportGeneralTypeIssues] - JSON
    assert sinks == {
        ("influx", "series"): 2,
        ("mqtt", "alerts"): 1,
        ("replies", "requests"): 0,
        ("second", "series"): 0,
    }
    assert (state["letters"], state["next_seq"]) == (2, 4)
    assert main(["outbox", "stat", "--state", str(busy)]) == 0
    shown = capsys.readouterr().out
    assert "2 rows" in shown
    assert "has everything" in shown
    assert "dead letters: 2" in shown


async def test_peek_shows_what_comes_next(busy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Given rows that wait, when one peeks, then line protocol and alerts are readable, and nothing is consumed."""
    for _ in range(2):
        rows = _json(capsys, "peek", "--state", str(busy), "-n", "1")
        assert [(row["sink"], row["key"], row["body"]) for row in rows] == [
            ("influx", "", "air pm25=1 5\nair pm25=2 6\n"),
            ("mqtt", "flood-1/3", '{"seq":3}'),
        ]
    assert main(["outbox", "peek", "--state", str(busy), "--sink", "mqtt"]) == 0
    assert "flood-1/3" in capsys.readouterr().out
    assert main(["outbox", "peek", "--state", str(busy), "--sink", "nobody"]) == 1
    assert "found no sink 'nobody'" in capsys.readouterr().err


async def test_rejected_and_retry(busy: Path, opened: Open, capsys: pytest.CaptureFixture[str]) -> None:
    """Given dead letters, when listed they say why; when asked for again, they are on their way at the next start."""
    refused, unread = _json(capsys, "rejected", "--state", str(busy))
    assert (refused["where"], refused["reason"], refused["body"]) == ("second", "out of retention", "bad 1")
    assert (unread["topic"], unread["body"]) == ("air/x/up", '{"pm25": "\\xff"}')
    assert main(["outbox", "rejected", "--state", str(busy)]) == 0
    assert "found no number at pm25" in capsys.readouterr().out
    assert _json(capsys, "retry", "--state", str(busy), "--id", str(refused["id"])) == [{"asked_again": 1}]
    assert _json(capsys, "retry", "--state", str(busy)) == [{"asked_again": 1}]
    async with opened() as outbox:
        await outbox.declare([*SINKS, ("second", "series", "oldest")])
        assert [row.body for row in await outbox.read("series", "second", 10, 1000)] == [b"bad 1"]
        [(_, message)] = await outbox.to_step_again()
        assert (message.source, message.topic) == ("here", "air/x/up")


async def test_every_verb_works_beside_the_running_gateway(
    busy: Path, opened: Open, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a gateway that writes, when each verb runs beside it, then neither is disturbed."""
    monkeypatch.setattr("gateway.outbox.disk.IDLE_S", 0.01)
    async with opened() as outbox, asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(outbox.asked_again(outbox.asks))
        for verb in ("stat", "peek", "rejected", "check", "retry"):
            await write(outbox, transaction(b"more"))
            assert await asyncio.to_thread(main, ["outbox", verb, "--state", str(busy)]) == 0
        await waiting
        await write(outbox, transaction(b"and more"))
    assert "every page" in capsys.readouterr().out


async def test_check_finds_damage(busy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Given a sound store, check exits 0; with a page overwritten, 3, and says so."""
    assert main(["outbox", "check", "--state", str(busy)]) == 0
    path = busy / FILE
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 4096] = b"\xa5" * 4096
    path.write_bytes(content)
    assert main(["outbox", "check", "--state", str(busy)]) == 3
    assert "FAIL" in capsys.readouterr().out
    path.write_bytes(b"no store" * 1000)
    [checked] = _json(capsys, "check", "--state", str(busy), code=3)
    assert checked["problems"]


def test_wrong_usage_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Given no store, or neither configuration nor folder, then the error says what was expected."""
    assert main(["outbox", "stat", "--state", str(tmp_path)]) == 1
    assert "Is this its state folder?" in capsys.readouterr().err
    assert main(["outbox", "stat"]) == 2
    assert "--state DIR" in capsys.readouterr().err


async def test_the_configuration_names_the_state_folder(busy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Given a configuration with `state:`, when the verb gets it, then it finds the store."""
    config = busy / "gateway.yaml"
    config.write_text(f"gateway: test\nstate: {busy}\n")
    shutil.copy(busy / FILE, busy / "copy")
    assert main(["outbox", "stat", str(config)]) == 0
    assert "dead letters: 2" in capsys.readouterr().out


@pytest.mark.parametrize("rows", ["-5", "0", "many"])
@pytest.mark.parametrize("verb", ["peek", "rejected"])
def test_at_most_so_many_is_one_or_more(
    verb: str, rows: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Given a limit that is none, what was found and what is expected, and not everything."""
    with pytest.raises(SystemExit) as ended:
        main(["outbox", verb, "--state", str(tmp_path), "-n", rows])
    assert ended.value.code == 2
    assert f"found '{rows}'; a whole number from 1 up is expected" in capsys.readouterr().err
