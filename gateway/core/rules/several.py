"""Rules with a subject for each thing that happens at a place: a car that stopped, an encounter of two.

A case is a row of the rule's table: its number makes the subject, `camera.zone{case=7}`, and is never given twice. What
a row means besides is its judge's business. Cases change with looks alone; their time is watched time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from gateway.core.looks import place_of
from gateway.core.machine import Transition
from gateway.core.rule import Moment, Subject
from gateway.core.rules.making import Making, by_severity
from gateway.core.rules.places import unknown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from gateway.core.looks import Look
    from gateway.core.state import Table
    from gateway.core.things import Thing
    from gateway.core.watch import Run
    from gateway.events import Colour, Looked

COLUMNS: dict[str, tuple[Any, ...]] = {
    "number": (np.int64, 0),
    "used": (np.bool_, False),
    "on": (np.int8, 0),
    "began_ns": (np.int64, 0),  # when it began
    "off": (np.float64, 0.0),  # what its value may be off by
}
"""What every case has; `off` is told as the alert's detail where it is above 0."""


class Said(NamedTuple):
    """A case's row, its value, and the level it should have."""

    row: int
    value: float
    level: int


class Judge(Protocol):
    """What makes cases of looks."""

    def take(self, look: Look) -> list[Said]:
        """Of each case that is there or ended with the look; one that has ended is given with level 0."""
        ...


class Cases:
    """The rows of a rule's cases, in the table `rule/<name>`."""

    def __init__(self, making: Making, owner: str, columns: Mapping[str, tuple[Any, ...]]) -> None:
        name = f"rule/{making.config.name}"
        self.table: Table = making.state.table(name, {**COLUMNS, **columns}, owner)
        self._last = making.state.table(f"{name}/last", {"number": (np.int64, 0)}, owner)
        self._last.grow(1)

    @property
    def rows(self) -> NDArray[np.intp]:
        """Those in use, by number."""
        used = np.flatnonzero(self.table["used"][: self.table.n])
        return used[np.argsort(self.table["number"][used], kind="stable")]

    def begin(self, taken: set[int]) -> int:
        """A new case's row; not one of those that ended with this look, whose subject is still spoken of."""
        table, last = self.table, self._last.rows[0]
        free = [row for row in np.flatnonzero(~table["used"][: table.n]).tolist() if row not in taken]
        row = free[0] if free else table.n
        table.grow(row + 1)
        last["number"] += 1
        self._last.touch_one(0)
        table.rows[row] = np.zeros(1, table.dtype)[0]
        table["number"][row], table["used"][row] = last["number"], True
        table.touch_one(row)
        return row

    def end(self, row: int) -> None:
        """The case is over; its number stays until the row is used again."""
        self.table["used"][row] = False
        self.table.touch_one(row)


class SeveralRule:
    """See the module."""

    def __init__(
        self, making: Making, where: str, labels: tuple[str, ...], levels: Mapping[Colour, float], unit: str
    ) -> None:
        config = making.config
        camera, self.where = place_of(where, [one.name for one in making.plan.cameras])
        plan = making.camera(camera)
        self.owner = making.owner(plan.labels, plan.score, plan.camera.zone(self.where), plan.camera.ground)
        self.name, self.place, self.kind, self.common = config.name, making.place, config.key, config.common
        ordered = by_severity(levels)
        self.colours, self.limits = tuple(ordered), tuple(float(limit) for limit in ordered.values())
        self.lows: tuple[float, ...] = ()
        self.known = plan.labels
        self._camera, self._text, self._unit, self._wanted = camera, where, unit, labels
        self._gates = making.gates()
        self.cases: Cases | None = None
        self.judge: Judge | None = None

    @property
    def table(self) -> Table:
        """The cases."""
        assert self.cases is not None  # noqa: S101 - every build gives them
        return self.cases.table

    @property
    def things(self) -> list[Thing | None]:
        """No case is a thing."""
        return [None] * self.table.n

    def on(self) -> dict[int, int]:
        """The level of each case that has one."""
        level = self.table["on"][: self.table.n]
        return {row: int(level[row]) for row in np.flatnonzero(level).tolist()}

    def flaws(self) -> dict[str, str]:
        """What its camera's model does not tell apart can never be followed."""
        return unknown(self._wanted, self.known)

    def meet(self, things: Sequence[Thing]) -> Sequence[int]:
        """Sensors are not its business."""
        del things
        return ()

    def subject(self, slot: int) -> Subject:
        """The case at its place."""
        row = self.table.rows[slot]
        off = f"± {row['off']:.2g} {self._unit}" if row["off"] > 0 else ""
        return Subject(f"{self._text}{{case={row['number']}}}", unit=self._unit, camera=self._camera, detail=off)

    def readings(self, run: Run, tick: int) -> list[Transition]:
        """Sensors are not its business."""
        del run, tick
        return []

    def tick(self, moment: Moment) -> list[Transition]:
        """Its time is watched time: a tick moves nothing."""
        del moment
        return []

    def looked(self, looked: Looked, moment: Moment) -> list[Transition]:
        """Cases change with looks."""
        del looked, moment
        return []

    def detections(self, look: Look, moment: Moment, run: Run) -> list[Transition]:
        """What the look came to."""
        if look.seen.camera != self._camera or look.tracks is None:
            return []
        assert self.judge is not None  # noqa: S101 - every build gives one
        at_ns = look.seen.event_ns
        shut = not self._gates.open_at(at_ns, None, moment.n, run)
        out: list[Transition] = []
        for row, value, level in self.judge.take(look):
            wanted = 0 if shut else level
            if wanted != self.table["on"][row]:
                self.table["on"][row] = wanted
                self.table.touch_one(row)
                began = int(self.table["began_ns"][row])
                out.append(Transition(moment.n, row, "level", wanted, at_ns, began, value, moment.admitted_ns))
        return out
