"""Sliding windows over readings: mean, max and p95 of each series' last minutes, the same however readings came."""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import TYPE_CHECKING, NamedTuple

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


class Figures(NamedTuple):
    """What a step came to: value float64[r], NaN where unknown; crowded bool[r]: unknown, for it does not fit."""

    value: NDArray[np.float64]
    crowded: NDArray[np.bool_]


class Windows:
    """A ring of readings for each subject, which holds those in the window of its last reading.

    A window is (t − length, t]; it is unknown (NaN) while it holds fewer readings than `coverage` of what `every_ns`
    promises, and where it holds more than there is room for.
    """

    def __init__(self, state: State, name: str, owner: str, over: Over, every_ns: int | None, coverage: float) -> None:
        self._over = over
        self._least = max(1, int(np.ceil(promised(over, every_ns) * coverage))) if every_ns else 1
        self.size = room(over, every_ns)
        ring = {"t": (np.int64, NO_TIME), "v": (np.float64, np.nan)}
        self._ring = state.table(f"{name}/ring", ring, owner)
        columns = {"written": (np.int64, 0), "held": (np.int32, 0), "crowded": (np.int8, 0)}
        self._head = state.table(f"{name}/head", columns, owner)

    def meet(self, slot: int) -> None:
        """Have a ring for this subject."""
        self._head.grow(slot + 1)
        self._ring.grow((slot + 1) * self.size)

    def crowded(self) -> bool:
        """Whether some subject's window did not fit, and has not come down to half the room since."""
        return bool((self._head["crowded"][: self._head.n] > 0).any())

    def step(self, readings: Readings, slot: NDArray[np.intp]) -> Figures:
        """The window's figure at each reading."""
        held = self._head["held"][slot].astype(np.intp)
        place = self._places(slot, self._head["written"][slot] - held, held)
        old_t, old_v = self._ring["t"][place], self._ring["v"][place]
        total = held + readings.length
        ends = ends_of(total)
        is_new = np.zeros(int(ends[-1]), bool)
        is_new[ragged(ends - readings.length, readings.length)] = True
        t, v = np.empty(len(is_new), np.int64), np.empty(len(is_new), np.float64)
        t[is_new], v[is_new] = readings.event_ns, readings.value
        t[~is_new], v[~is_new] = old_t, old_v
        last = np.flatnonzero(is_new) + 1
        first = self._firsts(t, ends - total, total, readings.length)
        count = last - first
        figure = self._figures(v, np.maximum(first, last - self.size), last)
        crowded = count > self.size
        figure[(count < self._least) | crowded] = np.nan
        self._write(readings, slot, held, np.minimum(count[readings.start + readings.length - 1], self.size))
        self._note(readings, slot, crowded, count)
        return Figures(figure, crowded)

    def _places(self, slot: NDArray[np.intp], begin: NDArray[np.int64], count: NDArray[np.intp]) -> NDArray[np.intp]:
        """The rows of `count` readings of each subject, from the one that was written as number `begin`."""
        return ragged(begin.astype(np.intp), count) % self.size + np.repeat(slot * self.size, count)

    def _firsts(
        self, t: NDArray[np.int64], start: NDArray[np.intp], total: NDArray[np.intp], new: NDArray[np.intp]
    ) -> NDArray[np.intp]:
        """Where the window of each new reading begins in t."""
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

    def _write(
        self, readings: Readings, slot: NDArray[np.intp], held: NDArray[np.intp], left: NDArray[np.intp]
    ) -> None:
        """Keep what is in the last window and nothing else: the ring does not tell how readings came."""
        written = self._head["written"][slot]
        ends = written + readings.length
        over = np.clip(ends - left - (written - held), 0, held).astype(np.intp)
        place = self._places(slot, written - held, over)
        self._ring["t"][place], self._ring["v"][place] = NO_TIME, np.nan
        self._ring.touch(place)
        fits = np.minimum(readings.length, left)
        rows = ragged(readings.start + readings.length - fits, fits)
        place = self._places(slot, ends - fits, fits)
        self._ring["t"][place], self._ring["v"][place] = readings.event_ns[rows], readings.value[rows]
        self._ring.touch(place)
        self._head["written"][slot], self._head["held"][slot] = ends, left
        self._head.touch(slot)

    def _note(
        self, readings: Readings, slot: NDArray[np.intp], crowded: NDArray[np.bool_], count: NDArray[np.intp]
    ) -> None:
        """Who is crowded after these readings: what was said last, a window that does not fit or one with room."""
        said = np.where(crowded, 1, np.where(count <= self.size // 2, 0, -1)).astype(np.int8)
        rows = np.arange(len(said))
        last = np.maximum.reduceat(np.where(said >= 0, rows, -1), readings.start)
        known = last >= readings.start
        self._head["crowded"][slot[known]] = said[last[known]]


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
