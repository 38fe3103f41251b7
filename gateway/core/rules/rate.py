"""`rate`: how fast a series changes, between consecutive readings at least `min_dt` apart (SEMANTICS.md §4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gateway.config.common import Struct
from gateway.config.kinds import Kind
from gateway.config.scalars import NS, Change, Duration, SeriesRef
from gateway.core.lens import Asked, Seen
from gateway.core.machine import Timing
from gateway.core.readings import before
from gateway.core.rules.making import Making, by_severity, gap_ns
from gateway.core.rules.series import Bands, SeriesRule
from gateway.core.rules.threshold import ordered
from gateway.events import Colour
from gateway.ports import NO_TIME

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gateway.config.names import Names, Problems
    from gateway.core.readings import Readings
    from gateway.core.state import State


class Rate(Struct, frozen=True):
    """A change per time beyond its lines: `levels` for a rise, `below` (negative) for a fall."""

    rate: SeriesRef
    levels: dict[Colour, Change] = {}
    below: dict[Colour, Change] = {}
    clear_by: Change | None = None
    clear_for: Duration = Duration(0)
    min_dt: Duration = Duration(0)

    def check(self, names: Names) -> Problems:
        """One kind of lines, in order of severity, over a series that exists."""
        problems = names.series("rate", self.rate.sensor, self.rate.value)
        if bool(self.levels) == bool(self.below):
            problems.append(("rate|levels|below", "give one of levels (a rise) and below (a fall, negative)"))
        levels: dict[Colour, float] = {colour: change.per_second for colour, change in self.levels.items()}
        below: dict[Colour, float] = {colour: change.per_second for colour, change in self.below.items()}
        if self.clear_by is not None and self.clear_by.per_second < 0:
            problems.append(("clear_by", f"found {self.clear_by}; write it as a distance, 0 or more"))
        return problems + (self._units(names) or ordered("levels", levels, 1) + ordered("below", below, -1))

    def _units(self, names: Names) -> Problems:
        """Rates in another unit than the series': their numbers would be compared as they stand."""
        given = {f"levels.{colour}": change for colour, change in by_severity(self.levels).items()}
        given |= {f"below.{colour}": change for colour, change in by_severity(self.below).items()}
        given |= {"clear_by": self.clear_by} if self.clear_by else {}
        unit = names.unit(self.rate)
        if unit:
            shown = f"{self.rate} is in {unit} (sensors.{self.rate.sensor}.units)"
            fix = f"{shown}: write it in {unit}, such as 0.5 {unit}/min"
            return [(key, f"found {change}; {fix}") for key, change in given.items() if change.unit != unit]
        first = next(iter(given), "")
        return [
            (key, f"found {change}, and {given[first]} for {first.rpartition('.')[2]}; write both in one unit")
            for key, change in given.items()
            if change.unit != given[first].unit
        ]


