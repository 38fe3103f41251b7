"""Series that waited for long are told from live ones beside the data, never in it; files take everything in order."""

from __future__ import annotations

import asyncio
import contextlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gateway.clock import NS, ReplayClock, WallClock
from gateway.config.model import Broker
from gateway.delivery import Delivery
from gateway.outbox import Outbox, Transaction
from gateway.outbox.records import SeriesRow
from gateway.ports import Row
from gateway.sinks.file import File, FileSeries
from gateway.sinks.influx import V1, V2, build_v1, build_v2
from gateway.sinks.kinds import SINKS
from tests.door.until import until
from tests.outbox.conftest import write
from tests.sinks.conftest import Scripted, series_rows
from tests.sinks.test_mqtt import Gateway

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gateway.events import Health
    from gateway.ports import Sink
    from gateway.sinks.influx import InfluxSink
    from tests.servers.influx import Influx

LINES = [b"air,device=%d v=%d %d\n" % (n, n, 1_700_000_000_000_000_000 + n) for n in range(6)]


def sink_to(url: str, kind: str, gateway: str = "lg-1") -> InfluxSink:
    """By either way of writing."""
    if kind == "v1":
        return build_v1("i", V1(v1=url, db="d"), Path(), gateway)
    return build_v2("i", V2(v2=url, bucket="b"), Path(), gateway)


@pytest.mark.parametrize("kind", ["v1", "v2"])
async def test_a_write_of_backfill_holds_nothing_else_and_says_so_in_a_header(scripted: Scripted, kind: str) -> None:
    """Given live rows, backfill and live rows, when they are delivered, then three writes; the second has the mark."""
    rows = [row._replace(at_ns=n, backfill=n in {2, 3}) for n, row in enumerate(series_rows(*LINES))]
    sink = sink_to(scripted.url, kind)
    assert list(await sink.deliver(rows)) == []
    await sink.aclose()
    live, old, more = scripted.requests
    assert (live, more) == (b"".join(LINES[:2]), b"".join(LINES[4:]))
    assert old == b"".join(LINES[2:4]) + b"zhiwang_gateway,gateway=lg-1,sink=i backfill_to=3i,backfill_points=2i 2\n"
    assert ["x-zhiwang-backfill: 1" in head.lower() for head in scripted.heads] == [False, True, False]


@pytest.mark.parametrize("kind", ["v1", "v2"])
async def test_the_search_for_a_bad_line_of_the_backlog_keeps_the_mark(scripted: Scripted, kind: str) -> None:
    """Given a line that is refused without being named, when halves are tried, then each write has the header."""
    scripted.answer = lambda body: (400, b'{"error":"partial write"}', "") if LINES[3] in body else (204, b"", "")
    sink = sink_to(scripted.url, kind)
    [refused] = await sink.deliver([row._replace(backfill=True) for row in series_rows(b"".join(LINES))])
    await sink.aclose()
    assert refused.body + b"\n" == LINES[3]
    assert len(scripted.heads) > 3
    assert all("x-zhiwang-backfill: 1" in head.lower() for head in scripted.heads)


async def _report(_: Health) -> None:
    return


@contextlib.asynccontextmanager
async def delivering(outbox: Outbox, clock: ReplayClock | WallClock, *sinks: Sink) -> AsyncIterator[list[Delivery]]:
    """Each sink with a delivery that runs."""
    made = [Delivery(outbox, sink, clock, _report, 5_000_000) for sink in sinks]
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(one.run()) for one in made]
        yield made
        for task in running:
            task.cancel()


async def store(outbox: Outbox, at_ns: int, *bodies: bytes) -> None:
    """Rows that came in at this time."""
    rows = [SeriesRow(at_ns, body.count(b"\n"), body) for body in bodies]
    await write(outbox, Transaction(next_n=1, admitted_ns=at_ns, elapsed_ns=1, series=rows))


