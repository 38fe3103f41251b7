"""`models fit`: an input of the cameras' shape for the same weights."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import cv2
import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from gateway.cli import main
from gateway.errors import ModelError
from gateway.models import beside
from gateway.models.fit import Size, fit, fitting
from gateway.vision.detector import Detector, look_into
from tests.vision.graphs import known

if TYPE_CHECKING:
    from pathlib import Path

SIDE = 128
STRIDES = (8, 16, 32)


def yolox(path: Path, *, shuffled: bool = False, grid: bool = False) -> Path:
    """A detector whose cells see nothing but their own pixels: a convolution a stride, each as large as its step.

    `shuffled`: its maps go through shapes of five sizes, as ShuffleNet's do. `grid`: its cells' places are built in.
    """
    random = np.random.default_rng(7)
    nodes, constants, maps = [], {}, []
    for stride in STRIDES:
        cells = SIDE // stride
        constants[f"w{stride}"] = random.normal(0, 0.02, (85, 3, stride, stride)).astype(np.float32)
        constants[f"to{stride}"] = np.array([1, 85, cells * cells])
        conv = {"kernel_shape": [stride, stride], "strides": [stride, stride]}
        nodes.append(helper.make_node("Conv", ["images", f"w{stride}"], [f"map{stride}"], **conv))
        came = f"map{stride}"
        if shuffled:
            constants[f"in{stride}"] = np.array([1, 5, 17, cells, cells])
            nodes.append(helper.make_node("Reshape", [came, f"in{stride}"], [f"five{stride}"]))
            came = f"five{stride}"
        nodes.append(helper.make_node("Reshape", [came, f"to{stride}"], [f"flat{stride}"]))
        maps.append(f"flat{stride}")
    nodes.append(helper.make_node("Concat", maps, ["joined"], axis=2))
    nodes.append(helper.make_node("Transpose", ["joined"], ["rows"], perm=[0, 2, 1]))
    count = sum((SIDE // stride) ** 2 for stride in STRIDES)
    constants["places"] = random.normal(size=(1, count, 85)).astype(np.float32)
    last = (
        helper.make_node("Add", ["rows", "places"], ["output"])
        if grid
        else helper.make_node("Identity", ["rows"], ["output"])
    )
    graph = helper.make_graph(
        [*nodes, last],
        "small",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, count, 85])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def cells(width: int, height: int) -> list[tuple[int, int, int]]:
    """(stride, row, column) of each row of the output."""
    return [(s, y, x) for s in STRIDES for y in range(height // s) for x in range(width // s)]


@pytest.mark.parametrize("shuffled", [False, True])
def test_a_fitted_model_says_of_each_place_what_it_said_before(tmp_path: Path, *, shuffled: bool) -> None:
    """Given a wide picture, then the cells that it covers come out the same, and those of the margin are gone."""
    own, _ = look_into(yolox(tmp_path / "square.onnx", shuffled=shuffled))
    size = fitting(own, Size(1280, 720))
    assert size == (128, 96)
    (tmp_path / "wide.onnx").write_bytes(fit(own, size))
    wide, _ = look_into(tmp_path / "wide.onnx")
    picture = np.random.default_rng(1).integers(0, 255, (96, 128, 3), np.uint8)
    came = []
    for model in (own, wide):
        engine = Detector(model).engine
        engine.batch[0, :96] = picture
        came.append(engine.infer(1)[0][0].copy())
    square = dict(zip(cells(128, 128), came[0], strict=True))
    kept = dict(zip(cells(128, 96), came[1], strict=True))
    assert kept.keys() < square.keys()
    for place, row in kept.items():
        np.testing.assert_allclose(row, square[place], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("picture", "size"),
    [
        ((1920, 1080), (416, 256)),
        ((768, 576), (416, 320)),
        ((1080, 1920), (256, 416)),
        ((64, 64), (416, 416)),
        ((5000, 20), (416, 32)),
    ],
)
def test_the_picture_is_shown_as_large_as_before(
    tmp_path: Path, picture: tuple[int, int], size: tuple[int, int]
) -> None:
    own, _ = look_into(yolox(tmp_path / "square.onnx"))
    larger = msgspec.structs.replace(own, width_px=416, height_px=416)
    assert fitting(larger, Size(*picture)) == size


def test_the_command_writes_a_model_that_can_be_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    square, wide = yolox(tmp_path / "square.onnx"), tmp_path / "wide.onnx"
    assert main(["models", "fit", str(square), "--picture", "1920x1080", "-o", str(wide), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said == {"path": str(wide), "width_px": 128, "height_px": 96, "less": 0.25}
    kept, own = beside(wide), look_into(square)[0]
    assert kept is not None
    assert (kept.width_px, kept.height_px, kept.labels, kept.family) == (128, 96, own.labels, "yolox")
    assert main(["models", "check", str(wide)]) == 0
    assert "input 128×96" in capsys.readouterr().out


def test_a_model_that_suits_already_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    square = yolox(tmp_path / "square.onnx")
    assert main(["models", "fit", str(square), "--picture", "800x800"]) == 3
    assert "128×128, is the smallest for pictures of 800×800" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["square.onnx"]


def test_a_graph_with_its_size_built_in_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Given a grid that was exported with the model, nothing is written, and what to do is said."""
    square = yolox(tmp_path / "square.onnx", grid=True)
    assert main(["models", "fit", str(square), "--picture", "1920x1080", "-o", str(tmp_path / "wide.onnx")]) == 1
    said = capsys.readouterr().err
    assert "has 128×128 built in and does not fit 128×96" in said
    assert "export it again" in said
    assert [path.name for path in tmp_path.iterdir()] == ["square.onnx"]


