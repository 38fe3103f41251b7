"""Rows that are no longer what was written: a bit that flipped inside a page, which SQLite does not notice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.events import DeadLetter

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from gateway.events import Stream
    from gateway.outbox.reading import Found
    from gateway.ports import Row

WHERE = "outbox"
REASON = "its bytes are no longer those that were written (the checksum does not fit): the disk may be failing"


def letter(stream: str, row: Row, now_ns: int) -> tuple[str, DeadLetter]:
    """A row as a dead letter with no source: it is no payload that could be used again."""
    return "", DeadLetter(now_ns, WHERE, f"{stream} #{row.position} {row.key}".rstrip(), REASON, _bytes(row.body))


def take_out(
    connection: sqlite3.Connection, stream: Stream, rows: Iterable[Row], now_ns: int
) -> dict[int, tuple[str, DeadLetter]]:
    """Delete the rows; returns a letter for the position of each that was still there."""
    return {
        row.position: letter(stream, row, now_ns)
        for row in rows
        if connection.execute(f"DELETE FROM {stream} WHERE position = ?", (row.position,)).rowcount  # noqa: S608 - a Literal
    }


def _bytes(body: object) -> bytes:
    """A damaged body may have become a value of any type."""
    return body if isinstance(body, bytes) else str(body).encode()


def told(stream: Stream, found: Found) -> str:
    """What is said of them."""
    first = min([row.position for row in found.spoiled] + [one for one, _ in found.missing])
    parts = [f"{len(found.spoiled)} are in the dead letters (`zhiwang outbox rejected`)"] if found.spoiled else []
    if found.missing:
        parts.append(f"{count(found) - len(found.spoiled)} are gone (`zhiwang outbox stat`)")
    return (
        f"{count(found)} rows of {stream} were damaged on the disk, the first at position {first}: {', '.join(parts)}; "
        "everything else goes on. See the disk's health (`smartctl -a`, the kernel's log)"
    )


def count(found: Found) -> int:
    """How many rows are damaged or gone."""
    return len(found.spoiled) + sum(last - first + 1 for first, last in found.missing)
