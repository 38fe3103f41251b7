"""The families `rtdetr` and `dfine`: transformers, whose queries need no NMS.

Four forms of outputs:
- finished: labels [N, Q] (integers), boxes [N, Q, 4] in px of the sizes given, scores [N, Q], with an input
  orig_target_sizes (width, height) that we answer with the input's own size (lyuwenyu/RT-DETR rtdetr_postprocessor.py,
  Peterande/D-FINE src/zoo/dfine/postprocessor.py, both with their tools' export_onnx.py);
- raw: logits [N, Q, C] and pred_boxes [N, Q, 4] as centre and size in fractions of the picture (Hugging Face's
  exports): the sigmoid of the logits, the best pairs of query and class (the same postprocessors);
- joint: [N, Q, 4 + C], centre and size in fractions, scores after the sigmoid, one class a query; or [N, Q, 6] of
  centre, size, score and class (ultralytics, models/rtdetr/predict.py, before and from 8.4);
- rows: [M, 6] of class, score, x1, y1, x2, y2 with how many are each picture's [N] (PaddleDetection), with the inputs
  im_shape and scale_factor; PicoDet's with NMS in the graph are the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gateway.vision.outputs import Candidates, Head, around, whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gateway.config.manifest import Manifest
    from gateway.vision.outputs import Outputs, Shape, Signature

_QUERIES = 300  # of RT-DETR, unless its configuration was changed: one output of another number may be a small grid
_ROW_AFTER_NMS = 6


def rows_with_counts(shapes: Sequence[Shape]) -> bool:
    """Whether these are PaddleDetection's finished rows: [M, 6] and [N]."""
    return [len(shape) for shape in shapes] == [2, 1] and shapes[0][1] == _ROW_AFTER_NMS


def decode_rows(outputs: Outputs, n: int, floor: float) -> Candidates:
    """PaddleDetection's finished rows, in px of the input (its scale_factor was 1)."""
    rows, counts = np.asarray(outputs[0], np.float32), np.asarray(outputs[1], np.int64)
    slot = np.repeat(np.arange(len(counts)), counts)[: len(rows)]
    rows = rows[: len(slot)]
    good = (rows[:, 1] >= floor) & np.isfinite(rows[:, 0]) & (rows[:, 0] >= 0) & (slot < n)  # class −1: nothing found
    rows = rows[good]
    return Candidates(slot[good], rows[:, 2:], rows[:, 1], whole(rows[:, 0]), chosen=True)


def _form(signature: Signature, _width_px: int, _height_px: int) -> str:
    shapes = signature.output_shapes
    if rows_with_counts(shapes):
        return "rows, finished" if signature.takes("im_shape") else ""
    ranks = sorted(len(shape) for shape in shapes)
    if ranks == [2, 2, 3] and signature.takes("orig_target_sizes"):
        boxes = next(shape for shape in shapes if len(shape) == 3)
        integers = [output.dtype.startswith("int") for output in signature.outputs]
        return "labels, boxes and scores" if boxes[2] == 4 and sum(integers) == 1 else ""
    if ranks == [3, 3] and any("logit" in output.name for output in signature.outputs):
        return "logits and boxes" if 4 in (shapes[0][2], shapes[1][2]) else ""
    return "queries" if _joint(signature) else ""


def _joint(signature: Signature) -> bool:
    shapes = signature.output_shapes
    if len(shapes) != 1 or len(shapes[0]) != 3 or shapes[0][1] != _QUERIES:
        return False
    columns = shapes[0][2]
    if columns == _ROW_AFTER_NMS and "rtdetr" not in signature.described:
        return False  # what is left after a YOLO's NMS looks the same
    return columns is not None and columns > 4


def _boxes_at(shapes: Sequence[Shape]) -> int:
    """Which of logits and boxes is the boxes; where both have 4 columns, the second, as the projects order them."""
    return 1 if shapes[1][2] == 4 else 0


def _labels(shapes: Sequence[Shape]) -> int | None:
    if len(shapes) == 1:
        return None if shapes[0][2] in (None, _ROW_AFTER_NMS) else shapes[0][2] - 4
    return shapes[1 - _boxes_at(shapes)][2] if [len(shape) for shape in shapes] == [3, 3] else None


def _decode(outputs: Outputs, n: int, manifest: Manifest, floor: float) -> Candidates:
    shapes = [output.shape for output in outputs]
    if rows_with_counts(shapes):
        return decode_rows(outputs, n, floor)
    if len(outputs) == 3:
        return _finished(outputs, n, floor)
    size = np.array([manifest.width_px, manifest.height_px], np.float32)
    if len(outputs) == 1:
        return _queries(np.asarray(outputs[0], np.float32)[:n], floor, size)
    at = _boxes_at(shapes)
    logits = np.asarray(outputs[1 - at], np.float32)[:n]
    with np.errstate(over="ignore"):  # of a very negative number: its sigmoid is 0
        scores = np.reciprocal(1 + np.exp(-logits), dtype=np.float32)
    pair = np.flatnonzero(scores >= floor)
    row, label = np.divmod(pair, scores.shape[2])
    slot, query = np.divmod(row, scores.shape[1])
    return _placed(np.asarray(outputs[at], np.float32)[slot, query], slot, scores.reshape(-1)[pair], label, size)


def _queries(raw: NDArray[np.float32], floor: float, size: NDArray[np.float32]) -> Candidates:
    """The joint form; whole numbers in the last of six columns are classes, not the scores of a second one."""
    finished = raw.shape[2] == _ROW_AFTER_NMS and bool((raw[:, :, 5] == np.floor(raw[:, :, 5])).all())
    best = raw[:, :, 4] if finished else raw[:, :, 4:].max(axis=2)
    slot, query = np.nonzero(best >= floor)
    rows = raw[slot, query]
    label = whole(rows[:, 5]) if finished else np.argmax(rows[:, 4:], axis=1)
    return _placed(rows[:, :4], slot, best[slot, query], label, size)


def _placed(
    fractions: NDArray[np.float32],
    slot: NDArray[np.intp],
    score: NDArray[np.float32],
    label: NDArray[np.signedinteger],
    size: NDArray[np.float32],
) -> Candidates:
    xyxy = around(fractions[:, :2] * size, fractions[:, 2:] * size)
    return Candidates(slot, xyxy, score, label.astype(np.int16), chosen=True)


def _finished(outputs: Outputs, n: int, floor: float) -> Candidates:
    [boxes] = [output[:n] for output in outputs if output.ndim == 3]
    [labels] = [output[:n] for output in outputs if output.ndim == 2 and output.dtype.kind in "iu"]
    [scores] = [output[:n] for output in outputs if output.ndim == 2 and output.dtype.kind == "f"]
    slot, query = np.nonzero(np.asarray(scores, np.float32) >= floor)
    found = boxes[slot, query].astype(np.float32), scores[slot, query].astype(np.float32)
    return Candidates(slot, *found, whole(labels[slot, query]), chosen=True)


_EXPECTS = (
    "labels [N, Q], boxes [N, Q, 4] and scores [N, Q] with an input orig_target_sizes, or logits [N, Q, classes] and "
    "pred_boxes [N, Q, 4], or one output [N, Q, 4 + classes], or rows [M, 6] and counts [N] with an input im_shape"
)

HEADS = (
    Head("rtdetr", _EXPECTS, _form, _labels, _decode),
    Head("dfine", "as rtdetr", _form, _labels, _decode),
)
