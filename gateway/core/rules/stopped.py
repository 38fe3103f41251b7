"""`stopped`: somebody stands still where they should not: one alert a place, however long it lasts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gateway.config.common import Struct
from gateway.config.kinds import Kind
from gateway.config.scalars import NS, Duration
from gateway.core.rules import standing
from gateway.core.rules.places import check_labels, check_levels, check_place, indices, labels_of
from gateway.core.rules.several import Cases, SeveralRule
from gateway.events import Colour

if TYPE_CHECKING:
    from gateway.config.names import Names, Problems
    from gateway.core.rules.making import Making


class Stopped(Struct, frozen=True):
    """One of these labels has stood still in a zone for so long. `in`: `camera.zone`, or a camera for its picture.

    Without levels, `for:` says how long, and it is yellow. hold: for how long its place must be seen empty until it is
    gone, where nobody saw it go.
    """

    stopped: str | tuple[str, ...]
    in_: str
    levels: dict[Colour, Duration] = {}
    hold: Duration = Duration(10 * NS)

    def tracked(self) -> str:
        """The zone."""
        return self.in_

    def moving(self) -> str:
        """The zone."""
        return self.in_

    def check(self, names: Names) -> Problems:
        """A place and labels that exist, and levels in order."""
        problems = check_place(names, self.in_) + check_labels(names, "stopped", self.in_, self.stopped)
        levels: dict[Colour, float] = {colour: int(level) / 1e9 for colour, level in self.levels.items()}
        return problems + (check_levels(levels, 1, "yellow: 60 s") if levels else [])


def seconds(levels: dict[Colour, Duration], for_: Duration) -> dict[Colour, float]:
    """The levels and `for:` on top of each, s; where none is given `for:` alone is yellow."""
    more = int(for_) / 1e9
    return {colour: int(level) / 1e9 + more for colour, level in levels.items()} or {"yellow": more}


def build(making: Making) -> SeveralRule:
    """The rule of a stopped's configuration."""
    kind = making.config.kind
    assert isinstance(kind, Stopped)  # noqa: S101 - the registry pairs this function with that struct
    labels = labels_of(kind.stopped)
    rule = SeveralRule(making, kind.in_, labels, seconds(kind.levels, making.config.common.for_), "s")
    rule.cases = Cases(making, rule.owner, standing.COLUMNS)
    how = standing.Still(rule.limits, int(kind.hold))
    rule.judge = standing.Standers(rule.cases, rule.where, indices(labels, rule.known), np.zeros(0, np.int16), how)
    return rule


STOPPED = Kind("stopped", Stopped, build)
