"""Geometry between a picture and the detector's input: letterbox and stretch, and class-aware NMS."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Fit(NamedTuple):
    """How one picture lies in the input: input px = picture px × scale + where its top left corner lies."""

    scale_x: float
    scale_y: float
    width_px: int
    height_px: int
    left_px: int = 0
    top_px: int = 0


def fit_into(
    picture: NDArray[np.uint8], slot: NDArray[np.uint8], *, letterbox: bool, pad: int, centred: bool = False
) -> Fit:
    """Resize a picture uint8[h, w, 3] into a batch slot uint8[H, W, 3], in place.

    With `letterbox` the shape is kept and the rest is `pad`: the picture lies at the top left, its size rounded
    down and its scale as before that, as YOLOX does it (yolox/data/data_augment.py, preproc); or `centred`, its size
    rounded to the nearest, its scales those of that size, an odd pixel below and on the right, as Ultralytics does it
    (ultralytics/data/augment.py, LetterBox; utils/ops.py, scale_boxes). Otherwise the picture is stretched.
    """
    height, width = picture.shape[:2]
    slot_height, slot_width = slot.shape[:2]
    if not letterbox:
        cv2.resize(picture, (slot_width, slot_height), dst=slot, interpolation=cv2.INTER_LINEAR)
        return Fit(slot_width / width, slot_height / height, width, height)
    scale = min(slot_width / width, slot_height / height)
    whole = round if centred else int
    inner_width, inner_height = max(1, whole(width * scale)), max(1, whole(height * scale))
    left, top = ((slot_width - inner_width) // 2, (slot_height - inner_height) // 2) if centred else (0, 0)
    right, bottom = left + inner_width, top + inner_height
    inner = slot[top:bottom, left:right]
    cv2.resize(picture, (inner_width, inner_height), dst=inner, interpolation=cv2.INTER_LINEAR)
    slot[:top] = pad
    slot[bottom:] = pad
    slot[top:bottom, :left] = pad
    slot[top:bottom, right:] = pad
    if centred:
        return Fit(inner_width / width, inner_height / height, width, height, left, top)
    return Fit(scale, scale, width, height)


def to_picture(xyxy: NDArray[np.float32], fit: Fit) -> NDArray[np.float32]:
    """Boxes float32[n, 4] from input px to picture px, clipped to the picture."""
    corner = np.array([fit.left_px, fit.top_px, fit.left_px, fit.top_px], np.float32)
    scale = np.array([fit.scale_x, fit.scale_y, fit.scale_x, fit.scale_y], np.float32)
    limit = np.array([fit.width_px, fit.height_px, fit.width_px, fit.height_px], np.float32)
    return np.clip((xyxy - corner) / scale, np.float32(0), limit)


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
    """Indices that greedy class-aware non-maximum suppression keeps, best score first, ties by index; `most` at most.

    Greedy suppression is the one fixed point of "kept = suppressed by nobody kept and better". It is reached by
    repeating that sentence on the whole matrix, once for each link of the longest chain of suppressions (a handful),
    so there is no loop over boxes.
    """
    order = np.argsort(-score, kind="stable")
    ranked, place = label[order], np.arange(len(order))
    over = overlaps(xyxy[order], iou)
    over &= ranked[:, None] == ranked
    over &= place[:, None] < place
    kept = ~over.any(axis=0)  # by nobody at all: these stay whatever follows
    while True:
        again = ~over[kept].any(axis=0)
        if (again == kept).all():
            return order[kept][:most]
        kept = again
