"""Makes a store as the checkout it is run in makes one: `PYTHONPATH=CHECKOUT python make.py N.sqlite.gz`.

Twenty transactions: 20 rows of series, 10 alert changes, a request, 3 dead letters (one asked for again, one a sink's),
a snapshot with deltas after it, marks, subscriptions; `influx` has 5 rows of series and `mqtt` 3 of alerts. Where the
program could: `influx` has 2 rows ahead of 10 that wait, and 2 rows were dropped that `mirror` had not got.
"""

from __future__ import annotations

import asyncio
import gzip
import sys
import tempfile
from pathlib import Path

from gateway.clock import WallClock
from gateway.events import AlertRow, DeadLetter, RequestRow
from gateway.outbox import Outbox, Transaction
from gateway.outbox.records import SeriesRow
from gateway.ports import Rejected

SINKS = [
    ("influx", "series", "oldest"),
    ("mirror", "series", "oldest"),
    ("mqtt", "alerts", "oldest"),
    ("replies", "requests", "oldest"),
]
AT_NS = 1_790_000_000_000_000_000


def main(target: Path) -> None:
    """Make it."""
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_fill(Path(folder)))
        target.write_bytes(gzip.compress((Path(folder) / "outbox.sqlite").read_bytes(), 9, mtime=0))


async def _fill(folder: Path) -> None:
    outbox = Outbox.open(folder, WallClock())
    await outbox.declare(SINKS)
    await _write(outbox, range(15))
    rows = await outbox.read("series", "influx", 5, 10**6)
    await outbox.advance("series", "influx", rows, [Rejected(rows[1], rows[1].body, "400 of the server")])
    await outbox.advance("alerts", "mqtt", await outbox.read("alerts", "mqtt", 3, 10**6), [])
    if hasattr(outbox, "leap"):
        outbox.leap("influx")
    await _write(outbox, range(15, 20))
    if hasattr(outbox, "leap"):
        await outbox.advance("series", "influx", await outbox.read("series", "influx", 2, 10**6), [])
    await outbox.keep_subscriptions("here", ["air/+", "water/#"])
    await outbox.retry([1])
    if hasattr(outbox._ledger, "drop"):
        await outbox._disk.ask(lambda connection: outbox._ledger.drop(connection, "budget", free=100))
    await outbox.close()


async def _write(outbox: Outbox, numbers: range) -> None:
    loop = asyncio.get_running_loop()
    for n in numbers:
        done: asyncio.Future[object] = loop.create_future()
        outbox.write(_transaction(n), lambda error, done=done: loop.call_soon_threadsafe(done.set_result, error))
        assert await done is None


def _transaction(n: int) -> Transaction:
    letter = DeadLetter(AT_NS + n, "air", f"air/{n}", "no number", b"broken %d" % n)
    body = b'{"seq":%d}' % (n + 1)
    severities = ("severe",)
    change = AlertRow(
        n + 1, "flood-1", "flood", "w.l", "city", severities, "updated", "a", True, False, AT_NS + n, body
    )
    marks = {"here": (b"\x07\0", b"\1\2\3\4")}
    return Transaction(
        next_n=n + 1,
        admitted_ns=AT_NS + n,
        elapsed_ns=n + 1,
        series=[SeriesRow(AT_NS + n, 1, b"air,d=%d v=%d %d\n" % (n, n, AT_NS + n))],
        alerts=[change] if n % 2 == 0 else [],
        requests=[RequestRow("r1", "reply", "here", 2**62, b"{}")] if n == 5 else [],
        dead=[("here", letter)] if n in {3, 7} else [],
        deltas=[b"delta %d" % n],
        marks=marks if n == 15 else {},
        snapshot=b"state after nine" if n == 9 else None,
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
