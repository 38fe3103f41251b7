"""Every rule kind, one reading at a time (SEMANTICS.md §4)."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from tests.core.reference.condition import Change, ConditionReference
from tests.core.reference.looked import LookedReference

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.config.model import Rule, SensorCommon
    from gateway.config.scalars import Over
    from gateway.core.rules.count import Count
    from gateway.core.rules.rate import Rate
    from gateway.core.rules.threshold import Threshold
    from gateway.events import Detections, Looked
    from tests.core.reference.ingest import Seen

COLOURS = ("blue", "yellow", "orange", "red")
S = 10**9


def gap_of(sensor: SensorCommon) -> int | None:
    """`max_gap`, default 3 × `every`; none without `every`."""
    if sensor.max_gap is not None:
        return int(sensor.max_gap)
    return 3 * int(sensor.every) if sensor.every else None


def colours_of(levels: object) -> list[str]:
    """The colours of a rule, mildest first."""
    return [colour for colour in COLOURS if colour in levels]  # type: ignore[operator]  a mapping


class ThresholdReference:
    """One series against its lines, itself or its window."""

    def __init__(self, rule: Rule, sensor: SensorCommon) -> None:
        kind: Threshold = rule.kind  # type: ignore[assignment]  by the rule's key
        self.colours = colours_of(kind.levels or kind.below or kind.outside)
        self.kind = kind
        self.window = Window(kind.over, sensor, kind.coverage) if kind.over else None
        step = kind.step or 2 * kind.clear_by or abs(self.limit(1, math.inf)) / 10 or math.inf
        self.condition = ConditionReference(
            len(self.colours), int(rule.common.for_), int(kind.clear_for), gap_of(sensor), step
        )

    def limit(self, level: int, value: float) -> float:
        """The line of a level, as an alert gives it: of two, the nearer."""
        colour = self.colours[max(level - 1, 0)]
        if self.kind.outside:
            low, high = self.kind.outside[colour]  # type: ignore[index]  a colour
            return low if value < (low + high) / 2 else high
        return (self.kind.levels or self.kind.below)[colour]  # type: ignore[index]  a colour

    def reading(self, seen: Seen, *, suppressed: bool) -> None:
        """Judge a reading."""
        value = self.window.add(seen) if self.window else seen.value
        if suppressed:
            none, all_ = [False] * len(self.colours), [True] * len(self.colours)
            self.condition.reading(seen.event_ns, value, none, all_)
        elif math.isnan(value):
            self.condition.reading(seen.event_ns, value, None, [])
        else:
            lines = [self._line(colour, value) for colour in self.colours]
            self.condition.reading(
                seen.event_ns, value, [crosses for crosses, _ in lines], [clears for _, clears in lines]
            )

    def _line(self, colour: str, value: float) -> tuple[bool, bool]:
        by, kind = self.kind.clear_by, self.kind
        if kind.outside:
            low, high = kind.outside[colour]  # type: ignore[index]  a colour
            return value < low or value > high, low + by <= value <= high - by
        if kind.below:
            return value < kind.below[colour], value >= kind.below[colour] + by  # type: ignore[index]  a colour
        return value > kind.levels[colour], value <= kind.levels[colour] - by  # type: ignore[index]  a colour


class Window:
    """(t − length, t]: its contents, recomputed each time; unknown where there are more than there is room for.

    There is room for eight times what is promised, but for 256 at least and for not much more than 2,048.
    """

    def __init__(self, over: Over, sensor: SensorCommon, coverage: float) -> None:
        self.over = over
        promised = over.window_ns / int(sensor.every) if sensor.every else 0.0
        self.least = promised * coverage
        wanted = math.ceil(promised)
        self.room = max(256, min(8 * wanted, 2048), 2 * wanted + 8) if sensor.every else 2048
        self.held: list[tuple[int, float]] = []

    def add(self, seen: Seen) -> float:
        """The figure with this reading; NaN while it is unknown."""
        self.held.append((seen.event_ns, seen.value))
        values = [value for when, value in self.held if when > seen.event_ns - self.over.window_ns]
        if not self.least <= len(values) <= self.room:
            return float("nan")
        return {"mean": _mean, "max": max, "p95": _p95}[self.over.how](values)


def _mean(values: list[float]) -> float:
    """Exact: whole parts and fractions (in units of 2⁻⁴²) are added as integers."""
    clipped = [min(max(value, -(2.0**42)), 2.0**42) for value in values]
    whole = sum(math.floor(value) for value in clipped)
    part = sum(round((value - math.floor(value)) * 2**42) for value in clipped)
    return (float(whole) + float(part) / 2.0**42) / len(values)


def _p95(values: list[float]) -> float:
    """By nearest rank."""
    return sorted(values)[math.ceil(len(values) * 95 / 100) - 1]


class RateReference:
    """The change between consecutive readings that are at least `min_dt` apart; between them it stays what it was."""

    def __init__(self, rule: Rule, sensor: SensorCommon) -> None:
        kind: Rate = rule.kind  # type: ignore[assignment]  by the rule's key
        self.falling, self.lines = bool(kind.below), kind.levels or kind.below
        self.colours = colours_of(self.lines)
        self.clear_by = kind.clear_by.per_second if kind.clear_by else 0.0
        self.min_dt = max(1, int(kind.min_dt))
        self.anchor: tuple[int, float] | None = None
        self.slope = float("nan")
        self.condition = ConditionReference(
            len(self.colours), int(rule.common.for_), int(kind.clear_for), gap_of(sensor)
        )

    def limit(self, level: int, value: float) -> float:  # noqa: ARG002 - as the others
        """The line of a level, a second."""
        return self.lines[self.colours[max(level - 1, 0)]].per_second  # type: ignore[index]  a colour

    def reading(self, seen: Seen, *, suppressed: bool) -> None:
        """Judge a reading."""
        if self.anchor is None:
            self.anchor = (seen.event_ns, seen.value)
        elif seen.event_ns - self.anchor[0] >= self.min_dt:
            self.slope = (seen.value - self.anchor[1]) / ((seen.event_ns - self.anchor[0]) / S)
            self.anchor = (seen.event_ns, seen.value)
        size, slope = len(self.colours), self.slope
        if suppressed:
            self.condition.reading(seen.event_ns, slope, [False] * size, [True] * size)
        elif math.isnan(slope):
            self.condition.reading(seen.event_ns, slope, None, [])
        else:
            way = -1 if self.falling else 1
            lines = [way * self.lines[colour].per_second for colour in self.colours]  # type: ignore[index]  a colour
            crossed = [way * slope > line for line in lines]
            cleared = [way * slope <= line - self.clear_by for line in lines]
            self.condition.reading(seen.event_ns, slope, crossed, cleared)


class StuckReference:
    """The same value for `stuck:`, and in at least ten readings."""

    def __init__(self, sensor: SensorCommon) -> None:
        assert sensor.stuck is not None
        self.span = int(sensor.stuck)
        self.same: list[Seen] = []
        self.on = False
        self.changes: list[Change] = []

    def reading(self, seen: Seen) -> None:
        """Judge a reading."""
        if self.same and self.same[-1].value != seen.value:
            self.same = []
        self.same.append(seen)
        stuck = len(self.same) >= 10 and seen.event_ns - self.same[0].event_ns >= self.span
        if stuck != self.on:
            self.on = stuck
            self.changes.append(Change("level", int(stuck), seen.event_ns, self.same[0].event_ns, seen.value))


class Box(NamedTuple):
    """One detection."""

    x1: float
    y1: float
    x2: float
    y2: float
    score: float
    label: str


class CountReference:
    """Boxes of some labels in a zone, over time that the camera really looked."""

    def __init__(
        self,
        rule: Rule,
        zone: tuple[tuple[float, float], ...] | None,
        labels: tuple[str, ...],
        least_score: float,
        suppressed: Callable[[int], bool],
    ) -> None:
        kind: Count = rule.kind  # type: ignore[assignment]  by the rule's key
        self.kind, self.zone, self.labels, self.suppressed = kind, zone, labels, suppressed
        self.colours = colours_of(kind.levels)
        self.least = kind.score if kind.score is not None else least_score
        self.condition = ConditionReference(len(self.colours), int(rule.common.for_), 0, None, 1.0)
        self.looks: deque[tuple[int, int]] = deque(maxlen=128)
        counts = [kind.levels[colour] for colour in self.colours]  # type: ignore[index]  a colour
        self.time = LookedReference(self.condition, lambda number: [number >= count for count in counts])
        self.changes = self.time.changes
        self.detail = ""

    def limit(self, level: int, value: float) -> float:  # noqa: ARG002 - as the others
        """How many."""
        return float(self.kind.levels[self.colours[max(level - 1, 0)]])  # type: ignore[index]  a colour

    def detections(self, seen: Detections) -> None:
        """A look: the number is the largest reached in at least half of the looks of the last 2 s."""
        if self.looks and seen.event_ns <= self.looks[-1][0]:
            return  # the same look twice, or one that comes too late
        self.looks.append((seen.event_ns, self._number(seen)))
        recent = sorted((k for t, k in self.looks if t > seen.event_ns - 2 * S), reverse=True)
        number = max(k for k in recent if 2 * sum(other >= k for other in recent) >= len(recent))
        self.time.take(seen.event_ns, number, suppressed=self.suppressed(seen.event_ns))

    def looked(self, looked: Looked) -> None:
        """Covered time."""
        self.time.looked(looked)

    def _number(self, seen: Detections) -> int:
        boxes = [
            Box(*(float(c) for c in xyxy), float(score), self.labels[int(label)])
            for xyxy, score, label in zip(seen.xyxy, seen.score, seen.label, strict=True)
        ]
        wanted = [box for box in boxes if box.label in self.kind.labels() and box.score >= self.least]
        kept: list[Box] = []
        for box in sorted(wanted, key=lambda box: -box.score):
            if all(box.label != other.label or _overlap(box, other) <= 0.5 for other in kept):
                kept.append(box)
        feet = [((box.x1 + box.x2) / 2 / seen.width_px, box.y2 / seen.height_px) for box in kept]
        return sum(self.zone is None or _inside(self.zone, *foot) for foot in feet)


def _overlap(a: Box, b: Box) -> float:
    """Intersection over union."""
    width, height = min(a.x2, b.x2) - max(a.x1, b.x1), min(a.y2, b.y2) - max(a.y1, b.y1)
    common = max(0.0, width) * max(0.0, height)
    union = (a.x2 - a.x1) * (a.y2 - a.y1) + (b.x2 - b.x1) * (b.y2 - b.y1) - common
    return common / union if union > 0 else 0.0


def _inside(polygon: tuple[tuple[float, float], ...], x: float, y: float) -> bool:
    """Winding number: independent of the crossing number that the rule uses (equal inside a simple polygon)."""
    winding = 0
    for (x1, y1), (x2, y2) in zip(polygon, (*polygon[1:], polygon[0]), strict=True):
        side = (x2 - x1) * (y - y1) - (x - x1) * (y2 - y1)
        if y1 <= y < y2 and side > 0:
            winding += 1
        elif y2 <= y < y1 and side < 0:
            winding -= 1
    return winding != 0
