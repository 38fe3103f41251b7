"""What threshold, rate and stuck have in common: a lens shows them series, its figures have codes for the machine."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from gateway.core.flaws import Flaw
from gateway.core.machine import CODE, NEVER, UNKNOWN, Machine, Timing, Transition, declare
from gateway.core.rule import Moment, Subject

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from gateway.config.model import RuleCommon
    from gateway.core.lens import Lens, Seen
    from gateway.core.looks import Look
    from gateway.core.sparse import Sparse
    from gateway.core.state import State
    from gateway.core.things import Thing
    from gateway.core.watch import Gates, Run, Watch
    from gateway.core.windows import Windows
    from gateway.events import Looked


class Lines(Protocol):
    """Lines that figures are held against. low and high: those of the mildest level."""

    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...
    def code(self, value: NDArray[np.float64]) -> NDArray[np.int16]: ...


class Bands:
    """Levels as bands. `crossed` counts limits below a value, `kept` those whose clear level is below it."""

    def __init__(self, limits: Sequence[float], clear_by: float, *, falling: bool = False) -> None:
        """limits: mildest first, so rising, or falling for `below`."""
        self._sign = -1.0 if falling else 1.0
        self.low, self.high = (limits[0], math.inf) if falling else (-math.inf, limits[0])
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
        lens: Lens,
        lines: Lines,
        watch: Watch,
        gates: Gates,
        timing: Timing,
        unit: str,
        state: State,
        table: str = "",
        crowd: Crowd | None = None,
        lows: tuple[float, ...] = (),
    ) -> None:
        """levels: colour → line, mildest first. `table`: the state's name, where it is not the rule's."""
        self.name, self.place, self.kind, self.common, self.owner = name, place, kind, common, owner
        self.colours, self.limits, self.lows = tuple(levels), tuple(levels.values()), lows
        self._lens, self._lines, self._watch, self._gates, self._unit = lens, lines, watch, gates, unit
        self._crowd = crowd
        self._number = lens.add(self)
        self._known = 0
        self._lateness_ns = int(watch.route.sensor.allowed_lateness)
        self._machine = Machine(declare(state, table or f"rule/{name}", owner), timing)

    @property
    def things(self) -> Sequence[Thing | None]:
        """The thing of each slot."""
        return self._watch.things

    @property
    def table(self) -> Sparse:
        """The machine's rows."""
        return self._machine.table

    @property
    def low(self) -> float:
        """Below it the rule may begin to hold."""
        return self._lines.low

    @property
    def high(self) -> float:
        """Above it the rule may begin to hold."""
        return self._lines.high

    def on(self) -> dict[int, int]:
        """The level of each slot that has one."""
        return self._machine.on()

    def holds(self, series: NDArray[np.int32]) -> NDArray[np.bool_] | None:
        """Of which of these series a condition holds, raised or not."""
        if not len(self.table):
            return None
        slot = self._watch.slots(series)
        return (slot >= 0) & self.table.has(np.maximum(slot, 0))

    def flaws(self) -> dict[str, str]:
        """A window that does not fit is unknown, and nothing is raised by it."""
        crowd = self._crowd
        if crowd is None or not crowd.windows.crowded(np.frombuffer(self._watch.series, np.int32)):
            return {}
        return {"crowded": crowd.why}

    def meet(self, things: Sequence[Thing]) -> Sequence[int]:
        """Watch the series of new things, where they are the rule's."""
        self._watch.meet(things)
        known, self._known = self._known, len(self._watch.series)
        new = self._watch.series[known:]
        if new:
            self.table.grow(self._known)
            self._lens.watch(self._number, np.frombuffer(new, np.int32))
        return new

    def subject(self, slot: int) -> Subject:
        """The series of a slot."""
        thing = self._watch.things[slot]
        return Subject(thing.subject(self._watch.value), self._unit, self._watch.series[slot], thing)

    def readings(self, run: Run, tick: int) -> list[Transition]:
        """Hold what the lens shows against the lines, and step the machine."""
        seen = self._lens.see(run.readings)
        if not len(seen.figure):
            return []
        slot = self._watch.slots(seen.readings.owners())
        mine = slot >= 0
        if not mine.any():
            return []
        seen, slot = seen.take(mine), slot[mine].astype(np.intp)
        if seen.carried is not None and seen.carried.any():
            seen = self._recalled(seen, seen.carried, slot)
        if self._crowd is not None and seen.crowded is not None and seen.crowded.any():
            self._crowd.tell(seen, self.subject, slot)
        code = self._lines.code(seen.figure)
        busy = self._machine.busy(slot, seen.readings, code)
        if not busy.any():
            return []
        if not busy.all():
            code = code[np.repeat(busy, seen.readings.length)]
            seen, slot = seen.take(busy), slot[busy]
        if self._gates:
            owners = [self._watch.things[s] for s in slot.tolist()]
            code = np.where(self._gates.suppressed(seen.readings, owners, run), np.int16(0), code)
        return self._settled(self._machine.step(slot, seen.readings, code, tick), seen.began)

    def _recalled(self, seen: Seen, carried: NDArray[np.bool_], slot: NDArray[np.intp]) -> Seen:
        """With what it saw last where the lens shows nothing new; where nothing holds, it need not know."""
        last = np.repeat(self.table.get(slot, "value"), seen.readings.length)
        figure = np.where(carried, last, seen.figure)
        return seen._replace(readings=seen.readings._replace(value=figure), figure=figure)

    def _settled(self, transitions: list[Transition], began: Mapping[tuple[int, int], int]) -> list[Transition]:
        """With the times at which what was seen began."""
        if not began:
            return transitions
        series = self._watch.series
        return [t._replace(started_ns=began.get((series[t.slot], t.at_ns), t.started_ns)) for t in transitions]

    def tick(self, moment: Moment) -> list[Transition]:
        """Move rule time where nothing came since the tick before."""
        now = moment.admitted_ns - self._lateness_ns
        return self._machine.tick(moment.n, now, moment.admitted_ns, moment.tick)

    def detections(self, look: Look, moment: Moment, run: Run) -> list[Transition]:
        """Cameras are not its business."""
        del look, moment, run
        return []

    def looked(self, looked: Looked, moment: Moment) -> list[Transition]:
        """Cameras are not its business."""
        del looked, moment
        return []


class Crowd(NamedTuple):
    """What a rule over a window says of one that does not fit: the rule, why, and where that is told."""

    rule: str
    why: str
    found: list[Flaw]
    windows: Windows

    def tell(self, seen: Seen, subject: Callable[[int], Subject], slot: NDArray[np.intp]) -> None:
        """The first of the readings that do not fit, and how many do not."""
        assert seen.crowded is not None  # noqa: S101 - whoever calls has looked
        readings = seen.readings
        row = int(np.argmin(np.where(seen.crowded, readings.n, NEVER)))
        whose = int(slot[int(np.searchsorted(readings.start, row, side="right")) - 1])
        times = int(np.count_nonzero(seen.crowded))
        self.found.append(Flaw(int(readings.n[row]), self.rule, "crowded", f"{subject(whose).text} {self.why}", times))
