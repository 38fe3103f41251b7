"""One sink's way out of the outbox: read from its cursor, deliver, move on; wait out what is transient, without end.

outbox.read ─▶ sink.deliver ─▶ outbox.advance ─▶ (again, or wait for new rows)
                   │ TransientError: full jitter up to 30 s · LoginRefused: every 5 min · Rejected: dead letters

Alerts and requests leave strictly in order. Series that waited for longer than a minute let newer ones pass, and follow
at the sink's drain rate while nothing newer waits.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import msgspec

from gateway.errors import LoginRefused, RefusedError, Throttled, TransientError
from gateway.events import Health, RequestRow
from gateway.pace import Pace
from gateway.ports import Rejected

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from gateway.outbox import Outbox
    from gateway.ports import Clock, Row, Sink

log = logging.getLogger(__name__)

FIRST_RETRY_S, LAST_RETRY_S = (
    0.5,
    30.0,
)  # a server that restarts is back within seconds; a WAN outage costs 2 calls a min
LOGIN_RETRY_S = 300.0  # servers and cameras lock accounts that try a wrong password often
LEAP_NS = 60_000_000_000  # what waits for longer is a backlog: who watches wants to see now first
FAILURES_TOLD = 3  # a single lost connection is no news


class Delivery:
    """Drains one stream into one sink, which the outbox knows by `Outbox.declare`.

    `drain`: bytes of backlog a second for a sink of series that gets newer ones first; None: all strictly in order.
    """

    def __init__(
        self,
        outbox: Outbox,
        sink: Sink,
        clock: Clock,
        report: Callable[[Health], Awaitable[None]],
        drain: int | None = None,
    ) -> None:
        self.name = f"{sink.name}/{sink.stream}"
        self._outbox = outbox
        self._sink = sink
        self._clock = clock
        self._report = report
        self._drain = drain if sink.stream == "series" else None
        self._pace = Pace() if self._drain is None else Pace(self._drain)  # of backlog a second's worth at a time
        self._rests_until_ns = 0  # from the backlog, to leave the server room; monotonic
        self._failures = 0
        self._told = ("", "")  # what Health last said: "ok" or a class of failure, and its words; nothing yet
        self._oldest_ns: int | None = None
        self._delivered = self._points = self._rejected = self._expired = self._retries = 0
        self._points_rejected = 0

    async def run(self) -> None:
        """Deliver until cancelled. Raises OutboxError when the disk has failed."""
        outbox, stream, name = self._outbox, self._sink.stream, self._sink.name
        while True:
            asks, last = outbox.asks, outbox.last(stream)
            rows = await outbox.read(stream, name, self._pace.rows, self._pace.bytes)
            if rows and self._is_backlog(rows):
                outbox.leap(name)
            elif rows:
                if rows[0].backfill or not outbox.leapt(stream, name):
                    self._oldest_ns = rows[0].at_ns
                if not rows[0].backfill or await self._rested(last, asks):
                    await self._deliver(rows)
            else:
                self._oldest_ns = None
                await outbox.changed(stream, outbox.cursor(stream, name), asks)

    def stats(self) -> dict[str, float]:
        """Counters since the start, in rows (points: what the rows hold), and how far behind the sink is.

        lag_s: age of the oldest row that is not delivered; lag_rows: how many wait, backlog_rows: of them behind newer
        ones; latency_s: what a delivery takes, smoothed; batch_bytes: how much one holds at most just now.
        """
        behind = self._behind()
        waited_ns = self._clock.now_ns() - self._oldest_ns if self._oldest_ns is not None and behind else 0
        return {
            "delivered_total": self._delivered,
            "points_delivered_total": self._points,
            "rejected_total": self._rejected,
            "points_rejected_total": self._points_rejected,
            "expired_total": self._expired,
            "retries_total": self._retries,
            "lag_s": max(0.0, waited_ns / 1e9),
            "lag_rows": behind,
            "backlog_rows": self._outbox.backlog(self._sink.stream, self._sink.name),
            "latency_s": self._pace.latency_s,
            "batch_bytes": self._pace.bytes,
        }

    def _behind(self) -> int:
        return self._outbox.waiting(self._sink.stream, self._sink.name)

    def _is_backlog(self, rows: Sequence[Row]) -> bool:
        """Whether these have waited so long that newer ones, where there are some, should pass them."""
        first, last = rows[0], rows[-1]
        return (
            self._drain is not None
            and first.position > 0
            and not first.backfill
            and self._clock.now_ns() - first.at_ns > LEAP_NS
            and self._outbox.may_leap(self._sink.name, last.position)
        )

    async def _rested(self, last: int, asks: int) -> bool:
        """Wait until the next of the backlog is due at the drain rate; False: something newer has come meanwhile.

        `last` and `asks` are the outbox's from before its rows were read.
        """
        left_s = (self._rests_until_ns - self._clock.monotonic_ns()) / 1e9
        if left_s <= 0:
            return True
        async with asyncio.TaskGroup() as tasks:
            due = tasks.create_task(self._clock.sleep(left_s))
            newer = tasks.create_task(self._outbox.changed(self._sink.stream, last, asks))
            done, _ = await asyncio.wait([due, newer], return_when=asyncio.FIRST_COMPLETED)
            due.cancel()
            newer.cancel()
        return newer not in done

    async def _deliver(self, rows: Sequence[Row]) -> None:
        """One try with `rows`; afterwards the cursor is behind them, or some time has passed."""
        wanted = self._unexpired(rows) if self._sink.stream == "requests" else rows
        began_ns = self._clock.monotonic_ns()
        try:
            rejected = list(await self._sink.deliver(wanted)) if wanted else []
        except LoginRefused as error:
            self._retries += 1
            await self._say("login", f"{error}; tried again every 5 minutes")
            await self._clock.sleep(LOGIN_RETRY_S)
            return
        except RefusedError as error:
            if len(wanted) > 1:
                self._pace.refused(len(wanted))
                return
            rejected = [Rejected(wanted[0], wanted[0].body, str(error))]
        except TransientError as error:
            await self._wait_out(error)
            return
        if rejected:
            log.warning(
                "sink %s: %d parts refused for good, such as: %s", self._sink.name, len(rejected), rejected[0].reason
            )
        await self._outbox.advance(self._sink.stream, self._sink.name, rows, rejected)
        if wanted:
            self._time(wanted, began_ns)
        self._count(rows, wanted, rejected)
        if wanted or not self._behind():  # what expired was not delivered: no news of the sink while others wait
            await self._say("ok", "")

    def _unexpired(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Requests that still have time. `expires_ns` is UTC."""
        now_ns = self._clock.now_ns()
        return [row for row in rows if msgspec.msgpack.decode(row.body, type=RequestRow).expires_ns > now_ns]

    def _time(self, rows: Sequence[Row], began_ns: int) -> None:
        """What a delivery took decides how much the next one holds, and when more of the backlog is due."""
        self._failures = 0
        size = sum(len(row.body) for row in rows)
        self._pace.answered((self._clock.monotonic_ns() - began_ns) / 1e9, len(rows), size)
        if rows[0].backfill and self._drain:
            self._rests_until_ns = began_ns + round(size / self._drain * 1e9)

    def _count(self, rows: Sequence[Row], wanted: Sequence[Row], rejected: Sequence[Rejected]) -> None:
        refused = sum(_lines(one.body) for one in rejected) if self._sink.stream == "series" else len(rejected)
        self._delivered += len(wanted)
        self._points += sum(row.count for row in wanted) - refused
        self._points_rejected += refused
        self._rejected += len(rejected)
        self._expired += len(rows) - len(wanted)

    async def _wait_out(self, error: TransientError) -> None:
        """Full jitter over a range that doubles up to 30 s, at least what the server asked for; smaller batches too."""
        self._failures += 1
        self._retries += 1
        self._pace.failed()
        log.info("sink %s: %s (failure %d, tried again)", self._sink.name, error, self._failures)
        if self._failures >= FAILURES_TOLD:
            await self._say("failing", str(error))
        pause_s = self._clock.uniform(0.0, min(LAST_RETRY_S, FIRST_RETRY_S * 2.0 ** min(self._failures, 10)))
        await self._clock.sleep(max(pause_s, error.retry_after_s) if isinstance(error, Throttled) else pause_s)

    async def _say(self, now: str, detail: str) -> None:
        """Tell the core how the sink does with this stream, on change only: a sink's streams fare apart."""
        if (now, detail) == self._told:
            return
        self._told = (now, detail)
        name, _, part = self._sink.name.partition("/")  # `city/pictures`: what a sink does beside its stream
        await self._report(Health(f"sink/{name}", f"delivering_{part or self._sink.stream}", now == "ok", detail))


def _lines(body: bytes) -> int:
    return body.count(b"\n") + (not body.endswith(b"\n"))


async def deliver_forever(
    outbox: Outbox, sink: Sink, clock: Clock, report: Callable[[Health], Awaitable[None]]
) -> None:
    """Drain the outbox into a sink until cancelled; `Delivery` is the same with counters."""
    await Delivery(outbox, sink, clock, report).run()
