"""Messages that never came: devices that number what they send tell of them (`seq:`); a broker's receipt does not.

For each thing the greatest number so far is kept, and which of the 64 up to it have come:

- the next number is the next one; a jump ahead by up to FAR tells of the numbers that were left out: a gap;
- a number within 63 behind that had not come is late: the gap told of it, and now it is counted as late; one that had
  come is repeated, and nothing;
- anything else begins anew, and is no gap: a device that restarted at a small number, a counter of 8, 16 or 32 bits
  that came round to 0, a jump too far to be believed. What was lost just there is not known.

So a restart within a device's first 64 numbers is noticed where it passes the last one before; and where a number from
before a counter came round is late, it looks like a jump: at most 2⁸ − 1 of an 8-bit counter, else too far.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gateway.core.exact import total
from gateway.core.readings import lengths_of, starts_of

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gateway.core.plan import Route
    from gateway.core.state import State

FAR = 10_000  # numbers: beyond it a jump is another numbering
KEPT = 64  # numbers of which it is known whether they came
NONE = -1
ALL = (1 << KEPT) - 1


class Numbering:
    """The numbers of every thing whose route names a counter. Counts `sequence_gaps` and `sequence_late` by sensor."""

    def __init__(self, routes: Sequence[Route], state: State, counts: Counter[str]) -> None:
        self._routes = routes
        self._counts = counts
        self._table = state.table("sequence/things", {"last": (np.int64, NONE), "came": (np.uint64, 0)})

    def take(self, place: int, thing: NDArray[np.intp], number: NDArray[np.int64]) -> None:
        """Numbers of one route in the order in which they came: thing intp[m], number int64[m], none negative."""
        if not len(thing):
            return
        self._table.grow(int(thing.max()) + 1)
        order = np.argsort(thing, kind="stable")
        thing, number = thing[order], number[order]
        start = starts_of(thing)
        those, length = thing[start], lengths_of(start, len(thing))
        last = self._table["last"][those]
        before = np.empty_like(number)
        before[1:] = number[:-1]
        before[start] = last
        step = number - before
        new = before == NONE
        easy = np.logical_and.reduceat(new | ((step > 0) & (step <= FAR)), start)
        for group in np.flatnonzero(~easy).tolist():
            begin = int(start[group])
            self._one_by_one(place, int(those[group]), number[begin : begin + int(length[group])].tolist())
        left_out = np.where(new, 0, step - 1)[np.repeat(easy, length)]
        self._count(place, total(left_out.astype(np.int32)), 0)
        newest, begun = number[start + length - 1], last == NONE
        moved = newest - np.where(begun, number[start], last)
        came = np.where(begun, np.uint64(ALL), self._table["came"][those])
        came = np.where(moved < KEPT, came << _shift(moved), np.uint64(0)) | _bits(number, newest, start, length)
        self._table["last"][those[easy]], self._table["came"][those[easy]] = newest[easy], came[easy]
        self._table.touch(those[easy])

    def _one_by_one(self, place: int, thing: int, numbers: list[int]) -> None:
        row = self._table.rows[thing]
        last, came, gaps, late = int(row["last"]), int(row["came"]), 0, 0
        for number in numbers:
            last, came, left_out, behind = after(last, came, number)
            gaps, late = gaps + left_out, late + behind
        row["last"], row["came"] = last, came
        self._table.touch_one(thing)
        self._count(place, gaps, late)

    def _count(self, place: int, gaps: int, late: int) -> None:
        name = self._routes[place].name
        if gaps:
            self._counts[f"sequence_gaps/{name}"] += gaps
        if late:
            self._counts[f"sequence_late/{name}"] += late


def after(last: int, came: int, number: int) -> tuple[int, int, int, int]:
    """(last, came, left out, late) with one number more."""
    step = number - last
    if last == NONE or step > FAR or step <= -KEPT:
        return number, ALL, 0, 0
    if step > 0:
        return number, (came << step | 1) & ALL, step - 1, 0
    bit = 1 << -step
    return last, came | bit, 0, 0 if came & bit else 1


def _shift(by: NDArray[np.int64]) -> NDArray[np.uint64]:
    return np.minimum(np.maximum(by, 0), KEPT - 1).astype(np.uint64)


def _bits(
    number: NDArray[np.int64], newest: NDArray[np.int64], start: NDArray[np.intp], length: NDArray[np.intp]
) -> NDArray[np.uint64]:
    """A bit for each number of a group, by how far it is behind the newest."""
    age = np.repeat(newest, length) - number
    bits = np.where((age >= 0) & (age < KEPT), np.uint64(1) << _shift(age), np.uint64(0))
    return np.bitwise_or.reduceat(bits, start)
