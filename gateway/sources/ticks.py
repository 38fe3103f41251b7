"""A Tick each whole second, and a ClockStep where the wall clock was moved against the monotonic one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gateway.events import ClockStep, Tick

if TYPE_CHECKING:
    from gateway.events import Input
    from gateway.ports import Clock, Commit

NS = 10**9
_STEP_NS = NS  # SEMANTICS §3: by more than 1 s
_MOST = 30  # ticks not yet durable; a tick costs nothing, but a door that hangs gets no pile of them


class Ticks:
    """Fulfils ports.Source. A second that was slept over is skipped, not made up for."""

    name = "ticks"

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._outstanding = 0

    async def run(self, commit: Commit) -> None:
        """Tick until cancelled. A commit is not waited for: it returns when durable, which may take a second itself."""
        clock = self._clock
        ahead_ns = clock.now_ns() - clock.monotonic_ns()
        ticked = clock.now_ns() // NS
        async with asyncio.TaskGroup() as tasks:
            while True:
                now_ns = clock.now_ns()
                if now_ns // NS == ticked:
                    await clock.sleep((NS - now_ns % NS) / NS)
                    continue
                ticked = now_ns // NS
                inputs: list[Input] = []
                moved_ns = now_ns - clock.monotonic_ns() - ahead_ns
                ahead_ns += moved_ns  # a clock that is slewed moves a little each second: that is no step
                if abs(moved_ns) > _STEP_NS:
                    inputs.append(ClockStep(before_ns=now_ns - moved_ns, after_ns=now_ns))
                if self._outstanding < _MOST:
                    inputs.append(Tick())
                if inputs:
                    self._outstanding += 1
                    tasks.create_task(self._commit(commit, inputs), name="ticks-commit")

    async def _commit(self, commit: Commit, inputs: list[Input]) -> None:
        try:
            await commit(inputs)
        finally:
            self._outstanding -= 1
