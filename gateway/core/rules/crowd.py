"""`crowd`: how many tracks are in a zone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gateway.config.common import Struct
from gateway.config.kinds import Kind
from gateway.config.scalars import NS, Duration
from gateway.core.rules.places import check_labels, check_levels, check_place, indices, labels_of
from gateway.core.rules.tracked import Scale, TrackRule
from gateway.events import Colour

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gateway.config.names import Names, Problems
    from gateway.core.looks import Look
    from gateway.core.rules.making import Making


class Crowd(Struct, frozen=True):
    """So many of these labels are in a zone. `in`: `camera.zone`, or a camera for all its picture.

    Tracks are counted, so that who is hidden for a moment still counts. hold: how long a level stays after the number
    has fallen below it.
    """

    crowd: str | tuple[str, ...]
    in_: str
    levels: dict[Colour, int]
    hold: Duration = Duration(5 * NS)

    def tracked(self) -> str:
        """The zone."""
        return self.in_

    def check(self, names: Names) -> Problems:
        """A place and labels that exist, and levels in order."""
        problems = check_place(names, self.in_) + check_labels(names, "crowd", self.in_, self.crowd)
        return problems + check_levels({c: float(n) for c, n in self.levels.items()}, 1, "yellow: 10")


class _Here:
    """How many are there."""

    def __init__(self, zone: str, labels: NDArray[np.int16]) -> None:
        self._zone, self._labels = zone, labels

    def read(self, look: Look) -> float:
        tracks = look.tracks
        assert tracks is not None  # noqa: S101 - the rule gives looks that have tracks
        return float(np.count_nonzero(look.zones[self._zone].here & np.isin(tracks.label, self._labels)))


def build(making: Making) -> TrackRule:
    """The rule of a crowd's configuration."""
    kind = making.config.kind
    assert isinstance(kind, Crowd)  # noqa: S101 - the registry pairs this function with that struct
    labels = labels_of(kind.crowd)
    levels: dict[Colour, float] = {colour: float(n) for colour, n in kind.levels.items()}
    rule = TrackRule(making, kind.in_, labels, levels, Scale(int(kind.hold)))
    rule.meter = _Here(rule.where, indices(labels, rule.known))
    return rule


CROWD = Kind("crowd", Crowd, build)
