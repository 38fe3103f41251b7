"""What is kept by number: arrays that grow as numbers come, and read as new beyond their end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

T = TypeVar("T", bound=np.generic)
GROWTH = 64  # cells added at least; capacity then doubles


def grown(array: NDArray[T], count: int, fill: float) -> NDArray[T]:
    """The array, where it has `count` cells; else a longer one that begins with it, and `fill` in the others."""
    if count <= len(array):
        return array
    longer = np.zeros(max(count, 2 * len(array), GROWTH), array.dtype)  # zeros that nobody wrote take no memory
    longer[: len(array)] = array
    if fill:
        longer[len(array) :] = fill
    return longer


def cells(array: NDArray[T], numbers: NDArray[np.integer[Any]], missing: float) -> NDArray[T]:
    """The cells of these numbers, which ascend: T[k]; `missing` for those beyond the array's end."""
    if not len(numbers) or numbers[-1] < len(array):
        return array[numbers]
    known = numbers < len(array)
    return np.where(known, array[np.where(known, numbers, 0)], missing).astype(array.dtype)
