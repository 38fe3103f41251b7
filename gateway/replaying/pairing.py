"""Two sequences of times put beside each other: which of one is which of the other."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def nearest_pairs(a: Sequence[int], b: Sequence[int], within: int) -> list[tuple[int, int]]:
    """Places (in a, in b) of times that belong together, by a: both sorted, no further apart than `within`.

    The nearest are taken first, so none is left alone that could stand beside another that is.
    """
    near: list[tuple[int, int, int]] = []
    for i, at in enumerate(a):
        j = bisect_left(b, at - within)
        while j < len(b) and b[j] <= at + within:
            near.append((abs(b[j] - at), i, j))
            j += 1
    pairs: dict[int, int] = {}
    taken: set[int] = set()
    for _, i, j in sorted(near):
        if i not in pairs and j not in taken:
            pairs[i] = j
            taken.add(j)
    return sorted(pairs.items())
