"""A wall clock that is set a day back or ahead while the store is in use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.clock import NS
from gateway.outbox import Budget, Outbox, Transaction, look
from gateway.outbox.budget import DAY_NS
from gateway.outbox.records import SeriesRow
from tests.door.test_times import START_NS, MovedClock
from tests.outbox.conftest import SINKS, alert, write

if TYPE_CHECKING:
    from pathlib import Path

KEPT_NS = 3 * DAY_NS


@pytest.fixture
def clock() -> MovedClock:
    """A clock whose wall time the test sets apart from its monotonic time."""
    return MovedClock(START_NS, seed=1)


async def hours(outbox: Outbox, clock: MovedClock, count: int) -> None:
    """A row of series and an alert each hour; what is too old goes meanwhile."""
    for _ in range(count):
        clock.advance(3600.0)
        n = outbox.last("series") + 1
        now_ns = clock.now_ns()
        rows = [SeriesRow(now_ns, 1, b"x v=%d\n" % n)]
        await write(outbox, Transaction(n, now_ns, n, rows, [alert(n)]))
        await outbox._disk.ask(outbox._ledger.tidy)


async def ages_h(outbox: Outbox, clock: MovedClock) -> list[float]:
    """How old what waits is, by the clock, in hours."""
    rows = await outbox.read("series", "influx", 10_000, 10**9)
    return [(clock.now_ns() - row.at_ns) / 3600 / NS for row in rows]


@pytest.mark.parametrize("jump_ns", [-DAY_NS, DAY_NS], ids=["a day back", "a day ahead"])
async def test_the_age_goes_wrong_by_the_jump_at_most_and_comes_right_again(
    tmp_path: Path, clock: MovedClock, jump_ns: int
) -> None:
    """Given three days kept, when the clock jumps a day and two days later back, what waits is never far from that.

    A jump of five minutes drops nothing; what is dropped is on record with times that make sense.
    """
    outbox = Outbox.open(tmp_path, clock, bounds=Budget(age_ns=KEPT_NS))
    await outbox.declare(SINKS)
    await hours(outbox, clock, 72)
    assert len(await ages_h(outbox, clock)) == 72
    clock.moved_ns = jump_ns
    clock.advance(300)
    await outbox._disk.ask(outbox._ledger.tidy)
    clock.moved_ns = 0
    await outbox._disk.ask(outbox._ledger.tidy)
    assert len(await ages_h(outbox, clock)) == 72, "a clock that is wrong for five minutes drops nothing"
    clock.moved_ns = jump_ns
    await hours(outbox, clock, 48)
    assert 46 <= len(await ages_h(outbox, clock)) <= 98
    clock.moved_ns = 0
    await hours(outbox, clock, 120)
    ages = await ages_h(outbox, clock)
    assert 71 <= len(ages) <= 74
    assert max(ages) <= 74
    gaps = await outbox.gaps()
    assert {gap.why for gap in gaps} == {"age"}
    assert all(gap.from_ns <= gap.to_ns for gap in gaps)
    assert sum(gap.rows for gap in gaps) == outbox.stats().dropped_rows == 240 - len(ages)
    await outbox.close()


async def test_a_gap_over_a_clock_set_back_has_its_times_in_order(tmp_path: Path, clock: MovedClock) -> None:
    """Given rows of before and after a clock was set a day back, when both are dropped, the record spans both."""
    outbox = Outbox.open(tmp_path, clock)
    await outbox.declare(SINKS)
    await hours(outbox, clock, 3)
    latest_ns = clock.now_ns()
    clock.moved_ns = -DAY_NS
    await hours(outbox, clock, 3)
    await outbox._disk.ask(lambda connection: outbox._ledger.drop(connection, "budget"))
    [gap] = await outbox.gaps()
    assert (gap.rows, gap.from_ns, gap.to_ns) == (6, latest_ns - DAY_NS + 3600 * NS, latest_ns)
    with look.connected(tmp_path) as connection:
        state = look.state(connection, clock.now_ns())
    assert all(sink.lag_s >= 0 for sink in state.sinks), "nothing waits for a negative time"
    await outbox.close()
