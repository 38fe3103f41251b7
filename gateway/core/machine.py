"""Conditions that hold, are raised after a while, rise and fall by levels, and clear: one machine for all rules.

A reading has a *code* for a rule: how many of its levels it crosses, and how many it does not clear. Readings of one
subject with the same code and no gap between them are one run, and the machine takes a run in one go; subjects where
nothing holds and nothing crosses never reach it, and nothing is kept of them. So its cost follows what happens, not how
much is read.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gateway.ports import NO_TIME

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gateway.core.readings import Readings
    from gateway.core.sparse import Sparse
    from gateway.core.state import State

LEVELS = 4  # blue, yellow, orange, red
CODE = 8  # a code is crossed × CODE + not cleared
UNKNOWN = -1  # the code of a reading from which nothing can be said
NEVER = 2**63 - 1
UPDATE_NS = 10 * 10**9  # a value that moves is told at most so often


class Transition(NamedTuple):
    """A change of one subject's condition, made by input `n`.

    kind: level (now at `level`, 0 is cleared), updated, unknown, known. at_ns: when it became so; started_ns: since
    when the condition holds; value: the reading by which it was seen.
    """

    n: int
    slot: int
    kind: str
    level: int
    at_ns: int
    started_ns: int
    value: float
    admitted_ns: int


class Timing(NamedTuple):
    """hold_ns: how long a level must hold; clear_ns: be clear; gap_ns: the silence that makes it unknown.

    step: how far the value must move from the one last told to be told again, while a level is raised.
    """

    levels: int
    hold_ns: int
    clear_ns: int
    gap_ns: int | None
    step: float = math.inf


def declare(state: State, name: str, owner: str) -> Sparse:
    """The machine's table: a row for each subject of which something holds."""
    return state.sparse(
        name,
        {
            "last": (np.int64, NO_TIME),
            "value": (np.float64, np.nan),
            "begin": (np.int64, NO_TIME, (LEVELS,)),
            "calm": (np.int64, NO_TIME, (LEVELS,)),
            "on": (np.int8, 0),
            "unknown": (np.int8, 0),
            "due": (np.int64, NEVER),
            "tick": (np.int64, -1),
            "told": (np.float64, np.nan),
            "told_ns": (np.int64, NO_TIME),
        },
        owner,
        by="begin",
    )


