"""Sums that do not depend on their order, and other arithmetic that is the same on every CPU (SEMANTICS.md §5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

FRACTION = 2.0**42
"""A value's fraction is kept to 2⁻⁴² (2·10⁻¹³); with int64 sums that leaves room for 2²⁰ readings in a window."""
LARGEST = 2.0**42
"""Beyond this a value counts as this in a mean: 4·10¹², more than any quantity that a city measures."""


def prefix_sums(values: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Exact running sums in two integer lanes (whole, fraction), each int64[n + 1], beginning with 0.

    Differences of them are exact, whatever came before: so a window's mean does not depend on how
    readings were grouped.
    """
    clipped = np.clip(values, -LARGEST, LARGEST)
    whole = np.floor(clipped)
    fraction = np.rint((clipped - whole) * FRACTION)
    out = np.zeros((2, len(values) + 1), np.int64)
    np.cumsum(whole.astype(np.int64), out=out[0, 1:])
    np.cumsum(fraction.astype(np.int64), out=out[1, 1:])
    return out[0], out[1]


def ends_of(count: NDArray[np.intp]) -> NDArray[np.intp]:
    """Where each of these many, one after another, ends: running sums, intp[g]."""
    return np.cumsum(count, dtype=np.intp)


def total(count: NDArray[np.int32]) -> int:
    """The sum of whole numbers."""
    return int(np.sum(count, dtype=np.int64))


def window_means(values: NDArray[np.float64], first: NDArray[np.intp], last: NDArray[np.intp]) -> NDArray[np.float64]:
    """Means of values[first[i] : last[i]] (last exclusive, never empty)."""
    whole, fraction = prefix_sums(values)
    n = (last - first).astype(np.float64)
    return (
        (whole[last] - whole[first]).astype(np.float64)
        + (fraction[last] - fraction[first]).astype(np.float64) / FRACTION
    ) / n


def window_maxima(values: NDArray[np.float64], first: NDArray[np.intp], last: NDArray[np.intp]) -> NDArray[np.float64]:
    """Maxima of values[first[i] : last[i]] (last exclusive, never empty), by a table of powers of two."""
    length = last - first
    out = np.empty(len(first), np.float64)
    level, span = values, 1
    while True:
        here = (length >= span) & (length < 2 * span)
        if here.any():
            out[here] = np.maximum(level[first[here]], level[last[here] - span])
        if not (length >= 2 * span).any():
            return out
        level = np.maximum(level[: len(level) - span], level[span:])
        span *= 2


def mix(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A well-spread hash of 64-bit words (splitmix64's finalizer, Steele et al. 2014)."""
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))
