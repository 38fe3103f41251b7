"""`stuck`: a series has had the same value for too long. Not a kind of its own: `stuck: 6 h` stands at the sensor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gateway.config.model import RuleCommon
from gateway.core.lens import Asked, Lens, Seen
from gateway.core.machine import Timing
from gateway.core.readings import before
from gateway.core.rules.making import fingerprint
from gateway.core.rules.series import Bands, SeriesRule
from gateway.core.watch import Gates, Watch
from gateway.ports import NO_TIME

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gateway.core.plan import Plan, Route
    from gateway.core.state import State

MANY = 10
"""Fewer equal readings prove nothing: an hourly counter is 0 all night."""


class Same:
    """Shows 1 where the value has been the same for so long and over so many readings, else 0.

    Of a series whose last reading was a new value nothing is kept.
    """

    def __init__(self, state: State, name: str, span_ns: int) -> None:
        self._span_ns = span_ns
        columns = {"t": (np.int64, NO_TIME), "k": (np.int64, 0)}  # since when, and over how many readings, at most MANY
        self._since = state.sparse(f"{name}/since", columns, by="t")

    def meet(self, series: NDArray[np.int32]) -> None:
        """Have room to remember."""
        self._since.grow(int(series.max(initial=-1)) + 1)

    def show(self, asked: Asked) -> Seen:
        """Those that are stuck."""
        readings, series = asked.readings, asked.series
        rows = np.arange(len(readings.n))
        same = before(readings.value, readings, readings.opening) == readings.value
        kept = self._since.has(series)
        last = readings.start + readings.length - 1
        if not same.any():  # as always with a sensor that measures
            self._since.drop(series[kept])
            figure = np.zeros(len(rows))
            return Seen(readings, figure).take(asked.holds)
        start = np.maximum.accumulate(np.where(same, -1, rows))
        first = np.repeat(readings.start, readings.length)
        carried = start < first  # the run of equal values began before these readings
        since = np.where(kept, self._since.get(series, "t"), readings.opening_ns)
        count = np.where(kept, self._since.get(series, "k"), 1)
        begun = np.where(carried, np.repeat(since, readings.length), readings.event_ns[start])
        k = np.where(carried, np.repeat(count, readings.length) + rows - first + 1, rows - start + 1)
        stuck = (readings.event_ns - begun >= self._span_ns) & (k >= MANY)
        self._keep(series, kept, begun[last], np.minimum(k[last], MANY))
        owners = np.repeat(series, readings.length)
        began = {
            (int(owners[row]), int(readings.event_ns[row])): int(begun[row]) for row in np.flatnonzero(stuck).tolist()
        }
        figure = stuck.astype(np.float64)
        return Seen(readings, figure, began=began).take(asked.holds | asked.beyond(figure))

    def _keep(
        self, series: NDArray[np.int32], kept: NDArray[np.bool_], since: NDArray[np.int64], count: NDArray[np.int64]
    ) -> None:
        """What changed of those that have had the same value twice."""
        twice = count > 1
        self._since.drop(series[kept & ~twice])
        moved = twice & ((self._since.get(series, "t") != since) | (self._since.get(series, "k") != count))
        self._since.put(series[moved], t=since[moved], k=count[moved])


def stuck_rules(route: Route, plan: Plan, place: int, state: State, lenses: dict[str, Lens]) -> list[SeriesRule]:
    """A rule for each numeric value of a sensor that says `stuck:`; their lens is put to the others."""
    span = route.sensor.stuck
    if span is None:
        return []
    common = RuleCommon(class_="equipment")
    name = f"stuck/{route.name}/{int(span)}"
    lens = lenses[name] = Lens(Same(state, f"lens/{name}", int(span)))
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
                    lens,
                    Bands((0.5,), 0.0),
                    Watch(route, field.name, {}),
                    Gates(common, {}, {}, plan.timezone),
                    Timing(1, 0, 0, None),
                    field.unit,
                    state,
                    name,
                )
            )
    return rules
