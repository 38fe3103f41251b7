"""`threshold`: a series is above, below or outside its lines (SEMANTICS.md §4)."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from gateway.config.common import Struct
from gateway.config.kinds import Kind
from gateway.config.scalars import DURATIONS_NS, Duration, Over, SeriesRef
from gateway.core.lens import Plain
from gateway.core.machine import CODE, UNKNOWN, Timing
from gateway.core.rules.making import Making, by_severity, gap_ns
from gateway.core.rules.series import Bands, Crowd, SeriesRule
from gateway.core.windows import MOST, Windows, promised, room
from gateway.events import Colour

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from gateway.config.names import Names, Problems
    from gateway.core.lens import Lens


class Threshold(Struct, frozen=True):
    """A line and what is beyond it: `levels` above, `below`, or `outside` of two. Limits are in the series' unit."""

    threshold: SeriesRef
    levels: dict[Colour, float] = {}
    below: dict[Colour, float] = {}
    outside: dict[Colour, tuple[float, float]] = {}
    clear_by: float = 0.0
    clear_for: Duration = Duration(0)
    over: Over | None = None
    coverage: float = 0.5
    step: float | None = None  # told again when moved so far; default: 2 × clear_by, else a tenth of the mildest line

    def check(self, names: Names) -> Problems:
        """One kind of lines, in order of severity, over a series that exists."""
        problems = names.series("threshold", self.threshold.sensor, self.threshold.value)
        given = [key for key in ("levels", "below", "outside") if getattr(self, key)]
        if len(given) != 1:
            found = " and ".join(given) or "none of them"
            key = given[-1] if given else "threshold|levels|below|outside"
            problems.append((key, f"found {found}; give one of levels, below, outside"))
        if not 0 <= self.coverage <= 1:
            problems.append(("coverage", f"found {self.coverage}; a share from 0 to 1 is expected"))
        if self.step is not None and self.step <= 0:
            problems.append(("step", f"found {self.step:g}; write it as a distance, more than 0"))
        if self.clear_by < 0:
            problems.append(("clear_by", f"found {self.clear_by}; write it as a distance, 0 or more"))
        problems += self._kept(names)
        return problems + ordered("levels", self.levels, 1) + ordered("below", self.below, -1) + self._nested()

    def _kept(self, names: Names) -> Problems:
        """A window that cannot hold what its sensor promises is never known."""
        common = names.common.get(self.threshold.sensor)
        if self.over is None or common is None or not common.every:
            return []
        wanted = math.ceil(promised(self.over, int(common.every)))
        if wanted <= room(self.over, int(common.every)):
            return []
        longest = MOST * int(common.every)
        unit = next(unit for unit in ("d", "h", "min", "s", "ms", "us", "ns") if longest >= DURATIONS_NS[unit])
        holds = f"holds {wanted} readings of {self.threshold.sensor} (every {common.every})"
        fix = f"write {longest // DURATIONS_NS[unit]} {unit} or less"
        return [("over", f"found {self.over}, which {holds}; {MOST} are kept: {fix}")]

    def _nested(self) -> Problems:
        spans = list(by_severity(self.outside).items())
        wrong = [(f"outside.{c}", f"found [{a:g}, {b:g}]; the low line comes first") for c, (a, b) in spans if a >= b]
        for colour, (low, high) in spans:
            if low < high and 2 * self.clear_by >= high - low:
                inside = f"nothing between {colour}'s {low:g} and {high:g} is so far inside both"
                fix = f"the alert could never clear; write less than {(high - low) / 2:g}"
                wrong.append(("clear_by", f"found {self.clear_by:g}; {inside}: {fix}"))
                break  # the others enclose it
        for (mild, inner), (worse, outer) in pairwise(spans):
            if outer[0] > inner[0] or outer[1] < inner[1]:
                wrong.append((f"outside.{worse}", f"must enclose {mild}'s [{inner[0]:g}, {inner[1]:g}]"))
        return wrong


def ordered(key: str, levels: Mapping[Colour, float], sign: int) -> Problems:
    """What is wrong with the order of levels: worse ones must be further out."""
    pairs = list(by_severity(levels).items())
    way = "above" if sign > 0 else "below"
    return [
        (f"{key}.{worse}", f"found {b:g}; it must be {way} {mild}'s {a:g}, for {worse} is worse")
        for (mild, a), (worse, b) in pairwise(pairs)
        if sign * (b - a) <= 0
    ]


class _Outside:
    """Bands of two lines each."""

    def __init__(self, spans: list[tuple[float, float]], clear_by: float) -> None:
        self._spans = spans
        self._clear_by = clear_by
        self.low, self.high = spans[0]

    def code(self, value: NDArray[np.float64]) -> NDArray[np.int16]:
        crossed, kept = np.zeros(len(value), np.int16), np.zeros(len(value), np.int16)
        for low, high in self._spans:
            crossed += (value < low) | (value > high)
            kept += (value < low + self._clear_by) | (value > high - self._clear_by)
        return np.where(np.isnan(value), UNKNOWN, crossed * CODE + kept).astype(np.int16)


def _lens(making: Making, kind: Threshold, every_ns: int | None) -> Lens:
    over = kind.over
    if over is None:
        return making.lens("value", lambda _state, _name: Plain())
    name = f"{over.how}/{over.window_ns}/{every_ns or 0}/{kind.coverage!r}"
    return making.lens(name, lambda state, name: Windows(state, name, over, every_ns, kind.coverage))


def _crowd(making: Making, sensor: str, lens: Lens) -> Crowd | None:
    """What is said where windows do not fit, if it is them that the lens shows."""
    windows = lens.glass
    if not isinstance(windows, Windows):
        return None
    why = f"sent more than the {windows.size} that it keeps: say at sensors.{sensor}.every how often it sends"
    return Crowd(making.config.name, why, making.found, windows)


def build(making: Making) -> SeriesRule:
    """The rule of a threshold's configuration."""
    config, kind = making.config, making.config.kind
    assert isinstance(kind, Threshold)  # noqa: S101 - the registry pairs this function with that struct
    route = making.route(kind.threshold.sensor)
    gap = gap_ns(route)
    owner = making.owner(gap, route.sensor.every)
    outside, flat = by_severity(kind.outside), by_severity(kind.levels or kind.below)
    bands = (
        _Outside(list(outside.values()), kind.clear_by)
        if outside
        else Bands(list(flat.values()), kind.clear_by, falling=bool(kind.below))
    )
    lens = _lens(making, kind, int(route.sensor.every) if route.sensor.every else None)
    levels = {colour: span[1] for colour, span in outside.items()} if outside else flat
    step = kind.step or 2 * kind.clear_by or abs(next(iter(levels.values()))) / 10 or math.inf
    timing = Timing(len(levels), int(config.common.for_), int(kind.clear_for), gap, step)
    return SeriesRule(
        config.name,
        making.place,
        "below" if kind.below else "outside" if kind.outside else "above",
        config.common,
        owner,
        levels,
        lens,
        bands,
        making.watch(kind.threshold),
        making.gates(),
        timing,
        making.unit(kind.threshold),
        making.state,
        crowd=_crowd(making, route.name, lens),
        lows=tuple(span[0] for span in outside.values()),
    )


THRESHOLD = Kind("threshold", Threshold, build)
