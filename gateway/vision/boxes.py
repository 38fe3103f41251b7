"""Geometry between a picture and the detector's input: letterbox and stretch, and class-aware NMS."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gateway.vision.planes import Part, Scaler, whole

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Fit(NamedTuple):
    """How one picture lies in the input: input px = picture px × scale + where its top left corner lies.

    from_x_px, from_y_px: where it lies itself, as a part of a larger one.
    """

    scale_x: float
    scale_y: float
    width_px: int
    height_px: int
    left_px: int = 0
    top_px: int = 0
    from_x_px: int = 0
    from_y_px: int = 0


def fit_into(
    picture: NDArray[np.uint8] | Part,
    slot: NDArray[np.uint8],
    *,
    letterbox: bool,
    pad: int,
    centred: bool = False,
    scaler: Scaler | None = None,
) -> Fit:
    """Scale a picture, uint8[h, w, 3] RGB or a part of a frame, into a batch slot uint8[H, W, 3], in place.

    With `letterbox` the shape is kept and the rest is `pad`: the picture lies at the top left, its size rounded
    down and its scale as before that, as YOLOX does it (yolox/data/data_augment.py, preproc); or `centred`, its size
    rounded to the nearest, its scales those of that size, an odd pixel below and on the right, as Ultralytics does it
    (ultralytics/data/augment.py, LetterBox; utils/ops.py, scale_boxes). Otherwise the picture is stretched.
    `scaler`: the thread's own, so that its buffers are there already.
    """
    part = picture if isinstance(picture, Part) else whole(picture)
    draw = (scaler or Scaler()).draw
    width, height = part.right - part.left, part.bottom - part.top
    slot_height, slot_width = slot.shape[:2]
    if not letterbox:
        draw(part, slot)
        return Fit(slot_width / width, slot_height / height, width, height, 0, 0, part.left, part.top)
    scale = min(slot_width / width, slot_height / height)
    rounded = round if centred else int
    inner_width, inner_height = max(1, rounded(width * scale)), max(1, rounded(height * scale))
    left, top = ((slot_width - inner_width) // 2, (slot_height - inner_height) // 2) if centred else (0, 0)
    right, bottom = left + inner_width, top + inner_height
    draw(part, slot[top:bottom, left:right])
    slot[:top] = pad
    slot[bottom:] = pad
    slot[top:bottom, :left] = pad
    slot[top:bottom, right:] = pad
    scales = (inner_width / width, inner_height / height) if centred else (scale, scale)
    return Fit(*scales, width, height, left, top, part.left, part.top)


def to_picture(xyxy: NDArray[np.float32], fit: Fit) -> NDArray[np.float32]:
    """Boxes float32[n, 4] from input px to picture px, clipped to what of the picture was looked at."""
    corner = np.array([fit.left_px, fit.top_px, fit.left_px, fit.top_px], np.float32)
    scale = np.array([fit.scale_x, fit.scale_y, fit.scale_x, fit.scale_y], np.float32)
    limit = np.array([fit.width_px, fit.height_px, fit.width_px, fit.height_px], np.float32)
    boxes = np.clip((xyxy - corner) / scale, np.float32(0), limit)
    if fit.from_x_px or fit.from_y_px:
        boxes += np.array([fit.from_x_px, fit.from_y_px] * 2, np.float32)
    return boxes


def overlaps(xyxy: NDArray[np.float32], iou: float) -> NDArray[np.bool_]:
    """Which pairs have an intersection over union above `iou`: bool[n, n]; boxes without area overlap nothing."""
    left, top, right, bottom = np.ascontiguousarray(xyxy.T)
    shared = np.minimum(right[:, None], right)
    shared -= np.maximum(left[:, None], left)
    height = np.minimum(bottom[:, None], bottom)
    height -= np.maximum(top[:, None], top)
    np.maximum(shared, 0, out=shared)
    np.maximum(height, 0, out=height)
    shared *= height
    area = (right - left) * (bottom - top)
    # shared / (a + b − shared) > iou, without the division
    shared *= np.float32((1 + iou) / iou)
    return shared > area[:, None] + area


def nms(
    xyxy: NDArray[np.float32], score: NDArray[np.float32], label: NDArray[np.int16], *, iou: float, most: int
) -> NDArray[np.intp]:
    """Indices that greedy class-aware non-maximum suppression keeps, best first, ties by index; `most` at most."""
    order = np.argsort(-score, kind="stable")
    ranked, place = label[order], np.arange(len(order))
    over = overlaps(xyxy[order], iou)
    over &= ranked[:, None] == ranked
    over &= place[:, None] < place
    return order[survivors(over)][:most]


def survivors(over: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Who is left, bool[n], where over[i, j] says that i, the better one, suppresses j unless it is suppressed itself.

    Greedy suppression is the one fixed point of "kept = suppressed by nobody kept and better". It is reached by
    repeating that sentence on the whole matrix, once for each link of the longest chain of suppressions (a handful),
    so there is no loop over boxes.
    """
    kept: NDArray[np.bool_] = np.logical_not(over.any(axis=0))  # by nobody at all: these stay whatever follows
    while True:
        again: NDArray[np.bool_] = np.logical_not(over[kept].any(axis=0))
        if (again == kept).all():
            return kept
        kept = again
