"""Output families: recognised by their shapes, decoded as their own projects do."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.errors import ModelError
from gateway.vision.boxes import Fit
from gateway.vision.heads import FLOOR, MOST_BOXES, find_boxes, head_of, recognise
from tests.vision.conftest import manifest

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


def test_families_are_recognised_by_their_outputs() -> None:
    """Both known families, with the batch open or fixed."""
    assert recognise([(None, 3549, 85)], 416, 416).name == "yolox"
    assert recognise([(1, 1917, 4), (1, 1917, 90)], 300, 300).name == "ssd"
    assert recognise([(None, 1917, 90), (None, 1917, 4)], 300, 300).name == "ssd"


def test_an_unknown_output_says_what_was_seen_and_what_is_known() -> None:
    """FastestDet's map is of no known family; neither is a YOLOX output of another input size."""
    with pytest.raises(ModelError, match=r"found outputs \[1, 85, 22, 22\].*ssd: .*yolox: "):
        recognise([(1, 85, 22, 22)], 352, 352)
    with pytest.raises(ModelError, match="3549"):
        recognise([(1, 3549, 85)], 640, 640)
    with pytest.raises(ModelError, match="'detr'; there are ssd, yolox"):
        head_of("detr")
