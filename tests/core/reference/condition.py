"""One subject's condition (SEMANTICS.md §4, `threshold` and `levels`): holds, is raised, falls, clears, is unknown."""

from __future__ import annotations

import math
from typing import NamedTuple

UPDATE_NS = 10 * 10**9


class Change(NamedTuple):
    """kind: level | updated | unknown | known."""

    kind: str
    level: int
    at_ns: int
    started_ns: int
    value: float
    detail: str = ""


class Level:
    """One step: since when it holds, since when it is calm, and whether it was raised."""

    def __init__(self) -> None:
        self.since: int | None = None
        self.calm: int | None = None
        self.raised = False


class ConditionReference:
    """Readings and rule time, one at a time. A level l is crossed by a reading or not, and cleared by it or not.

    While a level is raised, a value that has moved by `step` from what was last told is told, at most every 10 s.
    """

    def __init__(self, levels: int, hold_ns: int, clear_ns: int, gap_ns: int | None, step: float = math.inf) -> None:
        self.step = step
        self.told, self.told_ns = math.nan, 0
        self.levels = [Level() for _ in range(levels)]
        self.hold, self.clear, self.gap = hold_ns, clear_ns, gap_ns
        self.last: int | None = None
        self.value = float("nan")
        self.unknown = False
        self.changes: list[Change] = []

    @property
    def level(self) -> int:
        """The highest level raised."""
        return max((i + 1 for i, level in enumerate(self.levels) if level.raised), default=0)

    @property
    def holding(self) -> bool:
        """Whether anything holds."""
        return any(level.since is not None for level in self.levels)

    def reading(self, at_ns: int, value: float, crossed: list[bool] | None, cleared: list[bool]) -> None:
        """A reading; `crossed` is None where nothing can be said from it."""
        before = len(self.changes)
        self._reading(at_ns, value, crossed, cleared)
        if len(self.changes) > before:
            self.told, self.told_ns = self.changes[-1].value, at_ns
        moved = crossed is not None and self.level > 0 and abs(value - self.told) >= self.step < math.inf
        if moved and at_ns - self.told_ns >= UPDATE_NS:
            self.changes.append(Change("updated", self.level, at_ns, self.started, value))
            self.told, self.told_ns = value, at_ns

    def _reading(self, at_ns: int, value: float, crossed: list[bool] | None, cleared: list[bool]) -> None:
        self._until(at_ns - 1)
        if self.gap is not None and self.last is not None and at_ns - self.last > self.gap:
            self._lose(at_ns)
        self.last, self.value = at_ns, value
        if crossed is None:
            self._lose(at_ns)
            return
        was_unknown, self.unknown = self.unknown, False
        for level, crosses, clears in zip(self.levels, crossed, cleared, strict=True):
            if crosses:
                level.since = at_ns if level.since is None else level.since
                level.calm = None
            elif not clears:
                level.calm = None
            elif level.since is not None and level.calm is None:
                level.calm = at_ns
        started = self.started
        self._until(at_ns)
        if was_unknown and self.level:
            self.changes.append(Change("known", self.level, at_ns, started, value))

    @property
    def started(self) -> int:
        """Since when the condition holds."""
        return self.levels[0].since or 0

    def pass_time(self, now_ns: int) -> None:
        """Rule time goes on to `now_ns`: what is due by then happens, each at its own moment."""
        before = len(self.changes)
        self._until(now_ns)
        if len(self.changes) > before:
            self.told, self.told_ns = self.changes[-1].value, self.changes[-1].at_ns

    def _until(self, now_ns: int) -> None:
        while (due := self._next()) is not None and due <= now_ns:
            self._happen(due)

    def _next(self) -> int | None:
        moments: list[int] = []
        for level in self.levels:
            if level.since is not None and not level.raised:
                moments.append(level.since + self.hold)
            if level.calm is not None:
                moments.append(level.calm + self.clear)
        if self.gap is not None and self.last is not None and self.holding and not self.unknown:
            moments.append(self.last + self.gap + 1)
        return min(moments, default=None)

    def _happen(self, now: int) -> None:
        before, started = self.level, self.started
        moved = False
        for level in self.levels:
            if level.calm is not None and level.calm + self.clear <= now:
                level.since, level.calm, level.raised = None, None, False
                moved = True
            elif level.since is not None and not level.raised and level.since + self.hold <= now:
                level.raised = moved = True
        if self.level != before:
            self.changes.append(Change("level", self.level, now, started, self.value))
        if not moved:
            self._lose(now)

    def _lose(self, now: int) -> None:
        """What was not raised begins anew; what was raised stays, as unknown."""
        for level in self.levels:
            level.calm = None
            if not level.raised:
                level.since = None
        if self.level and not self.unknown:
            self.unknown = True
            self.changes.append(Change("unknown", self.level, now, self.started, self.value))
