"""Time that a camera really looked, and a condition over it: what every rule that judges looks has in common.

A look answers for the time until the next. Its place on the rule's own clock is known when the covered time up to it
has been told; so it is judged then.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.events import Looked
    from tests.core.reference.condition import Change, ConditionReference


class LookedReference:
    """`crossed(number)`: which levels a number crosses; no number (NaN) leaves it unknown."""

    def __init__(self, condition: ConditionReference, crossed: Callable[[float], list[bool]]) -> None:
        self.condition, self.crossed = condition, crossed
        self.waiting: tuple[int, float, bool] | None = None
        self.covered, self.since = 0, 0
        self.told_to: int | None = None
        self.changes: list[Change] = []

    def take(self, at_ns: int, number: float, *, suppressed: bool) -> None:
        """A look came to a number."""
        self._judge()
        self.waiting = (at_ns, number, suppressed)
        if self.told_to is not None and at_ns <= self.told_to:
            self._judge()

    def looked(self, looked: Looked) -> None:
        """Covered time; what is blind or overloaded moves nothing."""
        begin = looked.from_ns if self.told_to is None else max(looked.from_ns, self.told_to)
        if looked.to_ns <= begin:
            return
        sees = looked.why in ("analysed", "still")
        if self.waiting and self.waiting[0] <= looked.to_ns:
            before = max(0, self.waiting[0] - begin) if sees else 0
            self.covered += before
            begin += before
            self._judge()
        self.told_to = looked.to_ns
        if sees:
            self.covered += looked.to_ns - begin
            self.condition.pass_time(self.covered)
            self._tell(looked.to_ns)

    def _judge(self) -> None:
        if self.waiting is None:
            return
        (when, number, suppressed), self.waiting = self.waiting, None
        if not self.condition.holding:
            self.since = when
        crossed = [crosses and not suppressed for crosses in self.crossed(number)]
        said = None if math.isnan(number) and not suppressed else crossed
        self.condition.reading(self.covered, number, said, [not crosses for crosses in crossed])
        self._tell(when)

    def _tell(self, now_ns: int) -> None:
        """In event time: as long before now as on the rule's clock."""
        for change in self.condition.changes:
            self.changes.append(change._replace(at_ns=now_ns - (self.covered - change.at_ns), started_ns=self.since))
        self.condition.changes.clear()
