"""What an alert's text says of the last minutes: values by half minutes, and how complete the last hour was."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
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
    """A row for each series that a rule watches."""

    def __init__(self, state: State) -> None:
        self._slot_of: dict[int, int] = {}
        self._lookup = np.full(64, -1, np.intp)
        self._table = state.table(
            "recent",
            {
                "step": (np.int64, -1, (STEPS,)),
                "value": (np.float64, np.nan, (STEPS,)),
                "minute": (np.int64, -1, (MINUTES,)),
                "count": (np.int32, 0, (MINUTES,)),
            },
        )

    def watch(self, series: int) -> None:
        """Keep this series' recent past."""
        if series in self._slot_of:
            return
        if series >= len(self._lookup):
            grown = np.full(max(series + 1, 2 * len(self._lookup)), -1, np.intp)
            grown[: len(self._lookup)] = self._lookup
            self._lookup = grown
        self._lookup[series] = self._slot_of[series] = series
        self._table.grow(series + 1)

    def take(self, readings: Readings) -> None:
        """Note the last value of each half minute and the number of readings of each minute."""
        owners = readings.owners()
        known = owners < len(self._lookup)
        kept = known & (self._lookup[np.where(known, owners, 0)] >= 0)
        if not kept.any():
            return
        if not kept.all():
            readings = readings.take(np.repeat(kept, readings.length))
        series = readings.series.astype(np.intp)
        step, minute = readings.event_ns // STEP_NS, readings.event_ns // MINUTE_NS
        last = _last_of(series, step)
        cell = step[last] % STEPS
        self._table["step"][series[last], cell] = step[last]
        self._table["value"][series[last], cell] = readings.value[last]
        last = _last_of(series, minute)
        cell = minute[last] % MINUTES
        number = np.diff(last, prepend=-1)
        same = self._table["minute"][series[last], cell] == minute[last]
        self._table["count"][series[last], cell] = np.where(same, self._table["count"][series[last], cell], 0) + number
        self._table["minute"][series[last], cell] = minute[last]
        self._table.touch(readings.owners().astype(np.intp))

    def past(self, series: int, at_ns: int) -> Past:
        """The minutes up to `at_ns`."""
        if series not in self._slot_of:
            return Past([], 0)
        row, step, minute = self._table.rows[series], at_ns // STEP_NS, at_ns // MINUTE_NS
        values: list[float | None] = []
        for wanted in range(step - STEPS + 1, step + 1):
            here = int(row["step"][wanted % STEPS]) == wanted
            values.append(float(row["value"][wanted % STEPS]) if here else None)
        minutes = row["minute"]
        return Past(values, int(row["count"][(minutes > minute - MINUTES) & (minutes <= minute)].sum()))


def _last_of(series: np.ndarray, slot: np.ndarray) -> np.ndarray:
    """The last row of each stretch with one series and one slot."""
    edge = np.ones(len(series), bool)
    edge[:-1] = (series[1:] != series[:-1]) | (slot[1:] != slot[:-1])
    return np.flatnonzero(edge)
