"""Dead letters: what could not be used, kept whole with its reason in at most 64 MB, and asked for again by people.

A letter came from the door (`stream` empty: a message, or an input that made the core raise) or from a sink that was
told "never" (`stream` is the sink's). `retry` marks it: a sink's letter is then read again by that sink alone, under a
negative position, and a message is stepped again by the running door.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gateway.events import DeadLetter
from gateway.ports import Row

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

    from gateway.ports import Rejected

BOUND_BYTES = 64_000_000
ROW_BYTES = 100  # what a row costs beside its texts and body
AGAIN_AT_ONCE = 20  # letters offered to a sink in one call: a letter may be a whole row
REASON_CHARS = 2_000  # a server's whole error page helps nobody

_COLUMNS = "at_ns, place, stream, key, source, topic, reason, count, body, bytes"
_INSERT = f"INSERT INTO dead({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?)"  # noqa: S608 - our names


class SetAside(msgspec.Struct, frozen=True):
    """A dead letter as it is kept. `sink` letters have their stream and key; messages the source they came from."""

    id: int
    letter: DeadLetter
    stream: str
    key: str
    source: str
    retry: bool


def from_door(connection: sqlite3.Connection, letters: Sequence[tuple[str, DeadLetter]]) -> int:
    """Keep messages that could not be used; returns how many bytes they take."""
    rows = [
        (
            d.at_ns,
            d.where,
            "",
            "",
            source,
            d.topic,
            d.reason[:REASON_CHARS],
            0,
            d.body,
            _size(d.topic, d.reason, d.body),
        )
        for source, d in letters
    ]
    connection.executemany(_INSERT, rows)
    return sum(row[-1] for row in rows)


def from_sink(connection: sqlite3.Connection, sink: str, stream: str, at_ns: int, rejected: Sequence[Rejected]) -> int:
    """Keep what a sink's server refused for good; returns how many bytes it takes. `count` is unknown for a part."""
    rows = [
        (
            at_ns,
            sink,
            stream,
            r.row.key,
            "",
            "",
            r.reason[:REASON_CHARS],
            _count(r),
            r.body,
            _size("", r.reason, r.body),
        )
        for r in rejected
    ]
    connection.executemany(_INSERT, rows)
    return sum(row[-1] for row in rows)


def _count(rejected: Rejected) -> int:
    """Points in the refused part: line protocol has one a line."""
    return rejected.row.count if rejected.body == rejected.row.body else max(1, rejected.body.rstrip().count(b"\n") + 1)


def _size(topic: str, reason: str, body: bytes) -> int:
    return len(topic) + min(len(reason), REASON_CHARS) + len(body) + ROW_BYTES


def total_bytes(connection: sqlite3.Connection) -> int:
    """What all letters take."""
    return int(connection.execute("SELECT ifnull(sum(bytes), 0) FROM dead").fetchone()[0])


def counted(connection: sqlite3.Connection) -> tuple[int, int, int]:
    """How many letters there are, what they take, and how many are asked for again."""
    found = connection.execute("SELECT count(*), ifnull(sum(bytes), 0), ifnull(sum(retry), 0) FROM dead").fetchone()
    return found[0], found[1], found[2]


def bound(connection: sqlite3.Connection, held: int) -> tuple[int, int]:
    """Drop the oldest letters until at most 64 MB are held; returns (bytes now held, letters dropped)."""
    dropped = 0
    while held > BOUND_BYTES:
        oldest = connection.execute("SELECT id, bytes FROM dead ORDER BY id LIMIT 500").fetchall()
        if not oldest:
            return 0, dropped
        last = 0
        for row_id, size in oldest:
            last, held, dropped = row_id, held - size, dropped + 1
            if held <= BOUND_BYTES:
                break
        connection.execute("DELETE FROM dead WHERE id <= ?", (last,))
    return held, dropped


def listed(connection: sqlite3.Connection, limit: int, *, only_retry: bool = False) -> list[SetAside]:
    """The newest letters first; `only_retry`: the oldest messages (not a sink's) that are to be stepped again."""
    chosen = "WHERE retry = 1 AND stream = '' ORDER BY id" if only_retry else "ORDER BY id DESC"
    rows = connection.execute(
        f"SELECT id, at_ns, place, topic, reason, body, stream, key, source, retry FROM dead {chosen} LIMIT ?",  # noqa: S608 - our words
        (limit,),
    ).fetchall()
    return [
        SetAside(row[0], DeadLetter(row[1], row[2], row[3], row[4], row[5]), row[6], row[7], row[8], bool(row[9]))
        for row in rows
    ]


def for_sink(connection: sqlite3.Connection, stream: str, sink: str, limit: int) -> list[Row]:
    """What a sink is to be offered again, as rows with negative positions."""
    rows = connection.execute(
        "SELECT -id, at_ns, key, count, body FROM dead WHERE retry = 1 AND stream = ? AND place = ? "
        "ORDER BY id LIMIT ?",
        (stream, sink, min(limit, AGAIN_AT_ONCE)),
    ).fetchall()
    return [Row(*row) for row in rows]


def ask_again(connection: sqlite3.Connection, ids: Iterable[int] | None) -> int:
    """Mark letters (None: all that can be used again) to be offered or stepped again; returns how many were marked."""
    usable = "(stream <> '' OR source <> '') AND retry = 0"
    if ids is None:
        return connection.execute(f"UPDATE dead SET retry = 1 WHERE {usable}").rowcount  # noqa: S608 - our words
    return sum(
        connection.execute(f"UPDATE dead SET retry = 1 WHERE id = ? AND {usable}", (one,)).rowcount  # noqa: S608 - as above
        for one in ids
    )


def forget(connection: sqlite3.Connection, ids: Sequence[int]) -> None:
    """Remove letters that were taken up again."""
    connection.executemany("DELETE FROM dead WHERE id = ?", [(one,) for one in ids])
