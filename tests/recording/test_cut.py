"""An alert cut out of a recording: small, beginning with the state before it, and a test as it is."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from gateway.app.recording import FOLDER
from gateway.cli import main
from gateway.config.load import loads
from gateway.errors import RecordingError
from gateway.recording.cut import find
from gateway.recording.parts import Begin, Part
from gateway.recording.reader import Recording
from gateway.registry import registry
from gateway.replaying.cutting import cut_out
from gateway.replaying.lead_in import LEAST_NS, needed_ns
from gateway.replaying.outcome import Memory
from gateway.replaying.play import play
from gateway.replaying.restep import from_state_at
from gateway.testing.replayed import Replay
from tests.e2e.played import CONFIG, T0, S, script
from tests.e2e.played import play as run_live
from tests.e2e.test_replayed import _folder

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state folder of a gateway that ran through the script."""
    folder = _folder(tmp_path_factory.mktemp("live") / "play", [])
    asyncio.run(run_live(folder, script([])))
    return folder / "state"


@pytest.fixture(scope="module")
def ring(state: Path) -> Recording:
    return Recording.open([state / FOLDER])


@pytest.fixture(scope="module")
def told(ring: Recording) -> dict[str, list[dict[str, object]]]:
    """The changes of each alert, by its id."""
    lines: dict[str, list[dict[str, object]]] = {}
    for line in ring.alerts():
        body = json.loads(line)
        lines.setdefault(body["id"], []).append(body)
    return lines


def _of(told: dict[str, list[dict[str, object]]], rule: str) -> dict[str, object]:
    """The first change of the rule's last alert."""
    return [lines[0] for lines in told.values() if lines[0]["rule"] == rule][-1]


@pytest.mark.parametrize("at_s", [1, 77, 150, 222, 298])
def test_from_any_moment_on_with_the_state_worked_out_a_replay_goes_on_as_the_whole_one_did(
    ring: Recording, at_s: int
) -> None:
    """Given a recording with one checkpoint at its beginning, when it is stepped to a moment and played from there,
    then what comes from there on, and the state at the end, are those of the whole.
    """  # noqa: D205 - one sentence
    whole, rest = Memory(), Memory()
    state = play(ring, whole).state_sha
    pieces = [*from_state_at(ring, T0 + at_s * S)]

    played = play(ring, rest, pieces=from_state_at(ring, T0 + at_s * S))

    begin, part = pieces[:2]
    assert isinstance(begin, Begin)
    assert isinstance(part, Part)
    assert begin.checkpoint is not None
    assert begin.checkpoint.n == part.cut.n0
    assert begin.checkpoint.admitted_ns < T0 + at_s * S <= part.cut.admitted_ns[0]
    assert played.state_sha == state
    assert b"".join(whole.series).endswith(b"".join(rest.series))
    assert whole.alerts[len(whole.alerts) - len(rest.alerts) :] == rest.alerts
    assert rest.alerts[:1] == [line for line in whole.alerts if json.loads(line)["seq"] == begin.checkpoint.next_seq]