class Slopes:
    """Shows each reading's slope against the last one at least `min_dt` before it, its anchor.

    A reading closer to its anchor says nothing new, and the slope stays what it was. Nothing is kept of a series whose
    anchor is its last reading.
    """

    def __init__(self, state: State, name: str, min_dt_ns: int) -> None:
        self._min_dt_ns = max(1, min_dt_ns)
        self._anchor = state.sparse(f"{name}/anchor", {"t": (np.int64, NO_TIME), "v": (np.float64, np.nan)}, by="t")

    def meet(self, series: NDArray[np.int32]) -> None:
        """Have room for an anchor."""
        self._anchor.grow(int(series.max(initial=-1)) + 1)

    def show(self, asked: Asked) -> Seen:
        """The slopes of those that are beyond their lines."""
        readings = asked.readings
        kept = self._anchor.has(asked.series)
        first_t = np.where(kept, self._anchor.get(asked.series, "t"), readings.opening_ns)
        first_v = np.where(kept, self._anchor.get(asked.series, "v"), readings.opening)
        t0, v0 = before(readings.event_ns, readings, first_t), before(readings.value, readings, first_v)
        some = t0 != NO_TIME
        dt = readings.event_ns - np.where(some, t0, 0)
        close = some & (dt < self._min_dt_ns)
        crowded = bool(close.any())
        anchored = np.ones(len(t0), bool)
        if crowded:
            self._walk(readings, first_t, first_v, close, t0, v0, anchored)
            dt = readings.event_ns - np.where(some, t0, 0)
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):  # from −10³⁰⁸ to 10³⁰⁸ is beyond every line
            slope = (readings.value - v0) / (dt.astype(np.float64) / NS)
        slope[~some] = np.nan
        carried = None
        if crowded:
            said = np.maximum.accumulate(np.where(anchored, np.arange(len(t0)), -1))
            carried = said < np.repeat(readings.start, readings.length)
            slope = np.where(carried, np.nan, slope[said])
        self._keep(asked, kept, anchored, first_t, first_v)
        return Seen(readings._replace(value=slope), slope, carried).take(asked.holds | asked.beyond(slope))

    def _keep(
        self,
        asked: Asked,
        kept: NDArray[np.bool_],
        anchored: NDArray[np.bool_],
        first_t: NDArray[np.int64],
        first_v: NDArray[np.float64],
    ) -> None:
        """Where the last reading is no anchor, what is."""
        readings = asked.readings
        behind = ~anchored[readings.start + readings.length - 1]
        self._anchor.drop(asked.series[kept & ~behind])
        if behind.any():
            last = np.maximum.reduceat(np.where(anchored, np.arange(len(anchored)), -1), readings.start)
            t = np.where(last < 0, first_t, readings.event_ns[last])[behind]
            v = np.where(last < 0, first_v, readings.value[last])[behind]
            self._anchor.put(asked.series[behind], t=t, v=v)

    def _walk(
        self,
        readings: Readings,
        first_t: NDArray[np.int64],
        first_v: NDArray[np.float64],
        close: NDArray[np.bool_],
        t0: NDArray[np.int64],
        v0: NDArray[np.float64],
        anchored: NDArray[np.bool_],
    ) -> None:
        """One by one through series that have readings closer than `min_dt`: those keep the anchor where it is."""
        for group in np.flatnonzero(np.logical_or.reduceat(close, readings.start)).tolist():
            start, count = int(readings.start[group]), int(readings.length[group])
            at, value = int(first_t[group]), float(first_v[group])
            for row in range(start, start + count):
                t0[row], v0[row] = at, value
                if at != NO_TIME and int(readings.event_ns[row]) - at < self._min_dt_ns:
                    anchored[row] = False
                else:
                    at, value = int(readings.event_ns[row]), float(readings.value[row])


def build(making: Making) -> SeriesRule:
    """The rule of a rate's configuration."""
    config, kind = making.config, making.config.kind
    assert isinstance(kind, Rate)  # noqa: S101 - the registry pairs this function with that struct
    gap = gap_ns(making.route(kind.rate.sensor))
    owner = making.owner(gap)
    given = by_severity(kind.levels or kind.below)
    levels = {colour: change.per_second for colour, change in given.items()}
    clear_by = kind.clear_by.per_second if kind.clear_by else 0.0
    bands = Bands(list(levels.values()), clear_by, falling=bool(kind.below))
    unit = making.unit(kind.rate) or next(iter(given.values())).unit
    return SeriesRule(
        config.name,
        making.place,
        "falls" if kind.below else "rises",
        config.common,
        owner,
        levels,
        making.lens(f"slope/{int(kind.min_dt)}", lambda state, name: Slopes(state, name, int(kind.min_dt))),
        bands,
        making.watch(kind.rate),
        making.gates(),
        Timing(len(levels), int(config.common.for_), int(kind.clear_for), gap),
        f"{unit}/s",
        making.state,
    )


RATE = Kind("rate", Rate, build)
