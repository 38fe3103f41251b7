"""A sink gets everything, waits out what is transient, and never blocks another."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from gateway.clock import NS, ReplayClock
from gateway.delivery import Delivery, deliver_forever
from gateway.errors import DiskFull, LoginRefused, RefusedError, Throttled, Unreachable
from gateway.events import Health, RequestRow
from gateway.outbox import Outbox
from gateway.outbox.records import SeriesRow
from gateway.ports import Rejected
from tests.door.until import until
from tests.outbox.conftest import SINKS, alert, transaction, write

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

    from gateway.events import Stream
    from gateway.ports import Row

START_NS = 1_800_000_000 * NS


class ListSink:
    """Keeps what it is given. `troubles` are raised first, one a call; bodies in `poison` are refused."""

    def __init__(self, name: str = "influx", stream: Stream = "series", *, by_error: bool = False) -> None:
        self.name = name
        self.stream: Stream = stream
        self.got: list[bytes] = []
        self.calls: list[int] = []
        self.troubles: list[Exception] = []
        self.poison: set[bytes] = set()
        self.by_error = by_error
        self.takes: Callable[[int], None] = lambda _: None
        self.parts: dict[bytes, bytes] = {}  # bodies, and what of them is refused

    async def deliver(self, rows: Sequence[Row]) -> list[Rejected]:
        """Keep the rows."""
        self.calls.append(len(rows))
        if self.troubles:
            raise self.troubles.pop(0)
        bad = [row for row in rows if row.body in self.poison]
        if bad and self.by_error:
            raise RefusedError("400: this batch will never do")
        self.takes(len(rows))
        self.got += [row.body for row in rows if row not in bad]
        bad_parts = [Rejected(row, self.parts[row.body], "400: older") for row in rows if row.body in self.parts]
        return bad_parts + [Rejected(row, row.body, "400: this row will never do") for row in bad]

    async def aclose(self) -> None:
        """Nothing to close."""


class At:
    """A delivery that runs, its clock, and what it reported."""

    def __init__(self, outbox: Outbox, clock: ReplayClock, sink: ListSink, drain: int | None = None) -> None:
        self.outbox, self.clock, self.sink = outbox, clock, sink
        self.told: list[Health] = []
        self.delivery = Delivery(outbox, sink, clock, self.report, drain)

    async def report(self, health: Health) -> None:
        """Remember."""
        self.told.append(health)

    async def waited(self, seconds: float) -> None:
        """Wait until the delivery sleeps, then let so much time pass."""
        await until(lambda: self.clock._waiters)
        self.clock.advance(seconds)

    async def called(self, times: int) -> None:
        """Wait until the sink was called so often."""
        await until(lambda: len(self.sink.calls) >= times)


@asynccontextmanager
async def delivering(folder: Path, sink: ListSink) -> AsyncIterator[At]:
    """A sink that drains an outbox as long as the block lasts."""
    clock = ReplayClock(START_NS, seed=7)
    outbox = Outbox.open(folder, clock)
    await outbox.declare(
        [*SINKS, ("other", "series", "oldest"), ("city", "alerts", "oldest"), ("city", "requests", "oldest")]
    )
    at = At(outbox, clock, sink)
    try:
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(at.delivery.run())
            yield at
            running.cancel()
    finally:
        await outbox.close()


async def test_rows_go_out_in_order_as_they_come(tmp_path: Path) -> None:
    """Given a sink that waits, when rows are stored, then it has them, in order, and is reported well once."""
    async with delivering(tmp_path, sink := ListSink()) as at:
        for n in range(20):
            await write(at.outbox, transaction(b"%d" % n))
        await until(lambda: len(sink.got) == 20)
        assert sink.got == [b"%d" % n for n in range(20)]
        await until(lambda: at.told)
        assert at.told == [Health("sink/influx", "delivering_series", ok=True)]
        stats = at.delivery.stats()
        assert (stats["delivered_total"], stats["points_delivered_total"], stats["lag_rows"]) == (20, 20, 0)


async def test_what_is_transient_is_tried_again_without_end_and_loses_nothing(tmp_path: Path) -> None:
    """Given 40 failures, when each wait (at most 30 s) is over, the same rows come again; Health is told."""
    sink = ListSink()
    sink.troubles = [Unreachable("connection refused")] * 40
    async with delivering(tmp_path, sink) as at:
        await write(at.outbox, transaction(b"a", b"b"))
        for n in range(40):
            await at.called(n + 1)
            await at.waited(30)
        await until(lambda: sink.got == [b"a", b"b"] and len(at.told) == 2)
        assert at.told == [
            Health("sink/influx", "delivering_series", ok=False, detail="connection refused"),
            Health("sink/influx", "delivering_series", ok=True),
        ]
        assert at.delivery.stats()["retries_total"] == 40


async def test_a_server_that_fails_for_another_reason_by_now_is_told_anew(tmp_path: Path) -> None:
    """Given failures for one reason and then another, when it works, then Health said each once."""
    sink = ListSink()
    sink.troubles = [*(Unreachable("connection refused"),) * 5, *(Unreachable("500: engine is closed"),) * 5]
    async with delivering(tmp_path, sink) as at:
        await write(at.outbox, transaction(b"a"))
        for n in range(10):
            await at.called(n + 1)
            await at.waited(30)
        await until(lambda: sink.got == [b"a"] and at.told[-1].ok)
        assert [one.detail for one in at.told] == ["connection refused", "500: engine is closed", ""]


async def test_one_hiccup_is_no_news(tmp_path: Path) -> None:
    """Given a single failure, when the next try works, then no Health says that it failed."""
    sink = ListSink()
    sink.troubles = [Unreachable("reset")]
    async with delivering(tmp_path, sink) as at:
        await write(at.outbox, transaction(b"a"))
        await at.waited(30)
        await until(lambda: at.told)
        assert [one.ok for one in at.told] == [True]


async def test_a_server_that_asks_for_a_pause_gets_it(tmp_path: Path) -> None:
    """Given a server that says 100 s, when less has passed, then it is left alone."""
    sink = ListSink()
    sink.troubles = [Throttled("429", 100.0)]
    async with delivering(tmp_path, sink) as at:
        await write(at.outbox, transaction(b"a"))
        await at.waited(99)
        await asyncio.sleep(0.01)
        assert sink.calls == [1]
        await at.waited(2)
        await until(lambda: sink.got == [b"a"])


async def test_a_refused_login_is_tried_every_five_minutes_and_told(tmp_path: Path) -> None:
    """Given a wrong password, when less than 5 minutes have passed, then it is not tried again."""
    sink = ListSink()
    sink.troubles = [LoginRefused("401: token is wrong")]
    async with delivering(tmp_path, sink) as at:
        await write(at.outbox, transaction(b"a"))
        await until(lambda: at.told)
        assert not at.told[0].ok
        assert "401: token is wrong" in at.told[0].detail
        await at.waited(299)
        await asyncio.sleep(0.01)
        assert sink.calls == [1]
        await at.waited(2)
        await until(lambda: sink.got == [b"a"])


@pytest.mark.parametrize("by_error", [False, True])
async def test_one_row_that_is_refused_voids_no_other(tmp_path: Path, *, by_error: bool) -> None:
    """Given a poisonous row, named by the sink or not, when the rows are delivered, then only it is a dead letter."""
    sink = ListSink(by_error=by_error)
    sink.poison = {b"7"}
    async with delivering(tmp_path, sink) as at:
        await write(at.outbox, transaction(*[b"%d" % n for n in range(20)]))
        await until(lambda: len(sink.got) == 19 and at.delivery.stats()["rejected_total"] == 1)
        assert sink.got == [b"%d" % n for n in range(20) if n != 7]
        [letter] = await at.outbox.letters()
        assert (letter.letter.body, letter.letter.where) == (b"7", "influx")
        assert letter.letter.reason.startswith("400")
        sink.poison = set()
        await at.outbox.retry()
        await until(lambda: sink.got[-1] == b"7")


async def test_a_sink_that_fails_blocks_no_other(tmp_path: Path) -> None:
    """Given two sinks, one away, when rows come, then the other has them and the lag of the first is said."""
    sink = ListSink()
    sink.troubles = [Unreachable("away")] * 1000
    other = ListSink("other")
    async with delivering(tmp_path, sink) as at, asyncio.TaskGroup() as tasks:
        task = tasks.create_task(deliver_forever(at.outbox, other, at.clock, at.report))
        await write(at.outbox, transaction(b"a"))
        await until(lambda: other.got == [b"a"] and sink.calls)
        stats = at.delivery.stats()
        assert (stats["lag_rows"], stats["lag_s"] > 0) == (1, True)
        task.cancel()


async def test_requests_that_expired_are_dropped_and_counted(tmp_path: Path) -> None:
    """Given one request in time and one too late, when they are delivered, then only the first goes out."""
    late = RequestRow("late", "reply", "here", START_NS - 1, b"{}")
    good = RequestRow("good", "reply", "here", START_NS + NS, b"{}")
    async with delivering(tmp_path, sink := ListSink("replies", "requests")) as at:
        await write(at.outbox, transaction(requests=[late, good]))
        await until(lambda: at.delivery.stats()["expired_total"] == 1)
        assert len(sink.got) == 1


async def test_the_streams_of_one_sink_are_told_apart(tmp_path: Path) -> None:
    """Given alerts that cannot be delivered, when a reply can, then what is said of the alerts stands."""
    alerts = ListSink("city", "alerts")
    alerts.troubles = [Unreachable("away")] * 1000
    async with delivering(tmp_path, alerts) as at, asyncio.TaskGroup() as tasks:
        await write(at.outbox, transaction(alerts=[alert(1)]))
        for n in range(3):
            await at.called(n + 1)
            await at.waited(30)
        await until(lambda: at.told)
        replies = ListSink("city", "requests")
        task = tasks.create_task(deliver_forever(at.outbox, replies, at.clock, at.report))
        await write(at.outbox, transaction(requests=[RequestRow("a", "reply", "here", 2 * START_NS, b"{}")]))
        await until(lambda: len(at.told) == 2)
        task.cancel()
        assert at.told == [
            Health("sink/city", "delivering_alerts", ok=False, detail="away"),
            Health("sink/city", "delivering_requests", ok=True),
        ]


async def test_requests_that_expired_are_no_good_news_while_others_wait(tmp_path: Path) -> None:
    """Given a sink that fails, when the oldest reply has expired, then it counts as failing until one is delivered."""
    sink = ListSink("city", "requests")
    sink.troubles = [Unreachable("away")] * 8
    async with delivering(tmp_path, sink) as at:
        soon = RequestRow("soon", "reply", "here", START_NS + 100 * NS, b"x" * 600_000)  # more than half a batch
        later = RequestRow("later", "reply", "here", 2 * START_NS, b"x" * 600_000)
        await write(at.outbox, transaction(requests=[soon, later]))
        for n in range(8):
            await at.called(n + 1)
            await at.waited(30)
        await until(lambda: len(sink.got) == 1 and len(at.told) == 2)
        assert [one.ok for one in at.told] == [False, True]
        assert at.delivery.stats()["expired_total"] == 1


async def test_batches_shrink_when_a_server_fails_and_grow_again(tmp_path: Path) -> None:
    """Given many rows and a failing server, when it is back, then batches are small first, then larger."""
    sink = ListSink()
    sink.troubles = [Unreachable("too slow")] * 6
    async with delivering(tmp_path, sink) as at:
        await write(at.outbox, transaction(*[b"x"] * 500))
        for n in range(6):
            await at.called(n + 1)
            await at.waited(30)
        await until(lambda: len(sink.got) == 500)
        assert sink.calls[6] < 20
        assert max(sink.calls[7:]) > 100


async def test_batches_follow_what_the_server_takes_for_them(tmp_path: Path) -> None:
    """Given a server that takes a second for 200 rows, when there are thousands, then none takes it much over two."""
    sink = ListSink()
    async with delivering(tmp_path, sink) as at:
        sink.takes = lambda rows: at.clock.advance(rows / 200)
        await write(at.outbox, transaction(*[b"x"] * 5000))
        await until(lambda: len(sink.got) == 5000)
        assert sink.calls[0] > 400
        assert max(sink.calls[3:]) < 600
        assert min(sink.calls[3:-1]) >= 100
        stats = at.delivery.stats()
        assert 0.5 < stats["latency_s"] < 3
        assert stats["batch_bytes"] >= 100_000


async def test_a_newer_row_does_not_wait_until_more_of_the_backlog_is_due(tmp_path: Path) -> None:
    """Given a drain rate at which a row of backlog takes 100 s, when a new row comes, then it is there at once."""
    clock = ReplayClock(START_NS)
    outbox = Outbox.open(tmp_path, clock)
    await outbox.declare(SINKS)
    sink = ListSink()
    old = [SeriesRow(START_NS, 1, b"%01000d" % n) for n in range(5)]
    await write(outbox, transaction(series=old))
    clock.advance(100)
    at = At(outbox, clock, sink, drain=10)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(at.delivery.run())
        await until(lambda: len(sink.got) == 1 and clock._waiters)
        for n in range(3):
            await write(outbox, transaction(series=[SeriesRow(clock.now_ns(), 1, b"new%d" % n)]))
            await until(lambda n=n: len(sink.got) == 2 + n)
        assert sink.got == [old[0].body, b"new0", b"new1", b"new2"]
        assert at.delivery.stats()["backlog_rows"] == 4
        clock.advance(101)
        await until(lambda: len(sink.got) == 5)
        assert sink.got[4] == old[1].body
        running.cancel()
    await outbox.close()


async def test_what_a_server_refused_is_not_counted_as_delivered(tmp_path: Path) -> None:
    """Given three lines refused of a row of ten, when it is delivered, then seven points are, and three refused."""
    sink = ListSink()
    body = b"".join(b"m v=%d 1\n" % n for n in range(10))
    sink.parts = {body: b"m v=1 1\nm v=2 1\nm v=3 1\n"}
    async with delivering(tmp_path, sink) as at:
        await write(at.outbox, transaction(series=[SeriesRow(5, 10, body)]))
        await until(lambda: at.delivery.stats()["delivered_total"] == 1)
        stats = at.delivery.stats()
        assert (stats["points_delivered_total"], stats["points_rejected_total"], stats["rejected_total"]) == (7, 3, 1)


async def test_a_failed_disk_ends_the_delivery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a delivery that waits, when the disk fails, then it raises what the disk said."""
    monkeypatch.setattr("gateway.outbox.disk.TRIES", 1)
    with pytest.raises(ExceptionGroup) as raised:  # noqa: PT012 - the block is where the delivery runs
        async with delivering(tmp_path, ListSink()) as at:
            await at.outbox._disk.ask(lambda db: db.execute("PRAGMA max_page_count = 40").fetchall(), write=False)
            with pytest.raises(DiskFull):
                await write(at.outbox, transaction(b"x" * 1_000_000))
            await asyncio.Event().wait()
    assert isinstance(raised.value.exceptions[0], DiskFull)
