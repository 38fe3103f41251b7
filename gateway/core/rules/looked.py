"""A condition over the time that a camera really looked, for every rule that judges looks (SEMANTICS.md §4).

Time runs only while the camera looked: `for:` is counted in analysed and still time, so that a camera that was blind
neither raises nor clears. A camera hands over what it saw before it tells which time that look completes: so a look
waits for the telling.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gateway.core.machine import Machine, Timing, Transition, declare
from gateway.core.readings import grouped
from gateway.ports import NO_TIME

if TYPE_CHECKING:
    from gateway.core.rule import Moment
    from gateway.core.rules.series import Bands
    from gateway.core.sparse import Sparse
    from gateway.core.state import State
    from gateway.events import Looked


class LookedCondition:
    """One subject's condition, in the tables `<name>` and `<name>/clock`; `value` is what a look came to."""

    def __init__(
        self, state: State, name: str, owner: str, timing: Timing, bands: Bands, number: type[np.generic] = np.float64
    ) -> None:
        """`number`: the dtype in which the value of a look that waits is kept."""
        table = declare(state, name, owner)
        self._machine, self._bands = Machine(table, timing), bands
        columns = {
            "looked": (np.int64, 0),  # the rule's own time: what the camera has covered
            "to": (np.int64, NO_TIME),  # capture time up to which that is told
            "since": (np.int64, NO_TIME),  # capture time at which the condition began
            "seen": (np.int64, NO_TIME),  # the last look
            "looks": (np.int64, 0),
            "waiting": (np.int64, NO_TIME),  # the look whose place on the rule's own time is not told yet,
            "number": (number, 0),  # what it came to, and whether a gate was shut
            "shut": (np.int8, 0),
        }
        self._clock = state.table(f"{name}/clock", columns, owner)
        table.grow(1)
        self._clock.grow(1)

    @property
    def table(self) -> Sparse:
        """The machine's one row."""
        return self._machine.table

    @property
    def looks(self) -> int:
        """How many looks have come."""
        return int(self._clock.rows[0]["looks"])

    def on(self) -> dict[int, int]:
        """The level, where there is one."""
        return self._machine.on()

    def late(self, at_ns: int) -> bool:
        """Whether a look came twice or too late."""
        return at_ns <= int(self._clock.rows[0]["seen"])

    def settle(self, moment: Moment) -> list[Transition]:
        """A new look has come: the one that waits is judged at the time looked so far."""
        return self._judge(moment)

    def take(self, at_ns: int, value: float, moment: Moment, *, shut: bool) -> list[Transition]:
        """A look came to this value; `shut`: a gate was. It is judged once the covered time up to it is told."""
        clock = self._clock.rows[0]
        clock["seen"] = clock["waiting"] = at_ns
        clock["number"], clock["shut"] = value, shut
        clock["looks"] += 1
        self._clock.touch_one(0)
        return self._judge(moment) if at_ns <= int(clock["to"]) else []

    def looked(self, looked: Looked, moment: Moment) -> list[Transition]:
        """The camera covered some time: move the rule's own clock, and judge the look that waits for its place on it.

        Where nothing was seen anew, what was seen last still holds; blind and overloaded time moves nothing.
        """
        clock, out = self._clock.rows[0], list[Transition]()
        begin = max(looked.from_ns, int(clock["to"]))
        if looked.to_ns <= begin:
            return out
        sees, waiting = looked.why in {"analysed", "still"}, int(clock["waiting"])
        self._clock.touch_one(0)
        if waiting != NO_TIME and waiting <= looked.to_ns:
            before = max(0, waiting - begin) if sees else 0
            clock["looked"] += before
            begin += before
            out += self._judge(moment)
        clock["to"] = looked.to_ns
        if sees:
            clock["looked"] += looked.to_ns - begin
            moved: list[Transition] = []
            self._machine.advance(0, moment.n, int(clock["looked"]), moment.admitted_ns, moved)
            out += self._in_event_time(moved, looked.to_ns)
        return out

    def _judge(self, moment: Moment) -> list[Transition]:
        """Step the machine with the look that waits, at the time looked so far."""
        clock = self._clock.rows[0]
        at_ns = int(clock["waiting"])
        if at_ns == NO_TIME:
            return []
        clock["waiting"] = NO_TIME
        if not self.table.holds(0):
            clock["since"] = at_ns
        number = np.array([clock["number"]], np.float64)
        code = np.zeros(1, np.int16) if clock["shut"] else self._bands.code(number)
        one = np.zeros(1, np.int64)
        looked, n = one + int(clock["looked"]), one + moment.n
        readings = grouped(one.astype(np.int32), n, looked, number, one + moment.admitted_ns)
        out = self._machine.step(np.zeros(1, np.intp), readings, code, moment.tick)
        return self._in_event_time(out, at_ns)

    def _in_event_time(self, transitions: list[Transition], event_ns: int) -> list[Transition]:
        """As long before that moment as on the rule's own clock."""
        clock = self._clock.rows[0]
        behind = event_ns - int(clock["looked"])
        return [t._replace(at_ns=t.at_ns + behind, started_ns=int(clock["since"])) for t in transitions]
