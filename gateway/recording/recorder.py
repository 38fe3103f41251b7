"""The recorder inside `run`: takes what the door admitted, and writes it in a thread of its own.

Nobody waits for it. What it cannot take or write is a hole, which is said, and ends with the next checkpoint.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from typing import TYPE_CHECKING

from gateway.events import AlertRow, Cut, Health
from gateway.recording.alert_line import alert_line
from gateway.recording.columns import joined
from gateway.recording.parts import Checkpoint, Gap
from gateway.recording.queued import (
    INPUT_BYTES,
    Changed,
    Counts,
    Entry,
    Hole,
    Shown,
    State,
    beyond,
    packed,
    waiting,
)
from gateway.recording.ring import Ring

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from gateway.ports import Clock
    from gateway.recording.beside import Beside
    from gateway.recording.parts import About

log = logging.getLogger(__name__)

FLUSH_S = 5.0  # what kill -9 may take; more often, chunks get small and so does what compression saves
WAKE_BYTES = 1 << 20  # as much as a chunk: so often the thread takes the interpreter from the core
PACKED_INPUTS = 100  # so many are packed in the core's thread: later, in another, their memory costs more than packing
AGAIN_NS = 10_000_000_000  # how long a disk that failed is left alone
CHECKPOINT_INPUTS = 200_000  # between checkpoints: a replay that begins in the middle is there within 2 s …
STATE_SHARE = 12  # … or an input for so many bytes of state, so that large states are a fifth of the file at most
CLOSE_S = 10.0  # how long a stop waits for a disk that hangs
COMPONENT, CONDITION = "recorder/ring", "recording"


class Recorder:
    """Records into files in `folder`, together within `budget` bytes, each at most about file_bytes or file_ns long.

    At most `queue_bytes` wait: then channels beside are let go first, then inputs.
    """

    def __init__(
        self,
        folder: Path,
        about: About,
        clock: Clock,
        *,
        budget: int,
        file_bytes: int,
        file_ns: int,
        queue_bytes: int = 16_000_000,
    ) -> None:
        self._ring = Ring(folder, about, clock, budget=budget, file_bytes=file_bytes, file_ns=file_ns)
        self._clock = clock
        self._queue_bytes, self._wake_bytes = queue_bytes, min(WAKE_BYTES, queue_bytes // 4)
        self._counts = Counts()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._written = (0, 0)  # the number after the last input on the disk, and that one's admission
        self._files: list[Path] = []
        self._bytes = 0
        self._full = False
        self._since, self._every = 0, CHECKPOINT_INPUTS  # inputs since the last checkpoint; the thread core's own
        self._lock = threading.Condition()  # guards what follows
        self._queue: list[Entry] = []
        self._weight = 0
        self._small = 0  # inputs that came in small cuts and were not packed yet
        self._hole: Hole | None = None
        self._rolling = False
        self._ending = self._over = False
        self._waiting: list[Callable[[], None]] = []
        self._well = (True, "")
        self._changed: Callable[[], None] | None = None

    # Called from the thread core.

    def begin(self, checkpoint: Checkpoint) -> None:
        """Begin the first file, before the first cut. Never fails: a folder that cannot be written is said."""
        self._written = (checkpoint.n, checkpoint.admitted_ns)
        self._due(checkpoint)
        self._queue.append(Entry(State(checkpoint, None, roll=True), 0))
        self._rolling = True
        self._thread.start()

    def admitted(self, cut: Cut) -> None:
        """Record a cut. Never waits; what does not fit into the queue is a hole from there to the next checkpoint."""
        self._since += len(cut.inputs)
        large = len(cut.inputs) >= PACKED_INPUTS and self._hole is None
        entry = packed([cut]) if large else waiting(cut)
        with self._lock:
            if self._hole is None and self._weight + entry.weight > self._queue_bytes:
                self._let_beside_go()
                if self._weight + entry.weight > self._queue_bytes:
                    why = f"the disk is too slow: {self._weight} bytes wait to be recorded"
                    self._open_hole(cut.n0, int(cut.admitted_ns[0]), why, again_ns=0)
            if self._hole is not None:
                self._counts.dropped += len(cut.inputs)
                return
            self._put(entry)
            if not large:
                self._small += len(cut.inputs)
                if self._small >= PACKED_INPUTS:
                    self._pack_small()

    def wants_checkpoint(self) -> bool:
        """Whether a checkpoint should be given with the next seal: for the next file, to begin at, or to end a hole."""
        hole = self._hole
        if hole is None:
            return self._full or (self._since >= self._every and not self._rolling)
        return self._weight <= self._queue_bytes // 2 and self._clock.monotonic_ns() >= hole.again_ns

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        """The core's state after everything that was admitted until now."""
        self._due(checkpoint)
        with self._lock:
            hole, self._hole = self._hole, None
            gap = None
            if hole is not None:
                gap = Gap(hole.from_n, checkpoint.n, hole.from_ns, checkpoint.admitted_ns, hole.why)
            self._put(Entry(State(checkpoint, gap, self._full), len(checkpoint.state or b"")))
            self._full, self._rolling = False, True
            self._lock.notify_all()

    # Called from the event loop, or any thread.

    def alerts(self, rows: Sequence[AlertRow]) -> None:
        """Changes of alerts, once they are durable."""
        log_ns = self._clock.now_ns()
        with self._lock:
            for row in rows:
                if self._weight > self._queue_bytes + WAKE_BYTES:  # a reserve beyond what inputs may take
                    self._counts.dropped_beside += 1
                else:
                    self._put(Entry(Changed(row, log_ns), len(row.body) + INPUT_BYTES))

    def beside(self, channel: Beside, log_ns: int, data: bytes) -> bool:
        """What a channel beside the inputs shows; False: let go, as more than half of the queue is taken."""
        with self._lock:
            if self._hole is not None or self._weight + len(data) > self._queue_bytes // 2:
                self._counts.dropped_beside += 1
                return False
            self._put(Entry(Shown(channel, log_ns, data), len(data) + INPUT_BYTES))
            return True

    async def run(self, report: Callable[[Health], Awaitable[None]]) -> None:
        """Say when recording stops and when it goes on, until cancelled."""
        loop, changed = asyncio.get_running_loop(), asyncio.Event()
        said = True

        def tell() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is over, and nobody listens any more
                loop.call_soon_threadsafe(changed.set)

        with self._lock:
            self._changed = tell
        try:
            while True:
                ok, detail = self._well
                if ok != said:
                    said = ok
                    await report(Health(COMPONENT, CONDITION, ok, detail))
                    continue
                await changed.wait()
                changed.clear()
        finally:
            with self._lock:
                self._changed = None

    async def flush(self) -> list[Path]:
        """Have what was admitted until now written, as far as the disk takes it; the ring's files, oldest first."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()

        def tell() -> None:
            with contextlib.suppress(RuntimeError):  # whoever waited has gone, and the loop with it
                loop.call_soon_threadsafe(_settle, done)

        with self._lock:
            if self._over or not self._thread.is_alive():
                return list(self._files)
            self._waiting.append(tell)
            self._lock.notify_all()
        await done
        return list(self._files)

    async def aclose(self) -> None:
        """Write what waits and close the file; a disk that hangs is left behind after 10 s."""
        if self._thread.is_alive():
            with self._lock:
                self._ending = True
            try:
                async with asyncio.timeout(CLOSE_S):
                    await self.flush()
            except TimeoutError:
                log.warning("the recorder's disk hangs; the last recording stays as it is")
                return
            self._thread.join(CLOSE_S)

    def stats(self) -> dict[str, float]:
        """Numbers for /metrics."""
        counts = self._counts
        return {
            "bytes": self._bytes,
            "files": len(self._files),
            "inputs": self._ring.inputs,
            "dropped": counts.dropped,
            "dropped_beside": counts.dropped_beside,
            "gaps": counts.gaps,
            "queue_bytes": self._weight,
            "written_bytes": self._ring.written,
            "recording": float(self._hole is None),
        }

    def _due(self, checkpoint: Checkpoint) -> None:
        self._since, self._every = 0, max(CHECKPOINT_INPUTS, len(checkpoint.state or b"") // STATE_SHARE)

    # With the lock held.

    def _put(self, entry: Entry) -> None:
        self._queue.append(entry)
        before, self._weight = self._weight, self._weight + entry.weight
        if before < self._wake_bytes <= self._weight:
            self._lock.notify_all()

    def _pack_small(self) -> None:
        """The small cuts that came last, as one."""
        self._small, queue = 0, self._queue
        at = len(queue)
        while at and isinstance(queue[at - 1].what, Cut):
            at -= 1
        cuts = [one.what for one in queue[at:] if isinstance(one.what, Cut)]
        self._weight -= sum([one.weight for one in queue[at:]])
        del queue[at:]
        self._put(packed(cuts))

    def _let_beside_go(self) -> None:
        kept = [one for one in self._queue if not isinstance(one.what, Shown)]
        self._counts.dropped_beside += len(self._queue) - len(kept)
        self._weight -= sum([one.weight for one in self._queue]) - sum([one.weight for one in kept])
        self._queue = kept

    def _open_hole(self, from_n: int, from_ns: int, why: str, *, again_ns: int) -> None:
        self._hole = Hole(from_n, from_ns, why, again_ns)
        self._counts.gaps += 1
        self._say(ok=False, detail=f"{why}; inputs from {from_n} on are not recorded")

    def _say(self, *, ok: bool, detail: str) -> None:
        self._well = (ok, detail)
        if self._changed is not None:
            self._changed()

    # The thread itself.

    def _run(self) -> None:
        over = False
        while not over:
            with self._lock:
                if not (self._waiting or self._ending or self._rolling or self._weight >= self._wake_bytes):
                    self._lock.wait(FLUSH_S)
                queue, self._queue = self._queue, []
                waiting, self._waiting = self._waiting, []
                weight, over = sum([one.weight for one in queue]), self._ending
            try:
                self._write(queue, over=over)
            except OSError as error:
                self._fail(queue, f"{error.strerror or error} ({error.filename or 'writing the recording'})")
            except Exception as error:  # the thread's supervisor: a bug here costs the recording, not the alerts
                log.exception("recording failed")
                self._fail(queue, f"recording failed: {error!r}")
            self._after(weight)
            for done in waiting:
                done()
        with self._lock:
            self._over = True
            waiting, self._waiting = self._waiting, []
        for done in waiting:
            done()

    def _write(self, queue: list[Entry], *, over: bool) -> None:
        """Write what was taken. Small cuts go together: a record of its own each would cost more than it holds."""
        cuts: list[Cut] = []
        well = None
        for one, _ in queue:
            if isinstance(one, Cut):
                cuts.append(one)
                continue
            if isinstance(one, Shown | Changed):
                self._write_beside(one)
                continue
            self._write_cuts(cuts)
            cuts = []
            if isinstance(one, State):
                self._write_state(one)
                well = one.hole or well
            elif self._ring.writer is not None:
                self._ring.writer.packed(one)
                self._ring.flush_full()
        self._write_cuts(cuts)
        self._ring.flush()
        self._remember()
        if well is not None:
            with self._lock:
                if self._hole is None:
                    self._say(ok=True, detail=f"inputs {well.from_n} to {well.to_n - 1} are not recorded: {well.why}")
        if over:
            self._ring.close()

    def _write_cuts(self, cuts: list[Cut]) -> None:
        writer = self._ring.writer
        if cuts and writer is not None:
            writer.inputs(joined(cuts))
            self._ring.flush_full()

    def _write_beside(self, one: Shown | Changed) -> None:
        writer = self._ring.writer
        if writer is None:
            self._counts.dropped_beside += 1
        elif isinstance(one, Changed):
            writer.alert(alert_line(one.row), one.log_ns)
        else:
            writer.beside(one.channel, one.log_ns, one.body)
        self._ring.flush_full()

    def _write_state(self, state: State) -> None:
        ring, hole = self._ring, state.hole
        if ring.writer is None or state.roll:
            ring.begin(state.checkpoint, hole.why if hole is not None else "")
        else:
            if hole is not None:
                ring.writer.gap(hole)
            ring.flush()
            ring.writer.checkpoint(state.checkpoint)
        self._rolling = False

    def _remember(self) -> None:
        """How far the file really goes, for the hole that may come."""
        if self._ring.writer is not None:
            self._written = self._ring.writer.written

    def _fail(self, queue: list[Entry], why: str) -> None:
        """The disk does not take it: leave the file, let go of what waits, try again with a checkpoint later."""
        self._remember()
        self._ring.abandon()
        from_n, from_ns = self._written
        again_ns = self._clock.monotonic_ns() + AGAIN_NS
        log.warning("recording stopped: %s", why)
        with self._lock:
            queue = [*queue, *self._queue]
            self._weight -= sum([one.weight for one in self._queue])
            self._queue = []
            self._counts.dropped += sum([beyond(one.what, from_n) for one in queue])
            self._full, self._rolling = False, False
            if self._hole is None:
                self._open_hole(from_n, from_ns, why, again_ns=again_ns)
            else:
                self._hole.from_n, self._hole.from_ns = min(self._hole.from_n, from_n), min(self._hole.from_ns, from_ns)
                self._hole.why, self._hole.again_ns = why, again_ns

    def _after(self, weight: int) -> None:
        self._bytes, self._files = self._ring.bytes, self._ring.files()
        full = self._ring.full
        with self._lock:
            self._weight -= weight
            self._full = full and not self._rolling


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
