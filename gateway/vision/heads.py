"""Output families: what a model's raw outputs mean. A new family is one entry in HEADS.

A head's `decode` turns the outputs for n slots into candidates in input px; choosing (floor, NMS, at most 300) and
mapping back to the picture is the same for all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

from gateway.config.manifest import Manifest
from gateway.errors import ModelError
from gateway.vision.boxes import Fit, nms, to_picture

if TYPE_CHECKING:
    from numpy.typing import NDArray

FLOOR = 0.1  # what enters the door: limits are the rules', so that replay can change them
MOST_BOXES = 300
NMS_IOU = 0.7
MOST_CANDIDATES = 1000  # a frame, best first: bounds the pair matrix on noise (4 MB)
YOLOX_STRIDES = (8, 16, 32)

Shape = tuple[int | None, ...]
Outputs = Sequence["NDArray[np.generic]"]


class Found(NamedTuple):
    """One picture's boxes, best first: xyxy float32[n, 4] px, score float32[n], label int16[n]. Read-only."""

    xyxy: NDArray[np.float32]
    score: NDArray[np.float32]
    label: NDArray[np.int16]


class Candidates(NamedTuple):
    """Boxes at or above the floor before NMS, over the whole batch: slot int64[n], xyxy float32[n, 4] input px."""

    slot: NDArray[np.intp]
    xyxy: NDArray[np.float32]
    score: NDArray[np.float32]
    label: NDArray[np.int16]


class Head(msgspec.Struct, frozen=True):
    """One output family. `fits(shapes, width_px, height_px)`: whether outputs of these shapes are its own."""

    name: str
    expects: str
    fits: Callable[[Sequence[Shape], int, int], bool]
    labels: Callable[[Sequence[Shape]], int | None]
    decode: Callable[[Outputs, int, Manifest, float], Candidates]


def find_boxes(outputs: Outputs, n: int, manifest: Manifest, fits: Sequence[Fit], floor: float = FLOOR) -> list[Found]:
    """The boxes of the first `n` slots, in px of their pictures, after the floor and class-aware NMS.

    Raises ModelError when the family is unknown.
    """
    candidates = head_of(manifest.family).decode(outputs, n, manifest, floor)
    return [_choose(candidates, slot, fits[slot]) for slot in range(n)]


def _choose(candidates: Candidates, slot: int, fit: Fit) -> Found:
    mine = np.flatnonzero(candidates.slot == slot)
    if len(mine) > MOST_CANDIDATES:
        mine = mine[np.argsort(-candidates.score[mine], kind="stable")[:MOST_CANDIDATES]]
    xyxy, score, label = candidates.xyxy[mine], candidates.score[mine], candidates.label[mine]
    sane = np.isfinite(xyxy).all(axis=1)
    if not sane.all():
        xyxy, score, label = xyxy[sane], score[sane], label[sane]
    kept = nms(xyxy, score, label, iou=NMS_IOU, most=MOST_BOXES)
    found = Found(to_picture(xyxy[kept], fit), score[kept], label[kept])
    for column in found:
        column.flags.writeable = False
    return found


# An SSD export (TensorFlow's object detection API before its own post-processing): boxes [N, A, 4] as ymin, xmin, ymax,
# xmax in fractions of the input, scores [N, A, C] after the sigmoid, without a background column.


def _ssd_order(shapes: Sequence[Shape]) -> tuple[int, int] | None:
    if len(shapes) != 2 or any(len(shape) != 3 for shape in shapes) or shapes[0][1] != shapes[1][1]:
        return None
    return (0, 1) if shapes[0][2] == 4 else (1, 0) if shapes[1][2] == 4 else None


def _ssd_fits(shapes: Sequence[Shape], _width_px: int, _height_px: int) -> bool:
    return _ssd_order(shapes) is not None


def _ssd_labels(shapes: Sequence[Shape]) -> int | None:
    order = _ssd_order(shapes)
    return shapes[order[1]][2] if order else None


