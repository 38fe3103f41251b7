"""How one camera's tracks move, one place at a time; and the rules that read that off.

Who is who, and who is in which zone, is the looks' matter, which has references of its own (tracks.py, visits.py).
"""

from __future__ import annotations

import cmath
import math
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gateway.config.ground import homography, mapped, metres_of
from gateway.core.looks import Looks
from gateway.core.state import State
from tests.core.reference.condition import Change, ConditionReference
from tests.core.reference.looked import LookedReference
from tests.core.reference.rules import colours_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.config.model import Camera, Rule
    from gateway.core.looks import Look
    from gateway.core.plan import Plan
    from gateway.events import Detections, Looked

S = 10**9
MS = 10**6
NAN = math.nan
Point = tuple[float, float]


class Place(NamedTuple):
    """Where a box stood: what is seen of it, and where its foot should be."""

    at_ns: int
    x: float
    y: float
    foot: float
    cut: bool


class Mover(NamedTuple):
    """One track of a look, in metres or px."""

    thing: int
    label: str
    believed: bool
    box: list[float] | None
    here: dict[str, bool]
    place: Point
    place_off: float
    velocity: Point
    speed: float
    off: float
    known: bool
    now: Point
    width: float
    height: float


class Scene(NamedTuple):
    """A look: who is there, the boxes, and the time watched so far."""

    movers: list[Mover]
    boxes: list[list[float]]
    clock: int
    at_ns: int
    size: Point
    metres: bool


