"""Rows that should be there and are not: a stream has no holes but those on record, so any other is damage."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import msgspec

from gateway.outbox import schema
from gateway.outbox.gaps import INSERT

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping, Sequence

    from gateway.events import Stream
    from gateway.outbox.gaps import Has

WHY = "damage"
KEPT = 1000
Stretch = tuple[int, int]
"""First and last position."""


def missing(
    connection: sqlite3.Connection, stream: Stream, after: int, upto: int, seen: Sequence[int]
) -> list[Stretch]:
    """Stretches of a stream beyond `after` up to `upto` that are not among `seen` (ascending) and on no record.

    Raises FoundDamageError where a walk through the whole table comes to rows that a search did not find.
    """
    if len(seen) >= upto - after:
        return []
    holes = _between(after, upto, seen)
    for first, last in _on_record(connection, stream, after, upto):
        holes = [part for hole in holes for part in _without(hole, first, last)]
    if not holes:
        return []
    there = (row[0] for row in connection.execute(f"SELECT position FROM {stream}"))  # noqa: S608 - a Literal
    if any(first <= position <= last for position in there for first, last in holes):
        raise out_of_place(stream)
    return holes


def ascending(stream: Stream, after: int, seen: Sequence[int]) -> None:
    """Raise FoundDamageError unless these positions, as a search gave them, ascend from beyond `after`."""
    if any(a >= b for a, b in itertools.pairwise([after, *seen])):
        raise out_of_place(stream)


def out_of_place(stream: Stream) -> schema.FoundDamageError:
    """Some row stands where a search does not find it, or finds it for another."""
    return schema.FoundDamageError(f"reading the outbox failed: rows of {stream} are not where they should be")


def _on_record(connection: sqlite3.Connection, stream: Stream, after: int, upto: int) -> list[Stretch]:
    if stream == "series":
        return connection.execute(
            "SELECT first_position, last_position FROM gaps WHERE last_position > ? AND first_position <= ?",
            (after, upto),
        ).fetchall()
    return _known(connection, stream)


def _known(connection: sqlite3.Connection, stream: Stream) -> list[Stretch]:
    row = connection.execute("SELECT value FROM meta WHERE key = ?", (f"gone/{stream}",)).fetchone()
    return msgspec.json.decode(row[0], type=list[Stretch]) if row else []


def keep(connection: sqlite3.Connection, stream: Stream, holes: Iterable[Stretch]) -> None:
    """Put holes of alerts or requests on record: the newest thousand, or all in one where updates became one."""
    known = [*_known(connection, stream), *holes][-KEPT:]
    row = (f"gone/{stream}", msgspec.json.encode(known))
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", row)


def _between(after: int, upto: int, seen: Sequence[int]) -> list[Stretch]:
    edges = [after, *seen, upto + 1]
    return [(a + 1, b - 1) for a, b in itertools.pairwise(edges) if b - a > 1]


def _without(hole: Stretch, first: int, last: int) -> list[Stretch]:
    if last < hole[0] or hole[1] < first:
        return [hole]
    return [(a, b) for a, b in ((hole[0], first - 1), (last + 1, hole[1])) if a <= b]


def record(connection: sqlite3.Connection, sinks: Mapping[str, Has], holes: Iterable[Stretch], now_ns: int) -> int:
    """Record for each sink of series what it will never get; returns how many records were made.

    When the rows were admitted is between the times of their neighbours; how many points they held nobody knows.
    """
    made = 0
    for first, last in holes:
        before, after = (
            connection.execute(
                f"SELECT at_ns FROM series WHERE position {side} LIMIT 1",  # noqa: S608 - our words
                (edge,),
            ).fetchone()
            for side, edge in (("< ? ORDER BY position DESC", first), ("> ? ORDER BY position", last))
        )
        times = [row[0] if row else now_ns for row in (before, after)]
        rows = [
            (sink, first, last, min(times), max(times), last - first + 1, 0, now_ns, WHY, b"{}")
            for sink, has in sinks.items()
            if has.misses(first)
        ]
        connection.executemany(INSERT, rows)
        made += len(rows)
    return made