def _ssd_decode(outputs: Outputs, n: int, manifest: Manifest, floor: float) -> Candidates:
    boxes_at, scores_at = _ssd_order([output.shape for output in outputs]) or (0, 1)
    scores = np.asarray(outputs[scores_at], np.float32)[:n]
    at = np.flatnonzero(scores >= floor)  # half the time of nonzero over three dimensions
    row, label = np.divmod(at, scores.shape[2])
    slot, anchor = np.divmod(row, scores.shape[1])
    size = np.array([manifest.width_px, manifest.height_px] * 2, np.float32)
    xyxy = np.asarray(outputs[boxes_at], np.float32)[slot, anchor][:, [1, 0, 3, 2]] * size
    return Candidates(slot, xyxy, scores.reshape(-1)[at], label.astype(np.int16))


# YOLOX without its decoding in the graph: one output [N, A, 5 + C] of raw dx, dy, log w, log h, objectness, classes
# (both after the sigmoid); boxes as YOLOX's own demo_postprocess (yolox/utils/demo_utils.py) decodes them.


def _yolox_anchors(width_px: int, height_px: int) -> int:
    return sum((width_px // stride) * (height_px // stride) for stride in YOLOX_STRIDES)


def _yolox_fits(shapes: Sequence[Shape], width_px: int, height_px: int) -> bool:
    if len(shapes) != 1 or len(shapes[0]) != 3:
        return False
    _, anchors, columns = shapes[0]
    return columns is not None and columns > 5 and anchors == _yolox_anchors(width_px, height_px)


def _yolox_labels(shapes: Sequence[Shape]) -> int | None:
    return None if shapes[0][2] is None else shapes[0][2] - 5


@lru_cache(maxsize=8)
def yolox_grid(width_px: int, height_px: int) -> NDArray[np.float32]:
    """The cell (x, y) and stride of every anchor: float32[A, 3]."""
    rows = []
    for stride in YOLOX_STRIDES:
        y, x = np.mgrid[: height_px // stride, : width_px // stride]
        rows.append(np.stack([x.ravel(), y.ravel(), np.full(x.size, stride)], axis=1))
    return np.concatenate(rows).astype(np.float32)


def _yolox_decode(outputs: Outputs, n: int, manifest: Manifest, floor: float) -> Candidates:
    raw = np.asarray(outputs[0], np.float32)[:n]
    slot, anchor = np.nonzero(raw[:, :, 4] >= floor)  # score = objectness × class, so this loses none
    rows = raw[slot, anchor]
    label = np.argmax(rows[:, 5:], axis=1)
    score = rows[:, 4] * rows[np.arange(len(rows)), 5 + label]
    good = score >= floor
    slot, anchor, rows, label, score = slot[good], anchor[good], rows[good], label[good], score[good]
    cell = yolox_grid(manifest.width_px, manifest.height_px)[anchor]
    centre = (rows[:, :2] + cell[:, :2]) * cell[:, 2:]
    with np.errstate(over="ignore"):  # an infinite size is dropped with the boxes that are not finite
        half = np.exp(rows[:, 2:4]) * cell[:, 2:] / 2
    xyxy = np.concatenate([centre - half, centre + half], axis=1, dtype=np.float32)
    return Candidates(slot, xyxy, score, label.astype(np.int16))


HEADS: dict[str, Head] = {
    head.name: head
    for head in (
        Head("ssd", "boxes [N, A, 4] and scores [N, A, classes]", _ssd_fits, _ssd_labels, _ssd_decode),
        Head(
            "yolox",
            "one output [N, A, 5 + classes], A = the cells of strides 8, 16 and 32",
            _yolox_fits,
            _yolox_labels,
            _yolox_decode,
        ),
    )
}


def head_of(family: str) -> Head:
    """The head of that name. Raises ModelError naming those there are."""
    if family not in HEADS:
        raise ModelError(f"found the output family {family!r}; there are {', '.join(HEADS)}: correct the manifest")
    return HEADS[family]


def recognise(shapes: Sequence[Shape], width_px: int, height_px: int) -> Head:
    """The family that outputs of these shapes belong to. Raises ModelError saying what was found and is known."""
    for head in HEADS.values():
        if head.fits(shapes, width_px, height_px):
            return head
    seen = ", ".join(written(shape) for shape in shapes) or "no output"
    known = "; ".join(f"{head.name}: {head.expects}" for head in HEADS.values())
    raise ModelError(
        f"found outputs {seen} for an input of {width_px}×{height_px}, which no known family has ({known}): "
        "use a model of one of these"
    )


def written(shape: Shape) -> str:
    """A shape for people: [N, 3549, 85]."""
    return "[" + ", ".join("N" if size is None else str(size) for size in shape) + "]"
