"""`zhiwang check` says what stands in the outbox, and changes nothing there."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING

import pytest

from gateway.cli import main
from gateway.clock import WallClock
from gateway.events import DeadLetter
from gateway.outbox import Outbox, beside
from gateway.outbox.schema import FILE
from tests.outbox.conftest import SINKS, alert, transaction, write

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = """
gateway: looked
brokers: {here: {url: "mqtt://127.0.0.1:1"}}
sensors: {tank: {mqtt: here, topic: tank, plain: level}}
sinks: {mqtt: {mqtt: here}}
state: state
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration whose state folder is the test's own."""
    (tmp_path / "gateway.yaml").write_text(CONFIG)
    return tmp_path / "gateway.yaml"


def rewrite(config: Path, text: str) -> None:
    """Another configuration."""
    config.write_text(text)


def checked(config: Path, capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    """Notes and warnings about the outbox; the code is 0 whatever they are."""
    assert main(["check", str(config), "--json"]) == 0
    stored = json.loads(capsys.readouterr().out)["outbox"]
    return "\n".join(stored["notes"]), "\n".join(stored["warnings"])


async def fill(config: Path, *sinks: str) -> Path:
    """A store with rows for these sinks of series, closed; returns its folder."""
    folder = config.with_name("state")
    outbox = Outbox.open(folder, WallClock())
    await outbox.declare([*SINKS[1:], *((sink, "series", "oldest") for sink in sinks)])
    for n in range(20):
        letters = [("here", DeadLetter(5, "tank", "tank", "no number", b"x"))] if n < 3 else []
        await write(outbox, transaction(b"x v=%d\n" % n, alerts=[alert(n + 1)], dead=letters, next_n=n + 1))
    await outbox.advance("requests", "replies", [], [])
    await outbox.close()
    return folder


def test_none_yet_is_fine(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Given no state folder yet, when it is checked, then nothing is said, and nothing made."""
    assert checked(config, capsys) == ("", "")
    assert not config.with_name("state").exists()


async def test_what_waits_for_a_sink_that_is_gone_is_said(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Given rows for a sink that the configuration has no longer, and dead letters, then both are said with what to do.

    Nothing in the folder changes.
    """
    folder = await fill(config, "influx")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    notes, warnings = checked(config, capsys)
    assert "20 rows of series wait for the sink influx, which is not configured" in warnings
    assert "3 dead letters wait for a person" in notes
    assert "`zhiwang outbox retry` feeds them in again" in notes
    assert "the sink replies is no longer configured" in notes
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert main(["check", str(config)]) == 0
    out = capsys.readouterr().out
    assert "outbox: warning: 20 rows of series" in out
    assert out.rstrip().endswith("no errors, 1 warning")


async def test_it_looks_beside_a_running_gateway(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Given a gateway that writes, when it is checked, then what is in the journal counts, and the gateway goes on."""
    outbox = Outbox.open(config.with_name("state"), WallClock())
    await outbox.declare([("gone", "series", "oldest")])
    await write(outbox, transaction(b"a v=1\n"))
    assert "1 rows of series wait for the sink gone" in checked(config, capsys)[1]
    await write(outbox, transaction(b"a v=2\n"))
    assert len(await outbox.read("series", "gone", 10, 1000)) == 2
    await outbox.close()


async def test_a_budget_below_what_it_holds_is_said(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Given a store of more than the budget, when it is checked, then it is said that the oldest series will go."""
    outbox = Outbox.open(config.with_name("state"), WallClock())
    await outbox.declare([("mqtt", "series", "oldest")])
    for _ in range(90):
        await write(outbox, transaction(bytes(1_000_000)))
    await outbox.close()
    rewrite(config, f"{CONFIG}\noutbox: {{budget: 64 MB}}\n")
    assert "`outbox.budget` is 64 MB: the oldest series are dropped" in checked(config, capsys)[1]


def test_a_disk_too_small_for_the_budget_is_said(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Given a budget beyond the disk's free room, when it is checked, then that is said."""
    config.write_text(f"{CONFIG}\noutbox: {{budget: 900000 GB}}\n")
    assert "in a long outage it is full before `outbox.budget` is spent" in checked(config, capsys)[1]


async def test_damage_is_said_and_what_becomes_of_it(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Given a torn file, one that is none, one of a newer release, one found damaged: each is a warning of its own."""
    folder = await fill(config, "influx")
    path, sound = folder / FILE, (folder / FILE).read_bytes()
    path.write_bytes(sound[: len(sound) // 2 // 1024 * 1024])
    assert "is damaged" in checked(config, capsys)[1]
    path.write_bytes(b"no database at all" * 100)
    assert "is damaged (file is not a database)" in checked(config, capsys)[1]
    path.write_bytes(sound)
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 7")
    db.close()
    assert "a store of a newer release (version 7; this one knows 1)" in checked(config, capsys)[1]
    path.write_bytes(sound)
    beside.suspect(folder, "a page is malformed")
    assert "found damaged while it was used (a page is malformed)" in checked(config, capsys)[1]
    assert path.read_bytes() == sound


def test_a_place_that_cannot_be_written_is_said(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Given a state folder below a file, when it is checked, then it says that all would be kept in memory."""
    config.with_name("file").write_text("no folder")
    config.write_text(CONFIG.replace("state: state", "state: file/state"))
    assert "cannot be written by this user" in checked(config, capsys)[1]


async def test_reading_the_pages_is_bounded(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given no time to read all pages, when it is checked, then that is said, and who reads them all."""
    await fill(config, "influx")
    monkeypatch.setattr("gateway.outbox.survey.CHECK_S", 0.0)
    monkeypatch.setattr("gateway.outbox.survey.STEPS", 1)
    assert "was not read to its end: `zhiwang outbox check` does" in checked(config, capsys)[0]
