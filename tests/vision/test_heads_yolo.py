"""YOLOv5, YOLOv8 and YOLO11: as their own projects post-process them, with NMS in the graph and without."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from onnx import TensorProto, helper

from gateway.errors import ModelError
from gateway.vision.detector import Detector, manifest_of
from tests.vision.conftest import manifest
from tests.vision.graphs import HEIGHT, WIDTH, known, save
from tests.vision.reference import Box, best, picture, same, suppressed, unboxed

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from gateway.config.manifest import Manifest

CELLS = 126  # of strides 8, 16 and 32 in 96 × 64
SIZE = (WIDTH, HEIGHT)
NAMES = {"names": "{0: 'car', 1: 'van', 2: 'bus'}", "task": "detect"}


def anchors(count: int, classes: int, seed: int) -> NDArray[np.float32]:
    """Rows of centre, size (input px), then `classes` scores, mostly low: float32[count, 4 + classes]."""
    rng = np.random.default_rng(seed)
    rows = np.zeros((count, 4 + classes), np.float32)
    rows[:, :2] = rng.uniform(0, SIZE, (count, 2))
    rows[:, 2:4] = rng.uniform(4, 30, (count, 2))
    rows[:, 4:] = rng.uniform(0, 1, (count, classes)) ** 4
    return rows


def corners(x: float, y: float, w: float, h: float) -> tuple[float, float, float, float]:
    """Of a box by its centre and size."""
    return x - w / 2, y - h / 2, x + w / 2, y + h / 2


def test_yolov8_as_ultralytics_non_max_suppression(tmp_path: Path) -> None:
    """[1, 4 + C, A]: a box's best class alone counts, classes do not suppress each other; padding off, then the gain.

    ultralytics/ultralytics: utils/nms.py, non_max_suppression (multi_label off); utils/ops.py, scale_boxes.
    """
    rows = anchors(CELLS, 3, seed=1)
    rows[1, :4] = rows[0, :4]  # the same box twice
    rows[0, 4:], rows[1, 4:] = (0.9, 0.8, 0.1), (0.7, 0.95, 0.1)  # of two classes: both stay
    rows[2, :4], rows[2, 4:] = rows[0, :4] + 0.1, (0.6, 0.2, 0.1)  # of the first's class: it goes
    boxes = [Box(*corners(*row[:4]), max(row[4:]), int(np.argmax(row[4:]))) for row in rows.astype(float)]
    wanted = unboxed(suppressed(boxes), SIZE, centred=True)
    model = manifest_of(known(tmp_path / "v8.onnx", {"output0": rows.T[None].copy()}, notes=NAMES))
    assert (model.family, model.labels, model.letterbox, model.centred) == ("yolov8", ("car", "van", "bus"), True, True)
    same(Detector(model).detect([picture()])[0], wanted)


def test_yolov5_as_its_non_max_suppression(tmp_path: Path) -> None:
    """[1, A, 5 + C], three anchors a cell: the score is objectness × class.

    ultralytics/yolov5: utils/general.py, non_max_suppression (multi_label off) and scale_boxes.
    """
    plain = anchors(3 * CELLS, 3, seed=2)
    objectness = np.random.default_rng(3).uniform(0, 1, (3 * CELLS, 1)).astype(np.float32)
    rows = np.concatenate([plain[:, :4], objectness, plain[:, 4:]], axis=1)
    boxes = []
    for row in rows.astype(float):
        scores = [row[4] * score for score in row[5:]]
        boxes.append(Box(*corners(*row[:4]), max(scores), int(np.argmax(scores))))
    wanted = unboxed(suppressed(boxes), SIZE, centred=True)
    model = manifest_of(known(tmp_path / "v5.onnx", {"output0": rows[None]}, notes=NAMES))
    assert model.family == "yolov5"
    same(Detector(model).detect([picture()])[0], wanted)


def finished(seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Boxes [20, 4], scores [20] best first, classes [20] of what NMS in a graph left; the last five are filling."""
    rng = np.random.default_rng(seed)
    rows = anchors(20, 1, seed)
    xyxy = np.array([corners(*row[:4]) for row in rows], np.float32)
    score = np.sort(rng.uniform(0.05, 1, 20).astype(np.float32))[::-1].copy()
    score[15:] = 0
    xyxy[3], xyxy[4] = xyxy[2], xyxy[2]  # what the graph has let through is not suppressed again
    label = rng.integers(0, 3, 20).astype(np.float32)
    label[2:5] = 1
    return xyxy, score, label


