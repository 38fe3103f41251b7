"""The family `yolox`, exported without decoding in the graph.

One output [N, A, 5 + C] of raw dx, dy, log w, log h, objectness, classes (both after the sigmoid); boxes as YOLOX's own
demo_postprocess (yolox/utils/demo_utils.py) decodes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gateway.vision.outputs import Candidates, Head, around, cells, grid, scored

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.config.manifest import Manifest
    from gateway.vision.outputs import Outputs, Shape, Signature

STRIDES = (8, 16, 32)


def _form(signature: Signature, width_px: int, height_px: int) -> str:
    shapes = signature.output_shapes
    if len(shapes) != 1 or len(shapes[0]) != 3:
        return ""
    _, anchors, columns = shapes[0]
    fits = columns is not None and columns > 5 and anchors == cells(width_px, height_px, STRIDES)
    return "a grid with objectness" if fits else ""


def _labels(shapes: Sequence[Shape]) -> int | None:
    return None if shapes[0][2] is None else shapes[0][2] - 5


def _decode(outputs: Outputs, n: int, manifest: Manifest, floor: float) -> Candidates:
    slot, anchor, rows, score, label = scored(np.asarray(outputs[0], np.float32)[:n], floor)
    cell = grid(manifest.width_px, manifest.height_px, STRIDES)[anchor]
    centre = (rows[:, :2] + cell[:, :2]) * cell[:, 2:]
    with np.errstate(over="ignore", invalid="ignore"):  # an infinite size is dropped with the boxes that are not finite
        size = np.exp(rows[:, 2:4]) * cell[:, 2:]
        return Candidates(slot, around(centre, size), score, label)


HEAD = Head(
    "yolox",
    "one output [N, A, 5 + classes], A = the cells of strides 8, 16 and 32",
    _form,
    _labels,
    _decode,
)
