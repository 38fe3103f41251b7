"""The families `yolov5`, `yolov8` and `yolo11`, with and without NMS in the graph.

Without: YOLOv5 gives [N, A, 5 + C], three anchors a cell, rows of centre x, y, w, h in input px, objectness, classes;
YOLOv8 and YOLO11 give [N, 4 + C, A], one anchor a cell, columns without objectness. All scores are after the sigmoid.
A box has its best class (ultralytics/utils/nms.py and yolov5's utils/general.py, non_max_suppression, multi_label off).

With: [N, K, 6] of x1, y1, x2, y2, score, class (ultralytics, `export nms=True`, and its end-to-end models), or the four
outputs of an EfficientNMS node: how many, boxes [N, K, 4], scores [N, K], classes [N, K].
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gateway.vision.outputs import Candidates, Head, around, cells, scored, whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.config.manifest import Manifest
    from gateway.vision.outputs import Outputs, Shape, Signature

_STRIDES = (8, 16, 32)
_STRIDES_WHERE_LARGE = ((8, 16, 32, 64), (4, 8, 16, 32))  # the variants P6 (for large pictures) and P2 (small things)
_LARGE_PX = 256  # no smaller input has a variant's four strides
_ANCHORS_V5 = 3  # a cell
_MOST_ROWS = 1000  # what is left after NMS is never as many as a grid has


def _grids(width_px: int, height_px: int) -> set[int]:
    large = _STRIDES_WHERE_LARGE if min(width_px, height_px) >= _LARGE_PX else ()
    return {cells(width_px, height_px, strides) for strides in (_STRIDES, *large)}


def _chosen_form(signature: Signature) -> str:
    """The forms after NMS, which all these families share."""
    shapes = signature.output_shapes
    if "rtdetr" in signature.described:
        return ""
    if len(shapes) == 1 and len(shapes[0]) == 3 and shapes[0][2] == 6 and (shapes[0][1] or 0) <= _MOST_ROWS:
        return "rows after NMS"
    ranks = [len(shape) for shape in shapes]
    return "four outputs after NMS" if ranks == [2, 3, 2, 2] and shapes[1][2] == 4 and shapes[0][1] == 1 else ""


def _v5_form(signature: Signature, width_px: int, height_px: int) -> str:
    if chosen := _chosen_form(signature):
        return chosen
    shapes = signature.output_shapes
    if len(shapes) != 1 or len(shapes[0]) != 3:
        return ""
    _, anchors, columns = shapes[0]
    known = anchors is None or anchors in {_ANCHORS_V5 * cells for cells in _grids(width_px, height_px)}
    ours = "ultralytics" not in signature.described  # that package's YOLOv5 has YOLOv8's outputs; yolov5's says nothing
    return "three anchors a cell" if known and ours and (columns is None or columns > 5) else ""


def _v8_form(signature: Signature, width_px: int, height_px: int) -> str:
    if chosen := _chosen_form(signature):
        return chosen
    shapes = signature.output_shapes
    if len(shapes) != 1 or len(shapes[0]) != 3:
        return ""
    _, columns, anchors = shapes[0]
    known = anchors is None or anchors in _grids(width_px, height_px)
    return "one anchor a cell" if known and (columns is None or columns > 4) else ""


def _v5_labels(shapes: Sequence[Shape]) -> int | None:
    columns = shapes[0][2] if len(shapes) == 1 else None
    rows = shapes[0][1]
    return None if columns is None or (columns == 6 and (rows or 0) <= _MOST_ROWS) else columns - 5


def _v8_labels(shapes: Sequence[Shape]) -> int | None:
    columns = shapes[0][1] if len(shapes) == 1 and shapes[0][2] != 6 else None
    return None if columns is None else columns - 4


def _v5_decode(outputs: Outputs, n: int, _manifest: Manifest, floor: float) -> Candidates:
    if _v5_labels([output.shape for output in outputs]) is None:
        return _chosen(outputs, n, floor)
    slot, _, rows, score, label = scored(np.asarray(outputs[0], np.float32)[:n], floor)
    return Candidates(slot, around(rows[:, :2], rows[:, 2:4]), score, label)


def _v8_decode(outputs: Outputs, n: int, _manifest: Manifest, floor: float) -> Candidates:
    if _v8_labels([output.shape for output in outputs]) is None:
        return _chosen(outputs, n, floor)
    raw = np.asarray(outputs[0], np.float32)[:n]
    best = raw[:, 4:].max(axis=1)
    slot, anchor = np.nonzero(best >= floor)
    rows = raw[slot, :, anchor]
    label = np.argmax(rows[:, 4:], axis=1)
    xyxy = around(rows[:, :2], rows[:, 2:4])
    return Candidates(slot, xyxy, best[slot, anchor], label.astype(np.int16))


def _chosen(outputs: Outputs, n: int, floor: float) -> Candidates:
    if len(outputs) == 1:
        rows = np.asarray(outputs[0], np.float32)[:n]
        xyxy, score, label = rows[:, :, :4], rows[:, :, 4], rows[:, :, 5]
        real = np.isfinite(label)
    else:
        count = np.asarray(outputs[0], np.int64)[:n]
        xyxy, score, label = (np.asarray(output, np.float32)[:n] for output in outputs[1:])
        real = np.isfinite(label) & (np.arange(score.shape[1]) < count)  # the rest is filling
    slot, row = np.nonzero((score >= floor) & real)
    return Candidates(slot, xyxy[slot, row], score[slot, row], whole(label[slot, row]), chosen=True)


_AFTER_NMS = "after NMS one output [N, K, 6] or four: [N, 1], [N, K, 4], [N, K], [N, K]"

HEADS = (
    Head(
        "yolov8",
        f"one output [N, 4 + classes, A], A = the cells of strides 8, 16 and 32; {_AFTER_NMS}",
        _v8_form,
        _v8_labels,
        _v8_decode,
    ),
    Head("yolo11", "as yolov8", _v8_form, _v8_labels, _v8_decode),
    Head(
        "yolov5",
        f"one output [N, A, 5 + classes], A = three times the cells of strides 8, 16 and 32; {_AFTER_NMS}",
        _v5_form,
        _v5_labels,
        _v5_decode,
    ),
)
