"""Reading beside the writer: bounded ranges, fetched whole, no transaction left open while the network is slow."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from gateway.outbox import dead, holes
from gateway.outbox.gaps import Has
from gateway.outbox.records import crc_of
from gateway.ports import Row

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from gateway.events import Stream


class Found(NamedTuple):
    """Rows as they were written, and what damage left on the way to them.

    `spoiled` rows are no longer what was written (their fields may be of any type); `missing` are stretches, first and
    last position, of rows that are gone.
    """

    rows: list[Row]
    spoiled: list[Row]
    missing: list[holes.Stretch]

    @property
    def damaged(self) -> bool:
        """Whether there was damage."""
        return bool(self.spoiled or self.missing)

    def __bool__(self) -> bool:
        """Whether there is anything."""
        return bool(self.rows or self.damaged)


def rows_after(
    connection: sqlite3.Connection,
    stream: Stream,
    position: int,
    limit_rows: int,
    limit_bytes: int,
    known: int,
    end: int = 2**62,
) -> Found:
    """The rows of a stream beyond `position`, up to `end`, of which those up to position `known` have been written.

    At most `limit_rows`, and `limit_bytes` of bodies unless the first alone is larger.

    Sizes are asked first: SQLite knows a body's length without reading it.
    """
    sizes = connection.execute(
        f"SELECT position, ifnull(length(body), 0) FROM {stream} WHERE position > ? AND position <= ? "  # noqa: S608 - a Literal
        "ORDER BY position LIMIT ?",
        (position, end, limit_rows),
    ).fetchall()
    holes.ascending(stream, position, [at for at, _ in sizes])
    last, held = position, 0
    for at, size in sizes:
        held += size
        if held > limit_bytes and last > position:
            break
        last = at
    found, seen = Found([], [], []), [at for at, _ in sizes if at <= last]
    upto = last if len(seen) < len(sizes) or len(sizes) == limit_rows else max(last, min(end, known))
    found.missing.extend(holes.missing(connection, stream, position, upto, seen))
    rows = connection.execute(
        f"SELECT * FROM {stream} WHERE position BETWEEN ? AND ? ORDER BY position",  # noqa: S608 - a Literal
        (position + 1, last),
    ).fetchall()
    holes.ascending(stream, position, [values[0] for values in rows])
    for values in rows:
        (found.rows if is_sound(stream, values) else found.spoiled).append(Row(*values[:5]))
    return found


def is_sound(stream: str, values: Sequence[object]) -> bool:
    """Whether a row, all columns of it, is as it was written; those of earlier releases have no checksum."""
    if tuple(map(type, values[:5])) != (int, int, str, int, bytes):
        return False
    return len(values) == 5 or values[5] in {None, crc_of(stream, *values[:5])}  # pyright: ignore[reportArgumentType] - by the line above


def spoiled(connection: sqlite3.Connection, stream: str) -> int:
    """How many rows of a stream are not as they were written."""
    rows = connection.execute(f"SELECT * FROM {stream}")  # noqa: S608 - our names
    return sum(not is_sound(stream, values) for values in rows)


def next_rows(
    connection: sqlite3.Connection,
    stream: Stream,
    sink: str,
    has: Has,
    limit_rows: int,
    limit_bytes: int,
    known: int = 0,
) -> Found:
    """A sink's next rows: what it was asked to try again (negative positions), then those after the newest it has.

    Where it has rows ahead of older ones, those older ones come when nothing newer waits, marked as backfill. Those up
    to position `known` are known to have been written.
    """
    again = dead.for_sink(connection, stream, sink, limit_rows)
    if again:
        return Found(again, [], [])
    if found := rows_after(connection, stream, has.head or has.upto, limit_rows, limit_bytes, known):
        return found
    for begin, end in has.waiting():
        if older := rows_after(connection, stream, begin, limit_rows, limit_bytes, known, end):
            return Found([row._replace(backfill=True) for row in older.rows], older.spoiled, older.missing)
    return found


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
