"""Which series a rule watches, and what stands in its way: gates and hours."""

from __future__ import annotations

from array import array
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple, Protocol
from zoneinfo import ZoneInfo

import numpy as np

from gateway.config.model import TIER
from gateway.core.arrays import cells, grown
from gateway.core.readings import grouped
from gateway.ports import NO_TIME

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from gateway.config.model import RuleCommon
    from gateway.config.scalars import Comparison, Hours, SeriesRef
    from gateway.core.machine import Transition
    from gateway.core.plan import Route
    from gateway.core.readings import Readings
    from gateway.core.state import Table
    from gateway.core.things import Family, Thing

QUARTER_NS = 900 * 10**9  # offsets from UTC change on quarters of an hour
OPERATORS = {
    ">": np.greater,
    ">=": np.greater_equal,
    "<": np.less,
    "<=": np.less_equal,
    "==": np.equal,
    "!=": np.not_equal,
}


class Watch:
    """The series of one value of one sensor: a slot for each, in the order in which their things were met."""

    def __init__(self, route: Route, value: str, where: Mapping[str, str]) -> None:
        self.route = route
        self.value = value
        self.things: list[Thing] = []
        self.series = array("i")
        self._where = where.items()
        self._slot_of = np.full(64, -1, np.int32)
        self._met = 0

    def meet(self, things: Sequence[Thing]) -> None:
        """Give slots to the series of things that are new to it, which are the last ones of all, and that it watches.

        Rules that watch the same series share a watch: the first one to meet a thing makes it known to all.
        """
        new = things[max(0, self._met - things[0].index) :] if things else things
        if not new:
            return
        self._met = new[-1].index + 1
        families: dict[Family, bool] = {}
        mine: list[Thing] = []
        for thing in new:
            family = thing.family
            wanted = families.get(family)
            if wanted is None:
                wanted = families[family] = family.route == self.route.name and self.value in family.fields
            if wanted and self.route.makes(thing.tags) and self._where <= dict(thing.tags).items():
                mine.append(thing)
        if mine:
            self.things += mine
            self.series.extend([thing.series_of(self.value) for thing in mine])
            self._place(len(mine))

    def _place(self, count: int) -> None:
        """Note where the last series are."""
        new = np.frombuffer(self.series, np.int32)[-count:]
        self._slot_of = grown(self._slot_of, int(new.max()) + 1, -1)
        self._slot_of[new] = np.arange(len(self.series) - count, len(self.series))

    def slots(self, series: NDArray[np.int32]) -> NDArray[np.int32]:
        """The slot of each of these series, which ascend; −1 where the rule does not watch it."""
        return cells(self._slot_of, series, -1)


class Gated(Protocol):
    """Another rule, as a gate sees it."""

    @property
    def things(self) -> Sequence[Thing | None]:
        """The thing of each slot."""
        ...


class Run(NamedTuple):
    """What a gate may look at: all readings of this run, the series' last values, and what rules said before.

    `was_on[rule]` is the level before the run of each subject that had one, by slot; `said[rule]` its transitions in
    it.
    """

    readings: Readings
    series: Table
    things: Sequence[Thing]
    was_on: Mapping[str, Mapping[int, int]]
    said: Mapping[str, Sequence[Transition]]


