"""Output families: recognised by their shapes, decoded as their own projects do."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from gateway.config.families import FAMILIES
from gateway.errors import ModelError
from gateway.vision.boxes import Fit
from gateway.vision.heads import FLOOR, HEADS, MOST_BOXES, find_boxes, head_of
from gateway.vision.recognise import labels_of, recognise
from tests.vision.conftest import manifest
from tests.vision.graphs import signature

WHOLE = Fit(1.0, 1.0, 64, 64)


def reference_yolox(outputs: np.ndarray, side: int) -> np.ndarray:
    """YOLOX's own demo_postprocess (yolox/utils/demo_utils.py), p6=False."""
    outputs = outputs.copy()
    grids, expanded_strides = [], []
    for stride in (8, 16, 32):
        cells = side // stride
        xv, yv = np.meshgrid(np.arange(cells), np.arange(cells))
        grid = np.stack((xv, yv), 2).reshape(1, -1, 2)
        grids.append(grid)
        expanded_strides.append(np.full((*grid.shape[:2], 1), stride))
    grids, expanded_strides = np.concatenate(grids, 1), np.concatenate(expanded_strides, 1)
    outputs[..., :2] = (outputs[..., :2] + grids) * expanded_strides
    outputs[..., 2:4] = np.exp(outputs[..., 2:4]) * expanded_strides
    return outputs


def test_yolox_decodes_as_its_own_project_does() -> None:
    """Given raw outputs of two pictures, then boxes, scores and labels are those of YOLOX's post-processing."""
    rng = np.random.default_rng(1)
    raw = rng.normal(0, 0.4, (2, 84, 7)).astype(np.float32)
    raw[..., 4:] = rng.uniform(0, 1, (2, 84, 3))
    found = find_boxes([raw], 2, manifest(None), [WHOLE, WHOLE])
    for slot in range(2):
        decoded = reference_yolox(raw, 64)[slot]
        scores = decoded[:, 4:5] * decoded[:, 5:]
        best = scores.max(1)
        corners = np.concatenate([decoded[:, :2] - decoded[:, 2:4] / 2, decoded[:, :2] + decoded[:, 2:4] / 2], 1)
        corners = corners.clip(0, 64)
        assert len(found[slot].score) > 20
        for box, score, label in zip(*found[slot], strict=True):
            at = int(np.argmin(np.abs(best - score)))
            np.testing.assert_allclose(box, corners[at], atol=1e-4)
            assert label == scores[at].argmax()
        assert (best >= FLOOR).sum() >= len(found[slot].score)


@pytest.mark.parametrize("swapped", [False, True])
def test_ssd_decodes_boxes_and_scores_in_either_order(swapped: bool) -> None:
    """Given one anchor that is two things at once, then each class at or above the floor is a box of its own."""
    boxes = np.zeros((1, 3, 4), np.float32)
    boxes[0, 1] = (0.25, 0.5, 0.75, 1.0)  # ymin, xmin, ymax, xmax
    scores = np.zeros((1, 3, 2), np.float32)
    scores[0, 1] = (0.9, 0.3)
    outputs = [scores, boxes] if swapped else [boxes, scores]
    [found] = find_boxes(outputs, 1, manifest(None, "ssd"), [WHOLE])
    assert found.xyxy.tolist() == [[32, 16, 64, 48]] * 2
    assert found.label.tolist() == [0, 1]
    np.testing.assert_allclose(found.score, [0.9, 0.3])


def test_no_more_than_the_bound_and_nothing_below_the_floor() -> None:
    """Given 2,000 boxes apart from each other, then the best 300 remain, best first."""
    rng = np.random.default_rng(2)
    corner = rng.uniform(0, 0.98, (1, 2000, 2)).astype(np.float32)
    boxes = np.concatenate([corner, corner + np.float32(0.001)], axis=2)
    scores = rng.uniform(0, 1, (1, 2000, 1)).astype(np.float32)
    [found] = find_boxes([boxes, scores], 1, manifest(None, "ssd"), [WHOLE])
    assert len(found.score) == MOST_BOXES
    assert (np.diff(found.score) <= 0).all()
    np.testing.assert_array_equal(found.score, np.sort(scores.ravel())[::-1][:MOST_BOXES])
    scores[:] = 0.0999
    assert len(find_boxes([boxes, scores], 1, manifest(None, "ssd"), [WHOLE])[0].score) == 0


