"""RT-DETR and D-FINE: in each of the forms they are exported in, as their own projects post-process them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from gateway.vision.detector import Detector, manifest_of
from tests.vision.graphs import HEIGHT, WIDTH, in_given_sizes, known, over_the_scale
from tests.vision.reference import Box, best, picture, same, sigmoid, stretched

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

QUERIES, CLASSES = 300, 80
SIZE = (WIDTH, HEIGHT)


def queries(seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Logits [300, 80], mostly very negative, and boxes [300, 4] as centre and size in fractions."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(-6, 2, (QUERIES, CLASSES)).astype(np.float32)
    boxes = np.concatenate([rng.uniform(0, 1, (QUERIES, 2)), rng.uniform(0.02, 0.6, (QUERIES, 2))], axis=1)
    logits[0, :2], logits[1, 0], boxes[1] = 2, 1.5, boxes[0]  # a query may be two things, and two queries the same
    return logits, boxes.astype(np.float32)


def corners(row: NDArray[np.floating], width: float, height: float) -> tuple[float, float, float, float]:
    """Of a box by its centre and size in fractions, in px."""
    x, y, w, h = map(float, row)
    return (x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height


def test_logits_as_the_postprocessor_of_rt_detr(tmp_path: Path) -> None:
    """The sigmoid of each (query, class), the best 300 of them, boxes by the picture's own width and height.

    lyuwenyu/RT-DETR: rtdetr_pytorch/src/zoo/rtdetr/rtdetr_postprocessor.py (use_focal_loss), whose numbers D-FINE's
    src/zoo/dfine/postprocessor.py repeats. No NMS.
    """
    logits, boxes = queries(1)
    every = [
        Box(*corners(boxes[query], *SIZE), sigmoid(logits[query, label]), label)
        for query in range(QUERIES)
        for label in range(CLASSES)
    ]
    wanted = stretched(best(every), SIZE)
    model = manifest_of(known(tmp_path / "hf.onnx", {"logits": logits[None], "pred_boxes": boxes[None]}))
    assert (model.family, model.letterbox, model.std, model.colour) == ("rtdetr", False, (255,) * 3, "rgb")
    found = Detector(model).detect([picture()])[0]
    assert {0, 1} <= set(found.label[:3].tolist())
    same(found, wanted)


@pytest.mark.parametrize("family", ["rtdetr", "dfine"])
def test_finished_outputs_are_in_the_sizes_given(tmp_path: Path, family: str) -> None:
    """Given an export with orig_target_sizes, then its boxes come back in px of the picture, and labels are whole.

    lyuwenyu/RT-DETR: rtdetr_pytorch/tools/export_onnx.py; Peterande/D-FINE: tools/deployment/export_onnx.py.
    """
    logits, boxes = queries(2)
    score = 1 / (1 + np.exp(-logits))
    order = np.argsort(-score.ravel(), kind="stable")[:QUERIES]
    labels = (order % CLASSES)[None]
    fractions = np.array([corners(boxes[at], 1, 1) for at in order // CLASSES], np.float32)[None]
    scores = score.ravel()[order][None].astype(np.float32)
    wanted = stretched(
        best(
            Box(*(fractions[0, at] * np.array(SIZE * 2)).tolist(), float(scores[0, at]), int(labels[0, at]))
            for at in range(QUERIES)
        ),
        SIZE,
    )
    model = manifest_of(in_given_sizes(tmp_path / f"{family}.onnx", labels, fractions, scores))
    assert len(model.labels) == 80
    same(Detector(model).detect([picture()])[0], wanted)


def test_queries_as_ultralytics_predicts(tmp_path: Path) -> None:
    """[1, 300, 4 + C], scores after the sigmoid: each query's best class, centre and size in fractions.

    ultralytics/ultralytics: models/rtdetr/predict.py, postprocess.
    """
    logits, boxes = queries(3)
    score = (1 / (1 + np.exp(-logits))).astype(np.float32)
    every = [Box(*corners(boxes[at], *SIZE), float(max(score[at])), int(np.argmax(score[at]))) for at in range(300)]
    wanted = stretched(best(every), SIZE)
    model = manifest_of(known(tmp_path / "ul.onnx", {"output0": np.concatenate([boxes, score], axis=1)[None]}))
    assert model.family == "rtdetr"
    same(Detector(model).detect([picture()])[0], wanted)


@pytest.mark.parametrize("classes", [2, 80])
def test_six_columns_are_two_classes_or_a_score_and_a_class(tmp_path: Path, classes: int) -> None:
    """[1, 300, 6] of centre, size, score, class as Ultralytics has it from 8.4; before, those were two classes."""
    _, boxes = queries(6)
    rng = np.random.default_rng(6)
    notes = {"description": "Ultralytics rtdetr-l model", "names": str({at: f"thing {at}" for at in range(classes)})}
    score = rng.uniform(0, 1, (QUERIES, 2)).astype(np.float32)
    label = rng.integers(0, classes, QUERIES)
    finished = np.concatenate([boxes, score[:, :1], label[:, None]], axis=1).astype(np.float32)
    wanted = best(Box(*corners(boxes[at], *SIZE), float(score[at, 0]), int(label[at])) for at in range(QUERIES))
    model = manifest_of(known(tmp_path / "new.onnx", {"output0": finished[None]}, notes=notes))
    assert (model.family, len(model.labels)) == ("rtdetr", classes)
    same(Detector(model).detect([picture()])[0], stretched(wanted, SIZE))
    raw = np.concatenate([boxes, score], axis=1)
    wanted = best(
        Box(*corners(boxes[at], *SIZE), float(max(score[at])), int(np.argmax(score[at]))) for at in range(300)
    )
    model = manifest_of(known(tmp_path / "old.onnx", {"output0": raw[None]}, notes=notes))
    same(Detector(model).detect([picture()])[0], stretched(wanted, SIZE))


def test_rows_of_paddle_detection(tmp_path: Path) -> None:
    """[M, 6] of class, score, x1, y1, x2, y2 with a count a picture; a class of −1 stands for nothing found.

    PaddlePaddle/PaddleDetection: ppdet/modeling/post_process.py, DETRPostProcess, and deploy/python/infer.py.
    """
    rng = np.random.default_rng(4)
    corner = rng.uniform(0, 0.6, (12, 2))
    rows = np.concatenate([rng.integers(0, 80, (12, 1)), rng.uniform(0, 1, (12, 1)), corner, corner + 0.3], axis=1)
    rows[5, :2] = -1, 0.9
    wanted = stretched(best(Box(*(row[2:] * (SIZE * 2)), row[1], int(row[0])) for row in rows if row[0] >= 0), SIZE)
    model = manifest_of(over_the_scale(tmp_path / "pp.onnx", rows.astype(np.float32), ("im_shape", "scale_factor")))
    assert model.family == "rtdetr"
    same(Detector(model).detect([picture()])[0], wanted)


def test_no_more_than_the_bound(tmp_path: Path) -> None:
    """Given 24,000 pairs of query and class that are all certain, then 300 boxes."""
    _, boxes = queries(5)
    logits = np.full((1, QUERIES, CLASSES), 5, np.float32)
    model = manifest_of(known(tmp_path / "sure.onnx", {"logits": logits, "pred_boxes": boxes[None]}))
    assert len(Detector(model).detect([picture()])[0].score) == 300
