"""What an alert's text says of the last minutes: values by half minutes, and how complete the last hour was.

A cut's readings are noted behind those of its alerts: an alert made by input n sees what came up to n, as it would in a
cut of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gateway.core.exact import total
from gateway.core.machine import NEVER
from gateway.core.readings import ragged

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gateway.core.readings import Readings
    from gateway.core.state import State

STEP_NS = 30 * 10**9
STEPS = 24  # 12 minutes: enough for a change over 10
MINUTE_NS = 60 * 10**9
MINUTES = 60


class Past(NamedTuple):
    """values: the last of each half minute, oldest first, None where there was none; readings: of the last hour."""

    values: list[float | None]
    readings: int


class Recent:
    """STEPS and MINUTES rows for each series that a rule watches: small ones, for those it touches are in a delta."""

    def __init__(self, state: State) -> None:
        self._watched = np.zeros(64, bool)
        self._steps = state.table("recent/steps", {"at": (np.int64, -1), "value": (np.float64, np.nan)})
        self._minutes = state.table("recent/minutes", {"at": (np.int32, -1), "count": (np.int32, 0)})
        self._first = state.table("recent/first", {"at": (np.int64, NEVER)})
        self._new: Readings | None = None
        self._noted: NDArray[np.intp] = np.zeros(0, np.intp)
        self._now = 0

    def watch(self, series: int) -> None:
        """Keep this series' recent past."""
        if series >= len(self._watched):
            grown = np.zeros(max(series + 1, 2 * len(self._watched)), bool)
            grown[: len(self._watched)] = self._watched
            self._watched = grown
        self._watched[series] = True
        self._first.grow(series + 1)
        self._steps.grow((series + 1) * STEPS)
        self._minutes.grow((series + 1) * MINUTES)

    def begin(self, readings: Readings) -> None:
        """The readings of a run, to be noted as far as `past` needs them, and at the end by `finish`."""
        owners = readings.owners()
        known = owners < len(self._watched)
        kept = known & self._watched[np.where(known, owners, 0)]
        self._new = readings if kept.all() else readings.take(np.repeat(kept, readings.length))
        self._noted = self._new.start.copy()  # where each series' readings not yet noted begin

    def at(self, n: int) -> None:
        """From here on `past` sees what came up to input n."""
        self._now = n

    def finish(self) -> None:
        """Note the rest."""
        new = self._new
        if new is None:
            return
        left = new.start + new.length - self._noted
        self._note(new, ragged(self._noted, left))
        self._new = None

    def hour_known(self, series: int, at_ns: int) -> bool:
        """Whether the series' first reading was an hour before `at_ns`, so that a gap in that hour is one."""
        return series < self._first.n and int(self._first["at"][series]) <= at_ns - MINUTES * MINUTE_NS

    def past(self, series: int, at_ns: int) -> Past:
        """The minutes up to `at_ns`."""
        if series >= len(self._watched) or not self._watched[series]:
            return Past([], 0)
        self._catch_up(series)
        step, minute = at_ns // STEP_NS, at_ns // MINUTE_NS
        steps = self._steps.rows[series * STEPS : (series + 1) * STEPS]
        values: list[float | None] = []
        for wanted in range(step - STEPS + 1, step + 1):
            cell = steps[wanted % STEPS]
            values.append(float(cell["value"]) if int(cell["at"]) == wanted else None)
        minutes = self._minutes.rows[series * MINUTES : (series + 1) * MINUTES]
        within = (minutes["at"] > minute - MINUTES) & (minutes["at"] <= minute)
        return Past(values, total(minutes["count"][within]))

    def _catch_up(self, series: int) -> None:
        """Note the readings of one series up to the present input."""
        new = self._new
        if new is None:
            return
        group = int(np.searchsorted(new.owners(), series))
        if group == len(new.start) or int(new.series[new.start[group]]) != series:
            return
        begin, end = int(self._noted[group]), int(new.start[group] + new.length[group])
        until = begin + int(np.searchsorted(new.n[begin:end], self._now, side="right"))
        self._note(new, np.arange(begin, until))
        self._noted[group] = until

    def _note(self, readings: Readings, rows: NDArray[np.intp]) -> None:
        """The last value of each half minute and the number of readings of each minute."""
        if not len(rows):
            return
        series = readings.series[rows].astype(np.intp)
        event, value = readings.event_ns[rows], readings.value[rows]
        new = np.flatnonzero(self._first["at"][series] == NEVER)
        if len(new):
            which, first = np.unique(series[new], return_index=True)
            self._first["at"][which] = event[new[first]]
            self._first.touch(which)
        last, step, place = _cells(series, event // STEP_NS, STEPS)
        self._steps["at"][place] = step
        self._steps["value"][place] = value[last]
        self._steps.touch(place)
        last, minute, place = _cells(series, event // MINUTE_NS, MINUTES)
        same = self._minutes["at"][place] == minute
        self._minutes["count"][place] = np.where(same, self._minutes["count"][place], 0) + np.diff(last, prepend=-1)
        self._minutes["at"][place] = minute
        self._minutes.touch(place)


def _cells(
    series: NDArray[np.intp], when: NDArray[np.int64], cells: int
) -> tuple[NDArray[np.intp], NDArray[np.int64], NDArray[np.intp]]:
    """(last row, its time, its table row) of each stretch with one series and one time."""
    edge = np.ones(len(series), bool)
    edge[:-1] = (series[1:] != series[:-1]) | (when[1:] != when[:-1])
    last = np.flatnonzero(edge)
    return last, when[last], series[last] * cells + (when[last] % cells).astype(np.intp)
