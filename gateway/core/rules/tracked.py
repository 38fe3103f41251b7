"""What the rules that judge tracks have in common: one subject, a zone or a line, and a number that a look comes to."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from gateway.core.looks import WantsMoves, place_of
from gateway.core.machine import Timing
from gateway.core.rule import Moment, Subject
from gateway.core.rules.looked import LookedCondition
from gateway.core.rules.making import Making, by_severity
from gateway.core.rules.places import unknown
from gateway.core.rules.series import Bands

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.core.looks import Look
    from gateway.core.machine import Transition
    from gateway.core.sparse import Sparse
    from gateway.core.things import Thing
    from gateway.core.watch import Run
    from gateway.events import Colour, Looked


class Meter(Protocol):
    """What a rule reads off a look of its camera. Its state, if any, is in tables below the rule's."""

    def read(self, look: Look) -> float:
        """The number that is held against the levels."""
        ...


class Scale(NamedTuple):
    """How numbers are judged. hold_ns: how long a level is kept after the number fell below it; unit: of the number.

    step: how far the number must move to be told again; `below`: so little below a level's number is not below it.
    falling: small numbers are the bad ones. area_m2: of the zone, where numbers are those of a square metre; else 0.
    """

    hold_ns: int
    unit: str = ""
    step: float = 1.0
    below: float = 0.5
    falling: bool = False
    area_m2: float = 0.0


class TrackRule:
    """One subject: a zone, a line, or the whole picture."""

    def __init__(
        self, making: Making, where: str, labels: tuple[str, ...], levels: Mapping[Colour, float], scale: Scale
    ) -> None:
        config = making.config
        camera, self._where = place_of(where, [one.name for one in making.plan.cameras])
        plan = making.camera(camera)
        settings = plan.camera.zone(self._where), plan.camera.lines.get(self._where)
        self.name, self.place, self.kind = config.name, making.place, config.key
        moving = (plan.camera.ground, plan.camera.lines) if isinstance(config.kind, WantsMoves) else ()
        area = (scale.area_m2,) if scale.area_m2 else ()
        self.owner = making.owner(plan.labels, plan.score, *settings, *moving, *area)
        self.common = config.common
        ordered = by_severity(levels)
        self.colours, self.limits = tuple(ordered), tuple(float(limit) for limit in ordered.values())
        self.lows: tuple[float, ...] = ()
        self.things: list[Thing | None] = [None]
        detail = f"{scale.area_m2:.3g} m2" if scale.area_m2 else ""
        self._subject = Subject(where, unit=scale.unit, camera=camera, detail=detail)
        self._wanted, self._known = labels, plan.labels
        timing = Timing(len(levels), int(config.common.for_), scale.hold_ns, None, scale.step)
        below = -scale.below if scale.falling else scale.below
        bands = Bands([limit - below for limit in self.limits], 0.0, falling=scale.falling)
        self._condition = LookedCondition(making.state, f"rule/{self.name}", self.owner, timing, bands)
        self._gates = making.gates()
        self.meter: Meter | None = None

    @property
    def known(self) -> tuple[str, ...]:
        """What the camera's model tells apart."""
        return self._known

    @property
    def where(self) -> str:
        """The zone's or line's name, empty for the whole picture."""
        return self._where

    @property
    def table(self) -> Sparse:
        """The machine's one row."""
        return self._condition.table

    def on(self) -> dict[int, int]:
        """The level of the subject, where it has one."""
        return self._condition.on()

    def flaws(self) -> dict[str, str]:
        """What its camera's model does not tell apart can never be followed."""
        return unknown(self._wanted, self._known)

    def meet(self, things: Sequence[Thing]) -> Sequence[int]:
        """Sensors are not its business."""
        del things
        return ()

    def subject(self, slot: int) -> Subject:
        """The zone, the line, or the whole picture."""
        del slot
        return self._subject

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
        return self._condition.looked(looked, moment) if looked.camera == self._subject.camera else []

    def detections(self, look: Look, moment: Moment, run: Run) -> list[Transition]:
        """Read the number off a look, and judge it once the covered time up to it is told."""
        at_ns = look.seen.event_ns
        if look.seen.camera != self._subject.camera or look.tracks is None or self._condition.late(at_ns):
            return []
        assert self.meter is not None  # noqa: S101 - every build gives one
        out = self._condition.settle(moment)
        shut = not self._gates.open_at(at_ns, None, moment.n, run)
        return out + self._condition.take(at_ns, self.meter.read(look), moment, shut=shut)
