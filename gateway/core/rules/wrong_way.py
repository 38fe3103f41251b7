"""`wrong_way`: somebody goes against the way that a line is drawn or the compass says, or away from where to go."""

from __future__ import annotations

import math
import re
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar, Self

import msgspec
import numpy as np

from gateway.config.common import Struct
from gateway.config.ground import heading
from gateway.config.kinds import Kind
from gateway.config.scalars import NS, Duration
from gateway.core.ground import plane_of
from gateway.core.looks import place_of
from gateway.core.rules.places import check_labels, check_levels, check_place, indices, labels_of
from gateway.core.rules.tracked import Scale, TrackRule
from gateway.events import Colour

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gateway.config.model import Point
    from gateway.config.names import Names, Problems
    from gateway.core.looks import Look
    from gateway.core.moves import Motion
    from gateway.core.plan import CameraPlan
    from gateway.core.rules.making import Making

    Array = NDArray[np.float64]

AGAINST = -0.5
"""Cosine of 120°: who turns off to the side does not go the wrong way."""
SURE = 3.0
"""So many of its standard deviations a speed must be for its direction to mean something."""
FAR = 0.5
"""Of its height a second, or a metre a second: who is pushed back, turns or sways goes nowhere."""
FAR_M = 1.0


BEARING = "a bearing is 0 to 360 deg, clockwise from north, such as 270 deg for west"


class Bearing(msgspec.Struct, frozen=True):
    """A way by the compass, degrees clockwise from north, written `270 deg`."""

    EXAMPLES: ClassVar = ("270 deg",)

    degrees: float

    @classmethod
    def parse(cls, text: object) -> Self:
        """Read `270 deg`."""
        match = re.fullmatch(r"\s*(\d{1,3}(?:\.\d*)?)\s*deg\s*", text) if isinstance(text, str) else None
        if not match or float(match[1]) > 360:
            msg = f"found {text!r}; {BEARING}"
            raise ValueError(msg)
        return cls(float(match[1]) % 360)

    def __str__(self) -> str:
        return f"{self.degrees:g} deg"


class WrongWay(Struct, frozen=True):
    """So many of these labels go the wrong way in a zone. `in`: `camera.zone`, or a camera for all its picture.

    towards: `camera.line`, a line drawn the way that is allowed, from its first point to its last; `camera.zone`, where
    they should be heading; or `270 deg`, the way that is allowed by the compass, which needs the camera's `ground`.
    hold: how long the alert stays after the last one.
    """

    wrong_way: str | tuple[str, ...]
    in_: str
    towards: Bearing | str
    levels: dict[Colour, int] = {}  # {yellow: 1}
    hold: Duration = Duration(10 * NS)

    def tracked(self) -> str:
        """The zone."""
        return self.in_

    def moving(self) -> str:
        """The zone."""
        return self.in_

    def numbers(self) -> dict[Colour, float]:
        """The levels; where none is given, one is yellow."""
        return {colour: float(number) for colour, number in self.levels.items()} or {"yellow": 1.0}

    def check(self, names: Names) -> Problems:
        """A place, labels and a way that exist, and levels in order."""
        problems = check_place(names, self.in_) + check_labels(names, "wrong_way", self.in_, self.wrong_way)
        way = self.towards
        if isinstance(way, Bearing):
            problems += [] if problems else _unturned(names, self.in_, way)
        else:
            problems += _misplaced(names, self.in_, way, fine=not problems)
        return problems + check_levels(self.numbers(), 1, "yellow: 1")


def _misplaced(names: Names, where: str, towards: str, *, fine: bool) -> Problems:
    """What is wrong with a line or zone as the way; `fine`: the place itself is there."""
    if re.match(r"[-+.\d\s]+(deg|°)", towards):
        return [("towards", f"found {towards!r}; {BEARING}")]
    camera, _, place = towards.rpartition(".")
    mine, _ = names.placed(where)
    if place not in names.lines.get(camera, ()) and (problems := names.zone("towards", towards)):
        return problems
    if fine and camera != mine:
        return [("towards", f"found a place of camera {camera}; it must be one of {mine}'s, as in: is")]
    if fine and towards == where:
        return [("towards", "is the zone itself; draw a line through it the way that is allowed")]
    return []


