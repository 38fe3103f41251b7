"""The door as the event loop sees it: `commit` returns when a batch is durable, receipts come in order.

commit() ─▶ Admission ─cut─▶ Stepper (the core) ─▶ Group ─sealed─▶ Outbox (thread `disk`) ─durable─▶ receipts
             (waits)          at most ~5 ms         (open)          one at a time          (event loop)
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import msgspec

from gateway.door.admission import Pending
from gateway.door.worker import DoorStats, Receipts, Snapshot, Worker
from gateway.errors import OutboxError
from gateway.events import Configured, Restart

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.door.store import Store
    from gateway.events import Cut, Input, Stepped
    from gateway.outbox import Checkpoint
    from gateway.ports import Clock, Core


class Door:
    """Order, times and receipts for everything that can change a decision.

    `start`, then `commit` as long as one likes, beside it one task in `run`; at the end `stop`, then close the outbox.
    """

    def __init__(
        self, core: Core, outbox: Store, clock: Clock, linger_ns: int = 1_000_000_000, transaction_bytes: int = 256_000
    ) -> None:
        self._outbox = outbox
        self._clock = clock
        self._worker = Worker(
            core,
            outbox,
            clock,
            linger_ns=linger_ns if outbox.durable else 0,  # in memory there is no flash to save
            transaction_bytes=transaction_bytes,
            release=self._released,
            ended=self._ended,
        )
        self._on_stepped: list[Callable[[Sequence[Stepped]], None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._over = asyncio.Event()
        self._configured = asyncio.Event()

    def on_stepped(self, call: Callable[[Sequence[Stepped]], None]) -> None:
        """Have `call` given what each transaction held, in the event loop, once it is durable. It must not wait."""
        self._on_stepped.append(call)

    def on_admitted(self, call: Callable[[Cut], None]) -> None:
        """Have `call` given each cut before it is stepped, in the core thread. It must not wait."""
        self._worker.on_admitted.append(call)

    def on_snapshot(self, wanted: Callable[[], bool], call: Callable[[Snapshot], None]) -> None:
        """Have `call` given the state that the first input finds, then each that is stored, also whenever one is
        `wanted` at a seal; both in the core thread but for the first. They must not wait.
        """  # noqa: D205 - one thought
        self._worker.on_snapshot.append((wanted, call))

    async def start(self) -> str:
        """Bring the core back to where the store left off and step `Restart`; commit `Configured` next.

        Returns what was wrong with stored states that the core refused; empty when nothing was.
        """
        self._loop = asyncio.get_running_loop()
        wrong = self._worker.stepper.resume(self._outbox.resumed.checkpoints)
        self._worker.begin(state=self._outbox.resumed.next_n > 0)
        resumed = self._outbox.resumed
        restart = Restart(checkpoint=f"n{resumed.next_n}", epoch=self._outbox.epoch, next_seq=resumed.next_seq)
        await self._ask([restart], at_once=True)
        return wrong

    def resume(self, checkpoint: Checkpoint) -> str:
        """As `start`, for a replay from this state: `Restart` is among what is given to `replay`, if it was then."""
        self._loop = asyncio.get_running_loop()
        wrong = self._worker.stepper.resume([checkpoint])
        self._worker.thread.start()
        return wrong

    async def replay(self, cut: Cut) -> None:
        """Step a cut with the numbers and times that it was once admitted with; returns when that is done."""
        await self._ask(cut.inputs, at_once=True, stamped=cut)

    async def commit(self, batch: Sequence[Input]) -> None:
        """Have a batch stepped; returns when everything it came to is durable, in order for each source.

        A batch without Messages (ticks, commands, health, frames) goes before those with. Raises DiskBroken or DiskFull
        when the disk has failed, OutboxError when the door is stopped: then nothing may be acknowledged.
        """
        if batch:
            await self._ask(batch, at_once=False)
            if Configured in set(map(type, batch)):
                self._configured.set()

    def seal(self) -> None:
        """Have all that was committed until now made durable without waiting for `linger`."""
        self._worker.seal()

    def session_lost(self, source: str) -> None:
        """The broker had no session for this source (session present was 0): its redelivery marks are void."""
        self._worker.lose_session(source)

    def stats(self) -> DoorStats:
        """A copy of the counters."""
        return msgspec.structs.replace(self._worker.stats, waiting=self._worker.waiting())

    async def run(self) -> None:
        """Until `stop`: raise (in an ExceptionGroup) what broke the door, and step dead letters that people ask for."""
        async with asyncio.TaskGroup() as tasks:
            again = tasks.create_task(self._step_again())
            await self._over.wait()
            again.cancel()
            if self._worker.broken is not None:
                raise self._worker.broken

    async def stop(self) -> None:
        """Take nothing more in, finish what was, store a snapshot, end the core thread."""
        if self._loop is None:
            return
        self._worker.stop()
        await self._over.wait()
        self._worker.thread.join()

    async def _ask(self, batch: Sequence[Input], *, at_once: bool, stamped: Cut | None = None) -> None:
        if self._loop is None:
            raise OutboxError("found a commit before the door was started; call start() first")
        receipt: asyncio.Future[None] = self._loop.create_future()
        asked_ns = self._clock.monotonic_ns()
        self._worker.add(batch, lambda serial: Pending(batch, receipt, asked_ns, serial, stamped), at_once=at_once)
        await receipt

    async def _step_again(self) -> None:
        """Messages among the dead letters go through the door again, and are letters no more once that is durable."""
        await self._configured.wait()
        while True:
            asks = self._outbox.asks
            while letters := await self._outbox.to_step_again():
                await self.commit([message for _, message in letters])
                await self._outbox.forget([letter for letter, _ in letters])
            await self._outbox.asked_again(asks)

    def _released(self, receipts: Receipts) -> None:
        """From any thread."""
        if self._loop is not None and (receipts.batches or receipts.stepped):
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(self._settle, receipts)

    def _settle(self, receipts: Receipts) -> None:
        for pending in receipts.batches:
            error = pending.error or receipts.error
            if pending.receipt.done():
                continue  # whoever asked was cancelled
            if error is None:
                pending.receipt.set_result(None)
            else:
                pending.receipt.set_exception(error)
        if receipts.stepped:
            for call in self._on_stepped:
                call(receipts.stepped)

    def _ended(self) -> None:
        """From the core thread, as its last act."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # as above
                self._loop.call_soon_threadsafe(self._over.set)
