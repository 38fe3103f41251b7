"""Sliding windows over readings: mean, max and p95 of each series' last minutes, the same however readings came.

What is kept of a series are its last readings, as many as a window has room for. A window's figure is between the least
and the greatest reading in it: so it is worked out only where one of these is beyond a line.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import TYPE_CHECKING

import numpy as np

from gateway.core.arrays import grown
from gateway.core.exact import ends_of, window_maxima, window_means
from gateway.core.lens import NOTHING, Asked, Seen
from gateway.core.readings import ragged
from gateway.ports import NO_TIME

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gateway.config.scalars import Over
    from gateway.core.state import State

UNPROMISED = 2048  # readings a window holds where nobody says how often they come
OFTENER = 8  # a device may send so many times as often as it promised, up to as many readings as above
LEAST = 256
MOST = 65_536


def promised(over: Over, every_ns: int) -> float:
    """How many readings a window of a device is promised."""
    return over.window_ns / every_ns


def room(over: Over, every_ns: int | None) -> int:
    """How many readings are kept for a window."""
    if not every_ns:
        return UNPROMISED
    wanted = int(np.ceil(promised(over, every_ns)))
    return min(MOST, max(2 * wanted + 8, min(OFTENER * wanted, UNPROMISED), LEAST))


class Windows:
    """Shows a figure over (t − length, t] at each reading.

    It is unknown (NaN) while the window holds fewer readings than `coverage` of what `every_ns` promises, and where it
    holds more than there is room for.
    """

    def __init__(self, state: State, name: str, over: Over, every_ns: int | None, coverage: float) -> None:
        self._over = over
        self._least = max(1, int(np.ceil(promised(over, every_ns) * coverage))) if every_ns else 1
        self.size = room(over, every_ns)
        self._ring = state.table(f"{name}/ring", {"t": (np.int64, NO_TIME), "v": (np.float64, np.nan)})
        columns = {"ring": (np.int32, -1), "written": (np.int64, 0), "crowded": (np.int8, 0)}
        self._head = state.sparse(f"{name}/head", columns)
        # Derived, of each ring: the number of the first reading that may be in the window, and when the last one came
        # that was beyond a line.
        self._from, self._beyond = np.zeros(64, np.int64), np.full(64, NO_TIME)

    def meet(self, series: NDArray[np.int32]) -> None:
        """Have a ring for each of these series."""
        self._head.grow(int(series.max(initial=-1)) + 1)
        for one in series.tolist():
            self._have(one)

    def _have(self, series: int) -> None:
        if not self._head.holds(series):
            ring = len(self._head)
            self._head.put(np.array([series]), ring=np.array([ring]))
        head = self._head.row(series)
        ring, written = int(head["ring"]), int(head["written"])
        self._ring.grow((ring + 1) * self.size)
        self._from, self._beyond = grown(self._from, ring + 1, 0), grown(self._beyond, ring + 1, NO_TIME)
        if written:
            self._beyond[ring] = self._ring["t"][ring * self.size + (written - 1) % self.size]

    def crowded(self, series: NDArray[np.int32]) -> bool:
        """Whether a window of these did not fit, and has not come down to half the room since."""
        return bool((self._head.get(series, "crowded") > 0).any())

    def show(self, asked: Asked) -> Seen:
        """The figures of those that may be beyond their lines; and keep the readings of all."""
        readings, series = asked.readings, asked.series
        ring, written = self._head.get(series, "ring").astype(np.intp), self._head.get(series, "written")
        new = asked.beyond(readings.value)
        self._beyond[ring[new]] = readings.event_ns[readings.start + readings.length - 1][new]
        maybe = asked.holds | (self._beyond[ring] > readings.event_ns[readings.start] - self._over.window_ns)
        if int((written + readings.length).max()) > self.size:
            maybe |= self._overfull(asked, ring, written)
        seen = NOTHING
        if maybe.any():
            rows = np.repeat(maybe, readings.length)
            some = asked._replace(readings=readings.take(rows), series=series[maybe])
            seen = self._figures_of(some, ring[maybe], written[maybe])
        self._write(asked, ring, written)
        return seen

    def _overfull(self, asked: Asked, ring: NDArray[np.intp], written: NDArray[np.int64]) -> NDArray[np.bool_]:
        """bool[g]: where a window holds more than there is room for, or did so lately."""
        readings = asked.readings
        rows = np.arange(len(readings.n)) - np.repeat(readings.start, readings.length)
        number = np.repeat(written, readings.length) + rows - self.size  # the reading that goes for this one to come
        stored = self._ring["t"][np.repeat(ring * self.size, readings.length) + number % self.size]
        gone = np.where(rows >= self.size, np.roll(readings.event_ns, self.size), stored)
        over = (number >= 0) & (gone > readings.event_ns - self._over.window_ns)
        return np.logical_or.reduceat(over, readings.start) | (self._head.get(asked.series, "crowded") > 0)

    def _figures_of(self, asked: Asked, ring: NDArray[np.intp], written: NDArray[np.int64]) -> Seen:
        """The window's figure at each reading."""
        readings = asked.readings
        begin = np.maximum(self._from[ring], written - self.size)
        held = (written - begin).astype(np.intp)
        place = ragged(begin.astype(np.intp), held) % self.size + np.repeat(ring * self.size, held)
        total = held + readings.length
        ends = ends_of(total)
        is_new = np.zeros(int(ends[-1]), bool)
        is_new[ragged(ends - readings.length, readings.length)] = True
        t, v = np.empty(len(is_new), np.int64), np.empty(len(is_new), np.float64)
        t[is_new], v[is_new] = readings.event_ns, readings.value
        t[~is_new], v[~is_new] = self._ring["t"][place], self._ring["v"][place]
        last = np.flatnonzero(is_new) + 1
        first = self._firsts(t, ends - total, total, readings.length)
        count = last - first
        figure = self._figures(v, np.maximum(first, last - self.size), last)
        crowded = count > self.size
        figure[(count < self._least) | crowded] = np.nan
        final = readings.start + readings.length - 1
        self._from[ring] = begin + first[final] - (ends - total)
        self._note(asked, crowded, count)
        return Seen(readings._replace(value=figure), figure, crowded=crowded)

    def _firsts(
        self, t: NDArray[np.int64], start: NDArray[np.intp], total: NDArray[np.intp], new: NDArray[np.intp]
    ) -> NDArray[np.intp]:
        """Where the window of each new reading begins in t; `start` intp[g], how many of them, and of these new."""
        base = t[start]
        span = int((t[start + total - 1] - base).max()) + self._over.window_ns + 1
        if span < 2**62 // len(start):  # each series' times in a range of its own: one search for all
            apart = np.arange(len(start)) * span - base
            key = t + np.repeat(apart, total)
            rows = ragged(start + total - new, new)
            edge = np.maximum(t[rows] - self._over.window_ns, np.repeat(base - 1, new)) + np.repeat(apart, new)
            return np.searchsorted(key, edge, side="right")
        first = np.empty(int(ends_of(new)[-1]), np.intp)
        done = 0
        for begin, length, fresh in zip(start.tolist(), total.tolist(), new.tolist(), strict=True):
            mine = t[begin : begin + length]
            edge = mine[length - fresh :] - self._over.window_ns
            first[done : done + fresh] = begin + np.searchsorted(mine, edge, side="right")
            done += fresh
        return first

    def _figures(self, v: NDArray[np.float64], first: NDArray[np.intp], last: NDArray[np.intp]) -> NDArray[np.float64]:
        if self._over.how == "mean":
            return window_means(v, first, last)
        return window_maxima(v, first, last) if self._over.how == "max" else _p95(v, first, last)

    def _write(self, asked: Asked, ring: NDArray[np.intp], written: NDArray[np.int64]) -> None:
        """Keep the last readings, however they came."""
        readings = asked.readings
        fits = np.minimum(readings.length, self.size)
        rows = ragged(readings.start + readings.length - fits, fits)
        number = ragged((written + readings.length - fits).astype(np.intp), fits)
        place = number % self.size + np.repeat(ring * self.size, fits)
        self._ring["t"][place], self._ring["v"][place] = readings.event_ns[rows], readings.value[rows]
        self._ring.touch(place)
        self._head.put(asked.series, written=written + readings.length)

    def _note(self, asked: Asked, crowded: NDArray[np.bool_], count: NDArray[np.intp]) -> None:
        """Who is crowded after these readings: what was said last, a window that does not fit or one with room."""
        said = np.where(crowded, 1, np.where(count <= self.size // 2, 0, -1)).astype(np.int8)
        rows = np.arange(len(said))
        last = np.maximum.reduceat(np.where(said >= 0, rows, -1), asked.readings.start)
        known = last >= asked.readings.start
        self._head.put(asked.series[known], crowded=said[last[known]])


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
