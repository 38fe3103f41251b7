"""A replay: the same core and door, fed with what was admitted once, mute: no source, sink, camera or socket is opened.

recording ─▶ cuts, read ahead in thread `replay-read` ─▶ door.replay ─▶ core ─▶ keep(stepped)
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

from gateway.app.plan import make_plan
from gateway.app.running import Summary
from gateway.core import Core
from gateway.door import Door
from gateway.door.store import Nowhere
from gateway.errors import GatewayError
from gateway.outbox import Checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from gateway.app.plan import Model
    from gateway.config.kinds import Registry
    from gateway.config.model import Config
    from gateway.events import Cut, Stepped
    from gateway.ports import Clock

AHEAD = 2  # cuts in the door at once: one is read and one is stepped, and memory stays flat


class Replay(NamedTuple):
    """What is replayed under one configuration: cuts from a state on.

    `state` is the core's, None: the beginning; `next_n`: the first input's number. `models` by camera, as the recording
    has them: what its detections refer to. `keep` is given all outputs, in order, in the event loop, but for those of
    cuts admitted before `from_ns`. `pace`: how many seconds to wait before a cut.
    """

    models: Mapping[str, Model]
    state: bytes | None
    next_n: int
    cuts: Iterator[Cut]
    keep: Callable[[Sequence[Stepped]], None]
    from_ns: int = 0
    pace: Callable[[Cut], float] = lambda _: 0.0


class Replayed(NamedTuple):
    """What it came to. `state`: the core's at the end; `wrong`: why it refused the one it was to begin with."""

    summary: Summary
    state: bytes
    dead: int
    wrong: str


async def replay(config: Config, registry: Registry, clock: Clock, stop: asyncio.Event, what: Replay) -> Replayed:
    """Step all cuts, or until `stop` is set. Raises (in an ExceptionGroup) the GatewayError that `keep` raised."""
    core = Core(make_plan(config, registry, what.models), registry.rules)
    store = Nowhere(config.state, Checkpoint(what.state, []), what.next_n)
    door = Door(core, store, clock, int(config.outbox.linger), int(config.outbox.transaction))
    feed = _Feed(door, what)
    door.on_stepped(feed.keep)
    with ThreadPoolExecutor(1, thread_name_prefix="replay-read") as reader:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(door.run(), name="door")
            wrong = door.resume(store.resumed.checkpoints[0])
            try:
                await feed.run(stop, reader)
            finally:
                await door.stop()
    counts = core.counts
    summary = Summary(
        counts["messages"], counts["readings"], counts["frames"], counts["detections"], feed.raised, points_delivered=0
    )
    return Replayed(summary, core.snapshot(), door.stats().dead, wrong)


class _Feed:
    """Reads ahead, and steps cut by cut."""

    def __init__(self, door: Door, what: Replay) -> None:
        self.raised = 0
        self._failed: GatewayError | None = None
        self._door, self._what = door, what
        self._kept = what.from_ns == 0
        self._waiting: deque[asyncio.Task[None]] = deque()

    def keep(self, stepped: Sequence[Stepped]) -> None:
        if self._kept and self._failed is None:
            self.raised += sum(row.change == "raised" for one in stepped for row in one.alerts)
            try:
                self._what.keep(stepped)
            except GatewayError as error:  # of a full disk, say: a callback's error would be nobody's
                self._failed = error

    async def run(self, stop: asyncio.Event, reader: ThreadPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as tasks:
            while not stop.is_set():
                cut = await loop.run_in_executor(reader, next, self._what.cuts, None)
                if cut is None:
                    break
                seconds = self._what.pace(cut)
                begins = not self._kept and cut.admitted_ns[0] >= self._what.from_ns
                if begins or seconds > 0:
                    await self._settled(0)
                    self._kept = self._kept or begins
                if await _asleep(seconds, stop):
                    break
                self._waiting.append(tasks.create_task(self._door.replay(cut), name="replay"))
                await self._settled(AHEAD - 1)
            await self._settled(0)

    async def _settled(self, most: int) -> None:
        """Wait until at most so many cuts are in the door."""
        while len(self._waiting) > most:
            await self._waiting.popleft()
        if self._failed is not None:
            raise self._failed


async def _asleep(seconds: float, stop: asyncio.Event) -> bool:
    """Wait, in real time; True: it was asked to stop meanwhile."""
    if seconds > 0:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), seconds)
    return stop.is_set()
