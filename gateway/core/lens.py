"""What rules look at series through: their values, their slopes, a window over them, how long they have not changed.

        readings ──▶ Lens ──▶ what it shows of the series ──▶ rule a, rule b, … of this lens
                             that some rule may have something to say of

Rules that look in the same way share a lens, which is stepped once for all of them. Its second purpose is to see that
there is nothing to see: a series that stays inside the mildest lines of all its rules, and of which no condition holds,
is shown to none of them. So a quiet city costs a few comparisons, however many rules watch it.
"""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from gateway.core.arrays import cells, grown
from gateway.core.readings import NO_READINGS, Readings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

MARGIN = 1e-12  # so near to a line, as a share of it, may be the values of a mean that its rounding puts beyond


class Seen(NamedTuple):
    """What a lens shows. `readings.value` is what an alert tells, `figure` float64[r] what lines are held against.

    carried bool[r]: rows that show what the rule saw last; crowded bool[r]: of which nothing is known, for their window
    does not fit. None where a lens has no such rows. `began`: since when it has been so, by series and time, where that
    is not when the rule saw it.
    """

    readings: Readings
    figure: NDArray[np.float64]
    carried: NDArray[np.bool_] | None = None
    crowded: NDArray[np.bool_] | None = None
    began: Mapping[tuple[int, int], int] = MappingProxyType({})

    def take(self, groups: NDArray[np.bool_]) -> Seen:
        """Some of its series, whole."""
        if groups.all():
            return self
        rows = np.repeat(groups, self.readings.length)
        carried, crowded = (None if part is None else part[rows] for part in (self.carried, self.crowded))
        return Seen(self.readings.take(rows), self.figure[rows], carried, crowded, self.began)


NOTHING = Seen(NO_READINGS, NO_READINGS.value)


class Watcher(Protocol):
    """A rule, as its lens sees it: beyond `low` and `high` it may begin to hold."""

    @property
    def low(self) -> float:
        """Figures below it."""
        ...

    @property
    def high(self) -> float:
        """Figures above it."""
        ...

    def holds(self, series: NDArray[np.int32]) -> NDArray[np.bool_] | None:
        """Of which of these series a condition holds, or None where of none at all."""
        ...


class Asked(NamedTuple):
    """What a lens is asked to show: groups of readings, the nearest lines of each, and where a condition holds."""

    readings: Readings
    series: NDArray[np.int32]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    holds: NDArray[np.bool_]

    def beyond(self, figure: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which groups have a figure beyond their lines; NaN is not."""
        start = self.readings.start
        return (np.fmax.reduceat(figure, start) > self.high) | (np.fmin.reduceat(figure, start) < self.low)


class Glass(Protocol):
    """What a lens is made of: what it shows of series, and what it keeps of them."""

    def meet(self, series: NDArray[np.int32]) -> None:
        """Keep what is to be kept of series that are watched from now on."""
        ...

    def show(self, asked: Asked) -> Seen:
        """What is to be seen of the series that are beyond their lines or of which a condition holds."""
        ...


class Plain:
    """Shows values as they are, and keeps nothing."""

    def meet(self, series: NDArray[np.int32]) -> None:
        """The series' own table has its last value."""

    def show(self, asked: Asked) -> Seen:
        """Their values."""
        readings = asked.readings
        return Seen(readings, readings.value).take(asked.holds | asked.beyond(readings.value))


class Lens:
    """What rules with the same glass look through."""

    def __init__(self, glass: Glass) -> None:
        self.glass = glass
        self._watchers: list[Watcher] = []
        self._profile = np.zeros(64, np.uint16)  # of each series: which watchers it has; 0: none
        self._profiles: dict[tuple[int, ...], int] = {(): 0}
        self._lines = np.array([[-math.inf], [math.inf]])  # low and high of each profile
        self._last: tuple[Readings, Seen] | None = None
        self._unmet: list[NDArray[np.int32]] = []

    def add(self, watcher: Watcher) -> int:
        """A rule looks through this lens; its number."""
        self._watchers.append(watcher)
        return len(self._watchers) - 1

    def watch(self, number: int, series: NDArray[np.int32]) -> None:
        """The rule of that number watches these series, each new to it."""
        self._profile = grown(self._profile, int(series.max()) + 1, 0)
        was = self._profile[series]
        self._unmet.append(series[was == 0])
        every = {place: members for members, place in self._profiles.items()}
        for place in set(was.tolist()):
            self._profile[series[was == place]] = self._placed((*every[place], number))

    def settle(self) -> None:
        """All rules have met the new things: so has the glass, in the order of the series.

        That order is the same however the things came; the rules' is not, where they watch several values of each.
        """
        if self._unmet:
            series = np.unique(np.concatenate(self._unmet))
            self._unmet.clear()
            self.glass.meet(series)

    def _placed(self, members: tuple[int, ...]) -> int:
        """The number of a profile."""
        place = self._profiles.get(members)
        if place is None:
            place = self._profiles[members] = len(self._profiles)
            low = max(self._watchers[member].low for member in members)
            high = min(self._watchers[member].high for member in members)
            low, high = (
                line if math.isinf(line) else line + sign * MARGIN * (1 + abs(line))
                for line, sign in ((low, 1), (high, -1))
            )
            self._lines = np.concatenate([self._lines, [[low], [high]]], axis=1)
        return place

    def see(self, readings: Readings) -> Seen:
        """What it shows of a run's readings; the second time in a row, as before."""
        if self._last is None or self._last[0] is not readings:
            self._last = readings, self._look(readings)
        return self._last[1]

    def _look(self, readings: Readings) -> Seen:
        owners = readings.owners()
        profile = cells(self._profile, owners, 0)
        mine = profile > 0
        if not mine.all():
            if not mine.any():
                return NOTHING
            readings, owners, profile = readings.take(np.repeat(mine, readings.length)), owners[mine], profile[mine]
        holds = np.zeros(len(owners), bool)
        for watcher in self._watchers:
            held = watcher.holds(owners)
            if held is not None:
                holds |= held
        low, high = self._lines[:, profile]
        return self.glass.show(Asked(readings, owners, low, high, holds))
