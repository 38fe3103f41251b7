"""Rows that are no longer what was written: a bit that flipped inside a page, which SQLite does not notice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.events import DeadLetter

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

    from gateway.events import Stream
    from gateway.ports import Row

WHERE = "outbox"
REASON = "its bytes are no longer those that were written (the checksum does not fit): the disk may be failing"


def take_out(
    connection: sqlite3.Connection, stream: Stream, rows: Iterable[Row], now_ns: int
) -> list[tuple[str, DeadLetter]]:
    """Delete the rows; returns a letter, with no source, for each that could be."""
    letters: list[tuple[str, DeadLetter]] = []
    for row in rows:
        deleted = connection.execute(f"DELETE FROM {stream} WHERE position = ?", (row.position,))  # noqa: S608 - a Literal
        if deleted.rowcount:
            topic = f"{stream} #{row.position} {row.key}".rstrip()
            letters.append(("", DeadLetter(now_ns, WHERE, topic, REASON, _bytes(row.body))))
    return letters


def _bytes(body: object) -> bytes:
    """A damaged body may have become a value of any type."""
    return body if isinstance(body, bytes) else str(body).encode()


def told(stream: Stream, rows: Sequence[Row]) -> str:
    """What is said of them."""
    return (
        f"{len(rows)} rows of {stream} were damaged on the disk, the first at position {rows[0].position}; they are in "
        "the dead letters (`zhiwang outbox rejected`), and everything else goes on. See the disk's health "
        "(`smartctl -a`, the kernel's log)"
    )
