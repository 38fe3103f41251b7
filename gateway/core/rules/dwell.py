"""`dwell`: somebody stays in a zone for too long (loitering, a car that parks)."""

from __future__ import annotations

import math
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


class Dwell(Struct, frozen=True):
    """One of these labels has been in a zone for so long. `in`: `camera.zone`, or a camera for all its picture.

    Only time that the camera really watched counts. hold: how long the alert stays after the last one has gone: who is
    lost from sight and comes back where it stood goes on with its stay.
    """

    dwell: str | tuple[str, ...]
    in_: str
    levels: dict[Colour, Duration]
    hold: Duration = Duration(10 * NS)

    def tracked(self) -> str:
        """The zone."""
        return self.in_

    def seconds(self) -> dict[Colour, float]:
        """The levels."""
        return {colour: int(level) / 1e9 for colour, level in self.levels.items()}

    def check(self, names: Names) -> Problems:
        """A place and labels that exist, and levels in order."""
        problems = check_place(names, self.in_) + check_labels(names, "dwell", self.in_, self.dwell)
        return problems + check_levels(self.seconds(), 1, "yellow: 60 s")


class _Longest:
    """The longest stay of anyone who is there, seconds."""

    def __init__(self, zone: str, labels: NDArray[np.int16]) -> None:
        self._zone, self._labels = zone, labels

    def read(self, look: Look) -> float:
        visits, tracks = look.zones[self._zone], look.tracks
        assert tracks is not None  # noqa: S101 - the rule gives looks that have tracks
        return int(visits.stay_ns[visits.here & np.isin(tracks.label, self._labels)].max(initial=0)) / 1e9


def build(making: Making) -> TrackRule:
    """The rule of a dwell's configuration."""
    kind = making.config.kind
    assert isinstance(kind, Dwell)  # noqa: S101 - the registry pairs this function with that struct
    labels = labels_of(kind.dwell)
    scale = Scale(int(kind.hold), "s", math.inf, 1e-9)  # a stay always grows: that is no news
    rule = TrackRule(making, kind.in_, labels, kind.seconds(), scale)
    rule.meter = _Longest(rule.where, indices(labels, rule.known))
    return rule


DWELL = Kind("dwell", Dwell, build)
