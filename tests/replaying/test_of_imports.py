"""Recordings that no gateway made have no alerts of then: what --diff compares with, and which models it names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from gateway.cli import main
from gateway.recording.parts import Begin, ModelNote
from gateway.recording.reader import Recording
from gateway.replaying.outcome import Memory
from gateway.replaying.play import play

if TYPE_CHECKING:
    from pathlib import Path

YAML = """\
gateway: g
brokers: {here: {url: "mqtt://127.0.0.1"}}
sensors:
  water: {mqtt: here, topic: "water/{gauge}", plain: level, units: {level: m}}
rules:
  flood: {threshold: water.level, levels: {yellow: 2.8}}
"""


@pytest.fixture
def imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """A recording made of a table in which the water rises to 3 m; the folder is the working folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gateway.yaml").write_text(YAML)
    rows = [f"2026-08-14 02:00:{second:02},g1,{2.5 + second / 100}" for second in range(51)]
    (tmp_path / "water.csv").write_text("\n".join(["time,gauge,level", *rows, ""]))
    assert main(["import", "water.csv", "--config", "gateway.yaml", "-o", "day.mcap"]) == 0
    capsys.readouterr()
    return tmp_path / "day.mcap"


def test_an_import_is_compared_with_what_its_own_configuration_says(
    imported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Given a rule that is changed, then what differs is the rule's doing, and not that nothing was recorded."""
    (imported.parent / "same.yaml").write_text(YAML)
    assert main(["replay", "day.mcap", "--config", "same.yaml", "--diff"]) == 0
    assert "the same: 1 alert" in capsys.readouterr().out
    (imported.parent / "higher.yaml").write_text(YAML.replace("2.8", "3.8"))
    assert main(["replay", "day.mcap", "--config", "higher.yaml", "--diff"]) == 3
    assert "rules.flood.levels.yellow: 2.8 → 3.8" in capsys.readouterr().out


@pytest.mark.usefixtures("imported")
def test_an_import_alone_has_nothing_to_compare_with(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", "day.mcap", "--diff"]) == 2
    assert "an import has no alerts of its own" in capsys.readouterr().err


def test_what_was_played_names_the_models_it_was_played_with(imported: Path) -> None:
    """Given pieces of a detector's second look, then the models are those of that look: they are why alerts differ."""
    recording, model = Recording.open([imported]), ModelNote("gate", "another", "ab" * 32, ("person",), 0.5)
    first, *others = recording.pieces()
    assert isinstance(first, Begin)
    again = first._replace(about=msgspec.structs.replace(first.about, models=(model,)))
    assert play(recording, Memory(), pieces=[again, *others]).models == (model,)
    assert play(recording, Memory()).models == ()
