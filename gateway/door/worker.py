"""The thread `core`: admits, stamps, steps, seals. Everything but what waits at its lock belongs to it alone."""

from __future__ import annotations

import logging
import threading
from array import array
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

from gateway.door.admission import Admission, Pending, Taken
from gateway.door.clocks import Stamps
from gateway.door.group import Group
from gateway.door.marks import Marks, crc_of
from gateway.door.pace import Pace
from gateway.door.stepper import Outcome, Stepper
from gateway.door.suspects import ALONE, ASIDE, Suspects
from gateway.errors import OutboxError
from gateway.events import Configured, Cut, Message, Restart

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.door.store import Store
    from gateway.events import Input, Stepped
    from gateway.ports import Clock, Core


log = logging.getLogger(__name__)

FULL_S = 0.5  # how often a door that admits no messages looks whether the outbox has room for alerts again


class DoorStats(msgspec.Struct):
    """Counters since the start, and what waits now.

    `redelivered`: messages that were known and not stepped again; `raised`: inputs that made the core raise; `step_ns`:
    CPU time spent in the core.
    """

    inputs: int = 0
    messages: int = 0
    redelivered: int = 0
    cuts: int = 0
    transactions: int = 0
    points: int = 0
    alerts: int = 0
    dead: int = 0
    raised: int = 0
    step_ns: int = 0
    waiting: int = 0


class Snapshot(NamedTuple):
    """The core's state after all inputs before `next_n`; the times are the last one's. Empty: nothing has come yet."""

    next_n: int
    admitted_ns: int
    elapsed_ns: int
    next_seq: int
    state: bytes


class Receipts(NamedTuple):
    """Batches that are done with, in order, and what their transaction held. With `error` nothing is acknowledged."""

    batches: list[Pending]
    stepped: list[Stepped]
    error: BaseException | None = None


class Work(NamedTuple):
    """What the thread does next: seal (with a snapshot or without), take a cut, both, or end."""

    seal: bool = False
    snapshot: bool = False
    taken: Taken | None = None
    end: bool = False