class Gates:
    """`unless`, `only_while` and `active` of one rule: which of its readings may not count as crossing."""

    def __init__(
        self, common: RuleCommon, rules: Mapping[str, Gated], gaps: Mapping[str, int | None], zone: str
    ) -> None:
        self._common = common
        self._rules = rules
        self._gaps = gaps
        self._hours = _LocalHours(common.active, ZoneInfo(zone)) if common.active else None
        self._found: dict[tuple[str, int], tuple[int, list[int]]] = {}  # derived: what is joined to a thing

    def __bool__(self) -> bool:
        return bool(self._common.unless or self._common.only_while or self._hours)

    def suppressed(self, picked: Readings, owners: Sequence[Thing | None], run: Run) -> NDArray[np.bool_]:
        """bool[r]: readings held back by a gate. `owners`: the thing of each group."""
        out = np.zeros(len(picked.n), bool)
        for gate, passes in ((self._common.unless, False), (self._common.only_while, True)):
            if gate is not None and gate.rule:
                out |= self._rule(gate.rule, owners, picked, run) != passes
            elif gate is not None and gate.comparison is not None:
                holds, known = self._series(gate.comparison, owners, picked, run)
                out |= np.where(known, holds != passes, self._common.unknown == "suppress")
        if self._hours is not None:
            out |= ~self._hours.within(picked.event_ns)
        return out

    def open_at(self, at_ns: int, thing: Thing | None, n: int, run: Run) -> bool:
        """Whether a single look, made by input `n`, counts."""
        if not self:
            return True
        one = np.zeros(1, np.int64)
        look = grouped(one.astype(np.int32), one + n, one + at_ns, one.astype(np.float64), one)
        return not self.suppressed(look, [thing], run)[0]

    def _series(
        self, comparison: Comparison, owners: Sequence[Thing | None], picked: Readings, run: Run
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """(holds, known) at each row: by the last reading of the joined series admitted with or before it.

        Of several with the same tags, the one whose reading is the newest: so a replaced device is followed.
        """
        value, when = np.full(len(picked.n), np.nan), np.full(len(picked.n), NO_TIME)
        joined = [self._joined(comparison.series, thing, run.things) for thing in owners]
        for place in range(max(map(len, joined))):
            one_each = [found[place] if place < len(found) else -1 for found in joined]
            other, moment = _history(np.repeat(one_each, picked.length), picked.n, run)
            newer = moment > when
            value, when = np.where(newer, other, value), np.where(newer, moment, when)
        known = when != NO_TIME
        gap = self._gaps.get(comparison.series.sensor)
        if gap is not None:
            known &= picked.event_ns - np.where(known, when, 0) <= gap
        return OPERATORS[comparison.op](value, comparison.limit), known

    def _joined(self, wanted: SeriesRef, thing: Thing | None, things: Sequence[Thing]) -> list[int]:
        """The series of all things met so far that have the same tags; in the same sensor, the thing's own."""
        if thing is not None and thing.route == wanted.sensor:
            return [thing.series_of(wanted.value)] if wanted.value in thing.fields else []
        key = (str(wanted), -1 if thing is None else thing.index)
        met, found = self._found.get(key, (0, []))
        if met < len(things):
            found += [
                other.series_of(wanted.value)
                for other in things[met:]
                if other.route == wanted.sensor and wanted.value in other.fields and _same_tags(other, thing)
            ]
            self._found[key] = (len(things), found)
        return found

    def _rule(self, name: str, owners: Sequence[Thing | None], picked: Readings, run: Run) -> NDArray[np.bool_]:
        """Whether an alert of that rule was active for a subject with the same tags, at each row's input."""
        out = np.zeros(len(picked.n), bool)
        was_on = run.was_on[name]
        said: dict[int, list[Transition]] = {}
        for transition in run.said.get(name, ()):
            if transition.kind == "level":
                said.setdefault(transition.slot, []).append(transition)
        for group, thing in enumerate(owners):
            first = int(picked.start[group])
            rows = slice(first, first + int(picked.length[group]))
            for slot in self._subjects(name, thing):
                level = was_on.get(slot, 0)
                if changes := said.get(slot):
                    levels = np.array([level, *(t.level for t in changes)])
                    out[rows] |= levels[np.searchsorted([t.n for t in changes], picked.n[rows], side="right")] > 0
                elif level:
                    out[rows] = True
        return out

    def _subjects(self, name: str, thing: Thing | None) -> list[int]:
        """The slots of another rule whose subjects have the same tags."""
        key, subjects = (name, -1 if thing is None else thing.index), self._rules[name].things
        met, found = self._found.get(key, (0, []))
        if met < len(subjects):
            found += [slot for slot in range(met, len(subjects)) if _same_tags(subjects[slot], thing)]
            self._found[key] = (len(subjects), found)
        return found


def _history(
    series: NDArray[np.int64], n: NDArray[np.int64], run: Run
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """(last value, its time) at each row of that row's series, by its input n; NaN and NO_TIME before the first reading
    and where the series is −1.
    """  # noqa: D205 - one thought
    there = series >= 0
    stored = np.where(there, series, 0)
    value = np.where(there, run.series["value"][stored], np.nan)
    when = np.where(there, run.series["wm"][stored], NO_TIME)
    readings = run.readings
    if not len(readings.n):
        return value, when
    owners = readings.owners()
    group = np.minimum(np.searchsorted(owners, series), len(owners) - 1)
    moved = owners[group] == series  # in this run: then as it was at that input
    low = int(readings.n.min())
    span = int(readings.n.max()) - low + 1
    keys = readings.series.astype(np.int64) * span + (readings.n - low)
    row = np.searchsorted(keys, series * span + (n - low), side="right") - 1
    since = moved & (row >= readings.start[group])
    value = np.where(moved, np.where(since, readings.value[row], readings.opening[group]), value)
    return value, np.where(moved, np.where(since, readings.event_ns[row], readings.opening_ns[group]), when)


def _same_tags(a: Thing | None, b: Thing | None) -> bool:
    """Whether the tags that both have are equal; what is in the air and what is on the ground may join."""
    mine, other = dict(a.tags) if a else {}, dict(b.tags) if b else {}
    return all(other[key] == value for key, value in mine.items() if key in other and key != TIER)


class _LocalHours:
    """Hours of the local day, from the zone's offset at each quarter of an hour."""

    def __init__(self, hours: Hours, zone: ZoneInfo) -> None:
        self._hours = hours
        self._zone = zone
        self._offsets_ns: dict[int, int] = {}

    def within(self, at_ns: NDArray[np.int64]) -> NDArray[np.bool_]:
        quarters, which = np.unique(at_ns // QUARTER_NS, return_inverse=True)
        offset = np.array([self._offset(int(quarter)) for quarter in quarters], np.int64)[which]
        minute = (at_ns + offset) // (60 * 10**9) % 1440
        out = np.zeros(len(at_ns), bool)
        for start, end in self._hours.spans_min:
            out |= (minute >= start) & (minute < end) if start < end else (minute >= start) | (minute < end)
        return out

    def _offset(self, quarter: int) -> int:
        if quarter not in self._offsets_ns:
            if len(self._offsets_ns) > 10_000:
                self._offsets_ns.clear()
            local = datetime.fromtimestamp(quarter * QUARTER_NS / 1e9, UTC).astimezone(self._zone)
            delta = local.utcoffset()
            self._offsets_ns[quarter] = round(delta.total_seconds() * 1e9) if delta else 0
        return self._offsets_ns[quarter]
