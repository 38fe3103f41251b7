"""What threshold, rate and stuck have in common: they watch series, give each reading a code, and step the machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from gateway.core.machine import CODE, UNKNOWN, Machine, Timing, Transition, declare
from gateway.core.rule import Moment, Subject

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from gateway.config.model import RuleCommon
    from gateway.core.ingest import Thing
    from gateway.core.readings import Readings
    from gateway.core.state import State, Table
    from gateway.core.watch import Gates, Run, Watch
    from gateway.events import Detections, Looked


class Judged(NamedTuple):
    """Readings as a rule sees them: `readings.value` is what it judges, slot intp[g], code int16[r]."""

    readings: Readings
    slot: NDArray[np.intp]
    code: NDArray[np.int16]


class Judge(Protocol):
    """What is special to a kind of rule."""

    def meet(self, slot: int) -> None: ...
    def judge(self, readings: Readings, slot: NDArray[np.intp]) -> Judged: ...
    def settle(self, transitions: list[Transition]) -> list[Transition]: ...


class Bands:
    """Levels as bands. `crossed` counts limits below a value, `kept` those whose clear level is below it."""

    def __init__(self, limits: Sequence[float], clear_by: float, *, falling: bool = False) -> None:
        """limits: mildest first, so rising, or falling for `below`."""
        self._sign = -1.0 if falling else 1.0
        self._limits = np.array(limits, np.float64) * self._sign
        self._clear = self._limits - clear_by

    def code(self, value: NDArray[np.float64]) -> NDArray[np.int16]:
        """int16[r]: crossed × CODE + kept; UNKNOWN for NaN."""
        signed = value * self._sign
        crossed = np.searchsorted(self._limits, signed, side="left")
        kept = np.searchsorted(self._clear, signed, side="left")
        return np.where(np.isnan(value), UNKNOWN, crossed * CODE + kept).astype(np.int16)


class SeriesRule:
    """A rule over the series of one value."""

    def __init__(
        self,
        name: str,
        place: int,
        kind: str,
        common: RuleCommon,
        owner: str,
        levels: dict[str, float],
        judge: Judge,
        watch: Watch,
        gates: Gates,
        timing: Timing,
        unit: str,
        state: State,
        table: str = "",
        flaws: Callable[[], dict[str, str]] = dict,
        lows: tuple[float, ...] = (),
    ) -> None:
        """levels: colour → line, mildest first. `table`: the state's name, where it is not the rule's."""
        self.name, self.place, self.kind, self.common, self.owner = name, place, kind, common, owner
        self.colours, self.limits, self.lows = tuple(levels), tuple(levels.values()), lows
        self._judge, self._watch, self._gates, self._unit, self._flaws = judge, watch, gates, unit, flaws
        self._lateness_ns = int(watch.route.sensor.allowed_lateness)
        self._machine = Machine(declare(state, table or f"rule/{name}", owner), timing)

    @property
    def things(self) -> Sequence[Thing | None]:
        """The thing of each slot."""
        return self._watch.things

    @property
    def table(self) -> Table:
        """The machine's rows."""
        return self._machine.table

    def flaws(self) -> dict[str, str]:
        """What its kind says."""
        return self._flaws()

    def meet(self, thing: Thing) -> None:
        """Watch a new thing's series, where it is one of the rule's."""
        slot = self._watch.meet(thing)
        if slot is not None:
            self.table.grow(slot + 1)
            self._judge.meet(slot)

    def subject(self, slot: int) -> Subject:
        """The series of a slot."""
        thing = self._watch.things[slot]
        return Subject(thing.subject(self._watch.value), self._unit, self._watch.series[slot], thing)

    def readings(self, run: Run, tick: int) -> list[Transition]:
        """Judge the run's readings and step the machine."""
        picked, slot = self._watch.pick(run.readings)
        if not len(slot):
            return []
        judged = self._judge.judge(picked, slot)
        if not len(judged.slot):
            return []
        code = judged.code
        if self._gates:
            owners = [self._watch.things[s] for s in judged.slot.tolist()]
            held_back = self._gates.suppressed(judged.readings, owners, run)
            code = np.where(held_back, np.int16(0), code)
        return self._judge.settle(self._machine.step(judged.slot, judged.readings, code, tick))

    def tick(self, moment: Moment) -> list[Transition]:
        """Move rule time where nothing came since the tick before."""
        now = moment.admitted_ns - self._lateness_ns
        return self._judge.settle(self._machine.tick(moment.n, now, moment.admitted_ns, moment.tick))

    def detections(self, seen: Detections, moment: Moment, run: Run) -> list[Transition]:
        """Cameras are not its business."""
        del seen, moment, run
        return []

    def looked(self, looked: Looked, moment: Moment) -> list[Transition]:
        """Cameras are not its business."""
        del looked, moment
        return []
