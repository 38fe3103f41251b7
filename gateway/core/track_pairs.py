"""Which box belongs to which track: costs in whole numbers, and the one best pairing of them (SEMANTICS.md §5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gateway.core import kalman

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Solver = Callable[[NDArray[np.float64], bool], tuple[NDArray[np.intp], NDArray[np.intp]]]

MOST_TRACKS = 500  # a camera: more than anybody can see in one picture
FARTHEST = 13.28
"""A squared distance that one of a hundred true pairs exceeds: chi² with four degrees of freedom."""
WORST = 8.0
"""A pair must be likelier than this (distance and spread): what has not been seen for long may be anywhere."""
STEPS = 1024.0
"""Costs are quantised to 1/1024 of the logarithm of a likelihood."""
TIE = 2.0**27
"""More than all ties of one pairing weigh together: 300 boxes × 500 tracks × 300 pairs. With benefits below 2¹⁶ every
sum of a pairing stays below 2⁵³, so that the solver's float64 holds whole numbers."""
SAME = 3.0
"""Boxes overlap by more than half (IoU) where 3 × common > area + area."""


def solver() -> Solver:
    """The assignment solver; loads SciPy, which only cameras that track need."""
    from scipy.optimize import linear_sum_assignment  # noqa: PLC0415 - 0.3 s and 30 MB that no other gateway pays

    return linear_sum_assignment


def distinct(xyxy: NDArray[np.float32], group: NDArray[np.int16], order: NDArray[np.intp]) -> NDArray[np.intp]:
    """Of `order` (indices, surest first) those left when of boxes of a group that overlap only the surest counts."""
    box, kind = xyxy[order].astype(np.float64).T, group[order]
    side = np.minimum(box[2:, :, None], box[2:, None, :]) - np.maximum(box[:2, :, None], box[:2, None, :])
    np.maximum(side, 0.0, out=side)
    area = (box[2] - box[0]) * (box[3] - box[1])
    same = side[0] * side[1] * SAME > area[:, None] + area
    same &= kind[:, None] == kind
    if np.count_nonzero(same) <= len(order):  # each overlaps itself
        return order
    first, second = np.nonzero(same)
    keep = [True] * len(order)
    for i, j in zip(
        first.tolist(), second.tolist(), strict=True
    ):  # by the surer one: whether it stays is known by then
        if i < j and keep[i]:
            keep[j] = False
    return order[np.array(keep)]


def benefits(belief: NDArray[np.float64], z: NDArray[np.float64], same: NDArray[np.bool_]) -> NDArray[np.float64]:
    """What pairing each track with each box is worth, whole numbers float64[n, m]; 0: they may not be paired.

    Rows are by track id, columns by the box's place. Among pairings worth the same, lower ids and places, and the lower
    id with the lower place, come first.
    """
    distance, spread = kalman.surprise(belief, z)
    worth = np.rint(((WORST - spread)[:, None] - distance) * STEPS)
    allowed = same & (distance < FARTHEST) & (worth > 0.0)
    rows, columns = worth.shape
    worth *= TIE
    worth += np.arange(rows, 0, -1.0)[:, None] * np.arange(columns, 0, -1.0)
    worth *= allowed
    return worth


def paired(worth: NDArray[np.float64], solve: Solver) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """(track, box) of the pairing that is worth most, by track."""
    row, column = solve(worth, True)  # the greatest sum, not the least
    real = worth[row, column] > 0.0
    return row[real], column[real]
