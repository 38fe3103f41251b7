"""The alerts' own room: they are never dropped, but when much waits, an alert's updates that nobody read become one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gateway.events import AlertRow
from gateway.outbox import holes

if TYPE_CHECKING:
    import sqlite3

RESERVE_BYTES = 256_000_000  # a hundred thousand changes and more
MERGE_FROM_BYTES = RESERVE_BYTES * 8 // 10


def held(connection: sqlite3.Connection, after: int = 0) -> int:
    """Bytes of the alerts beyond a position."""
    found = connection.execute("SELECT ifnull(sum(length(body)), 0) FROM alerts WHERE position > ?", (after,))
    return int(found.fetchone()[0])


def merge(connection: sqlite3.Connection, unread: int) -> int:
    """Beyond position `unread`, delete each `updated` change that the same alert's next change updates again.

    Returns how many went. The newest row always stays, so that positions go on from it.
    """
    last: dict[str, tuple[int, str]] = {}
    gone: list[tuple[int]] = []
    for position, body in connection.execute(
        "SELECT position, body FROM alerts WHERE position > ? ORDER BY position", (unread,)
    ):
        try:
            row = msgspec.msgpack.decode(body, type=AlertRow)
        except msgspec.MsgspecError:
            continue  # damaged: whoever reads it sets it aside
        before = last.get(row.id)
        if before is not None and before[1] == row.change == "updated":
            gone.append((before[0],))
        last[row.id] = (position, row.change)
    connection.executemany("DELETE FROM alerts WHERE position = ?", gone)
    if gone:
        holes.keep(connection, "alerts", [(1, gone[-1][0])])  # one for all up to here: there may be very many
    return len(gone)