@pytest.mark.parametrize("rule", ["flood", "dust", "crowd", "stuck", "silent", "health", "peak", "dry"])
def test_an_alert_of_each_kind_is_cut_out_and_is_a_test(
    tmp_path: Path, ring: Recording, told: dict[str, list[dict[str, object]]], rule: str
) -> None:
    """Given an alert's code, when it is cut out, then the file is small, has it, and its expectation holds."""
    first = _of(told, rule)
    done = cut_out(ring, str(first["code"]).lower(), tmp_path / "one.mcap")

    assert done.same
    assert (done.alert, done.rule, done.subject) == (first["id"], rule, first["subject"])
    assert done.bytes == (tmp_path / "one.mcap").stat().st_size < 60_000
    expected = [json.loads(line) for line in done.expectation.read_bytes().splitlines()]
    assert first["id"] in {one["id"] for one in expected}
    assert {one["status"] for one in expected} == {"test"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.alerts.jsonl", "one.mcap"]
    words = ["replay", str(done.path), "--expect", str(done.expectation)]
    assert main(words) == 0
    lines = done.expectation.read_text().replace(str(first["id"]), "other-1")
    done.expectation.write_text(lines)
    assert main(words) == 3


def test_it_begins_a_rules_windows_before_the_alert_and_ends_with_it(
    tmp_path: Path, ring: Recording, told: dict[str, list[dict[str, object]]]
) -> None:
    first = _of(told, "surge")
    alert = find(ring, str(first["id"]))
    done = cut_out(ring, alert.id, tmp_path / "one.mcap", before_ns=20 * S)
    assert alert.from_ns - 21 * S <= done.begun_ns <= alert.from_ns - 19 * S
    assert alert.ended
    assert alert.to_ns <= done.ended_ns <= alert.to_ns + S
    assert done.ended
    short = cut_out(ring, alert.id, tmp_path / "short.mcap", before_ns=20 * S, after_ns=5 * S)
    assert short.ended_ns < alert.from_ns + 5 * S
    assert not short.ended
    assert short.same
    assert short.bytes < done.bytes


def test_how_much_of_before_is_needed_is_the_sum_of_what_the_rule_looks_back_on() -> None:
    from pathlib import Path  # noqa: PLC0415 - for this alone

    config = loads(CONFIG, Path(), registry(), name="x.yaml")
    assert needed_ns(config, "flood", "water.level{gauge=g1}") == (8 + 15) * S
    assert needed_ns(config, "dust", "air.pm25{device=a}") == (30 + 12) * S
    assert needed_ns(config, "odd", "water.level") == (8 + 15) * S  # flood gates it
    assert needed_ns(config, "dry", "water.level") == (6 + 15) * S
    assert needed_ns(config, "stuck", "water.level") == (15 + 30) * S
    assert needed_ns(config, "crowd", "crossing.zebra") == LEAST_NS
    assert needed_ns(config, "health", "source/here") == LEAST_NS


def test_an_alert_that_is_not_there_is_told_with_some_that_are(ring: Recording) -> None:
    with pytest.raises(
        RecordingError, match=r"found no alert LG17-4K2M among the \d+ that are recorded; the last are: "
    ):
        find(ring, "LG17-4K2M")


def test_the_command_says_how_to_use_what_it_cut(
    tmp_path: Path, state: Path, told: dict[str, list[dict[str, object]]], capsys: pytest.CaptureFixture[str]
) -> None:
    code, path = str(_of(told, "surge")["code"]), tmp_path / "fog.mcap"
    assert main(["cut", code, "-o", str(path), "--state", str(state)]) == 0
    said = capsys.readouterr().out
    assert "zhiwang replay fog.mcap --expect fog.alerts.jsonl" in said
    lines = [line.strip() for line in said.splitlines() if line.startswith("  ")]
    replay, [as_it_was, false_alarm] = Replay(tmp_path), [line for line in lines if line.startswith("assert")]
    exec(as_it_was, {"replay": replay})  # noqa: S102 - what it prints is a test
    (tmp_path / "gateway.yaml").write_text(CONFIG)
    with pytest.raises(AssertionError):
        exec(false_alarm, {"replay": replay})  # noqa: S102 - as above
    (tmp_path / "gateway.yaml").write_text(CONFIG.replace("orange: 2 m/min", "orange: 200 m/min"))
    exec(false_alarm, {"replay": replay})  # noqa: S102 - as above
    assert main(["cut", code, str(path), "-o", str(tmp_path / "again.mcap"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["path"] == str(tmp_path / "again.mcap")
    assert main(["cut", "X-1", "-o", str(path), "--state", str(state)]) == 1
    assert "found no alert X-1" in capsys.readouterr().err
    assert main(["cut", code, str(path), "-o", str(path), "--state", str(state)]) == 2
    assert main(["cut", code, "-o", str(path)]) == 2
    assert "give either a configuration or --state DIR" in capsys.readouterr().err