class Condition:
    """One subject's condition, taken out of its row. `on` is the highest level raised."""

    __slots__ = ("_timing", "begin", "calm", "last", "on", "told", "told_ns", "unknown", "value")

    def __init__(self, row: np.void, timing: Timing) -> None:
        self._timing = timing
        self.last: int = int(row["last"])
        self.value: float = float(row["value"])
        self.begin: list[int] = row["begin"].tolist()
        self.calm: list[int] = row["calm"].tolist()
        self.on: int = int(row["on"])
        self.unknown: bool = bool(row["unknown"])
        self.told: float = float(row["told"])
        self.told_ns: int = int(row["told_ns"])

    @property
    def step(self) -> float:
        """How far a raised value moves to be told again."""
        return self._timing.step

    def due(self) -> int:
        """When the next thing happens by itself: a level is raised or clears, or the condition becomes unknown."""
        timing, next_ns = self._timing, NEVER
        for level in range(timing.levels):
            begin, calm = self.begin[level], self.calm[level]
            if begin == NO_TIME:
                break  # a level holds only where the one below it does
            if level >= self.on:
                next_ns = min(next_ns, begin + timing.hold_ns)
            if calm != NO_TIME:
                next_ns = min(next_ns, calm + timing.clear_ns)
        if timing.gap_ns is not None and not self.unknown and self.begin[0] != NO_TIME:
            next_ns = min(next_ns, self.last + timing.gap_ns + 1)
        return next_ns

    def gap_over(self, at_ns: int) -> bool:
        """Whether a reading at that time comes after too long a gap."""
        return self._timing.gap_ns is not None and self.last != NO_TIME and at_ns - self.last > self._timing.gap_ns

    def fire(self, due: int) -> tuple[str, int] | None:
        """Let happen what is due at that moment; the change it makes, if any: (kind, started)."""
        timing, before, started = self._timing, self.on, self.begin[0]
        lost = timing.gap_ns is not None and not self.unknown and self.last + timing.gap_ns < due
        for level in range(timing.levels):
            begin, calm = self.begin[level], self.calm[level]
            if begin == NO_TIME:
                continue
            if calm != NO_TIME and calm + timing.clear_ns <= due:
                self.on = min(self.on, level)
                self.begin[level] = self.calm[level] = NO_TIME
            elif level >= self.on and begin + timing.hold_ns <= due:
                self.on = level + 1
        if self.on != before:
            return "level", started
        return self.lose() if lost else None

    def lose(self) -> tuple[str, int] | None:
        """Nothing can be said any more: what was not raised yet begins anew; what was raised stays, as unknown."""
        for level in range(LEVELS):
            self.calm[level] = NO_TIME
            if level >= self.on:
                self.begin[level] = NO_TIME
        if self.on and not self.unknown:
            self.unknown = True
            return "unknown", self.begin[0]
        return None

    def take(self, code: int, at_ns: int) -> None:
        """Take a reading's code: levels crossed begin to hold, levels cleared begin to be calm."""
        crossed, kept = divmod(code, CODE)
        if crossed and self.begin[0] == NO_TIME:  # as from a new row: how the readings were cut must not show
            self.told, self.told_ns = math.nan, NO_TIME
        for level in range(self._timing.levels):
            if level < crossed:
                self.calm[level] = NO_TIME
                if self.begin[level] == NO_TIME:
                    self.begin[level] = at_ns
            elif level >= kept:
                if self.begin[level] != NO_TIME and self.calm[level] == NO_TIME:
                    self.calm[level] = at_ns
            else:
                self.calm[level] = NO_TIME


class _Stretch(NamedTuple):
    """One subject's readings in a cut, and its condition, which they change."""

    slot: int
    condition: Condition
    at: list[int]
    n: list[int]
    value: list[float]
    admitted: list[int]
    out: list[Transition]

    def take(self, begin: int, until: int, code: int) -> None:
        """A run of readings with one code: rows `begin` to `until`, exclusive."""
        condition, at, value = self.condition, self.at, self.value
        while (due := condition.due()) < at[begin]:
            self._let(due, begin, condition.value)
        if condition.gap_over(at[begin]) and (change := condition.lose()):
            self._tell(*change, at[begin], begin, condition.value)
        was_unknown, condition.last = condition.unknown, at[until - 1]
        if code != UNKNOWN:
            self._known(begin, until, code, was_unknown=was_unknown)
        elif change := condition.lose():
            self._tell(*change, at[begin], begin, value[begin])
        condition.value = value[until - 1]

    def _known(self, begin: int, until: int, code: int, *, was_unknown: bool) -> None:
        condition, at, value = self.condition, self.at, self.value
        condition.unknown = False
        condition.take(code, at[begin])
        while (due := condition.due()) <= at[begin]:
            self._let(due, begin, value[begin])
        if was_unknown and condition.on:
            self._tell("known", condition.begin[0], at[begin], begin, value[begin])
        seen = begin
        while (due := condition.due()) <= at[until - 1]:
            row = bisect_left(at, due, begin, until)
            self._watch(seen, row)
            self._let(due, row, value[row] if at[row] == due else value[row - 1])
            seen = row
        self._watch(seen, until)

    def _let(self, due: int, row: int, seen: float) -> None:
        """Let happen what is due, by the reading of `row`."""
        if change := self.condition.fire(due):
            self._tell(*change, due, row, seen)

    def _watch(self, row: int, until: int) -> None:
        """Tell a raised value that moved by the rule's step."""
        condition, step = self.condition, self.condition.step
        while condition.on and row < until and step < math.inf:
            if self.at[row] - condition.told_ns >= UPDATE_NS and abs(self.value[row] - condition.told) >= step:
                self._tell("updated", condition.begin[0], self.at[row], row, self.value[row])
            row += 1

    def _tell(self, kind: str, started: int, when: int, row: int, seen: float) -> None:
        condition = self.condition
        condition.told, condition.told_ns = seen, self.at[row]
        self.out.append(Transition(self.n[row], self.slot, kind, condition.on, when, started, seen, self.admitted[row]))


