"""The families `nanodet` and `picodet`: each cell gives how far its four sides are, as a distribution (GFL).

A side's distance is the mean of the softmax over its bins 0 … R, in cells; every class at or above the floor is a box.

`nanodet`: one output [N, A, C + 32] (R = 7), classes after the sigmoid. NanoDet-Plus (strides 8, 16, 32, 64) counts
from a cell's corner, x × stride (RangiLyu/nanodet, nanodet/model/head/nanodet_plus_head.py), NanoDet before it (8, 16,
32) from its middle (gfl_head.py); the latter also with an output a map, in pairs of [N, cells, C] and [N, cells, 32].

`picodet`: four pairs of [N, cells, C] and [N, cells, 4 (R + 1)], from the cell's middle (PaddleDetection,
deploy/third_engine/demo_openvino/python/openvino_benchmark.py, PicoDetPostProcess); or decoded, boxes [N, A, 4] in
input px and scores [N, C, A]; or with NMS in the graph, rows [M, 6] and counts [N].
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gateway.vision.detr import decode_rows, rows_with_counts
from gateway.vision.outputs import Candidates, Head, cells, grid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gateway.config.manifest import Manifest
    from gateway.vision.outputs import Outputs, Shape, Signature

_SHORT, _LONG = (8, 16, 32), (8, 16, 32, 64)
_MIDDLE = 0.5
_NANODET_COLUMNS = 32  # 4 sides × 8 bins: reg_max is 7 in the project's own configurations


def _pairs(shapes: Sequence[Shape], strides: tuple[int, ...], width_px: int, height_px: int) -> bool:
    """Whether each stride has its map of classes and its map of distances, all the former first or by turns."""
    wanted = [cells(width_px, height_px, (stride,)) for stride in strides]
    if any(len(shape) != 3 for shape in shapes):
        return False
    found = [shape[1] for shape in shapes]
    if sorted(wanted * 2) != sorted(size or 0 for size in found):
        return False
    scores, distances = _sorted(shapes)
    return len({scores[at][2] for at in scores}) == 1 and all((distances[at][2] or 1) % 4 == 0 for at in distances)


def _sorted(shapes: Sequence[Shape]) -> tuple[dict[int, Shape], dict[int, Shape]]:
    """The maps of classes and those of distances, by their place among the outputs, finest stride first.

    Of two maps with as many cells the first is the classes'.
    """
    order = sorted(range(len(shapes)), key=lambda at: -(shapes[at][1] or 0))  # stable: the first of a pair stays first
    return {at: shapes[at] for at in order[::2]}, {at: shapes[at] for at in order[1::2]}


def _nanodet_form(signature: Signature, width_px: int, height_px: int) -> str:
    shapes = signature.output_shapes
    if len(shapes) == 2 * len(_SHORT):
        return "pairs of maps" if _pairs(shapes, _SHORT, width_px, height_px) else ""
    if len(shapes) != 1 or len(shapes[0]) != 3:
        return ""
    _, anchors, columns = shapes[0]
    grids = {cells(width_px, height_px, strides) for strides in (_SHORT, _LONG)}
    return "classes and distances" if anchors in grids and (columns or 0) > _NANODET_COLUMNS else ""


def _nanodet_labels(shapes: Sequence[Shape]) -> int | None:
    if len(shapes) > 1:
        return _pair_labels(shapes)
    return None if shapes[0][2] is None else shapes[0][2] - _NANODET_COLUMNS


def _pair_labels(shapes: Sequence[Shape]) -> int | None:
    return next(iter(_sorted(shapes)[0].values()))[2]


def _nanodet_decode(outputs: Outputs, n: int, manifest: Manifest, floor: float) -> Candidates:
    if len(outputs) > 1:
        return _inside(_decode_pairs(outputs, n, manifest, floor, _SHORT), manifest)
    raw = np.asarray(outputs[0], np.float32)[:n]
    classes = raw.shape[2] - _NANODET_COLUMNS
    plus = raw.shape[1] == cells(manifest.width_px, manifest.height_px, _LONG)
    strides, offset = (_LONG, 0.0) if plus else (_SHORT, _MIDDLE)
    lattice = grid(manifest.width_px, manifest.height_px, strides)
    return _inside(_decode(raw[:, :, :classes], raw[:, :, classes:], lattice, offset, floor), manifest)


def _inside(candidates: Candidates, manifest: Manifest) -> Candidates:
    """NanoDet's boxes end at the input's edge before they suppress each other (nanodet/util/box_transform.py)."""
    limit = np.array([manifest.width_px, manifest.height_px] * 2, np.float32)
    return candidates._replace(xyxy=np.clip(candidates.xyxy, np.float32(0), limit))


def _picodet_form(signature: Signature, width_px: int, height_px: int) -> str:
    shapes = signature.output_shapes
    if rows_with_counts(shapes):
        return "rows after NMS" if signature.takes("scale_factor") and not signature.takes("im_shape") else ""
    if len(shapes) == 2 * len(_LONG):
        return "four pairs of maps" if _pairs(shapes, _LONG, width_px, height_px) else ""
    return "boxes and scores by class" if _decoded(shapes) else ""


def _decoded(shapes: Sequence[Shape]) -> bool:
    if len(shapes) != 2 or any(len(shape) != 3 for shape in shapes):
        return False
    boxes, scores = shapes
    return boxes[2] == 4 and boxes[1] is not None and boxes[1] == scores[2] and scores[1] != boxes[1]


def _picodet_labels(shapes: Sequence[Shape]) -> int | None:
    if len(shapes) == 2:
        return None if rows_with_counts(shapes) else shapes[1][1]
    return _pair_labels(shapes)


def _picodet_decode(outputs: Outputs, n: int, manifest: Manifest, floor: float) -> Candidates:
    if len(outputs) > 2:
        return _decode_pairs(outputs, n, manifest, floor, _LONG)
    if rows_with_counts([output.shape for output in outputs]):
        return decode_rows(outputs, n, floor)
    scores = np.asarray(outputs[1], np.float32)[:n]
    slot, label, anchor = np.nonzero(scores >= floor)
    xyxy = np.asarray(outputs[0], np.float32)[slot, anchor]
    return Candidates(slot, xyxy, scores[slot, label, anchor], label.astype(np.int16))


def _decode_pairs(outputs: Outputs, n: int, manifest: Manifest, floor: float, strides: tuple[int, ...]) -> Candidates:
    order = [list(maps) for maps in _sorted([output.shape for output in outputs])]
    scores, bins = (np.concatenate([np.asarray(outputs[at], np.float32)[:n] for at in maps], axis=1) for maps in order)
    return _decode(scores, bins, grid(manifest.width_px, manifest.height_px, strides), _MIDDLE, floor)


def _decode(
    scores: NDArray[np.float32], bins: NDArray[np.float32], lattice: NDArray[np.float32], offset: float, floor: float
) -> Candidates:
    """Boxes of classes [n, A, C] and distances [n, A, 4 (R + 1)]."""
    slot, anchor = np.nonzero((scores >= floor).any(axis=2))  # a fifth of the time of nonzero over three dimensions
    cell = lattice[anchor]
    centre = (cell[:, :2] + np.float32(offset)) * cell[:, 2:]
    reach = _mean(bins[slot, anchor]) * cell[:, 2:]
    xyxy = np.concatenate([centre - reach[:, :2], centre + reach[:, 2:]], axis=1, dtype=np.float32)
    likely = scores[slot, anchor]
    at, label = np.nonzero(likely >= floor)
    return Candidates(slot[at], xyxy[at], likely[at, label], label.astype(np.int16))


def _mean(bins: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mean of each side's distribution: [k, 4 (R + 1)] to [k, 4]."""
    each = bins.reshape(len(bins), 4, bins.shape[1] // 4)
    with np.errstate(
        invalid="ignore"
    ):  # what is infinite becomes NaN, and is dropped with the boxes that are not finite
        weight = np.exp(each - each.max(axis=2, keepdims=True))
    return (weight * np.arange(each.shape[2], dtype=np.float32)).sum(axis=2) / weight.sum(axis=2)


HEADS = (
    Head(
        "nanodet",
        "one output [N, A, classes + 32], A = the cells of strides 8, 16, 32 (and 64), or three pairs of "
        "[N, cells, classes] and [N, cells, 32]",
        _nanodet_form,
        _nanodet_labels,
        _nanodet_decode,
    ),
    Head(
        "picodet",
        "four pairs of [N, cells, classes] and [N, cells, 4 × bins], or boxes [N, A, 4] and scores [N, classes, A], or "
        "rows [M, 6] and counts [N] with an input scale_factor",
        _picodet_form,
        _picodet_labels,
        _picodet_decode,
    ),
)
