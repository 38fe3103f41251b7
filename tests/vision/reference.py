"""Detection the plain way, a box at a time: suppression, the way back to the picture, the comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from gateway.vision.heads import Found

FLOOR, IOU, MOST = 0.1, 0.7, 300  # SEMANTICS §8: what enters the door
PICTURE = (100, 61)  # width and height in px: letterboxed into 96 × 64 it is rounded up, and an odd number is left


class Box(NamedTuple):
    """One box."""

    x1: float
    y1: float
    x2: float
    y2: float
    score: float
    label: int


def sigmoid(value: float) -> float:
    """The logistic function."""
    return 1.0 / (1.0 + float(np.exp(-np.float64(value))))


def iou(a: Box, b: Box) -> float:
    """Intersection over union."""
    width = max(0.0, min(a.x2, b.x2) - max(a.x1, b.x1))
    height = max(0.0, min(a.y2, b.y2) - max(a.y1, b.y1))
    shared = width * height
    whole = (a.x2 - a.x1) * (a.y2 - a.y1) + (b.x2 - b.x1) * (b.y2 - b.y1) - shared
    return shared / whole if whole > 0 else 0.0


def suppressed(boxes: Iterable[Box]) -> list[Box]:
    """What greedy suppression within each class leaves, best first."""
    kept: list[Box] = []
    for box in sorted((box for box in boxes if box.score >= FLOOR), key=lambda box: -box.score):
        if all(box.label != other.label or iou(box, other) <= IOU for other in kept):
            kept.append(box)
    return kept[:MOST]


def best(boxes: Iterable[Box]) -> list[Box]:
    """Where the model has chosen itself: best first, no more than the bound."""
    return sorted((box for box in boxes if box.score >= FLOOR), key=lambda box: -box.score)[:MOST]


def stretched(boxes: Iterable[Box], size: tuple[int, int], picture: tuple[int, int] = PICTURE) -> list[Box]:
    """From an input (width, height) back to the picture that was stretched into it, clipped."""
    width, height = picture
    return [
        box._replace(
            x1=_within(box.x1 * width / size[0], width),
            y1=_within(box.y1 * height / size[1], height),
            x2=_within(box.x2 * width / size[0], width),
            y2=_within(box.y2 * height / size[1], height),
        )
        for box in boxes
    ]


def unboxed(
    boxes: Iterable[Box], size: tuple[int, int], *, centred: bool, picture: tuple[int, int] = PICTURE
) -> list[Box]:
    """From a letterboxed input back to the picture, clipped: Ultralytics' scale_boxes, or YOLOX' `/= ratio`."""
    width, height = picture
    gain_x = gain_y = min(size[0] / width, size[1] / height)
    left = top = 0
    if centred:
        inner_width, inner_height = max(round(width * gain_x), 1), max(round(height * gain_y), 1)
        left, top = round((size[0] - inner_width) / 2 - 0.1), round((size[1] - inner_height) / 2 - 0.1)
        gain_x, gain_y = inner_width / width, inner_height / height
    return [
        box._replace(
            x1=_within((box.x1 - left) / gain_x, width),
            y1=_within((box.y1 - top) / gain_y, height),
            x2=_within((box.x2 - left) / gain_x, width),
            y2=_within((box.y2 - top) / gain_y, height),
        )
        for box in boxes
    ]


def _within(value: float, limit: int) -> float:
    return min(max(value, 0.0), float(limit))


def same(found: Found, wanted: list[Box]) -> None:
    """Asserts that these are the same boxes in the same order, to 1e-3 px."""
    assert len(found.score) == len(wanted)
    assert len(wanted) > 3, "too few boxes to tell anything"
    np.testing.assert_allclose(found.score, [box.score for box in wanted], rtol=2e-5)
    assert found.label.tolist() == [box.label for box in wanted]
    np.testing.assert_allclose(found.xyxy, [box[:4] for box in wanted], atol=1e-3)


def picture() -> NDArray[np.uint8]:
    """Any picture of that size: these models do not look at it."""
    return np.zeros((PICTURE[1], PICTURE[0], 3), np.uint8)