class Machine:
    """Steps the conditions of one rule's subjects. Of one where nothing holds nothing is kept."""

    def __init__(self, table: Sparse, timing: Timing) -> None:
        self.table = table
        self.timing = timing

    def on(self) -> dict[int, int]:
        """The level of each subject that has one."""
        return {slot: level for slot, level in self.table.where("on") if level}

    def busy(self, slot: NDArray[np.intp], readings: Readings, code: NDArray[np.int16]) -> NDArray[np.bool_]:
        """bool[g]: whose condition these readings may change; slot intp[g] of each group, code int16[r]."""
        return (np.maximum.reduceat(code, readings.start) >= CODE) | self.table.has(slot)

    def step(self, slot: NDArray[np.intp], readings: Readings, code: NDArray[np.int16], tick: int) -> list[Transition]:
        """Readings grouped by subject, as for `busy`; `tick`: how many ticks have been."""
        out: list[Transition] = []
        if not len(slot):
            return out
        ends = readings.start + readings.length
        for group in np.flatnonzero(self.busy(slot, readings, code)).tolist():
            self._group(int(slot[group]), readings, code, int(readings.start[group]), int(ends[group]), tick, out)
        return out

    def _group(
        self,
        slot: int,
        readings: Readings,
        code: NDArray[np.int16],
        first: int,
        end: int,
        tick: int,
        out: list[Transition],
    ) -> None:
        """All readings of one subject, run by run."""
        times, gap = readings.event_ns[first:end], self.timing.gap_ns
        edge = np.empty(end - first, bool)
        edge[0] = True
        np.not_equal(code[first + 1 : end], code[first : end - 1], out=edge[1:])
        if gap is not None:
            edge[1:] |= np.diff(times) > gap
        starts = np.flatnonzero(edge).tolist()
        condition = Condition(self.table.row(slot), self.timing)
        stretch = _Stretch(
            slot,
            condition,
            times.tolist(),
            readings.n[first:end].tolist(),
            readings.value[first:end].tolist(),
            readings.admitted_ns[first:end].tolist(),
            out,
        )
        for begin, until, coded in zip(starts, [*starts[1:], end - first], code[first:end][edge].tolist(), strict=True):
            stretch.take(begin, until, coded)
        self._put(slot, condition, tick)

    def tick(self, n: int, now_ns: int, admitted_ns: int, tick: int) -> list[Transition]:
        """Move rule time to `now_ns` for subjects without a reading since the tick before."""
        out: list[Transition] = []
        if len(self.table):
            read = dict(self.table.where("tick"))
            for slot, due in self.table.where("due"):
                if due <= now_ns and read[slot] < tick:
                    self.advance(slot, n, now_ns, admitted_ns, out)
        return out

    def advance(self, slot: int, n: int, now_ns: int, admitted_ns: int, out: list[Transition]) -> None:
        """Move one subject's rule time to `now_ns`."""
        row = self.table.row(slot)
        condition, tick = Condition(row, self.timing), int(row["tick"])
        while (due := condition.due()) <= now_ns:
            if change := condition.fire(due):
                kind, started = change
                condition.told, condition.told_ns = condition.value, due
                out.append(Transition(n, slot, kind, condition.on, due, started, condition.value, admitted_ns))
        self._put(slot, condition, tick)

    def _put(self, slot: int, condition: Condition, tick: int) -> None:
        if condition.begin[0] == NO_TIME and not self.table.holds(slot):
            return
        row = self.table.open(slot)
        row["last"], row["value"] = condition.last, condition.value
        row["begin"], row["calm"] = condition.begin, condition.calm
        row["told"], row["told_ns"] = condition.told, condition.told_ns
        row["on"], row["unknown"], row["due"] = condition.on, condition.unknown, condition.due()
        row["tick"] = tick
        self.table.close(slot)
