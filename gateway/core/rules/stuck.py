"""`stuck`: a series has had the same value for too long. Not a kind of its own: `stuck: 6 h` stands at the sensor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gateway.config.model import RuleCommon
from gateway.core.machine import CODE, Timing, Transition
from gateway.core.readings import before
from gateway.core.rules.making import fingerprint
from gateway.core.rules.series import Judged, SeriesRule
from gateway.core.watch import Gates, Watch
from gateway.ports import NO_TIME

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gateway.core.plan import Plan, Route
    from gateway.core.readings import Readings
    from gateway.core.state import State

READINGS = 10
"""Fewer equal readings prove nothing: an hourly counter is 0 all night."""


class _Same:
    """The judge: how long, and over how many readings, the value has been the same."""

    def __init__(self, span_ns: int, state: State, name: str, owner: str) -> None:
        self._span_ns = span_ns
        columns = {"t": (np.int64, NO_TIME), "v": (np.float64, np.nan), "k": (np.int64, 0)}
        self._since = state.table(f"{name}/since", columns, owner)
        self._begin: dict[tuple[int, int], int] = {}

    def meet(self, slot: int) -> None:
        self._since.grow(slot + 1)

    def judge(self, readings: Readings, slot: NDArray[np.intp]) -> Judged:
        rows = np.arange(len(readings.n))
        group = np.repeat(np.arange(len(slot)), readings.length)
        fresh = before(readings.value, readings, self._since["v"][slot]) != readings.value
        start = np.maximum.accumulate(np.where(fresh, rows, -1))
        carried = start < readings.start[group]  # the run of equal values began before these readings
        begun = np.where(carried, self._since["t"][slot][group], readings.event_ns[start])
        k = np.where(carried, self._since["k"][slot][group] + rows - readings.start[group] + 1, rows - start + 1)
        stuck = (readings.event_ns - begun >= self._span_ns) & (k >= READINGS)
        last = readings.start + readings.length - 1
        self._since["t"][slot], self._since["v"][slot] = begun[last], readings.value[last]
        self._since["k"][slot] = k[last]
        self._since.touch(slot)
        self._begin = {
            (int(slot[group[row]]), int(readings.event_ns[row])): int(begun[row])
            for row in np.flatnonzero(stuck).tolist()
        }
        return Judged(readings, slot, np.where(stuck, np.int16(CODE + 1), np.int16(0)))

    def settle(self, transitions: list[Transition]) -> list[Transition]:
        """A stuck value began with the first of its equal readings."""
        return [t._replace(started_ns=self._begin.get((t.slot, t.at_ns), t.started_ns)) for t in transitions]


def stuck_rules(route: Route, plan: Plan, place: int, state: State) -> list[SeriesRule]:
    """A rule for each numeric value of a sensor that says `stuck:`."""
    span = route.sensor.stuck
    if span is None:
        return []
    common = RuleCommon(class_="equipment")
    rules: list[SeriesRule] = []
    for field in route.decoder.fields:
        if field.kind in {"float", "int"}:
            name = f"stuck/{route.name}.{field.name}"
            owner = fingerprint([int(span), route.name, field.name, route.tag_names, route.sensor.tier])
            rules.append(
                SeriesRule(
                    "stuck",
                    place,
                    "stuck",
                    common,
                    owner,
                    {"blue": 0.0},
                    _Same(int(span), state, name, owner),
                    Watch(route, field.name, {}),
                    Gates(common, {}, {}, plan.timezone),
                    Timing(1, 0, 0, None),
                    field.unit,
                    state,
                    name,
                )
            )
    return rules
