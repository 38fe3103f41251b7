"""Two sequences of times put beside each other: which of one is which of the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def nearest_pairs(a: Sequence[int], b: Sequence[int], within: int) -> list[tuple[int, int]]:
    """Places (in a, in b) of times that belong together: both sorted, no further apart than `within`, in order.

    Of two that both are near enough the nearer is taken, unless another is waiting for it.
    """
    pairs: list[tuple[int, int]] = []
    i = j = 0
    while i < len(a) and j < len(b):
        apart = abs(a[i] - b[j])
        if j + 1 < len(b) and abs(a[i] - b[j + 1]) < apart and not _waits(a, i + 1, b[j + 1], b[j + 1] - a[i]):
            j += 1
        elif i + 1 < len(a) and abs(a[i + 1] - b[j]) < apart and not _waits(b, j + 1, a[i + 1], a[i + 1] - b[j]):
            i += 1
        elif apart <= within:
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif a[i] < b[j]:
            i += 1
        else:
            j += 1
    return pairs


def _waits(times: Sequence[int], place: int, at: int, apart: int) -> bool:
    """Whether the time at `place` is nearer to `at` than one that is `apart` from it."""
    return place < len(times) and abs(times[place] - at) < abs(apart)
