"""Who is in which zone and who crossed which line, one visitor at a time; and what rules read off that.

Which box is whose is the tracker's matter, which is held to a reference of its own (tracks.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gateway.config.ground import homography, mapped, metres_of
from gateway.core.state import State
from gateway.core.track import Tracker, Tracking
from tests.core.reference.condition import ConditionReference
from tests.core.reference.looked import LookedReference
from tests.core.reference.rules import colours_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.config.model import Camera, Rule
    from gateway.events import Detections, Looked

S = 10**9
ALIKE = ({"car", "bus", "truck"}, {"bicycle", "motorcycle"})
Point = tuple[float, float]


@dataclass
class InZone:
    """One visitor and one zone."""

    fit: bool = False
    state: str = "?"
    here: bool = False
    came: str = ""
    since: int = 0


@dataclass
class AtLine:
    """One visitor and one line."""

    sure: bool = False
    net: int = 0
    owed: list[int] = field(default_factory=list[int])


@dataclass
class Visitor:
    """One visitor."""

    thing: int
    track: int
    born: int
    seen_ns: int
    height: float
    origin: Point
    place: Point
    zones: dict[str, InZone]
    lines: dict[str, AtLine]
    label: str = ""
    believed: bool = False
    lost: int | None = None


class Seen(NamedTuple):
    """What a look came to. here: (label, how it came, stay) by zone; left: labels by zone; crossed: (label, way)."""

    here: dict[str, list[tuple[str, str, int]]]
    left: dict[str, list[str]]
    crossed: dict[str, list[tuple[str, int]]]
    clock: int


class VisitorsReference:
    """One camera."""

    def __init__(self, camera: Camera, labels: tuple[str, ...], score: float) -> None:
        self.camera, self.labels, self.score = camera, labels, float(np.float32(score))
        self.tracker = Tracker("a", labels, State(), how=Tracking(score=score))
        self.visitors: list[Visitor] = []
        self.clock, self.told_to = 0, -(10**30)
        self.zones: list[str] = [*camera.zones, ""]

    def looked(self, looked: Looked) -> None:
        """Watched time."""
        begin = max(looked.from_ns, self.told_to)
        if looked.to_ns > begin:
            self.told_to = looked.to_ns
            self.clock += looked.to_ns - begin if looked.why in ("analysed", "still") else 0

    def detections(self, seen: Detections) -> Seen | None:
        """A look; None where it is late."""
        if self.tracker.late(seen.event_ns):
            return None
        tracked = self.tracker.step(seen)
        now = self.tracker.standing(seen.event_ns)
        ids = [int(one) for one in now.id]
        for visitor in self.visitors:
            if visitor.lost is None and visitor.track not in ids:
                visitor.lost = self.clock
        self.visitors = [one for one in self.visitors if one.lost is None or one.believed]
        came = Seen(
            {z: [] for z in self.zones}, {z: [] for z in self.zones}, {n: [] for n in self.camera.lines}, self.clock
        )
        fresh: list[tuple[Visitor, Point]] = []
        order: list[tuple[Visitor, int]] = []
        for row, track in enumerate(ids):
            box = next((i for i, one in enumerate(tracked.id) if one == track), None)
            visitor = next((one for one in self.visitors if one.lost is None and one.track == track), None)
            high = None if box is None else float(seen.xyxy[box][3]) - float(seen.xyxy[box][1])
            if visitor is None:
                assert high is not None
                visitor = self._begun(track, seen.event_ns, max(high, 1.0))
                visitor.origin = visitor.place = self._feet(now.xyxy[row], visitor.height)
                self.visitors.append(visitor)
            if high is not None:
                dt = (seen.event_ns - visitor.seen_ns) / 1e9
                share = dt / (dt + (0.3 if high > visitor.height else 3.0))
                visitor.height = max(visitor.height + (high - visitor.height) * share, 1.0)
            visitor.label = self.labels[int(now.label[row])]
            feet = self._feet(now.xyxy[row], visitor.height)
            dx, dy = feet[0] - visitor.origin[0], feet[1] - visitor.origin[1]
            went = dx * dx + dy * dy >= (3 * visitor.height) * (3 * visitor.height) and high is not None
            went &= float(now.score[row]) >= self.score and seen.event_ns - int(now.born_ns[row]) >= 0.75 * S
            if (bool(now.believed[row]) or went) and not visitor.believed:
                fresh.append((visitor, feet))
                visitor.believed = True
            order.append((visitor, row))
        for visitor, feet in fresh:
            self._recognise(visitor, feet)
        boxed = {int(one) for one in tracked.id if one}
        for visitor, row in order:
            feet = self._feet(now.xyxy[row], visitor.height)
            margin = max(0.1 * visitor.height, seen.width_px / 75)
            there = visitor.track in boxed
            self._zones(visitor, feet, margin, there, float(now.score[row]), seen, came)
            if there:
                self._lines(visitor, feet, margin, seen, came)
                visitor.place, visitor.seen_ns = feet, seen.event_ns
        self.visitors = [one for one in self.visitors if one.lost is None or not self._over(one, one.lost)]
        return came

    def _over(self, one: Visitor, lost: int) -> bool:
        return self.clock - lost >= min(lost - one.born, 60 * S)

    def _begun(self, track: int, at_ns: int, height: float) -> Visitor:
        zones, lines = {z: InZone() for z in self.zones}, {n: AtLine() for n in self.camera.lines}
        return Visitor(track, track, self.clock, at_ns, height, (0.0, 0.0), (0.0, 0.0), zones, lines)

    def _feet(self, xyxy: object, height: float) -> Point:
        x1, y1, x2, y2 = (float(one) for one in xyxy)  # type: ignore[attr-defined]  four numbers
        return (x1 + x2) * 0.5, max(y2, y1 + 0.9 * height)

    def _recognise(self, new: Visitor, feet: Point) -> None:
        """Is it one that was lost here?"""
        best: Visitor | None = None
        nearest = math.inf
        for old in sorted((one for one in self.visitors if one.lost is not None), key=lambda one: one.thing):
            off = (old.place[0] - feet[0]) * (old.place[0] - feet[0]) + (old.place[1] - feet[1]) * (
                old.place[1] - feet[1]
            )
            reach = 0.5 * min(old.height, new.height)
            same = old.label == new.label or any({old.label, new.label} <= group for group in ALIKE)
            alike = old.height < 1.4 * new.height and new.height < 1.4 * old.height
            if same and alike and off < reach * reach and off < nearest:
                best, nearest = old, off
        if best is not None:
            self.visitors.remove(best)
            new.thing, new.born, new.zones = best.thing, best.born, best.zones

    def _zones(
        self, one: Visitor, feet: Point, margin: float, there: bool, score: float, seen: Detections, came: Seen
    ) -> None:
        for name in self.zones:
            zone, state = self.camera.zone(name), one.zones[name]
            if zone is None:
                inside, fit = True, True
            else:
                x = min(max(feet[0], 1e-6 * seen.width_px), (1 - 1e-6) * seen.width_px)
                y = min(max(feet[1], 1e-6 * seen.height_px), (1 - 1e-6) * seen.height_px)
                corners = [(a * seen.width_px, b * seen.height_px) for a, b in zone.outline]
                edges = list(zip(corners, [*corners[1:], corners[0]], strict=True))
                near = min(_distance((x, y), a, b) for a, b in edges)
                inside = _winds((x, y), edges) or (state.state == "in" and near < margin)
                fit = one.height >= zone.least and score >= (zone.score or 0.0) - 1e-7
            state.fit |= one.believed and fit
            was = state.state
            if there:
                state.state = "in" if inside else "out"
            if state.state == "in" and was != "in":
                state.since, state.came = self.clock, "entered" if was == "out" else "appeared"
            here = state.state == "in" and state.fit
            if state.here and not here:
                came.left[name].append(one.label)
            state.here = here
            if here:
                came.here[name].append((one.label, state.came, self.clock - state.since))

    def _lines(self, one: Visitor, feet: Point, margin: float, seen: Detections, came: Seen) -> None:
        for name, points in self.camera.lines.items():
            corners = [(x * seen.width_px, y * seen.height_px) for x, y in points]
            edges = list(pairwise(corners))
            state = one.lines[name]
            for a, b in edges:
                if _meet(one.place, feet, a, b):
                    state.net += 1 if _side(a, b, feet) > 0 else -1
            if min(_distance(feet, a, b) for a, b in edges) >= margin:
                if state.sure and state.net:
                    state.owed.append(1 if state.net > 0 else -1)
                state.sure, state.net = True, 0
            if one.believed:
                came.crossed[name] += [(one.label, way) for way in sorted(state.owed, reverse=True)]
                state.owed = []


def _side(a: Point, b: Point, p: Point) -> float:
    return (b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0])


def _meet(p: Point, q: Point, a: Point, b: Point) -> bool:
    """Whether the step p → q crosses the edge."""
    return ((_side(a, b, p) > 0) != (_side(a, b, q) > 0)) and ((_side(p, q, a) > 0) != (_side(p, q, b) > 0))


def _distance(p: Point, a: Point, b: Point) -> float:
    length = (b[0] - a[0]) ** 2 + (b[1] - a[1]) ** 2
    along = ((p[0] - a[0]) * (b[0] - a[0]) + (p[1] - a[1]) * (b[1] - a[1])) / length if length else 0.0
    along = min(max(along, 0.0), 1.0)
    return math.hypot(p[0] - a[0] - along * (b[0] - a[0]), p[1] - a[1] - along * (b[1] - a[1]))


def _winds(p: Point, edges: list[tuple[Point, Point]]) -> bool:
    """By the winding number, where the core takes the crossing number."""
    winding = 0
    for (x1, y1), (x2, y2) in edges:
        side = (x2 - x1) * (p[1] - y1) - (p[0] - x1) * (y2 - y1)
        if y1 <= p[1] < y2 and side > 0:
            winding += 1
        elif y2 <= p[1] < y1 and side < 0:
            winding -= 1
    return winding != 0


def _square_metres(camera: Camera, zone: str) -> float:
    """The area of a zone on the ground: triangles from its first corner, where the core goes round it."""
    found = camera.zone(zone)
    h = homography(metres_of(camera.ground)) if camera.ground else None
    assert found is not None
    assert h is not None
    first, *others = (mapped(h, corner)[:2] for corner in found.outline)
    return abs(sum(_side(first, a, b) for a, b in pairwise(others))) / 2


class TrackReference:
    """A rule that judges what a look of its camera came to."""

    def __init__(self, rule: Rule, where: str, watched: VisitorsReference, suppressed: Callable[[int], bool]) -> None:
        self.kind, self.key, self.where, self.suppressed = rule.kind, rule.key, where, suppressed
        given = self.kind.levels or {"yellow": 1}  # type: ignore[attr-defined]  every kind of these has levels
        self.colours = colours_of(given)
        self.area, self.detail = 0.0, ""
        if self.key == "crowd" and self.kind.dense():  # type: ignore[attr-defined]  a Crowd
            self.lines = [given[c].per_m2 for c in self.colours]  # type: ignore[union-attr]  all of a Crowd's are
            self.area = _square_metres(watched.camera, where)
            self.detail = f"{self.area:.3g} m2"
        else:
            self.lines = [int(given[c]) / 1e9 if self.key == "dwell" else float(given[c]) for c in self.colours]
        hold = int(getattr(self.kind, "hold", 0))
        step = 0.1 * self.lines[0] if self.area else 1.0 if self.key in ("crowd", "cross") else math.inf
        self.condition = ConditionReference(len(self.colours), int(rule.common.for_), hold, None, step)
        self.watched = watched
        self.crossed: list[int] = []
        self.time = LookedReference(self.condition, lambda number: [number >= line for line in self.lines])
        self.changes = self.time.changes

    def limit(self, level: int, value: float) -> float:  # noqa: ARG002 - as the others
        """The number of a level."""
        return self.lines[max(level - 1, 0)]

    def take(self, at_ns: int, seen: Seen) -> None:
        """A look."""
        self.time.take(at_ns, self._number(seen), suppressed=self.suppressed(at_ns))

    def _number(self, seen: Seen) -> float:
        given = getattr(self.kind, self.key)
        wanted = (given,) if isinstance(given, str) else given
        if self.key == "cross":
            ways = {"in": (1,), "out": (-1,), "both": (1, -1)}[self.kind.direction]  # type: ignore[attr-defined]  a Cross
            self.crossed += [seen.clock for label, way in seen.crossed[self.where] if way in ways and label in wanted]
            self.crossed = self.crossed[-2 * round(max(self.lines)) :]
            return len([at for at in self.crossed if at > seen.clock - int(self.kind.per)])  # type: ignore[attr-defined]  a Cross
        if self.key == "leave":
            return len([label for label in seen.left[self.where] if label in wanted])
        here = [(came, stay) for label, came, stay in seen.here[self.where] if label in wanted]
        if self.key == "dwell":
            return max((stay for _, stay in here), default=0) / 1e9
        all_ = self.key == "crowd" or self.kind.appearing  # type: ignore[attr-defined]  an Enter
        number = len([came for came, _ in here if all_ or came == "entered"])
        return number / self.area if self.area else number

    def looked(self, looked: Looked) -> None:
        """Covered time."""
        self.time.looked(looked)
