"""Who waits at the door and what goes into the next cut: urgent things first, then each source its share."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from gateway.events import Detections, Looked, Message

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from gateway.events import Cut, Input

MESSAGE_WEIGHT = 200  # a message costs about as much as 200 bytes of payload besides its payload
URGENT_WEIGHT = 2_000  # ticks, commands and frames are stepped alone


class Pending:
    """One batch on its way: how much of it was admitted, and who waits for its receipt.

    `stamped`: it was admitted before, and has its numbers and times from then (a replay).
    """

    __slots__ = ("asked_ns", "error", "inputs", "receipt", "serial", "source", "stamped", "taken", "urgent")

    def __init__(
        self,
        inputs: Sequence[Input],
        receipt: asyncio.Future[None],
        asked_ns: int,
        serial: int,
        stamped: Cut | None = None,
    ) -> None:
        self.inputs = inputs
        self.receipt = receipt
        self.asked_ns = asked_ns
        self.serial = serial
        self.stamped = stamped
        self.taken = 0
        self.error: Exception | None = None
        message = next((one for one in inputs if isinstance(one, Message)), None)
        self.source = source_of(message or inputs[0])  # what a broker says of itself comes with its messages
        self.urgent = message is None


def source_of(one: Input) -> str:
    """Who must not be overtaken by itself: a broker or a camera."""
    if isinstance(one, Message):
        return one.source
    return f"camera/{one.camera}" if isinstance(one, Detections | Looked) else type(one).__name__


class Taken:
    """The makings of one cut: inputs, the batches they complete, and the age and number of the oldest batch in it.

    `stamped`: the cut itself, where it was admitted before.
    """

    __slots__ = ("asked_ns", "finished", "inputs", "serial", "stamped", "weight")

    def __init__(self) -> None:
        self.inputs: list[Input] = []
        self.finished: list[Pending] = []
        self.weight = 0
        self.asked_ns = 2**63
        self.serial = 2**63
        self.stamped: Cut | None = None


class Admission:
    """The batches that wait. Not thread-safe: the door holds its lock around every call."""

    def __init__(self) -> None:
        self._stamped: deque[Pending] = deque()
        self._urgent: deque[Pending] = deque()
        self._bulk: dict[str, deque[Pending]] = {}
        self.waiting = 0

    def add(self, pending: Pending) -> None:
        """Let a batch wait."""
        self.waiting += 1
        if pending.stamped is not None:
            self._stamped.append(pending)
        elif pending.urgent:
            self._urgent.append(pending)
        else:
            self._bulk.setdefault(pending.source, deque()).append(pending)

    def ready(self, *, bulk: bool) -> bool:
        """Whether anyone waits who may be taken: with `bulk` False only batches without messages."""
        return bool(self.waiting) if bulk else bool(self._urgent or self._stamped)

    def take(self, budget: int, *, bulk: bool = True) -> Taken:
        """The next cut: at least one input, of weight `budget` or a little more."""
        if self._stamped:
            return self._as_stamped(self._stamped.popleft())
        taken = Taken()
        room = budget
        while self._urgent and room > 0:
            room -= self._fill(taken, self._urgent, room)
        while bulk and self._bulk and room > 0:
            share = max(1, room // len(self._bulk))
            for source in list(self._bulk):
                waiting = self._bulk.pop(source)  # and back at the end: who had a share goes last
                left = share
                while waiting and left > 0:
                    used = self._fill(taken, waiting, left)
                    left -= used
                    room -= used
                if waiting:
                    self._bulk[source] = waiting
                if room <= 0:
                    break
        return taken

    def empty(self) -> list[Pending]:
        """Everyone who waits, for the door to turn away."""
        bulk = (pending for waiting in self._bulk.values() for pending in waiting)
        all_waiting = [*self._stamped, *self._urgent, *bulk]
        self._stamped.clear()
        self._urgent.clear()
        self._bulk.clear()
        self.waiting = 0
        return all_waiting

    def _as_stamped(self, pending: Pending) -> Taken:
        taken = Taken()
        taken.stamped, taken.finished = pending.stamped, [pending]
        taken.asked_ns, taken.serial = pending.asked_ns, pending.serial
        self.waiting -= 1
        return taken

    def _fill(self, taken: Taken, waiting: deque[Pending], room: int) -> int:
        """Take from the first batch in `waiting` up to `room`, at least one input; returns the weight taken."""
        pending = waiting[0]
        inputs, at, used = pending.inputs, pending.taken, 0
        while at < len(inputs) and used < room:
            one = inputs[at]
            used += MESSAGE_WEIGHT + len(one.body) if isinstance(one, Message) else URGENT_WEIGHT
            at += 1
        taken.inputs.extend(inputs[pending.taken : at])
        taken.weight += used
        taken.asked_ns = min(taken.asked_ns, pending.asked_ns)
        taken.serial = min(taken.serial, pending.serial)
        pending.taken = at
        if at == len(inputs):
            waiting.popleft()
            self.waiting -= 1
            taken.finished.append(pending)
        return used
