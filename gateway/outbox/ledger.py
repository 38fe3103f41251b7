"""What the writer knows of the file: counters, positions, cursors.

The ledger's methods run in the disk thread, inside its transactions, unless they say otherwise.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Literal

from gateway.outbox import (
    budget,
    dead,
    fresh,
    gaps,
    holes,
    reading,
    reserve,
    restart,
    schema,
    spoiled,
    telling,
    writing,
)
from gateway.outbox.gaps import Has

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from gateway.events import Stream
    from gateway.outbox.records import Transaction
    from gateway.ports import Clock, Rejected, Row

log = logging.getLogger(__name__)

TIDY_NS = 10_000_000_000  # cursors of series and deletions ride on another's transaction this often: flash lives
TIDY_WRITES = 64  # or after so many transactions
AGED_NS = 600_000_000_000  # a clock that is wrong for shorter than ten minutes drops nothing for its age
_NOTED = (
    "positions",
    "dead_bytes",
    "dead_dropped",
    "transactions",
    "alert_bytes",
    "merged",
    "_merge_from",
    "dropped_rows",
    "dropped_points",
    "gaps",
    "spoiled",
    "dropped_ns",
    "dropped_why",
    "_aged_since",
    "_id",
    "_next_seq",
    "_declared",
    "_tidied_ns",
    "_since_tidy",
)  # what a transaction changes of the ledger beside the file: taken back with it


class Ledger:
    """The file's contents, as its one writer keeps them."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        found: restart.Found,
        clock: Clock,
        path: Path | None,
        bounds: budget.Budget,
    ) -> None:
        """`path` is the file's; None: everything is in memory."""
        self.resumed, self.unreadable = found.resumed, found.unreadable
        self.epoch = schema.epoch(connection)
        self.positions = found.positions
        self.dead_bytes, self.dead_dropped, self.transactions = dead.total_bytes(connection), 0, 0
        self.dropped_rows = self.dropped_points = self.gaps = self.spoiled = 0
        self.alert_bytes, self.merged = reserve.held(connection), 0
        self._merge_from = reserve.MERGE_FROM_BYTES
        self.dropped_ns = max((gap.dropped_ns for gap in gaps.listed(connection, 1)), default=0)
        self.dropped_why = ""
        self.fresh = fresh.NOTHING  # of the transaction being written, which may yet come to nothing
        self._clock, self._path, self._bounds = clock, path, bounds
        self._aged_since: int | None = None
        self._id, self._next_seq = found.last_id, found.resumed.next_seq
        self._places: writing.Places = reading.places(connection)
        self._moved: writing.Places = {}
        self._declared = False
        self._lock = threading.Lock()  # guards the places, which deliveries move
        self._tidied_ns, self._since_tidy = clock.monotonic_ns(), 0
        self._seen = _data_version(connection)

    def cursor(self, stream: Stream, sink: str) -> int:
        """The position of the row up to which the sink has everything. Any thread."""
        return self._places[sink, stream].upto

    def place(self, stream: Stream, sink: str) -> Has:
        """What the sink has. Any thread."""
        return self._places[sink, stream]

    def move(self, stream: Stream, sink: str, row: Row) -> None:
        """The sink has this row, and those it was given before; stored with a later transaction. Any thread."""
        with self._lock:
            moved = self._places[sink, stream].with_row(row.position, backfill=row.backfill)
            self._places[sink, stream] = self._moved[sink, stream] = moved

    def leap(self, sink: str, last: int) -> None:
        """From here on the sink gets series beyond position `last` before those that wait. Any thread."""
        with self._lock:
            self._places[sink, "series"] = self._moved[sink, "series"] = self._places[sink, "series"].leapt(last)

    def land(self, stream: Stream, sink: str) -> None:
        """Nothing waits any more of what the sink leapt over. Any thread."""
        with self._lock:
            has = self._places[sink, stream]
            self._places[sink, stream] = self._moved[sink, stream] = Has(max(has.upto, has.head))

    @property
    def last_id(self) -> int:
        """The number of the last transaction with outputs."""
        return self._id

    def declare(
        self, connection: sqlite3.Connection, sinks: Sequence[tuple[str, Stream, Literal["now", "oldest"]]]
    ) -> None:
        """From now on there are these sinks and no others."""
        kept: writing.Places = {}
        for sink, stream, start in sinks:
            last = self.positions[writing.PLACE[stream]]
            first = connection.execute(f"SELECT min(position) FROM {stream}").fetchone()[0]  # noqa: S608 - a Literal
            new = last if start == "now" or first is None else first - 1
            kept[sink, stream] = self._places.get((sink, stream), Has(new))
        connection.execute("DELETE FROM cursors")
        connection.execute("DELETE FROM stretches")
        writing.places(connection, kept)
        for sink, stream in self._places.keys() - kept.keys():
            log.warning("sink %s is no longer configured: its place in %s is released", sink, stream)
        with self._lock:
            self._places, self._declared = kept, True

    def store(self, connection: sqlite3.Connection, transaction: Transaction) -> None:
        """Put a transaction's outputs, changes and marks into the file, and tidy where it is time to."""
        removed = self.removed
        self.positions, rows = writing.outputs(connection, transaction, self.positions)
        self._next_seq = max([self._next_seq, *(row.seq + 1 for row in transaction.alerts)])
        self._id += 1
        writing.journal(connection, transaction, self._id, self._next_seq, self.positions)
        self._keep(connection, dead.from_door(connection, transaction.dead))
        self.keep_up(connection)
        if transaction.alerts:
            self._within_reserve(connection, len(transaction.alerts))
        self.transactions += 1
        self._since_tidy += 1
        self._within_budget(connection)
        if self._since_tidy >= TIDY_WRITES or self._clock.monotonic_ns() - self._tidied_ns >= TIDY_NS:
            self.tidy(connection)
        self.fresh = fresh.kept(rows, removed)  # as of before: some of them may be gone already

    @property
    def full(self) -> bool:
        """Whether alerts that wait have used up their reserve. Any thread."""
        return self.alert_bytes >= reserve.RESERVE_BYTES

    @property
    def removed(self) -> tuple[int, ...]:
        """How much was taken out of the streams that sinks may not have got. Any thread."""
        return self.dropped_rows, self.merged, self.spoiled, self.gaps

    def settle(
        self,
        connection: sqlite3.Connection,
        stream: Stream,
        sink: str,
        rows: Sequence[Row],
        rejected: Sequence[Rejected],
    ) -> None:
        """Move the cursor and store it; letters that were offered again are gone, what was refused becomes letters.

        All in one transaction: a cursor that is stored before its letters would lose them in a crash.
        """
        if rows[-1].position > 0:
            self.move(stream, sink, rows[-1])
        self.forget(connection, [-row.position for row in rows if row.position < 0])
        self._keep(connection, dead.from_sink(connection, sink, stream, self._clock.now_ns(), rejected))
        writing.places(connection, self._take_moved())

    def keep_up(self, connection: sqlite3.Connection) -> None:
        """Store the cursors of alerts and requests that moved; those of series wait for the tidying."""
        with self._lock:
            moved = {key: has for key, has in self._moved.items() if key[1] != "series"}
            for key in moved:
                del self._moved[key]
        writing.places(connection, moved)

    def set_aside(self, connection: sqlite3.Connection, stream: Stream, found: reading.Found) -> set[int]:
        """Make dead letters of damaged rows, and record what is gone; returns the positions of the letters."""
        now_ns = self._clock.now_ns()
        letters = spoiled.take_out(connection, stream, found.spoiled, now_ns)
        self._keep(connection, dead.from_door(connection, list(letters.values())))
        lost = [*found.missing, *((position, position) for position in letters)]
        if stream == "series":
            self.gaps += holes.record(connection, self._have("series"), lost, now_ns)
        else:
            holes.keep(connection, stream, lost)
        self.spoiled += spoiled.count(found) - len(found.spoiled) + len(letters)
        return set(letters)

    def forget(self, connection: sqlite3.Connection, letters: Sequence[int]) -> None:
        """Remove letters that were taken up again."""
        if letters:
            dead.forget(connection, letters)
            self.dead_bytes = dead.total_bytes(connection)

    def tidy(self, connection: sqlite3.Connection) -> bool:
        """Store the cursors and delete a bounded number of rows that every sink has; returns whether more is to do."""
        self._tidied_ns, self._since_tidy = self._clock.monotonic_ns(), 0
        with (
            self._lock
        ):  # both at one moment: a row that is deleted below must be behind the cursors as they are stored
            places, moved, self._moved = dict(self._places), self._moved, {}
        writing.places(connection, moved)
        more = self._declared and writing.tidy(connection, places, self.positions)
        if self.alert_bytes >= reserve.MERGE_FROM_BYTES:  # below, what was deleted need not be known
            self._count_alerts(connection)
        return self._within_age(connection) or more

    def mark(self) -> Callable[[], None]:
        """What takes back all that the next transaction notes here, where it comes to nothing."""
        noted = [getattr(self, name) for name in _NOTED]

        def undo() -> None:
            for name, value in zip(_NOTED, noted, strict=True):
                setattr(self, name, value)
            with self._lock:
                self._moved = dict(self._places)  # which of them were to be stored is no longer known: all

        return undo

    def drop(self, connection: sqlite3.Connection, why: str, *, free: int = 2**62, before_ns: int = 2**62) -> int:
        """Delete the oldest series, delivered or not, and record what sinks miss by it; returns the bytes freed."""
        now_ns = self._clock.now_ns()
        dropped = gaps.drop_oldest(connection, self._have("series"), now_ns, why, free=free, before_ns=before_ns)
        self.gaps += dropped.gaps
        self.dropped_points += dropped.points
        if dropped.rows:
            self.dropped_rows += dropped.rows
            self.dropped_ns, self.dropped_why = now_ns, why
        return dropped.freed

    def dropped_lately(self) -> bool:
        """Whether series were dropped within the last hour, by this process or the one before. Any thread."""
        return abs(self._clock.now_ns() - self.dropped_ns) < telling.QUIET_S * 1e9

    def _within_reserve(self, connection: sqlite3.Connection, new: int) -> None:
        """Count new alerts; where much waits, let `updated` changes of one alert become one."""
        self.alert_bytes += reserve.held(connection, after=self.positions[writing.PLACE["alerts"]] - new)
        if self.alert_bytes < self._merge_from:
            return
        unread = min((has.upto for has in self._have("alerts").values()), default=0)
        self.merged += reserve.merge(connection, unread)
        self._count_alerts(connection)

    def _count_alerts(self, connection: sqlite3.Connection) -> None:
        """Count them anew; the next merge is tried when a fiftieth of the reserve has come on top."""
        self.alert_bytes = reserve.held(connection)
        self._merge_from = max(reserve.MERGE_FROM_BYTES, self.alert_bytes + reserve.RESERVE_BYTES // 50)

    def _within_budget(self, connection: sqlite3.Connection) -> None:
        """Drop the oldest series where the store holds more than it may; what every sink has goes first."""
        bound = self._bounds.bytes if self._path is not None else budget.MEMORY_BYTES
        if budget.used(connection, self._path) <= bound:
            return
        self.tidy(connection)
        over = budget.used(connection, self._path) - bound
        if over > 0:
            slack = bound // budget.SLACK if self._path is not None else 0
            self.drop(connection, "budget" if self._path is not None else "memory", free=over + slack)

    def _within_age(self, connection: sqlite3.Connection) -> bool:
        """Drop series that are older than they may be; returns whether there may be more."""
        before_ns = self._clock.now_ns() - self._bounds.age_ns
        oldest = connection.execute("SELECT at_ns FROM series ORDER BY position LIMIT 1").fetchone()
        if oldest is None or oldest[0] >= before_ns:
            self._aged_since = None
            return False
        now_ns = self._clock.monotonic_ns()
        if self._aged_since is None:
            self._aged_since = now_ns
        if now_ns - self._aged_since < AGED_NS:
            return False
        return self.drop(connection, "age", before_ns=before_ns) > 0

    def moved(self) -> bool:
        """Whether a cursor waits to be stored, or rows have come since the last tidying."""
        return bool(self._moved) or self._since_tidy > 0

    def tidied(self) -> bool:
        """Whether the last transaction tidied."""
        return self._since_tidy == 0

    def changed_by_others(self, connection: sqlite3.Connection) -> bool:
        """Whether another process has written to the file since the last call."""
        before, self._seen = self._seen, _data_version(connection)
        return before != self._seen

    def _keep(self, connection: sqlite3.Connection, added: int) -> None:
        self.dead_bytes += added
        if self.dead_bytes > dead.BOUND_BYTES:
            self.dead_bytes, dropped = dead.bound(connection, self.dead_bytes)
            self.dead_dropped += dropped

    def _have(self, stream: Stream) -> dict[str, Has]:
        """What each sink of a stream has of it."""
        with self._lock:
            return {sink: has for (sink, of), has in self._places.items() if of == stream}

    def _take_moved(self) -> writing.Places:
        with self._lock:
            moved, self._moved = self._moved, {}
        return moved


def _data_version(connection: sqlite3.Connection) -> int:
    """SQLite's count of what other connections have committed."""
    return int(connection.execute("PRAGMA data_version").fetchone()[0])
