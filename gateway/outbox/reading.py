"""Reading beside the writer: bounded ranges, fetched whole, no transaction left open while the network is slow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.outbox import dead
from gateway.outbox.gaps import Has
from gateway.ports import Row

if TYPE_CHECKING:
    import sqlite3

    from gateway.events import Stream


def rows_after(
    connection: sqlite3.Connection,
    stream: Stream,
    position: int,
    limit_rows: int,
    limit_bytes: int,
    end: int = 2**62,
) -> list[Row]:
    """The rows of a stream beyond `position`, up to `end`.

    At most `limit_rows`, and `limit_bytes` of bodies unless the first alone is larger.

    Sizes are asked first: SQLite knows a body's length without reading it.
    """
    sizes = connection.execute(
        f"SELECT position, length(body) FROM {stream} WHERE position > ? AND position <= ? "  # noqa: S608 - a Literal
        "ORDER BY position LIMIT ?",
        (position, end, limit_rows),
    ).fetchall()
    last, held = position, 0
    for at, size in sizes:
        held += size
        if held > limit_bytes and last > position:
            break
        last = at
    rows = connection.execute(
        f"SELECT position, at_ns, key, count, body FROM {stream} WHERE position BETWEEN ? AND ? ORDER BY position",  # noqa: S608 - a Literal
        (position + 1, last),
    ).fetchall()
    return [Row(*row) for row in rows]


def next_rows(
    connection: sqlite3.Connection, stream: Stream, sink: str, has: Has, limit_rows: int, limit_bytes: int
) -> list[Row]:
    """A sink's next rows: what it was asked to try again (negative positions), then those after the newest it has.

    Where it has rows ahead of older ones, those older ones come when nothing newer waits, marked as backfill.
    """
    again = dead.for_sink(connection, stream, sink, limit_rows)
    rows = again or rows_after(connection, stream, has.head or has.upto, limit_rows, limit_bytes)
    if rows:
        return rows
    for begin, end in has.waiting():
        if older := rows_after(connection, stream, begin, limit_rows, limit_bytes, end):
            return [row._replace(backfill=True) for row in older]
    return []


def places(connection: sqlite3.Connection) -> dict[tuple[str, Stream], Has]:
    """What each sink has of each stream."""
    found: dict[tuple[str, Stream], Has] = {
        (sink, stream): Has(upto) for sink, stream, upto in connection.execute("SELECT * FROM cursors ORDER BY 1, 2")
    }
    if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'stretches'").fetchone():
        return found  # of a program that knew nothing of them
    for sink, stream, begin, head in connection.execute("SELECT sink, stream, start, head FROM stretches ORDER BY 3"):
        has = found.get((sink, stream))
        if has is not None and max(has.upto, has.head) < begin <= head:  # a program without them may have gone beyond
            found[sink, stream] = Has(has.upto, (*has.ahead, (begin, head)))
    return found
