"""The family `ssd`: exports of TensorFlow's object detection API before its own post-processing.

Boxes [N, A, 4] as ymin, xmin, ymax, xmax in fractions of the input, scores [N, A, C] after the sigmoid, without a
background column.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gateway.vision.outputs import Candidates, Head

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.config.manifest import Manifest
    from gateway.vision.outputs import Outputs, Shape, Signature


def _order(shapes: Sequence[Shape]) -> tuple[int, int] | None:
    """Which output is the boxes and which the scores."""
    if len(shapes) != 2 or any(len(shape) != 3 for shape in shapes) or shapes[0][1] != shapes[1][1]:
        return None
    return (0, 1) if shapes[0][2] == 4 else (1, 0) if shapes[1][2] == 4 else None


def _form(signature: Signature, _width_px: int, _height_px: int) -> str:
    raw = any("logit" in output.name for output in signature.outputs)  # a transformer's, before the sigmoid
    return "" if raw or _order(signature.output_shapes) is None else "boxes and scores"


def _labels(shapes: Sequence[Shape]) -> int | None:
    order = _order(shapes)
    return shapes[order[1]][2] if order else None


def _decode(outputs: Outputs, n: int, manifest: Manifest, floor: float) -> Candidates:
    boxes_at, scores_at = _order([output.shape for output in outputs]) or (0, 1)
    scores = np.asarray(outputs[scores_at], np.float32)[:n]
    at = np.flatnonzero(scores >= floor)  # half the time of nonzero over three dimensions
    row, label = np.divmod(at, scores.shape[2])
    slot, anchor = np.divmod(row, scores.shape[1])
    size = np.array([manifest.width_px, manifest.height_px] * 2, np.float32)
    xyxy = np.asarray(outputs[boxes_at], np.float32)[slot, anchor][:, [1, 0, 3, 2]] * size
    return Candidates(slot, xyxy, scores.reshape(-1)[at], label.astype(np.int16))


HEAD = Head("ssd", "boxes [N, A, 4] and scores [N, A, classes]", _form, _labels, _decode)
