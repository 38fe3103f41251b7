"""`enter`: somebody came into a zone, and is there."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from gateway.config.common import Struct
from gateway.config.kinds import Kind
from gateway.config.scalars import NS, Duration
from gateway.core.rules.places import check_labels, check_levels, check_place, indices, labels_of
from gateway.core.rules.tracked import Scale, TrackRule
from gateway.core.visitors import ENTERED
from gateway.events import Colour

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gateway.config.names import Names, Problems
    from gateway.core.looks import Look
    from gateway.core.rules.making import Making


class Enter(Struct, frozen=True):
    """So many of these labels have come into a zone and are there. `in`: `camera.zone`, or a camera for its picture.

    appearing: those who are first seen inside count too. hold: how long the alert stays after the last one has gone.
    """

    enter: str | tuple[str, ...]
    in_: str
    levels: dict[Colour, int] = {}  # {yellow: 1}
    appearing: bool = True
    hold: Duration = Duration(10 * NS)

    def tracked(self) -> str:
        """The zone."""
        return self.in_

    def numbers(self) -> dict[Colour, float]:
        """The levels; where none is given, one is yellow."""
        return {colour: float(number) for colour, number in self.levels.items()} or {"yellow": 1.0}

    def check(self, names: Names) -> Problems:
        """A place and labels that exist, and levels in order."""
        problems = check_place(names, self.in_) + check_labels(names, "enter", self.in_, self.enter)
        return problems + check_levels(self.numbers(), 1, "yellow: 1")


class _Came:
    """How many are there that came."""

    def __init__(self, zone: str, labels: NDArray[np.int16], *, appearing: bool) -> None:
        self._zone, self._labels, self._appearing = zone, labels, appearing

    def read(self, look: Look) -> float:
        visits, tracks = look.zones[self._zone], look.tracks
        assert tracks is not None  # noqa: S101 - the rule gives looks that have tracks
        here = visits.here & np.isin(tracks.label, self._labels)
        return float(np.count_nonzero(here if self._appearing else here & (visits.came == ENTERED)))


def build(making: Making) -> TrackRule:
    """The rule of an enter's configuration."""
    kind = making.config.kind
    assert isinstance(kind, Enter)  # noqa: S101 - the registry pairs this function with that struct
    labels = labels_of(kind.enter)
    rule = TrackRule(making, kind.in_, labels, kind.numbers(), Scale(int(kind.hold), step=math.inf))
    rule.meter = _Came(rule.where, indices(labels, rule.known), appearing=kind.appearing)
    return rule


ENTER = Kind("enter", Enter, build)
