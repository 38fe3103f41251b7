"""What is read is not written over: a recording by its own cut, an expectation by the replay held against it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from gateway.cli import main

FLOOD = Path(__file__).parents[1] / "recordings" / "flood.mcap"
ALERT = "PLAY-KSBA"


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """A copy that may be lost."""
    return Path(shutil.copy(FLOOD, tmp_path / "day.mcap"))


@pytest.mark.parametrize("verb", [["cut", ALERT], ["export", "--format", "parquet"]])
@pytest.mark.parametrize("onto", ["day.mcap", "."])
def test_a_recording_is_not_written_over_by_what_comes_out_of_it(
    recording: Path, verb: list[str], onto: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Given -o with the name of the recording itself, or of its folder, then the recording stays as it was."""
    before = recording.read_bytes()
    code = main([*verb, str(recording), "-o", str(recording.parent / onto)])
    assert recording.read_bytes() == before
    if verb[0] == "cut":
        assert code == 1
        assert {"day.mcap": "is part of the recording", ".": "found a folder"}[onto] in capsys.readouterr().err


@pytest.mark.parametrize("against", ["--expect", "--diff"])
@pytest.mark.parametrize("written", [["--alerts", "pinned/alerts.jsonl"], ["--out", "pinned"]])
def test_an_expectation_is_not_written_over_before_it_is_compared_with(
    recording: Path,
    against: str,
    written: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Given one file to write alerts to and to compare them with, then that is wrong use, and the file stays."""
    monkeypatch.chdir(recording.parent)
    pinned = Path("pinned/alerts.jsonl")
    pinned.parent.mkdir()
    pinned.write_text("{}\n")
    assert main(["replay", "day.mcap", *written, against, str(pinned)]) == 2
    assert "would be overwritten" in capsys.readouterr().err
    assert pinned.read_text() == "{}\n"


def test_a_span_after_the_recording_holds_nothing(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Given --from after its end, then that is said with what there is, and no span from there back to its end."""
    assert main(["replay", str(recording), "--from", "2026-11-23T00:00"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == (
        "nothing was recorded in that span: the recording goes from 2026-05-29 04:27:00 to 2026-05-29 04:27:59\n"
    )


def test_a_damaged_recording_does_not_meet_the_expectation_of_no_alerts(
    recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Given a file whose only chunk is cut off, then nothing was played, whatever is expected: not 0."""
    recording.write_bytes(recording.read_bytes()[:4000])
    quiet = recording.with_name("quiet.alerts.jsonl")
    quiet.touch()
    assert main(["replay", str(recording), "--expect", str(quiet)]) == 1
    said = capsys.readouterr().err
    assert "day.mcap: it ends in the middle of a record" in said
    assert "nothing can be played" in said


def test_a_time_of_day_is_one_of_the_recording(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Given a recording of months ago and a time alone, it is that day's; one behind its end, too."""
    assert main(["replay", str(recording), "--from", "04:27:10", "--to", "04:27:20"]) == 0
    assert capsys.readouterr().out.startswith("2026-05-29 04:27:10 – 2026-05-29 04:27:19\n")
    assert main(["replay", str(recording), "--from", "04:20", "--to", "04:40"]) == 0
    assert capsys.readouterr().out.startswith("2026-05-29 04:2")
    assert main(["replay", str(recording), "--from", "04:27:20", "--to", "04:27:10"]) == 2
    assert "not after --from" in capsys.readouterr().err


def test_a_tolerance_wants_something_to_compare(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(recording), "--within", "3 s"]) == 2
    assert "--diff" in capsys.readouterr().err
