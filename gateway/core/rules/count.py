"""`count`: how many of some labels are in a zone, by looks (SEMANTICS.md §4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gateway.config.common import Struct
from gateway.config.kinds import Kind
from gateway.config.scalars import NS
from gateway.core.machine import Timing, Transition
from gateway.core.outline import inside
from gateway.core.rule import Moment, Subject
from gateway.core.rules.looked import LookedCondition
from gateway.core.rules.making import Making, by_severity
from gateway.core.rules.places import check_labels, check_place, indices, labels_of, unknown
from gateway.core.rules.series import Bands
from gateway.core.rules.threshold import ordered
from gateway.events import Colour, Looked
from gateway.ports import NO_TIME

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gateway.config.model import RuleCommon
    from gateway.config.names import Names, Problems
    from gateway.core.looks import Look
    from gateway.core.plan import CameraPlan
    from gateway.core.sparse import Sparse
    from gateway.core.state import State
    from gateway.core.things import Thing
    from gateway.core.watch import Gates, Run
    from gateway.events import Detections

OVERLAP = 0.5  # intersection over union above which two boxes of a label are one thing
STEADY_NS = 2 * NS  # the number is the largest reached in at least half the looks of this time
LOOKS = 128  # looks kept for that: 2 s at 60 a second


class Count(Struct, frozen=True):
    """At least so many of these labels in a zone, for a while. `in`: `camera.zone`, or a camera for all its picture."""

    count: str | tuple[str, ...]
    in_: str
    levels: dict[Colour, int]
    score: float | None = None

    def labels(self) -> tuple[str, ...]:
        """The labels counted."""
        return labels_of(self.count)

    def check(self, names: Names) -> Problems:
        """A camera or zone that exists, and levels in order."""
        problems = check_place(names, self.in_) + check_labels(names, "count", self.in_, self.count)
        if not self.levels:
            problems.append(("levels", "give at least one, such as levels: {yellow: 1}"))
        for colour, number in self.levels.items():
            if number < 1:
                problems.append((f"levels.{colour}", f"found {number}; at least 1 is counted"))
        if self.score is not None and not 0.1 <= self.score <= 1:
            problems.append(
                ("score", f"found {self.score:g}; detections are kept from 0.1 on, so 0.1 to 1 is expected")
            )
        return problems + ordered("levels", {c: float(n) for c, n in self.levels.items()}, 1)


def distinct(boxes: NDArray[np.float32], score: NDArray[np.float32], label: NDArray[np.int16]) -> NDArray[np.intp]:
    """The boxes left when of those of a label that overlap only the surest counts: indices, surest first."""
    order = np.argsort(-score, kind="stable")
    box, kind = boxes[order].astype(np.float64), label[order]
    low = np.maximum(box[:, None, :2], box[None, :, :2])
    high = np.minimum(box[:, None, 2:], box[None, :, 2:])
    size = np.maximum(high - low, 0.0)
    common = size[..., 0] * size[..., 1]
    area = (box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1])
    same = (common > OVERLAP * (area[:, None] + area[None, :] - common)) & (kind[:, None] == kind[None, :])
    keep = np.ones(len(order), bool)
    for i in range(len(order)):
        if keep[i]:
            keep[i + 1 :] &= ~same[i, i + 1 :]
    return order[keep]


class CountRule:
    """One subject: the zone."""

    kind = "count"

    def __init__(self, making: Making, kind: Count, camera: CameraPlan, zone: str, owner: str, state: State) -> None:
        config = making.config
        self.name, self.place, self.owner = config.name, making.place, owner
        self.common: RuleCommon = config.common
        levels = by_severity(kind.levels)
        self.colours, self.limits = tuple(levels), tuple(float(n) for n in levels.values())
        self.lows: tuple[float, ...] = ()
        self.things: list[Thing | None] = [None]
        self._gates: Gates = making.gates()
        self._camera, self._zone = camera.name, zone
        place = camera.camera.zone(zone)
        self._polygon = place and place.outline
        self._least_px = float(place.least) if place else 0.0
        score = kind.score if kind.score is not None else place and place.score
        self._score = np.float32(camera.score if score is None else score)
        self._wanted, self._known = kind.labels(), camera.labels
        self._labels = indices(kind.labels(), camera.labels)
        timing = Timing(len(levels), int(config.common.for_), 0, None, 1.0)
        bands = Bands([n - 0.5 for n in levels.values()], 0.0)
        self._condition = LookedCondition(state, f"rule/{self.name}", owner, timing, bands, np.int32)
        self._looks = state.table(f"rule/{self.name}/looks", {"t": (np.int64, NO_TIME), "k": (np.int32, 0)}, owner)
        self._looks.grow(LOOKS)

    @property
    def table(self) -> Sparse:
        """The machine's one row."""
        return self._condition.table

    def on(self) -> dict[int, int]:
        """The level of the zone, where it has one."""
        return self._condition.on()

    def flaws(self) -> dict[str, str]:
        """What its camera's model does not tell apart can never be counted."""
        return unknown(self._wanted, self._known)

    def meet(self, things: Sequence[Thing]) -> Sequence[int]:
        """Sensors are not its business."""
        del things
        return ()

    def subject(self, slot: int) -> Subject:
        """The zone, or the whole picture."""
        del slot
        return Subject(f"{self._camera}.{self._zone}" if self._zone else self._camera, camera=self._camera)

    def readings(self, run: Run, tick: int) -> list[Transition]:
        """Sensors are not its business."""
        del run, tick
        return []

    def tick(self, moment: Moment) -> list[Transition]:
        """Its time is looked time: a tick moves nothing."""
        del moment
        return []

    def looked(self, looked: Looked, moment: Moment) -> list[Transition]:
        """The camera covered some time."""
        return self._condition.looked(looked, moment) if looked.camera == self._camera else []

    def detections(self, look: Look, moment: Moment, run: Run) -> list[Transition]:
        """Count what is in the zone, steady the number, and judge it once the covered time up to it is told."""
        seen = look.seen
        if seen.camera != self._camera or self._condition.late(seen.event_ns):
            return []  # the same look twice, or one that comes too late
        out = self._condition.settle(moment)
        number = self._steady(seen.event_ns, self._number(seen))
        shut = not self._gates.open_at(seen.event_ns, None, moment.n, run)
        return out + self._condition.take(seen.event_ns, number, moment, shut=shut)

    def _number(self, seen: Detections) -> int:
        wanted = (seen.score >= self._score) & np.isin(seen.label, self._labels)
        boxes, score, label = seen.xyxy[wanted], seen.score[wanted], seen.label[wanted]
        kept = boxes[distinct(boxes, score, label)].astype(np.float64)
        kept = kept[kept[:, 3] - kept[:, 1] >= self._least_px]
        if self._polygon is None:
            return len(kept)
        ground_x = (kept[:, 0] + kept[:, 2]) / 2 / seen.width_px
        return int(np.count_nonzero(inside(self._polygon, ground_x, kept[:, 3] / seen.height_px)))

    def _steady(self, at_ns: int, number: int) -> int:
        """The largest number reached in at least half of the looks of the last 2 s."""
        looks, row = self._looks, self._condition.looks % LOOKS
        looks["t"][row], looks["k"][row] = at_ns, number
        looks.touch_one(row)
        recent = np.sort(looks["k"][looks["t"] > at_ns - STEADY_NS], kind="stable")[::-1]
        return int(recent[(len(recent) + 1) // 2 - 1])


def build(making: Making) -> CountRule:
    """The rule of a count's configuration."""
    kind = making.config.kind
    assert isinstance(kind, Count)  # noqa: S101 - the registry pairs this function with that struct
    whole = any(camera.name == kind.in_ for camera in making.plan.cameras)
    name, zone = (kind.in_, "") if whole else kind.in_.rsplit(".", 1)
    camera = making.camera(name)
    owner = making.owner(camera.labels, camera.score, camera.camera.zones.get(zone))
    return CountRule(making, kind, camera, zone, owner, making.state)


COUNT = Kind("count", Count, build)
