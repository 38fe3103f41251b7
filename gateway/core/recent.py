"""What an alert's text says of the last minutes: values by half minutes, and how complete the last hour was.

A cut's readings are noted behind those of its alerts: an alert made by input n sees what came up to n, as it would in a
cut of its own.

There may be a million watched series, so their past is small, 136 bytes (docs/adr/0007): values to seven digits, the
time said once, and which cells hold something as bits that move on with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gateway.core.arrays import cells, grown
from gateway.core.readings import ragged

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gateway.core.readings import Readings
    from gateway.core.state import State

S_NS = 10**9
STEP_NS = 30 * S_NS
STEPS = 24  # 12 minutes: enough for a change over 10
SPAN = 10  # half minutes in a cell of counts
SPAN_NS = SPAN * STEP_NS
HOUR_NS = 3600 * S_NS
SPANS = HOUR_NS // SPAN_NS + 1  # an hour, and the cell in which it begins
MOST = np.iinfo(np.uint16).max  # readings in a cell: 200 a second and more are not told apart
LARGEST = float(np.finfo(np.float32).max)


class Past(NamedTuple):
    """values: the last of each half minute, oldest first, None where there was none; readings: of the last hour.

    Of the five minutes in which that hour begins, readings are those of the part that is in it, as if they came evenly.
    """

    values: list[float | None]
    readings: float


class Recent:
    """STEPS and SPANS rows for each series that a rule watches: small ones, for those it touches are in a delta."""

    def __init__(self, state: State) -> None:
        self._watched = np.zeros(64, bool)
        self._values = state.table("recent/values", {"v": (np.float32, 0.0)})
        self._counts = state.table("recent/counts", {"n": (np.uint16, 0)})
        # step: the last half minute with a reading; seen, counted: bit i is set where the cell i before it holds some;
        # since: the first reading, in s, rounded up; 0: there was none yet
        head = {"step": (np.int32, 0), "seen": (np.uint32, 0), "since": (np.uint32, 0), "counted": (np.uint16, 0)}
        self._head = state.table("recent/head", head)
        self._new: Readings | None = None
        self._noted: NDArray[np.intp] | None = None
        self._now = 0

    def watch(self, series: Sequence[int]) -> None:
        """Keep the recent past of these series."""
        if not series:
            return
        those = np.array(series, np.intp)
        most = int(those.max()) + 1
        self._watched = grown(self._watched, most, fill=False)
        self._watched[those] = True
        self._head.grow(most)
        self._values.grow(most * STEPS)
        self._counts.grow(most * SPANS)

    def begin(self, readings: Readings) -> None:
        """The readings of a run, to be noted as far as `past` needs them, and at the end by `finish`."""
        kept = cells(self._watched, readings.owners(), missing=False)
        self._new = readings if kept.all() else readings.take(np.repeat(kept, readings.length))
        self._noted = None  # where each series' readings not yet noted begin; None: all at their start

    def at(self, n: int) -> None:
        """From here on `past` sees what came up to input n."""
        self._now = n

    def finish(self) -> None:
        """Note the rest."""
        new = self._new
        if new is None:
            return
        if self._noted is None:
            self._note(new.series, new.event_ns, new.value)
        else:
            rows = ragged(self._noted, new.start + new.length - self._noted)
            self._note(new.series[rows], new.event_ns[rows], new.value[rows])
        self._new = None

    def hour_known(self, series: int, at_ns: int) -> bool:
        """Whether the series' first reading was an hour before `at_ns`, so that a gap in that hour is one."""
        since = int(self._head["since"][series]) if series < self._head.n else 0
        return bool(since) and since * S_NS <= at_ns - HOUR_NS

    def past(self, series: int, at_ns: int) -> Past:
        """The minutes up to `at_ns`."""
        if series >= len(self._watched) or not self._watched[series]:
            return Past([], 0)
        self._catch_up(series)
        head = self._head.rows[series]
        newest, seen, counted = int(head["step"]), int(head["seen"]), int(head["counted"])
        values, step = list[float | None](), at_ns // STEP_NS
        for wanted in range(step - STEPS + 1, step + 1):
            there = _holds(seen, newest - wanted)
            cell = self._values["v"][series * STEPS + wanted % STEPS]
            values.append(float(str(cell)) if there else None)  # the shortest text that is this cell: what was sent
        readings, last = 0.0, at_ns // SPAN_NS
        for wanted in range(last - SPANS + 1, last + 1):
            if _holds(counted, newest // SPAN - wanted):
                inside = min(SPAN_NS, (wanted + 1) * SPAN_NS - (at_ns - HOUR_NS))
                readings += int(self._counts["n"][series * SPANS + wanted % SPANS]) * (inside / SPAN_NS)
        return Past(values, readings)

    def _catch_up(self, series: int) -> None:
        """Note the readings of one series up to the present input."""
        new = self._new
        if new is None:
            return
        group = int(np.searchsorted(new.owners(), series))
        if group == len(new.start) or int(new.series[new.start[group]]) != series:
            return
        if self._noted is None:
            self._noted = new.start.copy()
        begin, end = int(self._noted[group]), int(new.start[group] + new.length[group])
        until = begin + int(np.searchsorted(new.n[begin:end], self._now, side="right"))
        self._note(new.series[begin:until], new.event_ns[begin:until], new.value[begin:until])
        self._noted[group] = until

    def _note(self, series: NDArray[np.int32], event: NDArray[np.int64], value: NDArray[np.float64]) -> None:
        """The last value of each half minute and the number of readings of each five; rows by series, then time."""
        if not len(series):
            return
        last, step = _stretches(series, event // STEP_NS)
        of, kept = series[last].astype(np.intp), np.minimum(np.maximum(value[last], -LARGEST), LARGEST)
        place = of * STEPS + step % STEPS
        self._values["v"][place] = kept
        self._values.touch(place)
        end = _ends(of)
        owner, newest = of[end], step[end]
        head = self._head.rows[owner]
        head["seen"] = _moved(head["seen"], newest - head["step"], step, end, STEPS)
        head["counted"] = self._count(of, step // SPAN, last, owner, head)
        new = head["since"] == 0
        if new.any():
            first = np.concatenate([[0], last[end[:-1]] + 1])[new]
            head["since"][new] = -(-event[first] // S_NS)
        head["step"] = newest
        self._head.rows[owner] = head
        self._head.touch(owner)

    def _count(
        self,
        of: NDArray[np.intp],
        span: NDArray[np.int64],
        last: NDArray[np.intp],
        owner: NDArray[np.intp],
        head: NDArray[np.void],
    ) -> NDArray[np.int64]:
        """Count readings by five minutes; the bits of the cells that hold some. Rows are the stretches of `_note`.

        last: each one's last reading; owner, head: each series and what was known of it.
        """
        whose, when, ends = of, span, last
        if len(owner) < len(of):  # some series has several half minutes
            cell, when = _stretches(of, span)
            whose, ends = of[cell], last[cell]
        place = whose * SPANS + when % SPANS
        was = self._head["step"][whose] // SPAN
        same = (when == was) & (self._head["counted"][whose] > 0)
        here = _lengths(ends) + np.where(same, self._counts["n"][place], 0)
        self._counts["n"][place] = np.minimum(here, MOST)
        self._counts.touch(place)
        end = _ends(whose) if len(owner) < len(of) else np.arange(len(of))
        return _moved(head["counted"], when[end] - self._head["step"][owner] // SPAN, when, end, SPANS)


def _holds(bits: int, age: int) -> bool:
    return age >= 0 and bool(bits >> age & 1)


def _stretches(series: NDArray[np.integer], when: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """(last row, its time) of each stretch with one series and one time."""
    edge = np.ones(len(series), bool)
    edge[:-1] = (series[1:] != series[:-1]) | (when[1:] != when[:-1])
    last = np.flatnonzero(edge)
    return last, when[last]


def _lengths(last: NDArray[np.intp]) -> NDArray[np.intp]:
    """How many rows end with each of these."""
    length = last + 1
    length[1:] -= length[:-1].copy()
    return length


def _ends(series: NDArray[np.intp]) -> NDArray[np.intp]:
    """The last row of each series."""
    edge = np.ones(len(series), bool)
    np.not_equal(series[1:], series[:-1], out=edge[:-1])
    return np.flatnonzero(edge)


def _moved(
    bits: NDArray[np.integer], by: NDArray[np.int64], when: NDArray[np.int64], end: NDArray[np.intp], cells: int
) -> NDArray[np.int64]:
    """The bits of each series after `by` cells of time, with one for each time in `when`, whose last rows are `end`."""
    moved = bits.astype(np.int64) << np.minimum(by, cells)
    if len(end) == len(when):
        new: NDArray[np.int64] | int = 1
    else:
        length = _lengths(end)
        age = np.repeat(when[end], length) - when
        new = np.bitwise_or.reduceat(np.int64(1) << np.minimum(age, cells), end - length + 1)
    return (moved | new) & ((1 << cells) - 1)
