"""Sliding windows over readings: mean, max and p95 of each series' last minutes, the same however readings came."""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import TYPE_CHECKING

import numpy as np

from gateway.core.exact import ends_of, window_maxima, window_means
from gateway.core.readings import ragged
from gateway.ports import NO_TIME

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gateway.config.scalars import Over
    from gateway.core.readings import Readings
    from gateway.core.state import State

UNPROMISED = 2048  # readings a window holds where nobody says how often they come
MOST = 65_536


class Windows:
    """A ring of readings for each subject.

    A window is (t − length, t]; it is unknown (NaN) while it holds fewer readings than `coverage` of what `every_ns`
    promises.
    """

    def __init__(self, state: State, name: str, owner: str, over: Over, every_ns: int | None, coverage: float) -> None:
        self._over = over
        promised = over.window_ns / every_ns if every_ns else 0.0
        self._least = max(1, int(np.ceil(promised * coverage)))
        self._size = min(MOST, 2 * int(np.ceil(promised)) + 8) if every_ns else UNPROMISED
        ring = {"t": (np.int64, NO_TIME), "v": (np.float64, np.nan)}
        self._ring = state.table(f"{name}/ring", ring, owner)
        self._head = state.table(f"{name}/head", {"written": (np.int64, 0)}, owner)

    def meet(self, slot: int) -> None:
        """Have a ring for this subject."""
        self._head.grow(slot + 1)
        self._ring.grow((slot + 1) * self._size)

    def step(self, readings: Readings, slot: NDArray[np.intp]) -> NDArray[np.float64]:
        """The window's figure at each reading: float64[r], NaN where unknown."""
        size, written = self._size, self._head["written"][slot]
        kept = np.minimum(written, size).astype(np.intp)
        place = ragged((written - kept).astype(np.intp), kept) % size + np.repeat(slot * size, kept)
        old_t, old_v = self._ring["t"][place], self._ring["v"][place]
        total = kept + readings.length
        ends = ends_of(total)
        is_new = np.zeros(int(ends[-1]), bool)
        is_new[ragged(ends - readings.length, readings.length)] = True
        t, v = np.empty(len(is_new), np.int64), np.empty(len(is_new), np.float64)
        t[is_new], v[is_new] = readings.event_ns, readings.value
        t[~is_new], v[~is_new] = old_t, old_v
        figure = self._figures(t, v, is_new, ends - total, total)
        self._write(readings, slot, written)
        return figure

    def _figures(
        self,
        t: NDArray[np.int64],
        v: NDArray[np.float64],
        is_new: NDArray[np.bool_],
        start: NDArray[np.intp],
        total: NDArray[np.intp],
    ) -> NDArray[np.float64]:
        last = np.flatnonzero(is_new) + 1
        first = np.empty(len(last), np.intp)
        done = 0
        for begin, length in zip(start.tolist(), total.tolist(), strict=True):
            mine = t[begin : begin + length]
            new = int(np.count_nonzero(is_new[begin : begin + length]))
            edge = mine[length - new :] - self._over.window_ns
            first[done : done + new] = begin + np.searchsorted(mine, edge, side="right")
            done += new
        first = np.maximum(first, last - self._size)  # what the ring will have room for
        if self._over.how == "mean":
            figure = window_means(v, first, last)
        elif self._over.how == "max":
            figure = window_maxima(v, first, last)
        else:
            figure = _p95(v, first, last)
        figure[last - first < self._least] = np.nan
        return figure

    def _write(self, readings: Readings, slot: NDArray[np.intp], written: NDArray[np.int64]) -> None:
        size = self._size
        fits = np.minimum(readings.length, size)
        rows = ragged(readings.start + readings.length - fits, fits)
        place = ragged((written + readings.length - fits).astype(np.intp), fits) % size + np.repeat(slot * size, fits)
        self._ring["t"][place], self._ring["v"][place] = readings.event_ns[rows], readings.value[rows]
        self._ring.touch(place)
        self._head["written"][slot] = written + readings.length
        self._head.touch(slot)


def _p95(v: NDArray[np.float64], first: NDArray[np.intp], last: NDArray[np.intp]) -> NDArray[np.float64]:
    """The 95th percentile by nearest rank; windows are neighbours, so each is the one before with a few changes."""
    out = np.empty(len(first), np.float64)
    values, window, low, high = v.tolist(), list[float](), 0, 0
    for i, (begin, end) in enumerate(zip(first.tolist(), last.tolist(), strict=True)):
        if begin >= high or begin < low or end < high:
            window, low, high = sorted(values[begin:end]), begin, end
        while high < end:
            insort(window, values[high])
            high += 1
        while low < begin:
            del window[bisect_left(window, values[low])]
            low += 1
        out[i] = window[-(-len(window) * 95 // 100) - 1]
    return out
