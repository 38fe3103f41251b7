"""Output families: what a model's raw outputs mean. A new family is one module and one entry in HEADS.

A head's `decode` turns the outputs for n slots into candidates in input px; choosing (floor, NMS, at most 300) and
mapping back to the picture is the same for all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gateway.errors import ModelError
from gateway.vision import detr, distances, fastestdet, ssd, yolo, yolox
from gateway.vision.boxes import Fit, nms, to_picture

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gateway.config.manifest import Manifest
    from gateway.vision.outputs import Candidates, Head, Outputs

FLOOR = 0.1  # what enters the door: limits are the rules', so that replay can change them
MOST_BOXES = 300
NMS_IOU = 0.7
MOST_CANDIDATES = 1000  # a frame, best first: bounds the pair matrix on noise (4 MB)

HEADS: dict[str, Head] = {
    head.name: head for head in (ssd.HEAD, yolox.HEAD, *yolo.HEADS, *detr.HEADS, *distances.HEADS, fastestdet.HEAD)
}


class Found(NamedTuple):
    """One picture's boxes, best first: xyxy float32[n, 4] px, score float32[n], label int16[n]. Read-only."""

    xyxy: NDArray[np.float32]
    score: NDArray[np.float32]
    label: NDArray[np.int16]


def find_boxes(outputs: Outputs, n: int, manifest: Manifest, fits: Sequence[Fit], floor: float = FLOOR) -> list[Found]:
    """The boxes of the first `n` slots, in px of their pictures, after the floor and class-aware NMS.

    Raises ModelError when the family is unknown, or the model names a class that its manifest has no label for.
    """
    candidates = head_of(manifest.family).decode(outputs, n, manifest, floor)
    _check_labels(candidates.label, manifest)
    return [_choose(candidates, slot, fits[slot], alone=n == 1) for slot in range(n)]


def _choose(candidates: Candidates, slot: int, fit: Fit, *, alone: bool) -> Found:
    xyxy, score, label = candidates.xyxy, candidates.score, candidates.label
    if not alone:
        mine = np.flatnonzero(candidates.slot == slot)
        xyxy, score, label = xyxy[mine], score[mine], label[mine]
    if len(score) > MOST_CANDIDATES:
        best = np.argsort(-score, kind="stable")[:MOST_CANDIDATES]
        xyxy, score, label = xyxy[best], score[best], label[best]
    sane = np.isfinite(xyxy).all(axis=1) & np.isfinite(score)
    if not sane.all():
        xyxy, score, label = xyxy[sane], score[sane], label[sane]
    if candidates.chosen:
        kept = np.argsort(-score, kind="stable")[:MOST_BOXES]
    else:
        kept = nms(xyxy, score, label, iou=NMS_IOU, most=MOST_BOXES)
    found = Found(to_picture(xyxy[kept], fit), score[kept], label[kept])
    for column in found:
        column.flags.writeable = False
    return found


def _check_labels(label: NDArray[np.int16], manifest: Manifest) -> None:
    """Models with their own choosing in the graph give a class's number, and nothing before says how many there are."""
    if len(label) and (label.min() < 0 or label.max() >= len(manifest.labels)):
        wrong = label.min() if label.min() < 0 else label.max()
        raise ModelError(
            f"{manifest.name}: found class {wrong} in its outputs and {len(manifest.labels)} labels in its manifest: "
            "give one label a class"
        )


def head_of(family: str) -> Head:
    """The head of that name. Raises ModelError naming those there are."""
    if family not in HEADS:
        raise ModelError(f"found the output family {family!r}; there are {', '.join(HEADS)}: correct the manifest")
    return HEADS[family]
