"""`crowd`: how many tracks are in a zone; or how many there are on each of its square metres."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar, Self

import msgspec
import numpy as np

from gateway.config.common import Struct
from gateway.config.ground import areas
from gateway.config.kinds import Kind
from gateway.config.scalars import NS, Duration
from gateway.core.looks import place_of
from gateway.core.rules.places import check_labels, check_levels, check_place, indices, labels_of
from gateway.core.rules.tracked import Scale, TrackRule
from gateway.events import Colour

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gateway.config.names import Names, Problems
    from gateway.core.looks import Look
    from gateway.core.rules.making import Making

MOST = 300
"""Boxes that a look has at most (SEMANTICS.md §8): more are never counted."""
LEAST_M2 = 0.0001
STEP = 0.1
"""Of the mildest level: by so much a density must move to be told anew."""


class Density(msgspec.Struct, frozen=True):
    """How many there are on a square metre of the ground, written `2/m2`."""

    EXAMPLES: ClassVar = ("2/m2", "0.5/m2")

    per_m2: float

    @classmethod
    def parse(cls, text: object) -> Self:
        """Read `2/m2`."""
        match = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*/\s*m2\s*", text) if isinstance(text, str) else None
        if not match:
            msg = f"found {text!r}; how many there are on a square metre is written 2/m2"
            raise ValueError(msg)
        return cls(float(match[1]))

    def __str__(self) -> str:
        return f"{self.per_m2:g}/m2"


class Crowd(Struct, frozen=True):
    """So many of these labels are in a zone. `in`: `camera.zone`, or a camera for all its picture.

    levels: how many, or how many on each square metre of the zone: `{yellow: 2/m2}` needs the camera's `ground`. Tracks
    are counted, so that who is hidden for a moment still counts. hold: how long a level stays after the number has
    fallen below it.
    """

    crowd: str | tuple[str, ...]
    in_: str
    levels: dict[Colour, int | Density]
    hold: Duration = Duration(5 * NS)

    def tracked(self) -> str:
        """The zone."""
        return self.in_

    def dense(self) -> bool:
        """Whether it is how many there are on a square metre that counts."""
        return any(isinstance(level, Density) for level in self.levels.values())

    def numbers(self) -> dict[Colour, float]:
        """The levels: how many, or how many on a square metre."""
        return {c: level.per_m2 if isinstance(level, Density) else float(level) for c, level in self.levels.items()}

    def problems(self) -> Problems:
        """Levels of one sort."""
        if self.dense() and not all(isinstance(level, Density) for level in self.levels.values()):
            shown = ", ".join(f"{colour}: {level}" for colour, level in self.levels.items())
            return [
                ("levels", f"found {{{shown}}}; write all of them as how many (10), or all on a square metre (2/m2)")
            ]
        return []

    def check(self, names: Names) -> Problems:
        """A place and labels that exist, and levels in order; for a density a zone with a ground, and who fills it."""
        problems = check_place(names, self.in_) + check_labels(names, "crowd", self.in_, self.crowd)
        if self.problems():
            return problems
        if not self.dense():
            return problems + check_levels(self.numbers(), 1, "yellow: 10")
        if self.in_ in names.cameras:
            shown = f"{self.in_}.{next(iter(names.cameras[self.in_]), 'square')}"
            problems.append(("in", f"how many there are on a square metre is asked of a zone, such as {shown}"))
        problems += names.ground("in", self.in_) if not problems else []
        wrong = check_levels(self.numbers(), LEAST_M2, "yellow: 2/m2")
        return problems + wrong + (self._filled(names) if not wrong else [])

    def _filled(self, names: Names) -> Problems:
        """Levels that one passer-by reaches, or more than can be counted."""
        camera, _, zone = self.in_.rpartition(".")
        area = names.areas.get(camera, {}).get(zone)
        if area is None:
            return []
        wrong: Problems = []
        for colour, level in self.numbers().items():
            many, shown = level * area, f"found {level:g}/m2; on the {area:.3g} m2 of {self.in_}"
            if many < 1:
                wrong.append(
                    (f"levels.{colour}", f"{shown} a single one is more: draw it larger, or count: {colour}: 1")
                )
            elif many > MOST:
                wrong.append((f"levels.{colour}", f"{shown} these are {many:.0f}, and a look finds {MOST} at most"))
        return wrong


class _Here:
    """How many are there, of all of a zone or of each unit of its area."""

    def __init__(self, zone: str, labels: NDArray[np.int16], area: float) -> None:
        self._zone, self._labels, self._area = zone, labels, area

    def read(self, look: Look) -> float:
        tracks = look.tracks
        assert tracks is not None  # noqa: S101 - the rule gives looks that have tracks
        number = float(np.count_nonzero(look.zones[self._zone].here & np.isin(tracks.label, self._labels)))
        return number / self._area


def build(making: Making) -> TrackRule:
    """The rule of a crowd's configuration."""
    kind = making.config.kind
    assert isinstance(kind, Crowd)  # noqa: S101 - the registry pairs this function with that struct
    labels, levels, scale, area = labels_of(kind.crowd), kind.numbers(), Scale(int(kind.hold)), 1.0
    if kind.dense():
        camera, zone = place_of(kind.in_, [])
        area = areas(making.camera(camera).camera)[zone]
        scale = Scale(int(kind.hold), "/m2", STEP * min(levels.values()), 1e-9, area_m2=area)
    rule = TrackRule(making, kind.in_, labels, levels, scale)
    rule.meter = _Here(rule.where, indices(labels, rule.known), area)
    return rule


CROWD = Kind("crowd", Crowd, build)
