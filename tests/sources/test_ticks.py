"""The second hand."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gateway.clock import ReplayClock
from gateway.events import ClockStep, Input, Tick
from gateway.sources.ticks import Ticks

if TYPE_CHECKING:
    from collections.abc import Sequence

NS = 10**9
START = 1_786_644_840 * NS


class Stepping(ReplayClock):
    """A clock whose wall time a test may set."""

    wall_ns = 0

    def now_ns(self) -> int:
        """Moved against the monotonic clock."""
        return super().now_ns() + self.wall_ns


async def advance(clock: ReplayClock, seconds: float) -> None:
    """Move time and let everybody run."""
    clock.advance(seconds)
    for _ in range(10):
        await asyncio.sleep(0)


async def running(
    clock: ReplayClock, said: list[tuple[int, Input]], hang: asyncio.Event | None = None
) -> asyncio.Task[None]:
    """Ticks whose inputs go to `said` with the second they came in; `hang`: commits return when it is set."""

    async def commit(batch: Sequence[Input]) -> None:
        said.extend(((clock.now_ns() - START) // 10**6, i) for i in batch)
        if hang is not None:
            await hang.wait()

    task = asyncio.get_running_loop().create_task(Ticks(clock).run(commit))
    await advance(clock, 0)
    return task


async def stop(task: asyncio.Task[None]) -> None:
    """Cancel and wait."""
    task.cancel()
    await asyncio.wait([task])


async def test_a_tick_comes_at_each_whole_second() -> None:
    clock, said = ReplayClock(START + 300_000_000), list[tuple[int, Input]]()
    task = await running(clock, said)
    for _ in range(27):
        await advance(clock, 0.1)
    assert said == [(1000, Tick()), (2000, Tick()), (3000, Tick())]
    await stop(task)


async def test_seconds_slept_over_are_skipped() -> None:
    clock, said = ReplayClock(START), list[tuple[int, Input]]()
    task = await running(clock, said)
    await advance(clock, 60.5)
    await advance(clock, 0.5)
    assert said == [(60_500, Tick()), (61_000, Tick())]
    await stop(task)


async def test_ticks_do_not_wait_for_a_commit_and_do_not_pile_up_behind_one_that_hangs() -> None:
    clock, said, hang = ReplayClock(START), list[tuple[int, Input]](), asyncio.Event()
    task = await running(clock, said, hang)
    for _ in range(100):
        await advance(clock, 1)
    assert len(said) == 30
    hang.set()
    await advance(clock, 0)
    await advance(clock, 1)
    assert len(said) == 31
    await stop(task)


async def test_a_wall_clock_that_is_moved_is_told_and_one_that_is_slewed_is_not() -> None:
    clock, said = Stepping(START), list[tuple[int, Input]]()
    task = await running(clock, said)
    for _ in range(5):
        clock.wall_ns += 500_000_000
        await advance(clock, 1)
    assert all(i == Tick() for _, i in said)
    said.clear()
    clock.wall_ns -= 3600 * NS
    await advance(clock, 1)
    step = said[0][1]
    assert isinstance(step, ClockStep)
    assert step.after_ns - step.before_ns == -3600 * NS
    said.clear()
    await advance(clock, 1)
    assert [i for _, i in said] == [Tick()]  # told once, and it ticks on
    await stop(task)