class MovesReference:
    """One camera."""

    def __init__(self, plan: Plan, camera: str, labels: tuple[str, ...]) -> None:
        self.looks, self.name, self.labels = Looks(plan, State()), camera, labels
        self.camera: Camera = next(one.camera for one in plan.cameras if one.name == camera)
        self.h = homography(metres_of(self.camera.ground)) if self.camera.ground else None
        self.rings: dict[int, list[Place | None]] = {}
        self.next: dict[int, int] = {}

    def looked(self, looked: Looked) -> None:
        """Watched time."""
        self.looks.looked(looked)

    def detections(self, seen: Detections) -> Scene | None:
        """A look; None where it is late."""
        look = self.looks.take(seen)
        if look.tracks is None:
            return None
        ids = look.tracks.id.tolist()
        self.rings = {one: ring for one, ring in self.rings.items() if one in ids}
        movers = [self._mover(look, row, one) for row, one in enumerate(ids)]
        size = float(seen.width_px), float(seen.height_px)
        boxes = [[float(side) for side in box] for box in seen.xyxy]
        return Scene(movers, boxes, look.watched_ns, seen.event_ns, size, self.h is not None)

    def _mover(self, look: Look, row: int, one: int) -> Mover:
        seen, tracks = look.seen, look.tracks
        assert tracks is not None
        if one not in self.rings:
            self.rings[one], self.next[one] = [None] * 12, 0
        ring, found = self.rings[one], int(tracks.box[row])
        usual, box = float(tracks.height[row]), None if found < 0 else [float(side) for side in seen.xyxy[found]]
        last = max((place.at_ns for place in ring if place), default=-(10**18))
        if box and seen.event_ns - last >= 180 * MS:
            foot = max(box[3], box[1] + 0.9 * usual) / seen.height_px
            x, y = (box[0] + box[2]) * 0.5 / seen.width_px, box[3] / seen.height_px
            cut = box[0] < 2 or box[2] > seen.width_px - 2 or box[3] > seen.height_px - 2
            ring[self.next[one]] = Place(
                seen.event_ns, float(np.float32(x)), float(np.float32(y)), float(np.float32(foot)), cut
            )
            self.next[one] = (self.next[one] + 1) % 12
        newest = [(self.next[one] - 1 - back) % 12 for back in range(3)]
        used = [
            place
            for index, place in enumerate(ring)
            if place
            and seen.event_ns - place.at_ns < (10 * S if index in newest else 2250 * MS)
            and not math.isnan(self._spot(look, place.x, place.y)[0])
        ]
        ground = float(tracks.ground[row][0]), float(tracks.ground[row][1])
        wide, high = (1.0, 1.0) if self.h is None else self._scales(look, ground)
        sides = tracks.xyxy[row].tolist()
        times = [(place.at_ns - seen.event_ns) / 1e9 for place in used]
        points = [self._spot(look, place.x, place.y) for place in used]
        slopes = [
            ((q[0] - p[0]) / (u - t), (q[1] - p[1]) / (u - t))
            for (p, t), (q, u) in combinations(zip(points, times, strict=True), 2)
            if abs(u - t) >= 0.3
        ]
        velocity = _middle(slopes) if slopes else (0.0, 0.0)
        now = _middle([(p[0] - velocity[0] * t, p[1] - velocity[1] * t) for p, t in zip(points, times, strict=True)])
        offs = [
            (p[0] - now[0] - velocity[0] * t, p[1] - now[1] - velocity[1] * t)
            for p, t in zip(points, times, strict=True)
        ]
        far = _middle([(math.sqrt(a * a + b * b), 0.0) for a, b in offs])[0]
        few = math.sqrt(max(len(used), 1) / max(len(used) - 2, 1))
        noise = _largest(few * 1.4826 * far, 0.25 * (0.05 * usual * _largest(wide, high)))
        mean = _added([t / 1 for t in times]) / max(len(used), 1)
        scatter = _added([(t - mean) * (t - mean) for t in times])
        known = bool(slopes) and len(used) >= 3 and max(times) - min(times) >= 1 and not any(p.cut for p in used)
        return Mover(
            thing=int(tracks.thing[row]),
            label=self.labels[int(tracks.label[row])],
            believed=bool(tracks.believed[row]),
            box=box,
            here={name: bool(visits.here[row]) for name, visits in look.zones.items()},
            place=_middle([self._spot(look, place.x, place.foot) for place in used]),
            place_off=1.25 * noise / math.sqrt(max(len(used), 1)),
            velocity=velocity,
            speed=math.sqrt(velocity[0] * velocity[0] + velocity[1] * velocity[1]),
            off=1.1 * noise / math.sqrt(max(scatter, 1e-9)),
            known=known,
            now=now,
            width=(sides[2] - sides[0]) * wide,
            height=usual * (wide if self.h else 1.0),
        )

    def _spot(self, look: Look, x: float, y: float) -> Point:
        """Where a point of the picture is, in metres or px."""
        if self.h is None:
            return x * look.seen.width_px, y * look.seen.height_px
        east, north, w = mapped(self.h, (x, y))
        return (east, north) if w > 0.02 else (NAN, NAN)

    def _scales(self, look: Look, spot: Point) -> Point:
        """Metres a pixel."""
        h = self.h
        assert h is not None
        east, north, w = mapped(h, spot)
        if w <= 0.02:
            return NAN, NAN
        out = [
            math.sqrt(((h[c] - east * h[6 + c]) / w) ** 2 + ((h[3 + c] - north * h[6 + c]) / w) ** 2) for c in (0, 1)
        ]
        return out[0] / look.seen.width_px, out[1] / look.seen.height_px


