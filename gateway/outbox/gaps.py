"""What had to be dropped: the oldest series, and for each sink that had not got them a record of what it misses."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import msgspec

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping, Sequence

DROPPED_AT_ONCE = 256  # rows a transaction drops: up to 64 MB, tens of milliseconds
ROW_BYTES = 40  # what a row costs in the file beside its body
GAPS_KEPT = 1000  # records; a gap that goes on is one record, however long
NAMED_SERIES = 100  # that a record names; the points of all others are counted together
OTHERS = "…"
STRETCHES_KEPT = 64  # that a sink has ahead of its backlog, one an outage: beyond it the newest outage comes in order

COLUMNS = "sink, first_position, last_position, from_ns, to_ns, rows, points, dropped_ns, why, series"
INSERT = f"INSERT INTO gaps({COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?)"  # noqa: S608 - our names
_SERIES_KEY = re.compile(rb"^(?:[^\\\s]|\\.)+", re.MULTILINE)


class Has(NamedTuple):
    """What a sink has of the series: all up to `upto`, and the stretches `ahead`, each beyond its first position.

    Stretches are (begin, head], ascending, with something that waits before each; only the last may be empty, where
    nothing newer has followed a leap yet.
    """

    upto: int
    ahead: tuple[tuple[int, int], ...] = ()

    @property
    def head(self) -> int:
        """The newest row it has, or the last leap went to; 0 where it never leapt."""
        return self.ahead[-1][1] if self.ahead else 0

    @property
    def held(self) -> int:
        """How many positions it has ahead of some that wait."""
        return sum(head - begin for begin, head in self.ahead)

    def misses(self, position: int) -> bool:
        """Whether the row is still to be delivered."""
        return position > self.upto and not any(begin < position <= head for begin, head in self.ahead)

    def waiting(self) -> list[tuple[int, int]]:
        """The stretches that wait behind newer ones, (begin, end], the oldest first."""
        begins = [self.upto, *(head for _, head in self.ahead)]
        return list(zip(begins, (begin for begin, _ in self.ahead), strict=False))

    def with_row(self, position: int, *, backfill: bool) -> Has:
        """After a row has come, and those before it in its stretch."""
        if not self.ahead:
            return Has(position)
        if not backfill:
            return Has(self.upto, (*self.ahead[:-1], (self.ahead[-1][0], position)))
        left = tuple(one for one in self.ahead if one[1] > position or one[0] >= position)
        if left and left[0][0] <= position:
            return Has(left[0][1], left[1:])
        return Has(position, left)

    def may_leap(self, last: int) -> bool:
        """Whether there is something newer to leap to, and room to note what is left behind."""
        return max(self.upto, self.head) < last and (len(self.ahead) < STRETCHES_KEPT or self._lands_anew())

    def leapt(self, last: int) -> Has:
        """From here on those beyond `last` come before those that wait."""
        if not self.may_leap(last):
            return self
        return Has(self.upto, (*(self.ahead[:-1] if self._lands_anew() else self.ahead), (last, last)))

    def _lands_anew(self) -> bool:
        """Whether nothing has followed the last leap: the next one takes its place."""
        return bool(self.ahead) and self.ahead[-1][0] == self.ahead[-1][1]


class Dropped(msgspec.Struct, frozen=True):
    """What dropping came to: rows and points that some sink had not got, records begun, bytes freed."""

    rows: int = 0
    points: int = 0
    gaps: int = 0
    freed: int = 0


class Gap(msgspec.Struct, frozen=True):
    """One stretch of series that a sink will never get.

    `from_ns` and `to_ns`: when the earliest and the latest row were admitted; `series`: points by series, the first
    hundred by name and the others under `…`; `dropped_ns`: when the latest of it was dropped; `why`: budget, age, disk,
    memory, or damage (then nobody knows how many points).
    """

    id: int
    sink: str
    first_position: int
    last_position: int
    from_ns: int
    to_ns: int
    rows: int
    points: int
    dropped_ns: int
    why: str
    series: dict[str, int]


class _Row(NamedTuple):
    position: int
    at_ns: int
    points: int
    size: int


def drop_oldest(
    connection: sqlite3.Connection,
    sinks: Mapping[str, Has],
    now_ns: int,
    why: str,
    *,
    free: int = 2**62,
    before_ns: int = 2**62,
) -> Dropped:
    """Delete the oldest rows of series until `free` bytes are freed, or the next was admitted at or after `before_ns`.

    At most 256 rows a call. What a sink had not got is recorded for it.
    """
    found = connection.execute(
        "SELECT position, CAST(ifnull(at_ns, 0) AS INTEGER), CAST(ifnull(count, 0) AS INTEGER), "
        "ifnull(length(body), 0) FROM series ORDER BY position LIMIT ?",  # of these types where they are damaged too
        (DROPPED_AT_ONCE,),
    ).fetchall()
    rows: list[_Row] = []
    freed = 0
    for one in map(_Row._make, found):
        if freed >= free or one.at_ns >= before_ns:
            break
        rows.append(one)
        freed += one.size + ROW_BYTES
    if not rows:
        return Dropped()
    missed = {sink: [row for row in rows if has.misses(row.position)] for sink, has in sinks.items()}
    lost = sorted({row for some in missed.values() for row in some})
    names = {row.position: _series(connection, row) for row in lost}
    begun = sum(_record(connection, sink, some, names, now_ns, why) for sink, some in missed.items() if some)
    connection.execute("DELETE FROM series WHERE position <= ?", (rows[-1].position,))
    if begun:
        connection.execute("DELETE FROM gaps WHERE id <= (SELECT max(id) FROM gaps) - ?", (GAPS_KEPT,))
    return Dropped(len(lost), sum(row.points for row in lost), begun, freed)


def _series(connection: sqlite3.Connection, row: _Row) -> Counter[bytes]:
    """Points by series, as line protocol names them."""
    body = connection.execute("SELECT CAST(body AS BLOB) FROM series WHERE position = ?", (row.position,)).fetchone()
    return Counter(_SERIES_KEY.findall(body[0] or b"") if body else [])


def _record(
    connection: sqlite3.Connection,
    sink: str,
    rows: Sequence[_Row],
    names: Mapping[int, Counter[bytes]],
    now_ns: int,
    why: str,
) -> bool:
    """Record what a sink misses, as one stretch with what it missed just before; returns whether it is a new one."""
    first, last = rows[0], rows[-1]
    count, points = len(rows), sum(row.points for row in rows)
    from_ns, to_ns = min(row.at_ns for row in rows), max(row.at_ns for row in rows)  # a clock may have been set back
    before = connection.execute(
        "SELECT id, last_position, why, series FROM gaps WHERE sink = ? ORDER BY id DESC LIMIT 1", (sink,)
    ).fetchone()
    if before is None or before[1] != first.position - 1 or before[2] != why:
        series = msgspec.json.encode(_named({}, (names[row.position] for row in rows)))
        connection.execute(
            INSERT,
            (sink, first.position, last.position, from_ns, to_ns, count, points, now_ns, why, series),
        )
        return True
    known = msgspec.json.decode(before[3], type=dict[str, int])
    series = msgspec.json.encode(_named(known, (names[row.position] for row in rows)))
    connection.execute(
        "UPDATE gaps SET last_position = ?, from_ns = min(from_ns, ?), to_ns = max(to_ns, ?), rows = rows + ?, "
        "points = points + ?, dropped_ns = ?, series = ? WHERE id = ?",
        (last.position, from_ns, to_ns, count, points, now_ns, series, before[0]),
    )
    return False


def _named(known: dict[str, int], counts: Iterable[Counter[bytes]]) -> dict[str, int]:
    """`known` with more points; beyond a hundred names they go under `…`."""
    for counter in counts:
        for key, points in counter.items():
            name = key.decode("utf-8", "backslashreplace")
            if name not in known and len(known) >= NAMED_SERIES:
                name = OTHERS
            known[name] = known.get(name, 0) + points
    return known


def listed(connection: sqlite3.Connection, limit: int = GAPS_KEPT) -> list[Gap]:
    """The newest records first; none in a file of a program that made none."""
    if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'gaps'").fetchone():
        return []
    found = connection.execute(
        f"SELECT id, {COLUMNS} FROM gaps ORDER BY id DESC LIMIT ?",  # noqa: S608 - our names
        (limit,),
    ).fetchall()
    names = Gap.__struct_fields__
    return [
        msgspec.convert(dict(zip(names, (*row[:-1], msgspec.json.decode(row[-1])), strict=True)), Gap) for row in found
    ]
