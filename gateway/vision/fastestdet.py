"""The family `fastestdet`: one map [N, 5 + C, H, W] of objectness, dx, dy, w, h, classes; one box a cell.

Objectness (sigmoid) and classes (softmax) come finished out of the graph; tanh of dx and dy moves a box by up to a
cell, the sigmoid of w and h is its size as a share of the picture; the score is objectness × best class
(dog-qiuqiu/FastestDet, utils/tool.py, handle_preds).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gateway.vision.outputs import Candidates, Head, around

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.config.manifest import Manifest
    from gateway.vision.outputs import Outputs, Shape, Signature


def _form(signature: Signature, width_px: int, height_px: int) -> str:
    shapes = signature.output_shapes
    if len(shapes) != 1 or len(shapes[0]) != 4:
        return ""
    _, columns, rows_high, cells_wide = shapes[0]
    if columns is None or columns <= 5:
        return ""
    square = rows_high and cells_wide and width_px % cells_wide == 0 and width_px * rows_high == height_px * cells_wide
    return "one map" if square else ""


def _labels(shapes: Sequence[Shape]) -> int | None:
    return None if shapes[0][1] is None else shapes[0][1] - 5


def _decode(outputs: Outputs, n: int, manifest: Manifest, floor: float) -> Candidates:
    raw = np.asarray(outputs[0], np.float32)[:n]
    score = raw[:, 0] * raw[:, 5:].max(axis=1)
    slot, y, x = np.nonzero(score >= floor)
    rows = raw[slot, :, y, x]
    label = np.argmax(rows[:, 5:], axis=1)
    size = np.array([manifest.width_px, manifest.height_px], np.float32)
    cell = np.stack([x, y], axis=1).astype(np.float32)
    centre = (np.tanh(rows[:, 1:3]) + cell) * (size / np.array(raw.shape[:1:-1], np.float32))
    with np.errstate(over="ignore"):  # of a very negative number: its sigmoid is 0
        share = size / (1 + np.exp(-rows[:, 3:5]))
    return Candidates(slot, around(centre, share), score[slot, y, x], label.astype(np.int16))


HEAD = Head("fastestdet", "one output [N, 5 + classes, height / 16, width / 16]", _form, _labels, _decode)