async def test_the_database_says_which_time_came_late_and_the_data_is_the_same(influx: Influx, tmp_path: Path) -> None:
    """Given an outage of ten minutes, when it is over, then all points are there, once, and points that name it."""
    clock = WallClock()
    now_ns = clock.now_ns()
    outbox = Outbox.open(tmp_path, clock)
    await outbox.declare([("i", "series", "oldest")])
    begun_ns = now_ns - 600 * NS
    await store(outbox, begun_ns, *[b"late,n=a v=%d %d\n" % (n, begun_ns + n) for n in range(100)])
    await store(outbox, now_ns, *[b"late,n=a v=%d %d\n" % (n, begun_ns + n) for n in range(100, 110)])
    outbox._ledger.leap("i", 100)
    sink = build_v1("i", V1(v1=influx.url, db=influx.database("late")), Path(), "lg-1")
    async with delivering(outbox, clock, sink) as [delivery]:
        await until(lambda: outbox.waiting("series", "i") == 0)
        assert delivery.stats()["points_delivered_total"] == 110
    await sink.aclose()
    await outbox.close()
    got = influx.query("SELECT v, n FROM late", "late")
    assert [(row["time"], row["v"], row["n"]) for row in got] == [(begun_ns + n, n, "a") for n in range(110)]
    [named] = influx.query("SELECT * FROM zhiwang_gateway", "late")
    assert named == {
        "time": begun_ns,
        "gateway": "lg-1",
        "sink": "i",
        "backfill_to": begun_ns,
        "backfill_points": 100,
    }


async def test_a_file_that_could_not_be_written_for_long_has_everything_once_and_in_order(tmp_path: Path) -> None:
    """Given a folder that is away for ten minutes, when it is back and rows come, then none passes those that waited.

    A file knows what it has by one number: rows behind newer ones would be taken for written.
    """
    clock = ReplayClock(1_800_000_000 * NS, seed=5)
    gateway = Gateway(Broker(url="mqtt://127.0.0.1:1"), tmp_path / "g")
    await gateway.history.begin("e1")
    built = SINKS["file"].build("log", File(file="out/log"), gateway.around)
    assert built.in_order
    sink = built.sinks[0]
    outbox = Outbox.open(tmp_path / "o", clock)
    await outbox.declare([("log", "series", "oldest")])
    (gateway.around.base / "out").write_text("in the way")
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(Delivery(outbox, sink, clock, _report, None).run())
        for n in range(20):
            await store(outbox, clock.now_ns(), b"m v=%d 1\n" % n)
            await until(lambda: clock._waiters)
            clock.advance(30)
        (gateway.around.base / "out").unlink()
        await store(outbox, clock.now_ns(), b"m v=20 1\n")
        for _ in range(200):
            clock.advance(1)
            await asyncio.sleep(0.005)
            if outbox.waiting("series", "log") == 0:
                break
        running.cancel()
    lines = [one for one in (gateway.around.base / "out/log.lp").read_bytes().splitlines() if one[:1] != b"#"]
    assert lines == [b"m v=%d 1" % n for n in range(21)]
    for each in built.sinks:
        await each.aclose()
    await outbox.close()
    await gateway.history.aclose()


async def test_a_file_takes_backfill_all_the_same_marks_it_and_is_whole_afterwards(tmp_path: Path) -> None:
    """Given rows that come after newer ones, when they are appended, then they are there, in a block that says so."""
    gateway = Gateway(Broker(url="mqtt://127.0.0.1:1"), tmp_path)
    await gateway.history.begin("e1")
    sink = FileSeries("log", File(file="log"), gateway.around)
    await sink.deliver([Row(9, 0, "", 1, b"m v=9 1\n")])
    await sink.deliver([Row(2, 0, "", 1, b"m v=2 1\n", backfill=True)])
    await sink.aclose()
    sink = FileSeries("log", File(file="log"), gateway.around)
    await sink.deliver([Row(9, 0, "", 1, b"m v=9 1\n"), Row(10, 0, "", 1, b"m v=10 1\n")])
    await sink.aclose()
    await gateway.history.aclose()
    whole = (gateway.around.base / "log.lp").read_text()
    assert [line for line in whole.splitlines() if line[:1] != "#"] == ["m v=9 1", "m v=2 1", "m v=10 1"]
    assert re.findall(r"position=(\d+) .*?( backfill=1)?\n", whole) == [("9", ""), ("9", " backfill=1"), ("10", "")]
