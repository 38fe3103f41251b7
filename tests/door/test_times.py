"""The door's three times, by a clock that the test moves."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING

import pytest

from gateway.clock import NS, ReplayClock
from gateway.door import RELEASED_NS, wait_for_clock
from gateway.events import ClockStep, Tick
from gateway.outbox import Resumed
from tests.door.echo import messages

if TYPE_CHECKING:
    from tests.door.conftest import Open

START_NS = RELEASED_NS + 1000 * NS


class MovedClock(ReplayClock):
    """A ReplayClock whose wall time can be set apart from its monotonic time."""

    moved_ns = 0

    def now_ns(self) -> int:
        """UTC, as somebody set it."""
        return super().now_ns() + self.moved_ns


async def test_inputs_are_stamped_when_they_are_admitted(opened: Open) -> None:
    """Given a clock that moves, when inputs are admitted, then they carry UTC and elapsed time."""
    clock = ReplayClock(START_NS)
    async with opened(clock=clock) as at:
        await at.door.commit(messages("a"))
        clock.advance(2.5)
        await at.door.commit(messages("b", "c"))
        cut = at.core.cuts[-1]
        assert cut.admitted_ns.tolist() == [START_NS + 2_500_000_000] * 2
        assert (cut.elapsed_ns - at.core.cuts[-2].elapsed_ns[0]).tolist() == [2_500_000_000] * 2


async def test_elapsed_time_goes_on_over_a_restart_by_believable_times(opened: Open) -> None:
    """Given a stop, when the clock says an hour later, elapsed has moved an hour; when it says earlier, by nothing."""
    elapsed: list[int] = []
    for start_ns in (START_NS, START_NS + 3600 * NS, START_NS + 60 * NS):
        async with opened(clock=ReplayClock(start_ns)) as at:
            await at.door.commit(messages("a"))
            elapsed.append(int(at.core.cuts[-1].elapsed_ns[0]))
    assert [after - before for before, after in itertools.pairwise(elapsed)] == [3600 * NS, 0]


async def test_a_clock_that_is_set_is_an_input_and_moves_no_elapsed_time(opened: Open) -> None:
    """Given a wall clock set back an hour, when the next tick comes, then a ClockStep precedes it, elapsed unmoved."""
    clock = MovedClock(START_NS)
    async with opened(clock=clock) as at:
        await at.door.commit([Tick()])
        clock.advance(1.0)
        clock.moved_ns = 500_000_000
        await at.door.commit([Tick()])
        assert [type(one) for one in at.core.cuts[-1].inputs] == [Tick], "half a second is slewed, not stepped"
        clock.advance(1.0)
        clock.moved_ns -= 3600 * NS
        await at.door.commit([Tick()])
        before, cut = at.core.cuts[-2:]
        now_ns = START_NS + 2 * NS + 500_000_000
        assert cut.inputs == [ClockStep(before_ns=now_ns, after_ns=now_ns - 3600 * NS), Tick()]
        assert cut.admitted_ns.tolist() == [now_ns - 3600 * NS] * 2
        assert int(cut.elapsed_ns[0] - before.elapsed_ns[0]) == NS
        assert cut.n0 == before.n0 + 1


async def test_the_start_waits_for_a_believable_clock() -> None:
    """Given a clock before the last input, when it is set within the minute, then the wait ends; else it gives up."""
    resumed = Resumed(1, 1, START_NS, 0, {}, [])
    assert await wait_for_clock(ReplayClock(START_NS), resumed)
    for set_after_s, believable in ((10.0, True), (None, False)):
        clock = MovedClock(5 * NS)
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(wait_for_clock(clock, resumed))
            for second in range(130):
                await asyncio.sleep(0)
                if set_after_s is not None and second / 2 >= set_after_s:
                    clock.moved_ns = START_NS
                clock.advance(0.5)
        assert waiting.result() is believable


@pytest.mark.parametrize("jump_s", [-86_400, 86_400], ids=["a day back", "a day ahead"])
async def test_a_clock_that_jumps_a_day_keeps_no_commit_waiting(opened: Open, jump_s: int) -> None:
    """Given commits that linger, when the clock jumps between them, then each returns, and elapsed time goes on."""
    clock = MovedClock(START_NS)
    async with opened(clock=clock, linger_s=0.05) as at:
        await at.door.commit([Tick()])
        before = int(at.core.cuts[-1].elapsed_ns[0])
        for n in range(6):
            clock.moved_ns = jump_s * NS if n % 2 == 0 else 0
            clock.advance(1.0)
            await at.door.commit(messages(f"m{n}"))
        cuts = at.core.cuts[-6:]
        assert [int(cut.elapsed_ns[0]) - before for cut in cuts] == [n * NS for n in range(1, 7)]
        assert [type(cut.inputs[0]) for cut in cuts] == [ClockStep] * 6
        assert (await at.series()).count(b"body=") == 6
