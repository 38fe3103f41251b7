"""What waits is bounded by bytes and age: the oldest series go, never alerts, and what went is on record."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from typing import TYPE_CHECKING

import pytest

from gateway.cli import main
from gateway.clock import NS, ReplayClock
from gateway.events import Health
from gateway.outbox import Budget, Outbox
from gateway.outbox.budget import DAY_NS
from gateway.outbox.schema import FILE
from tests.door.until import until
from tests.outbox.conftest import SINKS, alert, transaction, write

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

START_NS = 1_800_000_000 * NS
SMALL = Budget(bytes=6_000_000)


@pytest.fixture
def clock() -> ReplayClock:
    """A clock that the test moves."""
    return ReplayClock(START_NS, seed=1)


@pytest.fixture
async def outbox(tmp_path: Path, clock: ReplayClock) -> AsyncIterator[Outbox]:
    """A store of 6 MB, with its sinks."""
    made = Outbox.open(tmp_path, clock, bounds=SMALL)
    await made.declare(SINKS)
    yield made
    await made.close()


def _body(n: int) -> bytes:
    """100 kB: a thousand points of two series, one of them with an escaped space."""
    return b"".join(b"air,d=%d pm=%d.%061d 5\nair,d=a\\ b v=1 5%021d\n" % (n % 3, n, 7, 5) for _ in range(1000))


async def test_over_its_budget_the_oldest_series_go_and_alerts_stay(outbox: Outbox, tmp_path: Path) -> None:
    """Given no sink that comes, when 10 MB arrive, then 6 are held: the newest, and all alerts.

    And one record says what is missing: from which row to which, when, how many points, of which series.
    """
    count = 100
    for n in range(count):
        await write(outbox, transaction(_body(n), alerts=[alert(n)], admitted_ns=START_NS + n))
        used = outbox.stats().bytes
    assert used <= SMALL.bytes + 2_000_000, "free pages and a transaction's own journal come on top"
    rows = await outbox.read("series", "influx", 1000, 10**9)
    assert rows[-1].position == count
    assert len(rows) > 5
    assert [row.body for row in rows] == [_body(row.position - 1) for row in rows]
    assert len(await outbox.read("alerts", "mqtt", 1000, 10**9)) == count
    [gap] = await outbox.gaps()
    missing = rows[0].position - 1
    assert (gap.sink, gap.first_position, gap.last_position, gap.rows) == ("influx", 1, missing, missing)
    assert sum(gap.series.values()) == missing * 2000
    assert gap.points == missing * 2001, "as the test's rows say"
    assert gap.series["air,d=a\\ b"] == missing * 1000
    assert (gap.why, gap.dropped_ns) == ("budget", START_NS)
    stats = outbox.stats()
    assert (stats.dropped_rows, stats.dropped_points, stats.gaps) == (missing, gap.points, 1)
    with sqlite3.connect(f"file:{tmp_path / FILE}?mode=ro", uri=True) as db:
        assert db.execute("PRAGMA quick_check").fetchone() == ("ok",)
    db.close()


async def test_what_a_sink_has_is_no_gap_and_each_sink_has_its_own(outbox: Outbox) -> None:
    """Given a sink that keeps up and one that is away, when the budget is spent, then only the second misses rows."""
    await outbox.declare([*SINKS, ("live", "series", "oldest")])
    for n in range(80):
        await write(outbox, transaction(_body(n)))
        await outbox.advance("series", "live", await outbox.read("series", "live", 1000, 10**9), [])
    assert {gap.sink for gap in await outbox.gaps()} == {"influx"}
    await outbox.advance("series", "influx", await outbox.read("series", "influx", 1000, 10**9), [])
    before = outbox.stats().dropped_rows
    assert before > 0
    for n in range(80):
        await write(outbox, transaction(_body(n)))
        for sink in ("live", "influx"):
            await outbox.advance("series", sink, await outbox.read("series", sink, 1000, 10**9), [])
    assert outbox.stats().dropped_rows == before, "what both have goes first"


async def test_a_later_outage_is_a_gap_of_its_own(outbox: Outbox) -> None:
    """Given two outages with a recovery between, when rows were dropped in both, then there are two records."""
    for n in range(80):
        await write(outbox, transaction(_body(n)))
    await outbox.advance("series", "influx", await outbox.read("series", "influx", 1000, 10**9), [])
    for n in range(80):
        await write(outbox, transaction(_body(n)))
    later, earlier = await outbox.gaps()
    assert later.first_position > earlier.last_position + 1
    assert outbox.stats().gaps == 2


async def test_too_old_goes_but_not_by_a_clock_that_jumped(outbox: Outbox, clock: ReplayClock) -> None:
    """Given rows, when the clock is a year ahead for a minute, nothing goes; when they are 30 days old, the old go."""
    await write(outbox, transaction(b"a v=1\n", admitted_ns=START_NS))
    outbox._ledger._bounds = Budget(age_ns=DAY_NS)
    clock.advance(2 * 86_400)
    await write(outbox, transaction(b"b v=1\n"))
    await _tidied(outbox, clock, 20)
    assert len(await outbox.read("series", "influx", 10, 1000)) == 2, "the clock may still be wrong"
    await _tidied(outbox, clock, 700)
    assert [row.body for row in await outbox.read("series", "influx", 10, 1000)] == []
    gaps = await outbox.gaps()
    assert [(gap.why, gap.rows) for gap in gaps] == [("age", 2)]


async def _tidied(outbox: Outbox, clock: ReplayClock, seconds: float) -> None:
    clock.advance(seconds)
    await write(outbox, transaction(next_n=2))


async def test_drops_are_reported_once_and_their_end(outbox: Outbox, clock: ReplayClock) -> None:
    """Given a store that drops, when it tells, then it says so once, and the end after an hour without drops."""
    told: list[Health] = []

    async def report(health: Health) -> None:
        if health.condition == "dropped":
            told.append(health)

    async with asyncio.TaskGroup() as tasks:
        telling = tasks.create_task(outbox.tell(report))
        await until(lambda: len(told) == 1)
        assert told.pop().ok
        for n in range(80):
            await write(outbox, transaction(_body(n)))
        await until(lambda: len(told) == 1 and clock._waiters)
        assert (told[0].component, told[0].condition, told[0].ok) == ("disk/outbox", "dropped", False)
        assert "outbox.budget" in told[0].detail
        for n in range(20):
            await write(outbox, transaction(_body(n)))
        clock.advance(3600)
        await until(lambda: clock._waiters)
        assert len(told) == 1, "rows were dropped within the hour"
        clock.advance(3600)
        await until(lambda: len(told) == 2)
        assert told[1] == Health("disk/outbox", "dropped", ok=True)
        telling.cancel()


async def test_a_restart_soon_after_does_not_say_that_all_is_well(clock: ReplayClock, tmp_path: Path) -> None:
    """Given drops, when the gateway restarts at once, then the alert stays until an hour without drops has passed."""
    first = Outbox.open(tmp_path, clock, bounds=SMALL)
    await first.declare(SINKS)
    for n in range(80):
        await write(first, transaction(_body(n)))
    await first.close()
    again = Outbox.open(tmp_path, clock, bounds=SMALL)
    told: list[Health] = []

    async def report(health: Health) -> None:
        if health.condition == "dropped":
            told.append(health)

    async with asyncio.TaskGroup() as tasks:
        telling = tasks.create_task(again.tell(report))
        await until(lambda: clock._waiters)
        assert told == []
        clock.advance(3600)
        await until(lambda: told == [Health("disk/outbox", "dropped", ok=True)])
        telling.cancel()
    await again.close()


async def test_a_file_of_an_earlier_release_gets_the_table(tmp_path: Path, clock: ReplayClock) -> None:
    """Given a store without the table of gaps, when looked at there is none; opened, it goes on as it was."""
    first = Outbox.open(tmp_path, clock)
    await first.declare(SINKS)
    await write(first, transaction(b"a v=1\n"))
    await first.close()
    with sqlite3.connect(tmp_path / FILE) as db:
        db.execute("DROP TABLE gaps")
    db.close()
    assert main(["outbox", "stat", "--state", str(tmp_path), "--json"]) == 0
    second = Outbox.open(tmp_path, clock)
    assert second.epoch == first.epoch
    assert len(await second.read("series", "influx", 10, 1000)) == 1
    assert await second.gaps() == []
    await second.close()


async def test_stat_and_peek_show_gaps(outbox: Outbox, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Given a gap, when people look, then `stat` and `peek` tell it, for people and machines."""
    for n in range(80):
        await write(outbox, transaction(_body(n)))
    assert await asyncio.to_thread(main, ["outbox", "stat", "--state", str(tmp_path), "--json"]) == 0
    [gap] = json.loads(capsys.readouterr().out)["gaps"]
    assert (gap["sink"], gap["first_position"], gap["why"]) == ("influx", 1, "budget")
    for verb in ("stat", "peek"):
        assert await asyncio.to_thread(main, ["outbox", verb, "--state", str(tmp_path)]) == 0
        shown = capsys.readouterr().out
        assert "influx" in shown
        assert f"{gap['points']} points" in shown