def _unturned(names: Names, where: str, way: Bearing) -> Problems:
    """What is wrong with a bearing at a place: nothing says where north is in the picture."""
    camera, _ = names.placed(where)
    if names.grounds is not None and camera not in names.grounds:
        needs = f"found {way}, but nothing says where north is in the picture of {camera}: give cameras.{camera}.ground"
        return [("towards", f"{needs} four pairs, or draw a line the way that is allowed")]
    return names.ground("in", where)


class _Against:
    """How many there go the wrong way."""

    def __init__(self, zone: str, labels: NDArray[np.int16], camera: CameraPlan, towards: Bearing | str) -> None:
        self._zone, self._labels, self._camera = zone, labels, camera.camera
        self._bearing = heading(towards.degrees) if isinstance(towards, Bearing) else None
        self._towards = "" if isinstance(towards, Bearing) else place_of(towards, [])[1]
        self._plane = plane_of(camera.camera.ground)

    def read(self, look: Look) -> float:
        tracks, moves = look.tracks, look.moves
        assert tracks is not None  # noqa: S101 - the rule gives looks that have tracks
        assert moves is not None  # noqa: S101 - its kind wants moves
        size = float(max(look.seen.width_px, 1)), float(max(look.seen.height_px, 1))
        way = self._way(moves.spot, size)
        along = way[:, 0] * moves.velocity[:, 0] + way[:, 1] * moves.velocity[:, 1]
        fast = moves.speed >= np.maximum(SURE * moves.speed_off, least(moves))
        there = look.zones[self._zone].here & np.isin(tracks.label, self._labels)
        return float(np.count_nonzero(there & moves.known & fast & (along < AGAINST * moves.speed)))

    def _way(self, place: Array, size: tuple[float, float]) -> Array:
        """The way allowed at each place, float64[k, 2] of length 1, on the ground or in pixels."""
        if self._bearing is not None:
            return np.full(place.shape, self._bearing)
        line = self._camera.lines.get(self._towards)
        if line is None:
            centre = self._placed(_centre(self._camera.outlines()[self._towards]), size)
            return _unit(np.array(centre) - place)
        points = [self._placed(point, size) for point in line]
        way, nearest = np.zeros(place.shape), np.full(len(place), np.inf)
        for (ax, ay), (bx, by) in pairwise(points):
            dx, dy = bx - ax, by - ay
            share = np.clip(((place[:, 0] - ax) * dx + (place[:, 1] - ay) * dy) / (dx * dx + dy * dy or 1.0), 0.0, 1.0)
            off_x, off_y = place[:, 0] - ax - share * dx, place[:, 1] - ay - share * dy
            square = off_x * off_x + off_y * off_y
            way = np.where((square < nearest)[:, None], np.array([dx, dy]), way)
            nearest = np.minimum(nearest, square)
        return _unit(way)

    def _placed(self, spot: Point, size: tuple[float, float]) -> Point:
        """A point of the picture in the lengths of moves."""
        if self._plane is None:
            return spot[0] * size[0], spot[1] * size[1]
        place = self._plane.metres(np.array(spot))
        return float(place[0]), float(place[1])


def least(moves: Motion) -> Array:
    """Below this speed nobody goes anywhere."""
    return np.full(len(moves.speed), FAR_M) if moves.metres else FAR * moves.height


def _unit(way: Array) -> Array:
    length = np.sqrt(way[:, 0] * way[:, 0] + way[:, 1] * way[:, 1])
    return way / np.where(length > 0, length, 1.0)[:, None]


def _centre(outline: tuple[Point, ...]) -> Point:
    """The middle of its corners."""
    x = y = 0.0
    for one in outline:
        x, y = x + one[0] / len(outline), y + one[1] / len(outline)
    return x, y


def build(making: Making) -> TrackRule:
    """The rule of a wrong_way's configuration."""
    kind = making.config.kind
    assert isinstance(kind, WrongWay)  # noqa: S101 - the registry pairs this function with that struct
    labels = labels_of(kind.wrong_way)
    rule = TrackRule(making, kind.in_, labels, kind.numbers(), Scale(int(kind.hold), step=math.inf))
    camera, _ = place_of(kind.in_, [one.name for one in making.plan.cameras])
    rule.meter = _Against(rule.where, indices(labels, rule.known), making.camera(camera), kind.towards)
    return rule


WRONG_WAY = Kind("wrong_way", WrongWay, build)
