"""How much the store may hold, and how much it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gateway.outbox.schema import PAGE_BYTES

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

DAY_NS = 86_400 * 1_000_000_000
MEMORY_BYTES = 64_000_000  # series kept where there is no disk
SLACK = 256  # a 256th of the budget more is dropped than must be: one drop for many transactions


class Budget(msgspec.Struct, frozen=True):
    """The bounds of what waits: bytes of the file and its journal, and the age of a row of series.

    `ballast` bytes of the disk are held back for the day when it is full.
    """

    bytes: int = 4_000_000_000
    age_ns: int = 30 * DAY_NS
    ballast: int = 0


def used(connection: sqlite3.Connection, path: Path | None) -> int:
    """Bytes that the store holds: pages in use and the journal; in memory (`path` None) the bodies of series."""
    if path is None:
        return int(connection.execute("SELECT ifnull(sum(length(body)), 0) FROM series").fetchone()[0])
    pages = connection.execute("PRAGMA page_count").fetchone()[0] - free_pages(connection)
    return pages * PAGE_BYTES + size_of(path.with_name(path.name + "-wal"))


def free_pages(connection: sqlite3.Connection) -> int:
    """Pages in the file that hold nothing."""
    return int(connection.execute("PRAGMA freelist_count").fetchone()[0])


def size_of(path: Path) -> int:
    """Bytes of a file; 0 where there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0
