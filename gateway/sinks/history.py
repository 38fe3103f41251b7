"""The embedded history (SQLite): every alert's changes, and series thinned to a value a second, for page and requests.

outbox ─ alerts ─▶ HistoryAlerts ─┐                  ┌─▶ open_alerts, past_alerts, last_of, since (page, MQTT)
outbox ─ series ─▶ HistorySeries ─┴─ thread history ─┴─▶ latest, chart (page)
"""

from __future__ import annotations

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import msgspec

from gateway.errors import Unreachable
from gateway.ports import Rejected
from gateway.sinks import history_alerts as alerts
from gateway.sinks.history_file import damaged, open_history, set_aside, used_bytes
from gateway.sinks.history_series import FOLD_S, NS, Last, SeriesTable, thin

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from pathlib import Path

    from gateway.config.box import HistoryConfig
    from gateway.events import AlertRow, Stream
    from gateway.ports import Clock, Row
    from gateway.sinks.history_alerts import Noted, Standing

FILE = "history.sqlite"
T = TypeVar("T")


class History:
    """One history file, used by a thread of its own.

    Every method raises Unreachable where the file cannot be used. A damaged file is set aside and a new one begins;
    where nothing can be written the history is kept in memory.
    """

    def __init__(self, path: Path | None, settings: HistoryConfig, clock: Clock) -> None:
        self._path = path
        self._settings = settings
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="history")
        self._db: sqlite3.Connection | None = None
        self._series: SeriesTable | None = None
        self._epoch = 0
        self._tended_ns = clock.monotonic_ns()

    async def begin(self, epoch: str) -> None:
        """Say which epoch the outbox is in: alerts left open by an earlier one are over, since nobody will end them."""
        self._epoch = await self._write(lambda db: alerts.begin(db, epoch))

    async def epoch(self) -> str:
        """The name of the epoch that alerts are in; empty before the first."""
        return await self._read(lambda db: alerts.epoch_name(db, self._epoch or alerts.last_epoch(db)))

    async def store_alerts(self, rows: Sequence[AlertRow]) -> None:
        """Store changes; those that are there already have no effect."""
        each = await self._write(lambda db: alerts.store(db, rows, self._epoch))
        self._epoch = self._epoch or max(each, default=0)

    async def store_series(self, bodies: Sequence[bytes]) -> None:
        """Store line protocol (ns): the last value of each second of each field that is a number."""
        await self._write(lambda _: self._table().store(bodies))

    async def note(self, sink: str, rows: Sequence[AlertRow]) -> list[Noted]:
        """Store changes that `sink` is about to publish, and say what it needs to: the same however often it asks."""
        noted = await self._write(lambda db: alerts.note(db, sink, rows, self._epoch))
        self._epoch = self._epoch or await self._read(alerts.last_epoch)
        return noted

    async def open_alerts(self) -> list[AlertRow]:
        """The newest change of each open alert (shadow ones too), in order of seq."""
        return await self._read(lambda db: alerts.open_alerts(db, self._epoch or alerts.last_epoch(db)))

    async def past_alerts(self, limit: int) -> list[AlertRow]:
        """The last change of the alerts that closed last, the newest first."""
        return await self._read(lambda db: alerts.past_alerts(db, limit))

    async def since(self, seq: int, limit: int) -> list[AlertRow]:
        """The changes after `seq` in this epoch that the outside may see, in order, at most `limit`."""
        return await self._read(lambda db: alerts.since(db, self._epoch or alerts.last_epoch(db), seq, limit))

    async def last_of(self, alert_id: str) -> AlertRow | None:
        """The newest change of one alert."""
        return await self._read(lambda db: alerts.last_of(db, alert_id))

    async def chain(self, sink: str, rows: Sequence[AlertRow]) -> list[tuple[int | None, ...]]:
        """Each row's `prev` on each of its topics, as `sink` published it; None also where it did not yet."""
        return await self._read(
            lambda db: [alerts.chain_of(db, sink, self._epoch or alerts.last_epoch(db), row) for row in rows]
        )

    async def standing(self, sink: str) -> Standing:
        """Where it is in this epoch, for a sink that goes on from there in memory."""
        return await self._read(lambda db: alerts.standing(db, sink, self._epoch or alerts.last_epoch(db)))

    async def last_seq_by_topic(self, sink: str) -> dict[str, int]:
        """The last seq that `sink` published in this epoch, by `city/severe`."""
        return await self._read(lambda db: alerts.last_seq_by_topic(db, sink, self._epoch or alerts.last_epoch(db)))

    async def latest(self) -> list[Last]:
        """The newest value of each series, by subject."""
        return await self._read(lambda _: self._table().latest())

    async def chart(self, subject: str, from_ns: int, to_ns: int, buckets: int) -> tuple[list[int], list[float]]:
        """At most `buckets` points of a series in [from_ns, to_ns) to draw, highs and lows kept: times, values."""

        def read(_: sqlite3.Connection) -> tuple[list[int], list[float]]:
            t, values = thin(*self._table().read(subject, from_ns // NS, -(-to_ns // NS)), buckets)
            return (t * NS).tolist(), values.tolist()

        return await self._read(read)

    async def tend(self) -> None:
        """Pack what is no longer recent, forget what is too old or too much. Deliveries call it when it is due."""
        self._tended_ns = self._clock.monotonic_ns()
        await self._write(lambda db: self._tend(db, self._clock.now_ns()))
        await self._read(lambda db: db.execute("PRAGMA incremental_vacuum(2000)").fetchall())

    async def tend_if_due(self) -> None:
        """`tend`, every FOLD_S seconds or when there is much."""
        late = self._clock.monotonic_ns() - self._tended_ns >= FOLD_S * NS
        if late or (self._series is not None and self._series.due()):
            await self.tend()

    async def aclose(self) -> None:
        """Close the file and end the thread."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown(wait=False)

    def _tend(self, db: sqlite3.Connection, now_ns: int) -> None:
        series = self._table()
        series.fold()
        series.prune((now_ns - self._settings.series) // NS)
        alerts.prune(db, now_ns - self._settings.alerts)
        while used_bytes(db) > self._settings.size:
            if series.drop_oldest():
                continue
            oldest = alerts.oldest_ns(db)
            asked_back = now_ns - alerts.ASKED_BACK_NS
            if oldest is None or oldest >= asked_back:
                return
            alerts.prune(db, min(oldest + 86_400 * NS, asked_back))

    def _table(self) -> SeriesTable:
        if self._series is None:
            self._series = SeriesTable(self._open())
        return self._series

    def _open(self) -> sqlite3.Connection:
        if self._db is None:
            self._db = open_history(self._path, self._clock.now_ns())
        return self._db

    def _close(self) -> None:
        if self._db is not None:
            self._db.close()
        self._db = self._series = None

    async def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        def run(db: sqlite3.Connection) -> T:
            with _transaction(db):
                return work(db)

        return await self._read(run)

    async def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do some work in the history's thread. SQLite's errors become ours here."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._guarded, work)

    def _guarded(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return work(self._open())
        except sqlite3.Error as error:
            self._series = None  # what it remembers may have been rolled back
            if self._db is None or not damaged(error):
                raise Unreachable(f"the history {self._path} cannot be used: {error}") from error
            self._db = set_aside(self._db, self._path, self._clock.now_ns(), str(error))
        try:
            return work(self._db)
        except sqlite3.Error as error:
            raise Unreachable(f"the history {self._path} cannot be used: {error}") from error


class HistoryAlerts:
    """The alerts stream into a history."""

    stream: Stream = "alerts"

    def __init__(self, history: History, name: str = "history") -> None:
        self.name = name
        self._history = history

    async def deliver(self, rows: Sequence[Row]) -> Sequence[Rejected]:
        """Store every change, shadow ones too."""
        good: list[AlertRow] = []
        rejected: list[Rejected] = []
        for row in rows:
            try:
                good.append(alerts.ROW.decode(row.body))
            except msgspec.MsgspecError as error:
                rejected.append(Rejected(row, row.body, f"no alert row: {error}"))
        if good:
            await self._history.store_alerts(good)
            await self._history.tend_if_due()
        return rejected

    async def aclose(self) -> None:
        """Nothing to close: the history is closed by who made it."""


class HistorySeries:
    """The series stream into a history."""

    stream: Stream = "series"

    def __init__(self, history: History, name: str = "history") -> None:
        self.name = name
        self._history = history

    async def deliver(self, rows: Sequence[Row]) -> Sequence[Rejected]:
        """Store the numbers; what is no number is not kept here."""
        if rows:
            await self._history.store_series([row.body for row in rows])
            await self._history.tend_if_due()
        return ()

    async def aclose(self) -> None:
        """Nothing to close: the history is closed by who made it."""


@contextmanager
def _transaction(db: sqlite3.Connection) -> Generator[None]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")
