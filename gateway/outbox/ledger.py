"""What the writer knows of the file: counters, positions, cursors.

The ledger's methods run in the disk thread, inside its transactions, unless they say otherwise.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Literal

from gateway.outbox import dead, restart, writing

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from gateway.events import Stream
    from gateway.outbox.records import Transaction
    from gateway.ports import Clock, Rejected, Row

log = logging.getLogger(__name__)

TIDY_NS = 10_000_000_000  # cursors of series and deletions ride on another's transaction this often: flash lives
TIDY_WRITES = 64  # or after so many transactions
MEMORY_BYTES = 64_000_000  # series kept where there is no disk


class Ledger:
    """The file's contents, as its one writer keeps them."""

    def __init__(self, connection: sqlite3.Connection, found: restart.Found, clock: Clock, *, durable: bool) -> None:
        self.resumed, self.unreadable = found.resumed, found.unreadable
        self.epoch = str(connection.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()[0], "ascii")
        self.positions = found.positions
        self.dead_bytes, self.dead_dropped, self.dropped_rows, self.transactions = dead.total_bytes(connection), 0, 0, 0
        self._clock, self._durable = clock, durable
        self._id, self._next_seq = found.last_id, found.resumed.next_seq
        self._cursors: writing.Cursors = {
            (sink, stream): at for sink, stream, at in connection.execute("SELECT sink, stream, position FROM cursors")
        }
        self._moved: writing.Cursors = {}
        self._declared = False
        self._lock = threading.Lock()  # guards the cursors, which deliveries move
        self._tidied_ns, self._since_tidy = clock.monotonic_ns(), 0
        self._seen = _data_version(connection)

    def cursor(self, stream: Stream, sink: str) -> int:
        """The position of the last row that the sink has. Any thread."""
        return self._cursors[sink, stream]

    def move(self, stream: Stream, sink: str, position: int) -> None:
        """The sink has everything up to `position`; stored with a later transaction. Any thread."""
        with self._lock:
            self._cursors[sink, stream] = self._moved[sink, stream] = position

    def declare(
        self, connection: sqlite3.Connection, sinks: Sequence[tuple[str, Stream, Literal["now", "oldest"]]]
    ) -> None:
        """From now on there are these sinks and no others."""
        kept: writing.Cursors = {}
        for sink, stream, start in sinks:
            last = self.positions[writing.PLACE[stream]]
            first = connection.execute(f"SELECT min(position) FROM {stream}").fetchone()[0]  # noqa: S608 - a Literal
            new = last if start == "now" or first is None else first - 1
            kept[sink, stream] = self._cursors.get((sink, stream), new)
        connection.execute("DELETE FROM cursors")
        writing.cursors(connection, kept)
        for sink, stream in self._cursors.keys() - kept.keys():
            log.warning("sink %s is no longer configured: its place in %s is released", sink, stream)
        with self._lock:
            self._cursors, self._declared = kept, True

    def store(self, connection: sqlite3.Connection, transaction: Transaction) -> None:
        """Put a transaction's outputs, changes and marks into the file, and tidy where it is time to."""
        self.positions = writing.outputs(connection, transaction, self.positions)
        self._next_seq = max([self._next_seq, *(row.seq + 1 for row in transaction.alerts)])
        self._id += 1
        writing.journal(connection, transaction, self._id, self._next_seq, self.positions)
        self._keep(connection, dead.from_door(connection, transaction.dead))
        if not self._durable:
            self.dropped_rows += writing.bound_series(connection, MEMORY_BYTES)
        self.transactions += 1
        self._since_tidy += 1
        if self._since_tidy >= TIDY_WRITES or self._clock.monotonic_ns() - self._tidied_ns >= TIDY_NS:
            self.tidy(connection)

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
            self.move(stream, sink, rows[-1].position)
        self.forget(connection, [-row.position for row in rows if row.position < 0])
        self._keep(connection, dead.from_sink(connection, sink, stream, self._clock.now_ns(), rejected))
        writing.cursors(connection, self._take_moved())

    def forget(self, connection: sqlite3.Connection, letters: Sequence[int]) -> None:
        """Remove letters that were taken up again."""
        if letters:
            dead.forget(connection, letters)
            self.dead_bytes = dead.total_bytes(connection)

    def tidy(self, connection: sqlite3.Connection) -> bool:
        """Store the cursors and delete a bounded number of rows that every sink has; returns whether more is to do."""
        self._tidied_ns, self._since_tidy = self._clock.monotonic_ns(), 0
        writing.cursors(connection, self._take_moved())
        with self._lock:
            cursors = dict(self._cursors)
        return self._declared and writing.tidy(connection, cursors, self.positions)

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

    def _take_moved(self) -> writing.Cursors:
        with self._lock:
            moved, self._moved = self._moved, {}
        return moved


def _data_version(connection: sqlite3.Connection) -> int:
    """SQLite's count of what other connections have committed."""
    return int(connection.execute("PRAGMA data_version").fetchone()[0])
