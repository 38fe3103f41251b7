"""`zhiwang labels`: alerts of a recording with what was said of them, and saying it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from gateway.cli import main
from gateway.codecs.times import stamp_ns
from gateway.events import Command, Cut, Tick
from gateway.recording.reader import Recording
from gateway.recording.writer import FileWriter
from gateway.replaying.labels import Labels
from gateway.replaying.labels_file import read
from tests.recording.made import NOTHING, NS, T0, about
from tests.replaying.test_labels import FLOOD, line

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.events import Verb

DUST = [
    line("raised", "12:00:00", "dust-1", began="11:59:00", code="LG17-9QX3", subject="air.pm25{device=0017,site=a}"),
    line("cleared", "12:05:00", "dust-1", began="11:59:00", code="LG17-9QX3", subject="air.pm25{device=0017,site=a}"),
]


@pytest.fixture(autouse=True)
def in_english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "C.UTF-8")


@pytest.fixture
def day(tmp_path: Path) -> Path:
    """A recorded day: two alerts, and what people commanded of the second, by its code and its id."""
    return recorded(tmp_path, ("wrong", "LG17-9QX3"), ("right", "dust-1"), ("wrong", "nobody-1"))


def recorded(folder: Path, *said: tuple[Verb, str], alerts: list[bytes] | None = None) -> Path:
    """A recording with these alerts and commands."""
    path = folder / "day.mcap"
    writer = FileWriter(path, about(timezone="Asia/Shanghai"), NOTHING)
    commands = [Command(f"c{n}", target, verb, "王工", "fog") for n, (verb, target) in enumerate(said)]
    inputs = [Tick(), *commands]
    stamps = T0 + np.arange(len(inputs), dtype=np.int64) * NS
    writer.inputs(Cut(0, list(inputs), stamps, stamps - T0))
    for n, one in enumerate([*FLOOD, *DUST] if alerts is None else alerts):
        writer.alert(one, T0 + n * NS)
    writer.close()
    return path


def listed(capsys: pytest.CaptureFixture[str]) -> list[dict[str, str | None]]:
    """What `--json` told."""
    return [json.loads(text) for text in capsys.readouterr().out.splitlines()]


def test_alerts_are_listed_with_what_was_said_of_them_while_it_was_recorded(
    day: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Given commands in the recording, the last word of each alert stands beside it."""
    assert main(["labels", str(day), "--json"]) == 0
    flood, dust = listed(capsys)
    assert (flood["id"], flood["verdict"]) == ("flood-1", None)
    assert (flood["from"], flood["to"]) == ("2026-08-14T02:02:07+08:00", "2026-08-14T03:10:00+08:00")
    assert (dust["code"], dust["verdict"], dust["note"]) == ("LG17-9QX3", "right", "fog")
    assert main(["labels", str(day)]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == "2026-08-14 02:02:07 – 03:10:00  LG17-4K2M  flood water.level  -"
    assert second.endswith("LG17-9QX3  dust air.pm25{device=0017,site=a}  right · fog")
    assert not list(day.parent.glob("*.csv")), "listing writes nothing"


def test_what_is_said_is_kept_beside_the_recording(day: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Given a code in small letters and an id, each is written with its window; said again it is replaced."""
    assert (
        main(["labels", str(day), "--set", "lg17-4k2m", "right", "--set", "dust-1", "wrong", "--note", "a bird"]) == 0
    )
    out = capsys.readouterr().out
    assert f"{day.with_name('day.labels.csv')}: 2 labels" in out
    flood, dust = read(day.with_name("day.labels.csv")).windows
    assert (flood.alert, flood.verdict, flood.note) == ("flood-1", "right", "a bird")
    assert (flood.from_ns, flood.to_ns) == (
        stamp_ns("2026-08-14T02:02:07+08:00"),
        stamp_ns("2026-08-14T03:10:00+08:00"),
    )
    assert (dust.alert, dust.verdict, dust.subject) == ("dust-1", "wrong", "air.pm25{device=0017,site=a}")
    assert main(["labels", str(day), "--set", "flood-1", "none", "--set", "dust-1", "right", "--json"]) == 0
    assert [one["verdict"] for one in listed(capsys)] == [None, "right"]


def test_what_the_recording_holds_is_kept_too_where_that_is_asked(day: Path, tmp_path: Path) -> None:
    """Given --keep, the recorded word is written, but not over one that the file has of that alert."""
    csv = tmp_path / "mine.csv"
    assert main(["labels", str(day), "--keep", "--labels", str(csv)]) == 0
    assert [(window.alert, window.verdict) for window in read(csv).windows] == [("dust-1", "right")]
    assert main(["labels", str(day), "--set", "dust-1", "wrong", "--labels", str(csv)]) == 0
    assert main(["labels", str(day), "--keep", "--labels", str(csv)]) == 0
    assert [(window.alert, window.verdict) for window in read(csv).windows] == [("dust-1", "wrong")]


def test_scores_of_the_recorded_alerts_and_of_a_replays(
    day: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Given labels, each rule's counts; given a replay that no longer raises the flood, it is missed."""
    assert main(["labels", str(day), "--set", "flood-1", "right"]) == 0
    capsys.readouterr()
    assert main(["labels", str(day), "--scores"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "dust: raised 1, judged 1, wrong 0, missed 0 · precision 1.00 · recall 1.00",
        "flood: raised 1, judged 1, wrong 0, missed 0 · precision 1.00 · recall 1.00",
    ]
    other = tmp_path / "alerts.jsonl"
    other.write_bytes(b"\n".join(DUST) + b"\n")
    assert main(["labels", str(day), "--scores", "--alerts", str(other), "--json"]) == 0
    flood = listed(capsys)[1]
    assert (flood["rule"], flood["raised"], flood["missed"], flood["recall"]) == ("flood", 0, 1, 0.0)


def test_labels_in_recorded_alerts_count_and_a_command_to_take_back_too(tmp_path: Path) -> None:
    """Given an alert whose last change carries a label, and one whose label was taken back by command."""
    marked = line("labelled", "03:10:00", label={"verdict": "wrong", "who": "王工", "at": "", "note": "leaves"})
    path = recorded(tmp_path, ("right", "dust-1"), ("unmark", "dust-1"), alerts=[*FLOOD, marked, *DUST])
    (window,) = Labels.of_recording(Recording.open([path])).windows
    assert (window.alert, window.verdict, window.note) == ("flood-1", "wrong", "leaves")
    assert [w.alert for w in Labels.of_recording(Recording.open([path]), commands=False).windows] == ["flood-1"]


def test_what_cannot_be_done_is_said(day: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Given an alert that is not there: 3; a word that is no verdict, a bad file of labels, no recording: 2 and 1."""
    assert main(["labels", str(day), "--set", "LG17-0000", "right"]) == 3
    assert "zhiwang: LG17-0000: there is no alert" in capsys.readouterr().err
    assert main(["labels", str(day), "--set", "flood-1", "maybe"]) == 2
    assert "found 'maybe'" in capsys.readouterr().err
    csv = day.with_name("day.labels.csv")
    csv.write_text("rule,verdict\nflood,?\n", encoding="utf-8")
    assert main(["labels", str(day)]) == 2
    assert f"{csv}:2: verdict: found '?'" in capsys.readouterr().err
    assert main(["labels", str(tmp_path / "nothing.mcap")]) == 1
    empty = tmp_path / "empty"
    empty.mkdir()
    assert main(["labels", str(recorded(empty, alerts=[]))]) == 0
    assert "no alerts are recorded here" in capsys.readouterr().out
