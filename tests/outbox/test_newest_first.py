"""After an outage new series go first, the backlog follows at its rate; alerts keep their order."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway.clock import NS, ReplayClock
from gateway.delivery import Delivery
from gateway.errors import Unreachable
from gateway.outbox import Budget, Outbox
from gateway.outbox.gaps import STRETCHES_KEPT, Has
from gateway.outbox.records import SeriesRow
from tests.door.until import until
from tests.outbox.conftest import SINKS, alert, transaction, write
from tests.outbox.driven import Driven

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from gateway.events import Health, Stream
    from gateway.ports import Rejected, Row

START_NS = 1_800_000_000 * NS
DRAIN = 10_000  # bytes a second


class SlowSink:
    """Notes rows with the time of their delivery; refuses all while it is `away`."""

    def __init__(self, name: str, stream: Stream, clock: ReplayClock) -> None:
        self.name, self.stream, self.clock = name, stream, clock
        self.away = True
        self.calls = 0
        self.got: list[tuple[int, Row]] = []

    async def deliver(self, rows: Sequence[Row]) -> list[Rejected]:
        """Note them."""
        self.calls += 1
        if self.away:
            raise Unreachable("no route")
        self.got += [(self.clock.now_ns(), row) for row in rows]
        return []

    async def aclose(self) -> None:
        """Nothing to close."""

    def positions(self, *, backfill: bool) -> list[int]:
        """What came, in order."""
        return [row.position for _, row in self.got if row.backfill is backfill]


async def _report(_: Health) -> None:
    return


@asynccontextmanager
async def delivering(outbox: Outbox, sink: SlowSink, clock: ReplayClock) -> AsyncIterator[Delivery]:
    """A delivery that runs."""
    delivery = Delivery(outbox, sink, clock, _report, DRAIN)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(delivery.run())
        yield delivery
        running.cancel()


async def row_of(outbox: Outbox, clock: ReplayClock, size: int = 2000) -> None:
    """A row of series and an alert, now."""
    seq = outbox.last("alerts") + 1
    body = b"air v=1.%0*d 5\n" % (size - 12, 7)
    row = SeriesRow(clock.now_ns(), 1, body)
    await write(outbox, transaction(alerts=[alert(seq)], admitted_ns=clock.now_ns(), series=[row]))


async def pass_time(clock: ReplayClock, seconds: float, step: float = 0.1) -> None:
    """Let so much time pass, and everybody act in it."""
    for _ in range(round(seconds / step)):
        clock.advance(step)
        await asyncio.sleep(0.002)


async def test_new_series_pass_the_backlog_which_follows_at_its_rate(tmp_path: Path) -> None:
    """Given 100 rows from an outage, when the sink is back, then new rows come within a second and old ones at 10 kB/s.

    And those are marked, each row comes once, and the lag is that of the backlog until it is gone.
    """
    clock = ReplayClock(START_NS, seed=3)
    outbox = Outbox.open(tmp_path, clock)
    await outbox.declare(SINKS)
    sink = SlowSink("influx", "series", clock)
    async with delivering(outbox, sink, clock) as delivery:
        for _ in range(100):
            await row_of(outbox, clock)
            clock.advance(10)
        await until(lambda: sink.calls > 0)
        sink.away = False
        clock.advance(30)
        await until(lambda: len(sink.got) > 0)
        back_ns = clock.now_ns()
        for _ in range(10):
            await row_of(outbox, clock)
            written_ns, expected = clock.now_ns(), outbox.last("series")
            for _ in range(20):
                await pass_time(clock, 0.1)
                if expected in sink.positions(backfill=False):
                    break
            [came] = [at for at, row in sink.got if row.position == expected]
            assert came - written_ns <= 2 * NS
        assert outbox.waiting("series", "influx") > 20
        assert delivery.stats()["lag_s"] > 500
        for _ in range(60):
            await pass_time(clock, 1)
            if outbox.waiting("series", "influx") == 0:
                break
        assert sink.positions(backfill=False)[-10:] == list(range(101, 111))
        old = sink.positions(backfill=True)
        assert old == sorted(old)
        assert sorted(row.position for _, row in sink.got) == list(range(1, 111)), "each once"
        took_s = (sink.got[-1][0] - back_ns) / NS
        assert took_s >= len(old) * 2000 / DRAIN * 0.8, "not faster than the drain rate"
        await until(lambda: delivery.stats()["lag_rows"] == 0)
        assert outbox.cursor("series", "influx") == 110
    await outbox.close()


async def test_alerts_leave_strictly_in_order(tmp_path: Path) -> None:
    """Given alerts from an outage, when the sink is back and new ones come, then they come in order, unmarked."""
    clock = ReplayClock(START_NS, seed=3)
    outbox = Outbox.open(tmp_path, clock)
    await outbox.declare(SINKS)
    sink = SlowSink("mqtt", "alerts", clock)
    async with delivering(outbox, sink, clock):
        for _ in range(30):
            await row_of(outbox, clock)
            clock.advance(100)
        await until(lambda: sink.calls > 0)
        sink.away = False
        clock.advance(30)
        await row_of(outbox, clock)
        await until(lambda: len(sink.got) == 31)
        assert sink.positions(backfill=False) == list(range(1, 32))
    await outbox.close()


async def test_where_a_leap_stands_comes_back_after_a_restart(tmp_path: Path) -> None:
    """Given a sink in the midst of a backlog, when the gateway restarts, then it goes on there; a gap knows it."""
    clock = ReplayClock(START_NS, seed=3)
    outbox = Outbox.open(tmp_path, clock)
    await outbox.declare(SINKS)
    for _ in range(10):
        await row_of(outbox, clock)
    outbox.leap("influx")
    for _ in range(5):
        await row_of(outbox, clock)
    for expected in ([11, 12], [13, 14, 15], [1, 2], [3, 4]):
        rows = await outbox.read("series", "influx", len(expected), 10**6)
        assert [row.position for row in rows] == expected
        assert all(row.backfill == (row.position <= 10) for row in rows)
        await outbox.advance("series", "influx", rows, [])
    assert outbox.waiting("series", "influx") == 6
    await outbox.close()
    outbox = Outbox.open(tmp_path, clock, bounds=Budget(bytes=1))
    await outbox.declare(SINKS)
    assert outbox.waiting("series", "influx") == 6
    await row_of(outbox, clock)  # over the budget: all goes
    [gap] = await outbox.gaps()
    assert (gap.first_position, gap.last_position, gap.rows) == (5, 16, 7), "11 to 15 it has"
    assert await outbox.read("series", "influx", 100, 10**6) == []
    assert outbox.waiting("series", "influx") in {0, 1}
    await outbox.close()


class Leaping(RuleBasedStateMachine):
    """Whatever is written, read, leapt and reopened: each row comes once, newer than the leap first."""

    def __init__(self) -> None:
        super().__init__()
        self.driven = Driven(SINKS)
        self.written = self.leapt_over = 0
        self.has: set[int] = set()

    @initialize()
    def start(self) -> None:
        """Open it for the first time."""
        self.driven.open()

    @rule(rows=st.integers(1, 5))
    def append(self, rows: int) -> None:
        """Store some rows."""
        self.driven.append(*[b"v=1"] * rows)
        self.written += rows

    @rule()
    def leap(self) -> None:
        """As a delivery does."""
        if self.driven.outbox.may_leap("influx", 0):
            self.driven.outbox.leap("influx")
            self.leapt_over = self.written

    @rule(rows=st.integers(1, 4))
    def deliver(self, rows: int) -> None:
        """Take some."""
        got = self.driven.do(self.driven.outbox.read("series", "influx", rows, 10**6))
        positions = [row.position for row in got]
        assert not self.has & set(positions), "each once"
        assert positions == list(range(positions[0], positions[0] + len(got))) if got else True
        if got and got[0].backfill:
            assert self.has >= set(range(self.leapt_over + 1, self.written + 1)), "nothing newer waits"
            assert positions[0] == min(set(range(1, self.written + 1)) - self.has), "the oldest first"
        assert got or len(self.has) == self.written
        self.has |= set(positions)
        self.driven.do(self.driven.outbox.advance("series", "influx", got, []))

    @rule()
    def reopen(self) -> None:
        """Stop in order and start again."""
        self.driven.reopen()

    @invariant()
    def counts(self) -> None:
        """What waits is known."""
        assert self.driven.outbox.waiting("series", "influx") == self.written - len(self.has)

    def teardown(self) -> None:
        """Leave nothing."""
        self.driven.remove()


Leaping.TestCase.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
TestLeaping = Leaping.TestCase


async def test_a_second_outage_joins_the_backlog_and_new_series_go_first_again(tmp_path: Path) -> None:
    """Given a backlog of two outages, when the sink is back for the second time, then new rows come at once.

    And all that waited follows, the oldest first, each row once, over a restart too.
    """
    clock = ReplayClock(START_NS, seed=3)
    outbox = Outbox.open(tmp_path, clock)
    await outbox.declare(SINKS)
    sink = SlowSink("influx", "series", clock)
    async with delivering(outbox, sink, clock):
        for outage in range(3):
            sink.away = True
            before = len(sink.got)
            for _ in range(100):
                await row_of(outbox, clock)
                await pass_time(clock, 4, 4)
            sink.away = False
            while len(sink.got) == before:
                await pass_time(clock, 1, 1)
            for _ in range(5):
                await row_of(outbox, clock)
                newest = outbox.last("series")
                await until(lambda newest=newest: newest in sink.positions(backfill=False))  # while time stands still
                await pass_time(clock, 1)
            assert outbox.waiting("series", "influx") > 10, "a backlog is there"
            assert len(outbox._ledger.place("series", "influx").ahead) == outage + 1
    waited = outbox.waiting("series", "influx")
    await outbox.close()
    outbox = Outbox.open(tmp_path, clock)
    await outbox.declare(SINKS)
    assert outbox.waiting("series", "influx") == waited
    async with delivering(outbox, sink, clock):
        for _ in range(20_000):
            await pass_time(clock, 1, 1)
            if outbox.waiting("series", "influx") == 0:
                break
    old = sink.positions(backfill=True)
    assert old == sorted(old)
    assert sorted(row.position for _, row in sink.got) == list(range(1, 316)), "each once"
    assert outbox.cursor("series", "influx") == 315
    await outbox.close()


def test_more_outages_than_can_be_noted_come_in_order() -> None:
    """Given a sink with 64 stretches ahead, when another outage ends, then it comes in line, and nothing is lost."""
    has, last = Has(0), 0
    for _ in range(STRETCHES_KEPT):
        has = has.leapt(last + 5).with_row(last + 7, backfill=False)
        last += 7
    assert not has.may_leap(last + 5)
    assert has.leapt(last + 5) == has
    assert has.held == 2 * STRETCHES_KEPT
    assert [end - begin for begin, end in has.waiting()] == [5] * STRETCHES_KEPT
    for begin, end in has.waiting():
        has = has.with_row(begin + 3, backfill=True)
        assert has.misses(end)
        has = has.with_row(end, backfill=True)
    assert has == Has(last)


OUTAGES = st.lists(
    st.tuples(
        st.integers(0, 5),  # rows while the sinks are away
        st.integers(1, 3),  # half minutes that it lasts
        st.integers(0, 3),  # rows while they are back
        st.integers(0, 4),  # seconds in which the backlog is drained, five each
        st.sampled_from(("", "", "restart", "kill")),
        st.sampled_from(("", "", "restart", "kill")),
    ),
    min_size=1,
    max_size=5,
)


Outage = tuple[int, int, int, int, str, str]


@settings(max_examples=25, deadline=None)
@given(outages=OUTAGES)
def test_whatever_outages_and_restarts_come_all_arrives_and_alerts_in_order(outages: list[Outage]) -> None:
    """Given any outages, restarts and kills, when the sinks are back, then every row has come, alerts in their order.

    Each row once, but for what a kill makes come again; a row that is new while the sinks are back passes the backlog.
    """
    asyncio.run(_through(outages))


async def _through(outages: list[Outage]) -> None:
    with tempfile.TemporaryDirectory() as place:
        life = _Life(Path(place))
        await life.start()
        for outage in outages:
            await life.through(*outage)
        for _ in range(20_000):
            if all(life.outbox.waiting(*one) == 0 for one in (("series", "influx"), ("alerts", "mqtt"))):
                break
            await pass_time(life.clock, 5, 5)
        await life.end()
        every = list(range(1, life.outbox.last("series") + 1))
        for sink in (life.influx, life.mqtt):
            came = [row.position for _, row in sink.got]
            assert sorted(set(came)) == every, "nothing is lost"
            assert life.killed or sorted(came) == every, "each once"
        old = life.influx.positions(backfill=True)
        assert life.killed or old == sorted(old), "the oldest of the backlog first"
        first = list(dict.fromkeys(row.position for _, row in life.mqtt.got))
        assert first == every, "alerts in order"


class _Life:
    """A store with a sink of series and one of alerts, through all that happens to them."""

    def __init__(self, place: Path) -> None:
        self.clock = ReplayClock(START_NS, seed=3)
        self.influx = SlowSink("influx", "series", self.clock)
        self.mqtt = SlowSink("mqtt", "alerts", self.clock)
        self.influx.away = self.mqtt.away = False
        self.killed = 0
        self._place = place
        self._running = AsyncExitStack()
        self.outbox: Outbox

    async def start(self) -> None:
        """Open the store and deliver."""
        folder = self._place / str(self.killed)
        folder.mkdir(exist_ok=True)
        self.outbox = Outbox.open(folder, self.clock)
        await self.outbox.declare(SINKS)
        for sink in (self.influx, self.mqtt):
            await self._running.enter_async_context(delivering(self.outbox, sink, self.clock))

    async def end(self) -> None:
        """Stop in order."""
        await self._running.aclose()
        await self.outbox.close()

    async def through(self, away: int, halves: int, back: int, drained: int, amid: str, after: str) -> None:
        """An outage, and some time after it, with a restart in either."""
        self.influx.away = self.mqtt.away = True
        await self._rows(away)
        self.clock.advance(31.0 * halves)  # every pause between two tries is shorter
        await self._again(amid)
        self.influx.away = self.mqtt.away = False
        await self._is_back()
        await self._new_passes_old()
        await self._rows(back)
        await pass_time(self.clock, drained * 5, 5)
        await self._again(after)

    async def _rows(self, count: int) -> None:
        for _ in range(count):
            await row_of(self.outbox, self.clock, 5 * DRAIN)
            await pass_time(self.clock, 0.5, 0.5)

    async def _again(self, how: str) -> None:
        if how == "kill":
            shutil.copytree(self._place / str(self.killed), self._place / str(self.killed + 1))
        if how:
            await self.end()
            self.killed += how == "kill"
            await self.start()

    async def _is_back(self) -> None:
        """Wait until the sink has what waited, or some of it and the rest is behind."""
        before = len(self.influx.got)
        for _ in range(1000):
            waiting, behind = self.outbox.waiting("series", "influx"), self.outbox.backlog("series", "influx")
            if waiting == 0 or (waiting == behind and len(self.influx.got) > before):
                return
            await pass_time(self.clock, 1, 1)  # no more than it takes: the backlog is drained meanwhile
        raise AssertionError("the sink was not tried again")

    async def _new_passes_old(self) -> None:
        """While time stands still: the pause between two rows of the backlog is no reason to wait."""
        await row_of(self.outbox, self.clock, 20)
        newest = self.outbox.last("series")
        await until(lambda: newest in self.influx.positions(backfill=False))