@pytest.mark.parametrize(
    ("described", "family"), [("YOLO11n", "yolo11"), ("YOLOv8n", "yolov8"), ("YOLOv5nu", "yolov5")]
)
def test_rows_after_nms_in_the_graph(tmp_path: Path, described: str, family: str) -> None:
    """[1, K, 6] of x1, y1, x2, y2, score, class: taken as they are above the floor, padding off, then the gain.

    ultralytics/ultralytics: engine/exporter.py, NMSModel, and utils/nms.py (the branch for rows of 6).
    """
    xyxy, score, label = finished(4)
    wanted = unboxed(
        best(Box(*map(float, xyxy[at]), float(score[at]), int(label[at])) for at in range(20)), SIZE, centred=True
    )
    rows = np.concatenate([xyxy, score[:, None], label[:, None]], axis=1)
    notes = NAMES | {"description": f"Ultralytics {described} model trained on streets.yaml"}
    model = manifest_of(known(tmp_path / "nms.onnx", {"output0": rows[None]}, notes=notes))
    assert model.family == family
    same(Detector(model).detect([picture()])[0], wanted)


def test_four_outputs_after_nms_in_the_graph(tmp_path: Path) -> None:
    """As an EfficientNMS node gives them: only as many as the first output says, whatever stands behind.

    NVIDIA/TensorRT: plugin/efficientNMSPlugin/README.md, the outputs.
    """
    xyxy, score, label = finished(5)
    score[15:] = 0.99  # filling that would be seen
    wanted = unboxed(
        best(Box(*map(float, xyxy[at]), float(score[at]), int(label[at])) for at in range(15)), SIZE, centred=True
    )
    outputs = {
        "num_dets": np.array([[15]], np.int32),
        "det_boxes": xyxy[None],
        "det_scores": score[None],
        "det_classes": label.astype(np.int32)[None],
    }
    model = manifest_of(known(tmp_path / "trt.onnx", outputs, notes=NAMES))
    same(Detector(model).detect([picture()])[0], wanted)


@pytest.mark.parametrize("number", [7, -1, 65537])
def test_a_class_that_has_no_label_is_said(tmp_path: Path, number: int) -> None:
    """Given class 7 after NMS and three labels, then the model is refused with both, not a box with a wrong name."""
    rows = np.array([[[1, 1, 9, 9, 0.9, number]]], np.float32)
    model = manifest_of(known(tmp_path / "odd.onnx", {"output0": rows}, notes=NAMES))
    with pytest.raises(ModelError, match=r"found class (7|-1|32767) in its outputs and 3 labels"):
        Detector(model).detect([picture()])


def test_outputs_that_are_no_numbers_are_no_boxes(tmp_path: Path) -> None:
    """Given NaN and infinity in every place of raw outputs and of finished rows, then only the good box is found."""
    rows = anchors(CELLS, 3, seed=6)
    rows[:, 4:] = 0
    for at, value in enumerate((np.nan, np.inf, -np.inf)):
        for place in range(7):
            rows[1 + 7 * at + place, :] = (32, 32, 10, 10, 0.5, 0, 0)
            rows[1 + 7 * at + place, place] = value
    bad = rows.copy()
    bad[0] = (8, 30, 4, 4, 0.9, 0, 0)
    [found] = Detector(manifest_of(known(tmp_path / "v8.onnx", {"o": bad.T[None].copy()}, notes=NAMES))).detect(
        [picture()]
    )
    assert np.isfinite(found.xyxy).all()
    assert np.isfinite(found.score).all()
    assert found.score.max() == np.float32(0.9)
    last = np.full((1, 8, 6), np.nan, np.float32)
    last[0, 0] = (10, 20, 30, 40, 0.9, 1)
    last[0, 1] = (10, 20, 30, 40, np.inf, 1)
    last[0, 2] = (10, np.inf, 30, 40, 0.8, 1)
    last[0, 3] = (10, 20, 30, 40, 0.8, np.nan)
    [found] = Detector(manifest_of(known(tmp_path / "nms.onnx", {"o": last}, notes=NAMES))).detect([picture()])
    assert found.score.tolist() == [np.float32(0.9)]


