"""`zhiwang backtest` as people use it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from gateway.cli import main
from tests.backtest import streams

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def days(tmp_path: Path) -> Path:
    """A folder of two days."""
    folder = tmp_path / "days"
    folder.mkdir()
    for day, height in enumerate([3.0, 4.0]):
        streams.crests(folder / f"{day}.mcap", day, [height])
    return folder


def test_two_configurations_side_by_side(days: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Given an old and a new limit, the table has both, by rule and day, and the folder the files."""
    old, new = streams.config(tmp_path, "old"), streams.config(tmp_path, "new", yellow=3.2)
    out = tmp_path / "out"
    assert main(["backtest", str(old), str(new), str(days), "-o", str(out), "--workers", "1"]) == 0
    shown, said = capsys.readouterr()
    lines = [line.split() for line in shown.splitlines() if line.strip()]
    assert lines[0] == ["configuration", "rule", "08-14", "08-15", "alerts", "returned"]
    assert lines[2:] == [
        ["old", "flood", "1", "1", "2", "0"],
        ["old", "rise", "·", "·", "0", "0"],
        ["new", "flood", "·", "1", "1", "0"],
        ["new", "rise", "·", "·", "0", "0"],
    ]
    assert said == f"written to {out}: table.csv, table.json, table.parquet, alerts.parquet, days.png\n"


def test_a_sweep_as_json(days: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Given a sweep done once, the second time it is taken from the folder, and JSON says the same as the file."""
    command = ["backtest", str(days), "-o", str(tmp_path / "out"), "--sweep", "rules.flood.levels.yellow=2.8,3.4"]
    assert main([*command, "--workers", "1"]) == 0
    assert "yellow   alerts   returned" in capsys.readouterr().out
    assert main([*command, "--json"]) == 0
    shown, said = capsys.readouterr()
    assert said.startswith("4 of 4 tasks were done before\n")
    assert json.loads(shown) == json.loads((tmp_path / "out/table.json").read_text(encoding="utf-8"))


def test_a_file_that_is_no_recording_fails_by_name(
    days: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (days / "notes.mcap").write_bytes(b"notes")
    assert main(["backtest", str(days), "-o", str(tmp_path / "out"), "--workers", "1"]) == 1
    shown, said = capsys.readouterr()
    assert "flood" in shown
    assert f"left out: {days / 'notes.mcap'}" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["gauge.yaml"], "found no recording among the arguments: name .mcap files, or a folder of them"),
        (["days", "--workers", "1", "--scheduler", "tcp://h:1"], "give one of them"),
        (["missing.yaml", "days"], "missing.yaml:1  cannot be read: No such file or directory"),
        (["days", "--sweep", "rules.flod.for=1 s"], "no flod in rules; did you mean flood?"),
        (["days", "--labels", "none.csv"], "none.csv: cannot be read: No such file or directory"),
    ],
)
def test_wrong_use_is_said_before_anything_runs(
    days: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert days.is_dir()
    assert main(["backtest", *words]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "backtest").exists()


def test_many_days_are_a_line_of_bars(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for day in range(9):
        streams.crests(tmp_path / f"{day}.mcap", day, [3.0 if day % 2 else 2.0])
    assert main(["backtest", str(tmp_path), "-o", str(tmp_path / "out"), "--workers", "2"]) == 0
    shown = capsys.readouterr().out
    assert "2026-08-14 – 2026-08-22" in shown
    assert "·█·█·█·█·" in shown


def test_nothing_of_the_table_is_cut_in_a_narrow_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given 40 characters, then days become bars, and every name and number is there."""
    monkeypatch.setenv("COLUMNS", "40")
    for day in range(3):
        streams.crests(tmp_path / f"{day}.mcap", day, [3.0])
    assert main(["backtest", str(tmp_path), "-o", str(tmp_path / "out"), "--workers", "1"]) == 0
    shown = capsys.readouterr().out
    assert "2026-08-14 – 2026-08-16" in shown
    assert "███" in shown
    assert "returned" in shown
    assert "…" not in shown
