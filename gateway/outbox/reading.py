"""Reading beside the writer: bounded ranges, fetched whole, no transaction left open while the network is slow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.outbox import dead
from gateway.ports import Row

if TYPE_CHECKING:
    import sqlite3

    from gateway.events import Stream


def rows_after(
    connection: sqlite3.Connection, stream: Stream, position: int, limit_rows: int, limit_bytes: int
) -> list[Row]:
    """The next rows of a stream: at most `limit_rows`, and `limit_bytes` of bodies unless the first alone is larger.

    Sizes are asked first: SQLite knows a body's length without reading it.
    """
    sizes = connection.execute(
        f"SELECT position, length(body) FROM {stream} WHERE position > ? ORDER BY position LIMIT ?",  # noqa: S608 - a Literal
        (position, limit_rows),
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
    connection: sqlite3.Connection, stream: Stream, sink: str, *, after: int, limit_rows: int, limit_bytes: int
) -> list[Row]:
    """A sink's next rows: what it was asked to try again (negative positions), else those after its cursor."""
    again = dead.for_sink(connection, stream, sink, limit_rows)
    return again or rows_after(connection, stream, after, limit_rows, limit_bytes)
