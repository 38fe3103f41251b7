"""MOT Challenge's scores: CLEAR (Bernardin and Stiefelhagen 2008) and identities (Ristani et al. 2016), at IoU 0.5."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

LEAST_IOU = 0.5
NEVER = 1e6  # the cost of what may not be paired


class Boxes(NamedTuple):
    """One frame's: id int64[n], xywh float64[n, 4] (left, top, width, height)."""

    id: NDArray[np.int64]
    xywh: NDArray[np.float64]


class Score(NamedTuple):
    """Of one clip. `truths`: boxes of the ground truth in the frames that were looked at."""

    mota: float
    idf1: float
    switches: int
    false_positives: int
    misses: int
    truths: int


def read_mot(path: Path) -> dict[int, Boxes]:
    """Frame → boxes, out of lines frame, id, left, top, width, height, …"""
    rows = np.loadtxt(path, delimiter=",", ndmin=2)
    return {
        int(frame): Boxes(rows[rows[:, 0] == frame, 1].astype(np.int64), rows[rows[:, 0] == frame, 2:6])
        for frame in np.unique(rows[:, 0] if len(rows) else [])
    }


def overlap(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """IoU float64[n, m] of boxes (left, top, width, height)."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum((first[:, :2] + first[:, 2:])[:, None], (second[:, :2] + second[:, 2:])[None])
    common = np.prod(np.maximum(high - low, 0.0), axis=2)
    area = np.prod(first[:, 2:], axis=1)[:, None] + np.prod(second[:, 2:], axis=1)[None]
    return common / (area - common)


NOBODY = Boxes(np.zeros(0, np.int64), np.zeros((0, 4)))


def score(truth: Mapping[int, Boxes], found: Mapping[int, Boxes], frames: list[int]) -> Score:
    """Both families of scores over these frames, in order.

    A pair of the frame before is kept while it overlaps enough; the others are paired for the greatest overlap.
    """
    held: dict[int, int] = {}  # the truth's id → the id it last had
    switches = wrong = missed = truths = claims = 0
    together: dict[tuple[int, int], int] = {}
    for frame in frames:
        real, said = truth.get(frame, NOBODY), found.get(frame, NOBODY)
        truths, claims = truths + len(real.id), claims + len(said.id)
        iou = overlap(real.xywh, said.xywh)
        for i, j in zip(*np.nonzero(iou >= LEAST_IOU), strict=True):
            pair = (int(real.id[i]), int(said.id[j]))
            together[pair] = together.get(pair, 0) + 1
        pairs = _paired(real, said, iou, held)
        for i, j in pairs:
            was = held.get(int(real.id[i]))
            switches += int(was is not None and was != int(said.id[j]))
            held[int(real.id[i])] = int(said.id[j])
        missed += len(real.id) - len(pairs)
        wrong += len(said.id) - len(pairs)
    return Score(
        1 - (missed + wrong + switches) / max(truths, 1),
        2 * _identified(together) / max(truths + claims, 1),
        switches,
        wrong,
        missed,
        truths,
    )


def _paired(real: Boxes, said: Boxes, iou: NDArray[np.float64], held: Mapping[int, int]) -> list[tuple[int, int]]:
    cost = np.where(iou >= LEAST_IOU, 1 - iou, NEVER)
    same = np.array([[held.get(int(i)) == j for j in said.id] for i in real.id], bool).reshape(iou.shape)
    cost[same & (iou >= LEAST_IOU)] -= NEVER / 100  # what was a pair stays one
    return [(i, j) for i, j in zip(*linear_sum_assignment(cost), strict=True) if cost[i, j] < NEVER / 2]


def _identified(together: Mapping[tuple[int, int], int]) -> int:
    """The boxes in agreement under the best pairing of identities over the whole clip."""
    rows = {one: k for k, one in enumerate(sorted({one for one, _ in together}))}
    columns = {one: k for k, one in enumerate(sorted({one for _, one in together}))}
    count = np.zeros((len(rows), len(columns)))
    for (one, other), times in together.items():
        count[rows[one], columns[other]] = times
    return int(count[linear_sum_assignment(-count)].sum())
