"""`speed`: how fast the fastest goes through a zone; or, below, how slow all are that are there."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from gateway.config.common import Struct
from gateway.config.kinds import Kind
from gateway.config.scalars import NS, Duration, Speed
from gateway.core.rules.places import check_labels, check_levels, check_place, indices, labels_of
from gateway.core.rules.threshold import ordered
from gateway.core.rules.tracked import Scale, TrackRule
from gateway.events import Colour

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gateway.config.names import Names, Problems
    from gateway.core.looks import Look
    from gateway.core.rules.making import Making

KMH = 3.6
UNSURE, UNSURE_MS = 0.2, 0.5
"""A speed is judged whose standard deviation is at most this share of it, or this many m/s."""
STEP = 5.0  # km/h: what is told anew


class SpeedKind(Struct, frozen=True):
    """The fastest of these labels in a zone goes faster than a level, or all that are there slower than one of `below`.

    `in`: `camera.zone`, or a camera for all its picture; it needs the camera's `ground`. hold: how long a level stays
    after nobody is beyond it.
    """

    speed: str | tuple[str, ...]
    in_: str
    levels: dict[Colour, Speed] = {}
    below: dict[Colour, Speed] = {}
    hold: Duration = Duration(5 * NS)

    def tracked(self) -> str:
        """The zone."""
        return self.in_

    def moving(self) -> str:
        """The zone."""
        return self.in_

    def problems(self) -> Problems:
        """Either levels or below."""
        if bool(self.levels) == bool(self.below):
            return [("levels", "give levels: {yellow: 60 km/h} or below: {yellow: 10 km/h}, one of the two")]
        return []

    def check(self, names: Names) -> Problems:
        """A place, labels and a ground that exist, and levels in order."""
        problems = check_place(names, self.in_) + check_labels(names, "speed", self.in_, self.speed)
        problems += names.ground("in", self.in_) if not problems else []
        if self.levels:
            problems += check_levels({c: float(v) for c, v in self.levels.items()}, 0.1, "yellow: 60 km/h")
        return problems + ordered("below", {c: float(v) for c, v in self.below.items()}, -1)


class _Fastest:
    """The fastest known speed of those who are there, km/h; of nobody 0 or, where slow is bad, infinite."""

    def __init__(self, zone: str, labels: NDArray[np.int16], *, below: bool) -> None:
        self._zone, self._labels, self._nobody = zone, labels, math.inf if below else 0.0

    def read(self, look: Look) -> float:
        tracks, moves = look.tracks, look.moves
        assert tracks is not None  # noqa: S101 - the rule gives looks that have tracks
        assert moves is not None  # noqa: S101 - its kind wants moves
        sure = moves.known.copy()
        if not self._nobody:  # one badly measured must not be too fast; where all must be slow, it may well be
            sure &= moves.speed_off <= np.maximum(UNSURE * moves.speed, UNSURE_MS)
        there = look.zones[self._zone].here & np.isin(tracks.label, self._labels)
        if np.any(there & sure):
            return float(moves.speed[there & sure].max()) * KMH
        return math.nan if self._nobody and np.any(there) else self._nobody


def build(making: Making) -> TrackRule:
    """The rule of a speed's configuration."""
    kind = making.config.kind
    assert isinstance(kind, SpeedKind)  # noqa: S101 - the registry pairs this function with that struct
    labels, below = labels_of(kind.speed), bool(kind.below)
    levels: dict[Colour, float] = {colour: float(one) for colour, one in (kind.levels or kind.below).items()}
    scale = Scale(int(kind.hold), "km/h", math.inf if below else STEP, 1e-9, below)
    rule = TrackRule(making, kind.in_, labels, levels, scale)
    rule.meter = _Fastest(rule.where, indices(labels, rule.known), below=below)
    if below:
        rule.kind = "slow"
    return rule


SPEED = Kind("speed", SpeedKind, build)