@pytest.mark.parametrize("family", ["yolov8", "rtdetr"])
def test_ten_thousand_certain_boxes_are_three_hundred(family: str) -> None:
    """Given outputs in which every anchor, or every pair of query and class, is certain, then 300 boxes are left."""
    if family == "yolov8":
        outputs = [np.ones((1, 6, 10_000), np.float32)]
        outputs[0][0, :2] = np.random.default_rng(3).uniform(0, 64, (2, 10_000))
    else:
        outputs = [np.full((1, 5_000, 2), 9, np.float32), np.full((1, 5_000, 4), 0.5, np.float32)]
    [found] = find_boxes(outputs, 1, manifest(None, family), [WHOLE])
    assert len(found.score) == MOST_BOXES


def test_outputs_that_are_no_numbers_are_no_boxes() -> None:
    """Given NaN and infinite sizes and scores, then they are dropped and the good box stays."""
    raw = np.zeros((1, 84, 7), np.float32)
    raw[0, 0, 4:6] = 1
    raw[0, 1] = np.nan
    raw[0, 2, 4:6], raw[0, 2, 2] = 1, 1e9
    raw[0, 3, 4:6], raw[0, 3, 0] = 1, -np.inf
    [found] = find_boxes([raw], 1, manifest(None), [WHOLE])
    assert found.xyxy.tolist() == [[0, 0, 4, 4]]


def test_what_is_found_is_read_only() -> None:
    """Detections are shared: nobody may write into them."""
    [found] = find_boxes([np.zeros((1, 84, 7), np.float32)], 1, manifest(None), [WHOLE])
    for column in found:
        with pytest.raises(ValueError, match="read-only"):
            column[...] = 0


def test_every_family_has_its_own_preparation() -> None:
    """What reads outputs and what prepares pictures name the same families."""
    assert set(HEADS) == set(FAMILIES)


@pytest.mark.parametrize(
    ("family", "classes", "shapes", "more"),
    [
        ("yolox", 80, [(None, 8400, 85)], {}),
        ("yolox", 80, [(1, 3549, 85)], {"side": 416}),
        ("ssd", 90, [(1, 1917, 4), (1, 1917, 90)], {"side": 300}),
        ("ssd", 90, [(None, 1917, 90), (None, 1917, 4)], {"side": None}),
        ("yolov5", 80, [(1, 25200, 85)], {}),
        ("yolov5", 80, [(1, 102000, 85)], {"side": 1280}),
        ("yolov5", 80, [(None, None, 85)], {"side": None}),
        ("yolov8", 80, [(1, 84, 8400)], {}),
        ("yolov8", 80, [(None, 84, None)], {"side": None}),
        ("yolov8", 80, [(1, 84, 34000)], {}),  # P2
        ("yolo11", 80, [(1, 84, 8400)], {"description": "Ultralytics YOLO11n model trained on coco.yaml"}),
        ("yolov8", None, [(1, 300, 6)], {}),
        ("yolov8", None, [(1, 1), (1, 100, 4), (1, 100), (1, 100)], {}),
        ("rtdetr", 80, [(1, 300, 80), (1, 300, 4)], {"names": ["logits", "pred_boxes"]}),
        ("rtdetr", 80, [(None, 300, 4), (None, 300, 80)], {"names": ["pred_boxes", "pred_logits"]}),
        ("rtdetr", 80, [(1, 300, 84)], {}),
        ("yolo11", None, [(None, None, None)], {"side": None, "description": "Ultralytics YOLO11s model"}),
        (
            "yolov8",
            80,
            [(1, 84, 8400)],
            {"description": "Ultralytics YOLOv5n model"},
        ),  # that package's has YOLOv8's head
        ("rtdetr", None, [(1, 300, 6)], {"description": "Ultralytics rtdetr-l model"}),
        ("rtdetr", None, [(1, 300, 6)], {"description": "Ultralytics street model", "head": "RTDETRDecoder"}),
        (
            "rtdetr",
            None,
            [(1, 300), (1, 300, 4), (1, 300)],
            {"names": ["labels", "boxes", "scores"], "sizes": ["orig_target_sizes"]},
        ),
        ("rtdetr", None, [(None, 6), (None,)], {"sizes": ["im_shape", "scale_factor"]}),
        ("nanodet", 80, [(1, 2125, 112)], {"side": 320}),
        ("nanodet", 80, [(1, 3598, 112)], {"side": 416}),
        ("nanodet", 80, [(1, 2100, 112)], {"side": 320}),
        ("picodet", 80, [(1, cells, width) for width in (80, 32) for cells in (2704, 676, 169, 49)], {"side": 416}),
        ("picodet", 80, [(1, 2125, 4), (1, 80, 2125)], {"side": 320, "sizes": ["scale_factor"]}),
        ("picodet", None, [(None, 6), (None,)], {"side": 320, "sizes": ["scale_factor"]}),
        ("fastestdet", 80, [(1, 85, 22, 22)], {"side": 352}),
    ],
)
def test_families_are_recognised_by_their_outputs(
    family: str, classes: int | None, shapes: list[tuple[int | None, ...]], more: dict[str, Any]
) -> None:
    """As the projects' own exports have them, with the batch and the size open or fixed."""
    known = recognise(signature(*shapes, **more))
    assert (known.head.name, known.classes) == (family, classes)


