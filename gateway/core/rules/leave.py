"""`leave`: somebody who was in a zone has gone out over its edge."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from gateway.config.common import Struct
from gateway.config.kinds import Kind
from gateway.config.scalars import NS, Duration
from gateway.core.rules.places import check_labels, check_levels, indices, labels_of
from gateway.core.rules.tracked import Scale, TrackRule
from gateway.events import Colour

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gateway.config.names import Names, Problems
    from gateway.core.looks import Look
    from gateway.core.rules.making import Making


class Leave(Struct, frozen=True):
    """So many of these labels left a zone over its edge with one look. `in`: `camera.zone`.

    hold: how long the alert stays after that; another one who leaves in that time is in the same alert.
    """

    leave: str | tuple[str, ...]
    in_: str
    levels: dict[Colour, int] = {}  # {yellow: 1}
    hold: Duration = Duration(10 * NS)

    def tracked(self) -> str:
        """The zone."""
        return self.in_

    def numbers(self) -> dict[Colour, float]:
        """The levels; where none is given, one is yellow."""
        return {colour: float(number) for colour, number in self.levels.items()} or {"yellow": 1.0}

    def check(self, names: Names) -> Problems:
        """A zone and labels that exist, and levels in order."""
        problems = names.zone("in", self.in_) + check_labels(names, "leave", self.in_, self.leave)
        return problems + check_levels(self.numbers(), 1, "yellow: 1")


class _Left:
    """How many left with the look."""

    def __init__(self, zone: str, labels: NDArray[np.int16]) -> None:
        self._zone, self._labels = zone, frozenset(labels.tolist())

    def read(self, look: Look) -> float:
        return float(len([label for label, _ in look.zones[self._zone].left if label in self._labels]))


def build(making: Making) -> TrackRule:
    """The rule of a leave's configuration."""
    kind = making.config.kind
    assert isinstance(kind, Leave)  # noqa: S101 - the registry pairs this function with that struct
    labels = labels_of(kind.leave)
    rule = TrackRule(making, kind.in_, labels, kind.numbers(), Scale(int(kind.hold), step=math.inf))
    rule.meter = _Left(rule.where, indices(labels, rule.known))
    return rule


LEAVE = Kind("leave", Leave, build)
