"""`near_miss`: two come so near to a collision that little time was left, by where they were going.

The time to collision is when two discs, as wide as the boxes are on the ground, meet if both go on as they do:

    |p + v t| = r,   p, v: place and velocity of one as seen from the other; r: half the sum of their widths

It is judged where both velocities are known and they close in by a metre a second and by twice what that may be off by.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gateway.config.common import Struct
from gateway.config.kinds import Kind
from gateway.config.scalars import NS, Duration
from gateway.core.rules.places import check_labels, check_place, indices
from gateway.core.rules.several import Cases, Said, SeveralRule
from gateway.core.rules.threshold import ordered
from gateway.events import Colour

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gateway.config.names import Names, Problems
    from gateway.core.looks import Look
    from gateway.core.moves import Motion
    from gateway.core.rules.making import Making

    Array = NDArray[np.float64]

CLOSING = 1.0  # m/s: who stands beside a car does not collide with it
SURE = 2.0
COLUMNS = {
    "one": (np.int64, 0),
    "other": (np.int64, 0),
    "least": (np.float64, np.inf),
    "seen": (np.int64, 0),  # watched time at which it was near last
}


class NearMiss(Struct, frozen=True):
    """Two of these labels in a zone would have collided within so little time. It needs the camera's `ground`.

    near_miss: two labels, which may be the same. `in`: `camera.zone`, or a camera for all its picture. levels: the time
    to collision, smaller is worse. hold: how long an encounter stays after its last such moment.
    """

    near_miss: tuple[str, str]
    in_: str
    levels: dict[Colour, Duration]
    hold: Duration = Duration(10 * NS)

    def tracked(self) -> str:
        """The zone."""
        return self.in_

    def moving(self) -> str:
        """The zone."""
        return self.in_

    def check(self, names: Names) -> Problems:
        """A place, labels and a ground that exist, and levels in order."""
        problems = check_place(names, self.in_) + check_labels(names, "near_miss", self.in_, self.near_miss)
        problems += names.ground("in", self.in_) if not problems else []
        if not self.levels:
            problems.append(("levels", "give at least one, such as levels: {orange: 1.5 s}"))
        return problems + ordered("levels", {c: int(v) / 1e9 for c, v in self.levels.items()}, -1)


def collisions(moves: Motion, one: NDArray[np.intp], other: NDArray[np.intp]) -> tuple[Array, Array]:
    """Seconds until each pair of rows collides, infinite where it does not; and what they may be off by."""
    p, v = moves.spot[other] - moves.spot[one], moves.velocity[other] - moves.velocity[one]
    radius = (moves.width[one] + moves.width[other]) * 0.5
    a, b = _dot(v, v), _dot(p, v)
    distance = np.sqrt(_dot(p, p))
    off = np.sqrt(moves.speed_off[one] * moves.speed_off[one] + moves.speed_off[other] * moves.speed_off[other])
    closing = -b / np.maximum(distance, 1e-6)
    root = b * b - a * (distance * distance - radius * radius)
    judged = moves.known[one] & moves.known[other] & (closing >= np.maximum(CLOSING, SURE * off)) & (root >= 0)
    at = np.maximum((-b - np.sqrt(np.maximum(root, 0.0))) / np.where(a > 0, a, 1.0), 0.0)
    return np.where(judged, at, np.inf), at * off / np.maximum(closing, 1e-6)


def _dot(p: Array, q: Array) -> Array:
    return p[:, 0] * q[:, 0] + p[:, 1] * q[:, 1]


class _Encounters:
    """The judge: an encounter is a case of two visitors."""

    def __init__(
        self,
        cases: Cases,
        zone: str,
        labels: tuple[NDArray[np.int16], NDArray[np.int16]],
        limits: tuple[float, ...],
        hold_ns: int,
    ) -> None:
        self._cases, self._zone, self._labels, self._limits, self._hold_ns = cases, zone, labels, limits, hold_ns

    def take(self, look: Look) -> list[Said]:
        """Who came near, and which encounters are over."""
        tracks, moves = look.tracks, look.moves
        assert tracks is not None  # noqa: S101 - the rule gives looks that have tracks
        assert moves is not None  # noqa: S101 - its kind wants moves
        here = look.zones[self._zone].here
        first, second = (np.flatnonzero(here & np.isin(tracks.label, labels)) for labels in self._labels)
        one, other = np.repeat(first, len(second)), np.tile(second, len(first))
        if self._labels[0].tolist() == self._labels[1].tolist():
            one, other = one[first_of(one, other)], other[first_of(one, other)]
        left, off = collisions(moves, one, other)
        near = np.flatnonzero(left <= self._limits[0]).tolist()
        table = self._cases.table
        rows = {(int(table["one"][row]), int(table["other"][row])): row for row in self._cases.rows.tolist()}
        for i in near:
            pair = int(tracks.thing[one[i]]), int(tracks.thing[other[i]])
            row = rows.get(pair)
            if row is None:
                row = rows[pair] = self._cases.begin(set())
                table["one"][row], table["other"][row] = pair
                table["least"][row], table["began_ns"][row] = np.inf, look.seen.event_ns
            if left[i] < table["least"][row]:
                table["least"][row], table["off"][row] = left[i], off[i]
            table["seen"][row] = look.watched_ns
            table.touch_one(row)
        return [self._judged(row, look) for row in self._cases.rows.tolist()]

    def _judged(self, row: int, look: Look) -> Said:
        table = self._cases.table
        least = float(table["least"][row])
        if look.watched_ns - int(table["seen"][row]) >= self._hold_ns:
            self._cases.end(row)
            return Said(row, least, 0)
        return Said(row, least, len([limit for limit in self._limits if least <= limit]))


def first_of(one: NDArray[np.intp], other: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Of pairs that come both ways round, which is the first."""
    return one < other


def build(making: Making) -> SeveralRule:
    """The rule of a near miss's configuration."""
    kind = making.config.kind
    assert isinstance(kind, NearMiss)  # noqa: S101 - the registry pairs this function with that struct
    levels: dict[Colour, float] = {colour: int(level) / 1e9 for colour, level in kind.levels.items()}
    rule = SeveralRule(making, kind.in_, kind.near_miss, levels, "s")
    rule.cases = Cases(making, rule.owner, COLUMNS)
    one, other = (indices((label,), rule.known) for label in kind.near_miss)
    rule.judge = _Encounters(rule.cases, rule.where, (one, other), rule.limits, int(kind.hold))
    return rule


NEAR_MISS = Kind("near_miss", NearMiss, build)