def test_an_open_size_is_the_noted_one_or_the_familys() -> None:
    """Given an export of any size, then what its exporter noted counts, else what the family usually takes."""
    known = recognise(signature((None, 84, None), side=None, imgsz="[384, 640]"))
    assert (known.width_px, known.height_px) == (640, 384)
    assert recognise(signature((None, 10, 4), (None, 10, 90), side=None)).width_px == 300


def test_labels_are_the_models_own_or_cocos() -> None:
    """Given names in the model, then they are its labels; else COCO's 80 or 90; else nobody knows them."""
    mine = msgspec.structs.replace(signature((1, 6, 8400)), notes={"names": "{0: 'car', 1: \"driver's van\"}"})
    assert labels_of(recognise(mine), mine)[0] == ("car", "driver's van")
    for notes in ({}, {"names": "[1"}, {"names": "{0: 'car'}"}, {"names": "{1: 'car', 5: 'van'}"}, {"names": "7"}):
        odd = msgspec.structs.replace(mine, notes=notes)
        with pytest.raises(
            ModelError, match="yolov8 with 2 classes; without a manifest beside it or names in the model"
        ):
            labels_of(recognise(odd), odd)
    finished = signature((1, 300, 6))
    labels, whence = labels_of(recognise(finished), finished)
    assert (len(labels), whence[:15]) == (80, "COCO's, assumed")


def test_an_unknown_output_says_what_was_seen_and_what_is_known() -> None:
    """Given outputs of no family, of another input size, of two families, of another task: each is said in words."""
    with pytest.raises(ModelError, match=r"found outputs output0 \[1, 1000\] for the input images .*ssd: .*yolox: "):
        recognise(signature((1, 1000), side=224))
    with pytest.raises(ModelError, match="3549"):
        recognise(signature((1, 3549, 85), side=640))
    with pytest.raises(
        ModelError, match="could be yolox with 55 classes or nanodet with 28 classes: name its family in a"
    ):
        recognise(signature((1, 3549, 60), side=416))
    with pytest.raises(ModelError, match=r"could be yolov8 with any number of classes or yolo11 .* or yolov5"):
        recognise(signature((None, None, None)))
    with pytest.raises(ModelError, match="the task 'pose'"):
        recognise(signature((1, 56, 8400), task="pose"))
    with pytest.raises(ModelError, match="'detr'; there are ssd, yolox, yolov8"):
        head_of("detr")


def test_a_shape_of_any_kind_is_an_answer_or_an_error() -> None:
    """Given 2,000 random sets of outputs, then recognising says a family or why not, and nothing else happens."""
    rng = np.random.default_rng(7)
    sizes = (None, 1, 4, 6, 7, 32, 80, 84, 85, 90, 112, 300, 2125, 8400, 25200)
    answers = set()
    for _ in range(2000):
        shapes = [
            tuple(sizes[at] for at in rng.integers(0, len(sizes), rng.integers(0, 5)))
            for _ in range(rng.choice([0, 1, 1, 2, 2, 3, 4, 6, 8]))
        ]
        try:
            answers.add(recognise(signature(*shapes, sizes=("scale_factor",))).head.name)
        except ModelError:
            answers.add("")
    assert "" in answers
    assert len(answers) > 2