def test_outputs_of_open_sizes_are_looked_at_when_they_come(tmp_path: Path) -> None:
    """Given a model that leaves its outputs' sizes open, as Ultralytics exports it, then what comes is compared.

    What is not its family's is said as it would be at the start: what came, and how many classes that is.
    """
    notes = NAMES | {"description": "Ultralytics YOLOv8n model"}
    rows = anchors(CELLS, 3, seed=8)
    good = known(tmp_path / "good.onnx", {"output0": rows.T[None].copy()}, notes=notes, sized=False)
    boxes = [Box(*corners(*row[:4]), max(row[4:]), int(np.argmax(row[4:]))) for row in rows.astype(float)]
    model = manifest_of(good)
    assert (model.family, model.labels) == ("yolov8", ("car", "van", "bus"))
    same(Detector(model).detect([picture()])[0], unboxed(suppressed(boxes), SIZE, centred=True))
    for odd, said in (
        (
            np.zeros((1, 7, 100), np.float32),
            r"found the outputs output0 \[1, 7, 100\]; the family yolov8 has one output",
        ),
        (np.zeros((1, 84, CELLS), np.float32), "found 80 classes in its outputs and 3 labels"),
    ):
        model = manifest_of(known(tmp_path / "odd.onnx", {"output0": odd}, notes=notes, sized=False))
        with pytest.raises(ModelError, match=said):
            Detector(model).detect([picture()])


def test_pictures_of_one_batch_may_keep_different_numbers_of_boxes(tmp_path: Path) -> None:
    """Given a model of one picture a run whose NMS leaves as many boxes as it finds, then each picture has its own.

    Its boxes are as many as the picture's first pixel says: K = red.
    """
    rows = np.array([[4 * at, 4, 4 * at + 3, 9, 0.9 - at / 100, at % 3] for at in range(8)], np.float32)
    nodes = [
        helper.make_node("Slice", ["images", "zero4", "one4", "axes4"], ["pixel"]),
        helper.make_node("Reshape", ["pixel", "flat"], ["red"]),
        helper.make_node("Mul", ["red", "byte"], ["count"]),
        helper.make_node("Round", ["count"], ["whole"]),
        helper.make_node("Cast", ["whole"], ["k"], to=TensorProto.INT64),
        helper.make_node("Slice", ["rows", "zero", "k"], ["some"]),
        helper.make_node("Unsqueeze", ["some", "zero"], ["output0"]),
    ]
    constants = {
        "rows": rows,
        "zero": np.zeros(1, np.int64),
        "flat": np.array([1], np.int64),
        "byte": np.array([255], np.float32),
        "zero4": np.zeros(4, np.int64),
        "one4": np.ones(4, np.int64),
        "axes4": np.arange(4),
    }
    path = save(tmp_path / "k.onnx", nodes, constants, {"output0": rows[None]}, (), NAMES, sized=False)
    model = manifest_of_rows(path)
    pictures = [np.full((HEIGHT, WIDTH, 3), red, np.uint8) for red in (5, 0, 8)]
    found = Detector(model, slots=3).detect(pictures)
    assert [len(one.score) for one in found] == [5, 0, 8]
    for one in found:
        np.testing.assert_array_equal(one.xyxy, rows[: len(one.score), :4])


def manifest_of_rows(path: Path) -> Manifest:
    """Of a model whose outputs say nothing before they come: its family is told."""
    return manifest(
        path,
        "yolov8",
        width_px=WIDTH,
        height_px=HEIGHT,
        layout="nchw",
        dtype="float32",
        std=(255.0,) * 3,
        labels=("car", "van", "bus"),
    )
