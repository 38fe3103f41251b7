"""NanoDet and PicoDet: distances to the four sides as distributions, as their own projects decode them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from gateway.vision.detector import Detector, manifest_of
from tests.vision.graphs import HEIGHT, WIDTH, known, over_the_scale
from tests.vision.reference import FLOOR, Box, picture, same, stretched, suppressed

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

CLASSES = 80
SIZE = (WIDTH, HEIGHT)
SHORT, LONG = (8, 16, 32), (8, 16, 32, 64)


def maps(strides: tuple[int, ...], bins: int, seed: int) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """For each stride scores [cells, 80], mostly nothing, and logits [cells, 4 × bins]."""
    rng = np.random.default_rng(seed)
    made = []
    for stride in strides:
        cells = math.ceil(WIDTH / stride) * math.ceil(HEIGHT / stride)
        scores = rng.uniform(0, 1, (cells, CLASSES)) ** 60
        made.append((scores.astype(np.float32), rng.normal(0, 2, (cells, 4 * bins)).astype(np.float32)))
    return made


def decoded(made: list[tuple[NDArray, NDArray]], strides: tuple[int, ...], offset: float) -> list[Box]:
    """A cell, a class, a side, a bin at a time."""
    boxes = []
    for (scores, logits), stride in zip(made, strides, strict=True):
        across = math.ceil(WIDTH / stride)
        for cell, row in enumerate(scores):
            x, y = (cell % across + offset) * stride, (cell // across + offset) * stride
            sides = []
            for side in np.split(logits[cell].astype(float), 4):
                weights = [float(np.exp(value)) for value in side]
                sides.append(stride * sum(at * weight for at, weight in enumerate(weights)) / sum(weights))
            for label, score in enumerate(row.tolist()):
                if score >= FLOOR:
                    boxes.append(Box(x - sides[0], y - sides[1], x + sides[2], y + sides[3], score, label))
    return boxes


def inside(boxes: list[Box]) -> list[Box]:
    """As NanoDet has them before its NMS (nanodet/util/box_transform.py, distance2bbox with max_shape)."""
    return [
        box._replace(
            x1=min(max(box.x1, 0), WIDTH),
            y1=min(max(box.y1, 0), HEIGHT),
            x2=min(max(box.x2, 0), WIDTH),
            y2=min(max(box.y2, 0), HEIGHT),
        )
        for box in boxes
    ]


@pytest.mark.parametrize(("strides", "offset"), [(LONG, 0.0), (SHORT, 0.5)])
def test_nanodet_as_its_head(tmp_path: Path, strides: tuple[int, ...], offset: float) -> None:
    """[1, A, C + 32]: NanoDet-Plus from the cell's corner over four strides, NanoDet before it from the middle, three.

    RangiLyu/nanodet: nanodet/model/head/nanodet_plus_head.py, get_bboxes and get_single_level_center_priors;
    nanodet/model/head/gfl_head.py, get_bboxes_single and get_single_level_center_point.
    """
    made = maps(strides, 8, seed=1)
    output = np.concatenate([np.concatenate(pair, axis=1) for pair in made])[None]
    model = manifest_of(known(tmp_path / "nanodet.onnx", {"output": output}))
    assert (model.family, model.colour, model.letterbox) == ("nanodet", "bgr", False)
    assert (model.mean, model.std) == ((103.53, 116.28, 123.675), (57.375, 57.12, 58.395))
    same(Detector(model).detect([picture()])[0], stretched(suppressed(inside(decoded(made, strides, offset))), SIZE))


def test_nanodet_in_pairs_of_maps(tmp_path: Path) -> None:
    """As its first exports name them: the classes' map and the distances' by turns, stride by stride."""
    made = maps(SHORT, 8, seed=2)
    outputs: dict[str, NDArray] = {}
    for (scores, logits), stride in zip(made, SHORT, strict=True):
        outputs[f"cls_pred_stride_{stride}"], outputs[f"dis_pred_stride_{stride}"] = scores[None], logits[None]
    model = manifest_of(known(tmp_path / "nanodet.onnx", outputs))
    assert model.family == "nanodet"
    same(Detector(model).detect([picture()])[0], stretched(suppressed(inside(decoded(made, SHORT, 0.5))), SIZE))


def test_picodet_as_its_post_process(tmp_path: Path) -> None:
    """Four maps of classes, then four of distances, from the cell's middle.

    PaddlePaddle/PaddleDetection: deploy/third_engine/demo_openvino/python/openvino_benchmark.py, PicoDetPostProcess.
    """
    made = maps(LONG, 8, seed=3)
    outputs = {f"scores{at}": scores[None] for at, (scores, _) in enumerate(made)}
    outputs |= {f"boxes{at}": logits[None] for at, (_, logits) in enumerate(made)}
    model = manifest_of(known(tmp_path / "picodet.onnx", outputs))
    assert (model.family, model.colour) == ("picodet", "rgb")
    assert (model.mean, model.std) == ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
    same(Detector(model).detect([picture()])[0], stretched(suppressed(decoded(made, LONG, 0.5)), SIZE))


def test_picodet_decoded_in_the_graph(tmp_path: Path) -> None:
    """Boxes [1, A, 4] in px and scores [1, C, A], as exported without NMS (ppdet/modeling/heads/simota_head.py)."""
    boxes = decoded(maps(LONG, 8, seed=4), LONG, 0.5)
    places = np.array([box[:4] for box in boxes], np.float32)
    scores = np.zeros((CLASSES, len(boxes)), np.float32)
    for at, box in enumerate(boxes):
        scores[box.label, at] = box.score
    outputs = {"boxes": places[None], "scores": scores[None]}
    model = manifest_of(known(tmp_path / "picodet.onnx", outputs, sizes=("scale_factor",)))
    assert model.family == "picodet"
    same(Detector(model).detect([picture()])[0], stretched(suppressed(boxes), SIZE))


def test_picodet_with_nms_in_the_graph(tmp_path: Path) -> None:
    """Rows [M, 6] of class, score, box, told a scale factor of 1: deploy/third_engine/demo_onnxruntime/infer_demo.py"""
    boxes = suppressed(decoded(maps(LONG, 8, seed=5), LONG, 0.5))
    rows = np.array([[box.label, box.score, *box[:4]] for box in boxes], np.float32)
    model = manifest_of(over_the_scale(tmp_path / "picodet.onnx", rows, ("scale_factor",)))
    assert model.family == "picodet"
    same(Detector(model).detect([picture()])[0], stretched(boxes, SIZE))


def test_bins_that_are_no_numbers_are_no_boxes(tmp_path: Path) -> None:
    """Given NaN and both infinities among a certain cell's bins, then every box that is left has numbers."""
    made = maps(LONG, 8, seed=6)
    scores, logits = made[0]
    scores[:4] = 1
    logits[0, 3], logits[1, 3], logits[2, 3], logits[3] = np.nan, np.inf, -np.inf, -np.inf
    output = np.concatenate([np.concatenate(pair, axis=1) for pair in made])[None]
    path = known(tmp_path / "nanodet.onnx", {"output": output})
    [found] = Detector(manifest_of(path)).detect([picture()])
    assert np.isfinite(found.xyxy).all()
    assert (found.score == 1).sum() >= CLASSES  # of the cell with −inf in one bin, which is a weight of 0


def test_no_cell_at_all(tmp_path: Path) -> None:
    """Given nothing above the floor, then no box, and no error."""
    path = known(tmp_path / "nanodet.onnx", {"output": np.zeros((1, 128, CLASSES + 32), np.float32)})
    assert len(Detector(manifest_of(path)).detect([picture()])[0].score) == 0