def test_a_model_that_stretches_has_no_margin_to_save(tmp_path: Path) -> None:
    path = known(tmp_path / "fast.onnx", {"758": np.zeros((1, 85, 4, 6), np.float32)})
    own, _ = look_into(path)
    assert own.family == "fastestdet"
    with pytest.raises(ModelError, match="stretches every picture"):
        fitting(own, Size(1920, 1080))


def test_a_file_that_is_no_model_is_said(tmp_path: Path) -> None:
    path = yolox(tmp_path / "square.onnx")
    own, _ = look_into(path)
    path.write_bytes(b"no model at all")
    with pytest.raises(ModelError, match="cannot be read as ONNX"):
        fit(own, Size(128, 96))


@pytest.mark.parametrize("size", ["1920", "1920x", "0x5", "axb", "1x2x3", "99999x2"])
def test_a_size_that_is_none_is_refused(size: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["models", "fit", "any.onnx", "--picture", size])
    assert ended.value.code == 2
    assert "expected a width and a height in px" in capsys.readouterr().err


def test_yolox_nano_finds_the_same_in_a_fitted_input(shared: Path, tmp_path: Path) -> None:
    """Given photographs of 4:3, then nearly all that is believed is found again: convolutions see a little beyond."""
    own, _ = look_into(shared / "models/yolox_nano.onnx")
    (tmp_path / "fitted.onnx").write_bytes(fit(own, fitting(own, Size(640, 480))))
    fitted, _ = look_into(tmp_path / "fitted.onnx")
    assert (fitted.width_px, fitted.height_px) == (416, 320)
    both = [Detector(own), Detector(fitted)]
    found = again = 0
    for path in sorted((shared / "data").rglob("*.jpg"))[:40]:
        picture = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        if picture.shape[:2] != (480, 640):
            continue
        before, after = (detector.detect([picture])[0] for detector in both)
        believed = before.score >= 0.5
        found += int(believed.sum())
        for box in before.xyxy[believed]:
            again += bool((np.abs(after.xyxy - box).max(axis=1) < 16).any()) if len(after.xyxy) else False
    assert found > 10
    assert again >= 0.9 * found
