"""One sink's way out of the outbox: read from its cursor, deliver, move on; wait out what is transient, without end.

outbox.read ─▶ sink.deliver ─▶ outbox.advance ─▶ (again, or wait for new rows)
                   │ TransientError: full jitter up to 30 s · LoginRefused: every 5 min · Rejected: dead letters

Alerts and requests leave strictly in order. Series that waited for longer than a minute let newer ones pass, and follow
at the sink's drain rate while nothing newer waits.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import msgspec

from gateway.errors import LoginRefused, RefusedError, Throttled, TransientError
from gateway.events import Health, RequestRow
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
BATCH_BYTES = 1_000_000
BATCH_ROWS = 1000
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
        self._most_bytes = min(BATCH_BYTES, self._drain or BATCH_BYTES)  # of backlog at most a second's worth at a time
        self._rows = BATCH_ROWS
        self._bytes = self._most_bytes
        self._failures = 0
        self._told = ""  # what Health last said: "ok", a class of failure, or nothing yet
        self._oldest_ns: int | None = None
        self._delivered = self._points = self._rejected = self._expired = self._retries = 0

    async def run(self) -> None:
        """Deliver until cancelled. Raises OutboxError when the disk has failed."""
        outbox, stream, name = self._outbox, self._sink.stream, self._sink.name
        while True:
            asks = outbox.asks
            rows = await outbox.read(stream, name, self._rows, self._bytes)
            if rows and self._is_backlog(rows):
                outbox.leap(name)
                continue
            if rows:
                began_ns = self._clock.monotonic_ns()
                if rows[0].backfill or not outbox.leapt(stream, name):
                    self._oldest_ns = rows[0].at_ns
                await self._deliver(rows)
                if rows[0].backfill:
                    await self._spare(rows, began_ns)
            else:
                self._oldest_ns = None
                await outbox.changed(stream, outbox.cursor(stream, name), asks)

    def stats(self) -> dict[str, float]:
        """Counters since the start, in rows (points: what the rows hold), and how far behind the sink is.

        lag_s: age of the oldest row that is not delivered; lag_rows: how many wait.
        """
        behind = self._behind()
        waited_ns = self._clock.now_ns() - self._oldest_ns if self._oldest_ns is not None and behind else 0
        return {
            "delivered_total": self._delivered,
            "points_delivered_total": self._points,
            "rejected_total": self._rejected,
            "expired_total": self._expired,
            "retries_total": self._retries,
            "lag_s": max(0.0, waited_ns / 1e9),
            "lag_rows": behind,
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

    async def _spare(self, rows: Sequence[Row], began_ns: int) -> None:
        """Leave the server room after some backlog: as long as it may take at the drain rate, less what it took."""
        took_s = (self._clock.monotonic_ns() - began_ns) / 1e9
        due_s = sum(len(row.body) for row in rows) / (self._drain or BATCH_BYTES)
        if due_s > took_s:
            await self._clock.sleep(due_s - took_s)

    async def _deliver(self, rows: Sequence[Row]) -> None:
        """One try with `rows`; afterwards the cursor is behind them, or some time has passed."""
        wanted = self._unexpired(rows) if self._sink.stream == "requests" else rows
        try:
            rejected = list(await self._sink.deliver(wanted)) if wanted else []
        except LoginRefused as error:
            await self._say("login", f"{error}; tried again every 5 minutes")
            await self._clock.sleep(LOGIN_RETRY_S)
            return
        except RefusedError as error:
            if len(wanted) > 1:
                self._rows = max(1, len(wanted) // 2)  # halve until the row that is refused stands alone
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
        self._count(rows, wanted, rejected)
        if wanted or not self._behind():  # what expired was not delivered: no news of the sink while others wait
            await self._say("ok", "")

    def _unexpired(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Requests that still have time. `expires_ns` is UTC."""
        now_ns = self._clock.now_ns()
        return [row for row in rows if msgspec.msgpack.decode(row.body, type=RequestRow).expires_ns > now_ns]

    def _count(self, rows: Sequence[Row], wanted: Sequence[Row], rejected: Sequence[Rejected]) -> None:
        if wanted:
            self._failures = 0
            self._rows = min(BATCH_ROWS, self._rows * 2)
            self._bytes = min(self._most_bytes, self._bytes * 2)
        self._delivered += len(wanted)
        self._points += sum(row.count for row in wanted)
        self._rejected += len(rejected)
        self._expired += len(rows) - len(wanted)

    async def _wait_out(self, error: TransientError) -> None:
        """Full jitter over a range that doubles up to 30 s, at least what the server asked for; smaller batches too."""
        self._failures += 1
        self._retries += 1
        self._rows, self._bytes = max(1, self._rows // 2), max(10_000, self._bytes // 2)
        log.info("sink %s: %s (failure %d, tried again)", self._sink.name, error, self._failures)
        if self._failures >= FAILURES_TOLD:
            await self._say("failing", str(error))
        pause_s = self._clock.uniform(0.0, min(LAST_RETRY_S, FIRST_RETRY_S * 2.0 ** min(self._failures, 10)))
        await self._clock.sleep(max(pause_s, error.retry_after_s) if isinstance(error, Throttled) else pause_s)

    async def _say(self, now: str, detail: str) -> None:
        """Tell the core how the sink does with this stream, on change only: a sink's streams fare apart."""
        if now == self._told:
            return
        self._told = now
        await self._report(Health(f"sink/{self._sink.name}", f"delivering_{self._sink.stream}", now == "ok", detail))


async def deliver_forever(
    outbox: Outbox, sink: Sink, clock: Clock, report: Callable[[Health], Awaitable[None]]
) -> None:
    """Drain the outbox into a sink until cancelled; `Delivery` is the same with counters."""
    await Delivery(outbox, sink, clock, report).run()