def _middle(points: list[Point]) -> Point:
    """The median, axis by axis."""
    if not points:
        return NAN, NAN
    axes = [sorted(point[axis] for point in points) for axis in (0, 1)]
    x, y = (axis[(len(axis) - 1) // 2] * 0.5 + axis[len(axis) // 2] * 0.5 for axis in axes)
    return x, y


def _largest(a: float, b: float) -> float:
    """NaN where one is."""
    return NAN if math.isnan(a) or math.isnan(b) else max(a, b)


def _added(numbers: list[float]) -> float:
    """In order."""
    out = 0.0
    for number in numbers:
        out += number
    return out


def _wanted(given: str | tuple[str, ...]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else given


class MotionRuleReference:
    """speed and wrong_way: a number that a look comes to, held over watched time."""

    def __init__(self, rule: Rule, where: str, moves: MovesReference, suppressed: Callable[[int], bool]) -> None:
        self.kind, self.key, self.where, self.moves, self.suppressed = rule.kind, rule.key, where, moves, suppressed
        self.falling = bool(getattr(self.kind, "below", None))
        given = (self.kind.below if self.falling else self.kind.levels) or {"yellow": 1}  # type: ignore[attr-defined]  both have
        self.colours = colours_of(given)
        self.lines = [float(given[c]) for c in self.colours]
        step = 5.0 if self.key == "speed" and not self.falling else math.inf
        self.condition = ConditionReference(len(self.colours), int(rule.common.for_), int(self.kind.hold), None, step)  # type: ignore[attr-defined]  both have
        self.time = LookedReference(self.condition, self._crossed)
        self.changes = self.time.changes

    def limit(self, level: int, value: float) -> float:  # noqa: ARG002 - as the others
        """The number of a level."""
        return self.lines[max(level - 1, 0)]

    def take(self, scene: Scene) -> None:
        """A look."""
        self.time.take(scene.at_ns, self._number(scene), suppressed=self.suppressed(scene.at_ns))

    def _crossed(self, number: float) -> list[bool]:
        return [number <= line if self.falling else number >= line for line in self.lines]

    def _number(self, scene: Scene) -> float:
        there = [
            one for one in scene.movers if one.here[self.where] and one.label in _wanted(getattr(self.kind, self.key))
        ]
        if self.key == "wrong_way":
            return len([one for one in there if one.known and self._against(one, scene)])
        sure = [one.speed for one in there if one.known and (self.falling or one.off <= max(0.2 * one.speed, 0.5))]
        if sure:
            return max(sure) * 3.6
        return 0.0 if not self.falling else NAN if there else math.inf

    def _against(self, one: Mover, scene: Scene) -> bool:
        way = self._way(one, scene)
        along = way[0] * one.velocity[0] + way[1] * one.velocity[1]
        least = 1.0 if scene.metres else 0.5 * one.height
        return one.speed >= max(3 * one.off, least) and along < -0.5 * one.speed

    def _way(self, one: Mover, scene: Scene) -> Point:
        towards = str(self.kind.towards)  # type: ignore[attr-defined]  a WrongWay
        if towards.endswith(" deg"):
            turned = complex(0, 1) * cmath.exp(complex(0, -math.radians(float(towards[:-4]))))  # clockwise from north
            return turned.real, turned.imag
        name, camera = towards.rpartition(".")[2], self.moves.camera

        def spot(point: Point) -> Point:
            if self.moves.h is None:
                return point[0] * scene.size[0], point[1] * scene.size[1]
            return mapped(self.moves.h, point)[:2]

        if name not in camera.lines:
            corners = camera.outlines()[name]
            x, y = spot(
                (_added([c[0] / len(corners) for c in corners]), _added([c[1] / len(corners) for c in corners]))
            )
            return _unit((x - one.now[0], y - one.now[1]))
        best, nearest = (0.0, 0.0), math.inf
        for a, b in pairwise([spot(point) for point in camera.lines[name]]):
            dx, dy = b[0] - a[0], b[1] - a[1]
            share = min(max(((one.now[0] - a[0]) * dx + (one.now[1] - a[1]) * dy) / (dx * dx + dy * dy), 0.0), 1.0)
            off = one.now[0] - a[0] - share * dx, one.now[1] - a[1] - share * dy
            if off[0] * off[0] + off[1] * off[1] < nearest:
                best, nearest = (dx, dy), off[0] * off[0] + off[1] * off[1]
        return _unit(best)

    def looked(self, looked: Looked) -> None:
        """Covered time."""
        self.time.looked(looked)


def _unit(way: Point) -> Point:
    length = math.sqrt(way[0] * way[0] + way[1] * way[1]) or 1.0
    return way[0] / length, way[1] / length


class Case:
    """A place where something stands, or an encounter."""

    def __init__(self, number: int, began_ns: int, since: int) -> None:
        self.number, self.began_ns, self.since = number, began_ns, since
        self.level, self.off = 0, 0.0
        self.things: tuple[int, ...] = ()
        self.anchor: Point = (NAN, NAN)
        self.box: list[float] = []
        self.height, self.empty, self.clock, self.least = 0.0, 0, 0, math.inf


class CasesReference:
    """stopped, abandoned and near_miss."""

    def __init__(self, rule: Rule, where: str, moves: MovesReference, suppressed: Callable[[int], bool]) -> None:
        self.kind, self.key, self.where, self.moves, self.suppressed = rule.kind, rule.key, where, moves, suppressed
        levels = self.kind.levels  # type: ignore[attr-defined]  each has
        self.colours = colours_of(levels or {"yellow": 0})
        more = 0 if self.key == "near_miss" else int(rule.common.for_)
        self.lines = [int(levels[c]) / 1e9 + more / 1e9 if levels else more / 1e9 for c in self.colours]
        self.cases: list[Case] = []
        self.last = 0
        self.changes: list[tuple[str, Change]] = []

    @property
    def condition(self) -> CasesReference:
        """What gates ask for the level."""
        return self

    @property
    def level(self) -> int:
        """The highest of any case."""
        return max((case.level for case in self.cases), default=0)

    def limit(self, level: int, value: float) -> float:  # noqa: ARG002 - as the others
        """The number of a level."""
        return self.lines[max(level - 1, 0)]

    def looked(self, looked: Looked) -> None:
        """Cases change with looks."""

    def take(self, scene: Scene) -> None:
        """A look."""
        if self.key == "near_miss":
            self._encounters(scene)
        else:
            self._standing(scene)

    def _begun(self, scene: Scene) -> Case:
        self.last += 1
        case = Case(self.last, scene.at_ns, scene.clock)
        self.cases.append(case)
        return case

    def _tell(self, case: Case, scene: Scene, value: float, level: int) -> None:
        wanted = 0 if self.suppressed(scene.at_ns) else level
        if wanted != case.level:
            case.level = wanted
            detail = f"± {case.off:.2g} s" if case.off > 0 else ""
            change = Change("level", wanted, scene.at_ns, case.began_ns, value, detail)
            self.changes.append((f"{{case={case.number}}}", change))

    # ── what stands ──

    def _standing(self, scene: Scene) -> None:
        wanted = _wanted(getattr(self.kind, self.key))
        mine = [one for one in scene.movers if one.label in wanted and one.box and not math.isnan(one.place[0])]
        lost = [case for case in self.cases if not any(one.thing in case.things for one in scene.movers)]
        owned = {case.things[0]: case for case in self.cases}
        seen: list[Case] = []
        for one in mine:
            inside, case = one.here[self.where], owned.get(one.thing)
            if case is None and inside:
                near = [(_square(old.anchor, one.place), old) for old in lost]
                reach = [(square, old) for square, old in near if square <= self._reach(old, one, scene) ** 2]
                case = min(reach, key=lambda both: both[0], default=(0, None))[1]
                lost = [old for old in lost if old is not case]
            if case is not None:
                seen.append(case)
            self._one(case, one, scene, seen, inside=inside)
        for case in [case for case in self.cases if case not in seen]:
            if not any(_share(box, case.box) >= 0.3 for box in scene.boxes):
                case.empty += scene.clock - case.clock
            case.clock = scene.clock
            gone = case.empty >= int(self.kind.hold)  # type: ignore[attr-defined]  both have
            if gone:
                self._over(case, scene)
            elif case.level:
                self._judge(case, scene)

    def _reach(self, case: Case, one: Mover, scene: Scene) -> float:
        return max(0.5 * min(case.height, one.height), self._far(one, scene))

    def _far(self, one: Mover, scene: Scene) -> float:
        return max(0.1 * one.height, 2 * one.place_off, 1.0 if scene.metres else 0.0)

    def _one(self, case: Case | None, one: Mover, scene: Scene, seen: list[Case], *, inside: bool) -> None:
        if case is not None:
            moved = _square(case.anchor, one.place) > self._far(one, scene) ** 2
            if (moved and case.level) or not inside:
                self._over(case, scene)
                case = None
            elif moved:
                case.anchor, case.since, case.began_ns = one.place, scene.clock, scene.at_ns
        if case is None:
            if not inside:
                return
            case = self._begun(scene)
            case.anchor = one.place
            seen.append(case)
        if case.level == 0 and self._accompanied(one, scene):
            case.since, case.began_ns = scene.clock, scene.at_ns
        assert one.box
        case.things, case.height, case.box, case.empty, case.clock = (one.thing,), one.height, one.box, 0, scene.clock
        self._judge(case, scene)

    def _judge(self, case: Case, scene: Scene) -> None:
        stay = (scene.clock - case.since) / 1e9
        self._tell(case, scene, stay, max(case.level, len([line for line in self.lines if stay >= line])))

    def _over(self, case: Case, scene: Scene) -> None:
        self._tell(case, scene, (scene.clock - case.since) / 1e9, 0)
        self.cases.remove(case)

    def _accompanied(self, one: Mover, scene: Scene) -> bool:
        if self.key != "abandoned":
            return False
        away = self.kind.away  # type: ignore[attr-defined]  an Abandoned
        return any(
            _square(other.now, one.place) <= (away.number * (1.0 if away.metres else other.height)) ** 2
            for other in scene.movers
            if other.believed and other.label in _wanted(self.kind.person)  # type: ignore[attr-defined]  as above
        )

    # ── encounters ──

    def _encounters(self, scene: Scene) -> None:
        first, second = self.kind.near_miss  # type: ignore[attr-defined]  a NearMiss
        pairs = [
            (one, other)
            for one in scene.movers
            for other in scene.movers
            if one.label == first and other.label == second and one.here[self.where] and other.here[self.where]
            if first != second or scene.movers.index(one) < scene.movers.index(other)
        ]
        for one, other in pairs:
            left = _collision(one, other)
            if left is None or left[0] > self.lines[0]:
                continue
            case = next((case for case in self.cases if case.things == (one.thing, other.thing)), None)
            if case is None:
                case = self._begun(scene)
                case.things = (one.thing, other.thing)
            if left[0] < case.least:
                case.least, case.off = left
            case.clock = scene.clock
        for case in list(self.cases):
            if scene.clock - case.clock >= int(self.kind.hold):  # type: ignore[attr-defined]  as above
                self._tell(case, scene, case.least, 0)
                self.cases.remove(case)
            else:
                self._tell(case, scene, case.least, len([line for line in self.lines if case.least <= line]))


def _collision(one: Mover, other: Mover) -> tuple[float, float] | None:
    """(seconds until they collide, what that may be off by)."""
    px, py = other.now[0] - one.now[0], other.now[1] - one.now[1]
    vx, vy = other.velocity[0] - one.velocity[0], other.velocity[1] - one.velocity[1]
    radius = (one.width + other.width) * 0.5
    a, b = vx * vx + vy * vy, px * vx + py * vy
    distance = math.sqrt(px * px + py * py)
    off = math.sqrt(one.off * one.off + other.off * other.off)
    closing = -b / max(distance, 1e-6)
    root = b * b - a * (distance * distance - radius * radius)
    if not (one.known and other.known and closing >= max(1.0, 2 * off) and root >= 0):
        return None
    at = max((-b - math.sqrt(root)) / a, 0.0)
    return at, at * off / max(closing, 1e-6)


def _square(p: Point, q: Point) -> float:
    return (p[0] - q[0]) * (p[0] - q[0]) + (p[1] - q[1]) * (p[1] - q[1])


def _share(box: list[float], place: list[float]) -> float:
    """How much of a place a box covers."""
    wide = max(min(box[2], place[2]) - max(box[0], place[0]), 0.0)
    high = max(min(box[3], place[3]) - max(box[1], place[1]), 0.0)
    area = (place[2] - place[0]) * (place[3] - place[1])
    return wide * high / area if area else 0.0
