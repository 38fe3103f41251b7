"""What goes into a transaction: a step's outputs, cursors that moved, and, now and then, tidying."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gateway.outbox.gaps import Has
from gateway.outbox.records import Journal, Transaction, crc_of, pack, seal
from gateway.outbox.schema import PAGE_BYTES, STREAMS
from gateway.ports import Row

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from gateway.events import Stream

DELETED_AT_ONCE = 256  # rows a slice of tidying deletes: up to 64 MB of series, tens of milliseconds
VACUUM_FROM_PAGES = 64_000_000 // PAGE_BYTES  # free pages are kept for reuse up to 64 MB: moving pages wears flash
VACUUMED_AT_ONCE = 2_000_000 // PAGE_BYTES

_INSERTS = {
    stream: f"INSERT INTO {stream}(position, at_ns, key, count, body, crc) VALUES (?,?,?,?,?,?)"  # noqa: S608 - our names
    for stream in STREAMS
}

PLACE: dict[str, int] = {stream: place for place, stream in enumerate(STREAMS)}
"""Where a stream stands in `Positions`."""
Positions = tuple[int, int, int]
Places = dict[tuple[str, "Stream"], Has]


def outputs(
    connection: sqlite3.Connection, transaction: Transaction, after: Positions
) -> tuple[Positions, dict[str, list[Row]]]:
    """Store the rows of the three streams; returns each stream's last position, and the rows."""
    encode = msgspec.msgpack.encode
    at_ns = transaction.admitted_ns
    series, alerts, requests = after
    rows = [_row("series", series + i, s.at_ns, "", s.points, s.body) for i, s in enumerate(transaction.series, 1)]
    connection.executemany(_INSERTS["series"], rows)
    changes = [
        _row("alerts", alerts + i, at_ns, f"{a.id}/{a.seq}", 1, encode(a)) for i, a in enumerate(transaction.alerts, 1)
    ]
    connection.executemany(_INSERTS["alerts"], changes)
    asked = [_row("requests", requests + i, at_ns, r.id, 1, encode(r)) for i, r in enumerate(transaction.requests, 1)]
    connection.executemany(_INSERTS["requests"], asked)
    written = {"series": rows, "alerts": changes, "requests": asked}
    return (
        (series + len(rows), alerts + len(changes), requests + len(asked)),
        {stream: [Row(*row[:5]) for row in new] for stream, new in written.items() if new},
    )


def _row(
    stream: Stream, position: int, at_ns: int, key: str, count: int, body: bytes
) -> tuple[int, int, str, int, bytes, int]:
    return position, at_ns, key, count, body, crc_of(stream, position, at_ns, key, count, body)


def journal(
    connection: sqlite3.Connection, transaction: Transaction, row_id: int, next_seq: int, positions: Positions
) -> None:
    """Store what a restart reads, and the snapshot where there is one; the newest two snapshots are kept."""
    row = Journal(
        transaction.next_n,
        next_seq,
        transaction.admitted_ns,
        transaction.elapsed_ns,
        positions,
        transaction.deltas,
        transaction.marks,
        transaction.lost_sessions,
    )
    connection.execute("INSERT INTO journal VALUES (?, ?)", (row_id, pack(row)))
    if transaction.snapshot is None:
        return
    marks = seal(msgspec.msgpack.encode(transaction.all_marks))
    connection.execute("INSERT INTO snapshot VALUES (?, ?, ?)", (row_id, seal(transaction.snapshot), marks))
    kept = connection.execute("SELECT id FROM snapshot ORDER BY id DESC LIMIT 2").fetchall()
    if len(kept) == 2:
        connection.execute("DELETE FROM snapshot WHERE id < ?", kept[1])
        connection.execute("DELETE FROM journal WHERE id <= ?", kept[1])


def places(connection: sqlite3.Connection, moved: Mapping[tuple[str, Stream], Has]) -> None:
    """Store where sinks are that moved."""
    connection.executemany(
        "INSERT INTO cursors VALUES (?, ?, ?) ON CONFLICT(sink, stream) DO UPDATE SET position = excluded.position",
        [(sink, stream, has.upto) for (sink, stream), has in moved.items()],
    )
    for (sink, stream), has in moved.items():
        if stream != "series":
            continue  # the others are strictly in order
        connection.execute("DELETE FROM stretches WHERE sink = ? AND stream = ?", (sink, stream))
        connection.executemany("INSERT INTO stretches VALUES (?, ?, ?, ?)", [(sink, stream, *one) for one in has.ahead])


def tidy(connection: sqlite3.Connection, all_places: Places, last: Positions) -> bool:
    """Delete a bounded number of rows that every sink of their stream has; returns whether there are more.

    A stream that nobody reads is emptied.
    """
    more = False
    for place, stream in enumerate(STREAMS):
        done = min((has.upto for (_, of), has in all_places.items() if of == stream), default=last[place])
        first = connection.execute(f"SELECT min(position) FROM {stream}").fetchone()[0]  # noqa: S608 - our names
        if first is not None and first <= done:
            upto = min(done, first + DELETED_AT_ONCE - 1)
            connection.execute(f"DELETE FROM {stream} WHERE position <= ?", (upto,))  # noqa: S608 - our names
            more = more or upto < done
    return more


def vacuum(connection: sqlite3.Connection) -> bool:
    """Hand some free pages back to the disk where they are many; returns whether it did. Outside any transaction."""
    if connection.execute("PRAGMA freelist_count").fetchone()[0] <= VACUUM_FROM_PAGES:
        return False
    # As a script: `execute` steps a statement that gives no columns once, and that would free a single page.
    connection.executescript(f"PRAGMA incremental_vacuum({VACUUMED_AT_ONCE})")
    return True