class Worker:
    """Steps the core in one strict order and hands transactions to the outbox, at most one at a time.

    `release` is called in this thread or the disk's; `ended` in this one, last.
    """

    def __init__(
        self,
        core: Core,
        outbox: Store,
        clock: Clock,
        *,
        linger_ns: int,
        transaction_bytes: int,
        release: Callable[[Receipts], None],
        ended: Callable[[], None],
    ) -> None:
        resumed = outbox.resumed
        self.broken: BaseException | None = None
        self.stats = DoorStats()
        self.on_admitted: list[Callable[[Cut], None]] = []
        self.on_snapshot: list[tuple[Callable[[], bool], Callable[[Snapshot], None]]] = []
        self.stepper = Stepper(core)
        self._outbox, self._clock = outbox, clock
        self._linger_ns, self._transaction_bytes = linger_ns, transaction_bytes
        self._release, self._ended = release, ended
        self._stamps = Stamps(clock, resumed)
        self._marks = Marks(resumed.marks)
        self._last = (resumed.next_n, resumed.admitted_ns, resumed.elapsed_ns)
        self._next_seq = resumed.next_seq
        self._pace = Pace()
        self._suspects = Suspects(outbox.path.parent if outbox.durable else None)
        self._open = Group()
        self._lingered = False
        self._closed = False
        self._lock = threading.Condition()  # guards what follows, which the event loop and the disk thread touch too
        self._admission = Admission()
        self._writing: Group | None = None
        self._serial = 0
        self._seal_serial = 0
        self._lost: list[str] = []
        self._stopping = False
        self.thread = threading.Thread(target=self._run, name="core", daemon=True)

    # Called from the event loop.

    def add(self, batch: Sequence[Input], pending: Callable[[int], Pending], *, at_once: bool) -> None:
        """Let a batch wait; `pending` makes it from its number. Raises what broke the worker."""
        with self._lock:
            if self.broken is not None:
                raise self.broken
            if self._stopping:
                raise OutboxError(f"found {len(batch)} inputs for a door that is closed: the gateway is stopping")
            self._serial += 1
            self._admission.add(pending(self._serial))
            if at_once:
                self._seal_serial = self._serial
            self._lock.notify_all()

    def seal(self) -> None:
        """Do not let what was added until now linger."""
        with self._lock:
            self._seal_serial = self._serial
            self._lock.notify_all()

    def lose_session(self, source: str) -> None:
        """The marks of this source are void."""
        with self._lock:
            self._lost.append(source)

    def stop(self) -> None:
        """Finish what was added, store a snapshot, end."""
        with self._lock:
            self._stopping = True
            self._lock.notify_all()

    def waiting(self) -> int:
        """How many batches were not stepped to their end yet."""
        with self._lock:
            return self._admission.waiting

    # Called in the disk thread.

    def _written(self, group: Group, error: OutboxError | None) -> None:
        with self._lock:
            if error is None:
                self._writing = None
                self._release(Receipts(group.waiters, group.stepped))  # inside the lock: before anyone who came later
            else:
                self.broken = self.broken or error
            self._lock.notify_all()

    # The thread itself.

    def _run(self) -> None:
        finished: list[Pending] = []
        try:
            while not (work := self._next()).end:
                if work.seal:
                    self._seal(snapshot=work.snapshot or self.stepper.snapshot_due() or self._wanted())
                if work.taken is not None:
                    finished = work.taken.finished
                    self._step(work.taken)
                    finished = []
        except Exception as error:  # noqa: BLE001 - the thread's supervisor: whoever waits must learn of any bug
            with self._lock:
                self.broken = self.broken or error
        if self.broken is not None:
            with self._lock:
                waiting = [*self._open.waiters, *finished, *self._admission.empty()]
                if self._writing is not None:
                    waiting = [*self._writing.waiters, *waiting]
            self._release(Receipts(waiting, [], self.broken))
        self._suspects.close()
        self._ended()

    def _next(self) -> Work:
        """Wait until there is something to do."""
        with self._lock:
            while self.broken is None:
                seal = self._must_seal()
                bulk = self._stopping or not self._outbox.full  # what was let in before a stop is finished
                if self._admission.ready(bulk=bulk):
                    return Work(seal=seal, taken=self._admission.take(self._pace.budget, bulk=bulk))
                if self._stopping and self._writing is None:
                    if self._closed or not (self._open.stepped or self.stepper.changed()):
                        return Work(end=True)
                    self._closed = True
                    return Work(seal=True, snapshot=True)
                if seal:
                    return Work(seal=True)
                patience = self._patience() if bulk else FULL_S
                if not self._lock.wait(patience):
                    self._lingered = True
        return Work(end=True)

    def _must_seal(self) -> bool:
        group = self._open
        if self._writing is not None or not group.worth:
            return False
        return bool(
            group.alerts
            or self._lingered
            or group.bytes >= self._transaction_bytes
            or group.first_serial <= self._seal_serial
            or self._clock.monotonic_ns() - group.oldest_ns >= self._linger_ns
        )

    def _patience(self) -> float | None:
        """How long the open group may still linger, in seconds; None while there is no such thing to wait for."""
        if self._writing is not None or not self._open.worth:
            return None
        return max(0.0, (self._open.oldest_ns + self._linger_ns - self._clock.monotonic_ns()) / 1e9)

    def _seal(self, *, snapshot: bool) -> None:
        group, self._open, self._lingered = self._open, Group(), False
        state = self.stepper.snapshot() if snapshot else None
        if state is not None:
            self._tell_snapshot(state)
        transaction = group.seal(self._last, self._marks, state)
        with self._lock:
            self._writing = group
        self.stats.transactions += 1
        self._outbox.write(transaction, lambda error: self._written(group, error))

    def _tell_admitted(self, cut: Cut) -> None:
        """Who only listens must not stop the door: one that raises is told nothing more."""
        for call in [*self.on_admitted]:
            try:
                call(cut)
            except Exception:  # whatever its bug is, it costs what it listens for, not the alerts
                log.exception("a listener at the door raised, and is told nothing more")
                self.on_admitted.remove(call)

    def _wanted(self) -> bool:
        return any(wanted() for wanted, _ in self.on_snapshot)

    def _tell_snapshot(self, state: bytes) -> None:
        for _, call in self.on_snapshot:
            call(Snapshot(*self._last, self._next_seq, state))

    def begin(self, *, state: bool) -> None:
        """Tell what the first input finds (`state`: the core holds something by now), and start the thread."""
        if self.on_snapshot:
            self._tell_snapshot(self.stepper.state() if state else b"")
        self.thread.start()

    def _step(self, taken: Taken) -> None:
        if taken.stamped is not None:
            self._step_stamped(taken.stamped, taken)
            return
        inputs, crcs = self._unknown(taken.inputs)
        if inputs:
            for outcome in self._outcomes(inputs, crcs, taken.weight):
                self._count(outcome)
                if self._open.add(outcome):
                    self._open.since(taken.asked_ns, taken.serial)
                if outcome.error is not None:
                    _tell(taken.finished, outcome)
        self._finish(taken)

    def _step_stamped(self, cut: Cut, taken: Taken) -> None:
        """Step what was admitted before, as it was."""
        self._last = (cut.n0 + len(cut.inputs), int(cut.admitted_ns[-1]), int(cut.elapsed_ns[-1]))
        for outcome in self.stepper.step(cut):
            self._count(outcome)
            if self._open.add(outcome):
                self._open.since(taken.asked_ns, taken.serial)
        self._finish(taken)

    def _finish(self, taken: Taken) -> None:
        """Batches that are stepped to their end have their receipt with the next transaction, or at once."""
        if self._open.worth:
            self._open.waiters += taken.finished
            return
        with self._lock:  # nothing of its own to wait for, but what came before must be durable first
            if self._writing is not None:
                self._writing.waiters += taken.finished
            else:
                self._release(Receipts(taken.finished, []))

    def _unknown(self, inputs: list[Input]) -> tuple[list[Input], array[int]]:
        """Leave out redelivered messages that were stepped before, and mark the others; their CRCs, messages only."""
        if self._lost:
            with self._lock:
                lost, self._lost = self._lost, []
            for source in lost:
                self._marks.lose(source)
        marks, crcs = self._marks, array("I")
        kept: list[Input] = []
        for one in inputs:
            if isinstance(one, Message):
                self.stats.messages += 1
                crc = crc_of(one)
                if one.packet_id:
                    if one.duplicate and marks.seen(one, crc):
                        self.stats.redelivered += 1
                        continue
                    marks.add(one, crc)
                crcs.append(crc)
            kept.append(one)
        return kept, crcs

    def _outcomes(self, inputs: list[Input], crcs: array[int], weight: int) -> list[Outcome]:
        """Step inputs in one cut; where the process died over one of their messages before, that one alone."""
        suspects = self._suspects
        if not (suspects.any() and any(suspects.deaths(crc) >= ALONE for crc in crcs)):
            return self._cut(inputs, crcs, weight)
        outcomes: list[Outcome] = []
        for one in inputs:
            crc = array("I", [crc_of(one)] if isinstance(one, Message) else [])
            if crc and suspects.deaths(crc[0]) >= ASIDE:
                suspects.clear(crc)
                outcomes.append(
                    self.stepper.refuse(self._stamp([one]), "the process died over it three times in a row")
                )
            else:
                outcomes += self._cut([one], crc, weight)
        return outcomes

    def _cut(self, inputs: list[Input], crcs: array[int], weight: int) -> list[Outcome]:
        cut = self._stamp(inputs)
        self._tell_admitted(cut)
        began_ns = self._clock.cpu_ns()  # waiting for others is no work of this cut's: a smaller one would wait too
        self._suspects.begin(crcs)
        outcomes = self.stepper.step(cut)
        self._suspects.end()
        if self._suspects.any():
            self._suspects.clear(crcs)
        took_ns = self._clock.cpu_ns() - began_ns
        self.stats.step_ns += took_ns
        self._pace.learn(weight, took_ns)
        return outcomes

    def _stamp(self, inputs: list[Input]) -> Cut:
        admitted_ns, elapsed_ns, clock_step = self._stamps.take()
        if clock_step is not None:
            inputs = [clock_step, *inputs]
        n0, count = self._last[0], len(inputs)
        self._last = (n0 + count, admitted_ns, elapsed_ns)
        return Cut(n0, inputs, np.full(count, admitted_ns, np.int64), np.full(count, elapsed_ns, np.int64))

    def _count(self, outcome: Outcome) -> None:
        stats, stepped = self.stats, outcome.stepped
        stats.cuts += 1
        stats.inputs += len(outcome.cut.inputs)
        stats.points += stepped.points
        stats.alerts += len(stepped.alerts)
        if stepped.alerts:
            self._next_seq = stepped.alerts[-1].seq + 1
        stats.dead += len(stepped.dead)
        stats.raised = self.stepper.raised


def _tell(finished: list[Pending], outcome: Outcome) -> None:
    """Whoever committed a `Configured` or `Restart` that the core refused learns it: nothing goes on without it."""
    one = outcome.cut.inputs[0]
    if isinstance(one, Configured | Restart):
        for pending in finished:
            if any(other is one for other in pending.inputs):
                pending.error = outcome.error
