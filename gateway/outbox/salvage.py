"""What can still be read of a damaged store goes over into the fresh one."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from typing import TYPE_CHECKING

import msgspec

from gateway import ports
from gateway.outbox import dead, reading, schema, spoiled

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gateway.events import DeadLetter

TABLES = {
    "alerts": "position",
    "requests": "position",
    "snapshot": "id",
    "journal": "id",
    "dead": "id",
    "gaps": "id",
    "series": "position",  # last: where the disk has no room for them, the rest is there
}
OTHERS: dict[str, tuple[type, ...]] = {
    "snapshot": (int, bytes, bytes),
    "journal": (int, bytes),
    "dead": (int, int, int, int, int, str, str, str, str, str, str, bytes),
    "gaps": (int, str, int, int, int, int, int, int, int, str, bytes),
}
"""What stands in a row of a table that is no stream."""
AT_ONCE_BYTES = 4_000_000  # a transaction's worth: the journal of the fresh file stays small
Row = tuple[object, ...]
UNREADABLE = (sqlite3.DatabaseError, *schema.NOT_AS_WRITTEN)  # the latter also where a column's name is no text


def take_over(damaged: Path, fresh: sqlite3.Connection) -> dict[str, int]:
    """Copy into `fresh` (tables made, no rows) what can be read of a damaged file; returns the rows of each table.

    Cursors first: without them what was delivered would be again, which is harmless but long. Nothing of a file that is
    not ours. Raises sqlite3.Error for trouble with `fresh` only.
    """
    for mode in schema.TO_READ:
        source = None
        try:
            source = sqlite3.connect(f"{damaged.absolute().as_uri()}?{mode}", uri=True, isolation_level=None)
            source.text_factory = schema.lenient
            # Without this SQLite refuses a file that is shorter than its first page says.
            source.execute("PRAGMA writable_schema = ON")
            ours = source.execute("PRAGMA application_id").fetchone()[0] == schema.APPLICATION_ID
            if not ours or source.execute("PRAGMA user_version").fetchone()[0] > schema.VERSION:
                return {}
            known = {row[0] for row in source.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
            return _copied(source, fresh, known, room=_room(damaged))
        except UNREADABLE as error:
            if source is None or not schema.is_damage(error):
                continue
        finally:
            if source is not None:
                source.close()
    return {}


def _copied(source: sqlite3.Connection, fresh: sqlite3.Connection, known: set[str], *, room: bool) -> dict[str, int]:
    with contextlib.suppress(*UNREADABLE):
        places = [row for row in _all(source, "SELECT * FROM cursors") if _types(row) == (str, str, int)]
        fresh.executemany("INSERT OR REPLACE INTO cursors VALUES (?, ?, ?)", places)
    with contextlib.suppress(*UNREADABLE):
        kept = [row for row in _all(source, "SELECT * FROM meta WHERE key <> 'epoch'") if _types(row) == (str, bytes)]
        fresh.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", kept)
    taken: dict[str, int] = {}
    for table, key in TABLES.items():
        if table not in known or (table == "series" and not room):
            continue
        taken[table] = _copy(source, fresh, table, key)
    return taken


def _all(source: sqlite3.Connection, select: str) -> list[Row]:
    return source.execute(select).fetchall()


def _copy(source: sqlite3.Connection, fresh: sqlite3.Connection, table: str, key: str) -> int:
    """Rows from the first on up to the damage, then from the last back to it."""
    count, upto = 0, -(2**62)
    names = schema.columns(fresh, table)  # an earlier release has the first of them; a name there may be damaged
    for select in (
        f"SELECT {key}, * FROM {table} ORDER BY {key}",  # noqa: S608 - our names
        f"SELECT {key}, * FROM {table} WHERE {key} > ?1 ORDER BY {key} DESC",  # noqa: S608 - our names
    ):
        for rows in _until_damage(source, select, upto):
            whole, letters = _parted(table, [row[1:] for row in rows])
            fresh.execute("BEGIN IMMEDIATE")
            schema.copied(fresh, table, names[: len(rows[0]) - 1], whole)
            dead.from_door(fresh, letters)
            fresh.execute("COMMIT")
            count += len(rows)
            upto = max(upto, *(int(str(row[0])) for row in rows)) if select.endswith(key) else upto
    return count


def _parted(table: str, rows: list[Row]) -> tuple[list[Row], list[tuple[str, DeadLetter]]]:
    """The rows as they were written, and letters of those that are no longer; their time is not known here."""
    if table not in schema.STREAMS:
        return [row for row in rows if _types(row) == OTHERS[table] and (table != "gaps" or _is_counts(row[-1]))], []
    whole: list[Row] = []
    letters: list[tuple[str, DeadLetter]] = []
    for values in rows:
        row = ports.Row(*values[:5])  # pyright: ignore[reportArgumentType] - damaged, they may be of any type
        if reading.is_sound(table, values):
            whole.append(values)
        else:
            letters.append(spoiled.letter(table, row, row.at_ns if type(row.at_ns) is int else 0))
    return whole, letters


def _types(row: Row) -> tuple[type, ...]:
    """What a row's values are: where a page of another table stands in its place, something else than they should."""
    return tuple(map(type, row))


def _is_counts(series: object) -> bool:
    try:
        msgspec.json.decode(series if isinstance(series, bytes) else b"", type=dict[str, int])
    except msgspec.MsgspecError:
        return False
    return True


def _until_damage(source: sqlite3.Connection, select: str, upto: int) -> Iterator[list[Row]]:
    """Rows in bunches, as far as they can be read; a row that has lost its body is none."""
    bunch: list[Row] = []
    size = 0
    with contextlib.suppress(*UNREADABLE):
        for row in source.execute(select, (upto,) if "?1" in select else ()):
            blobs = [len(value) for value in row if isinstance(value, bytes)]
            if not blobs:
                continue
            bunch.append(row)
            size += sum(blobs)
            if size >= AT_ONCE_BYTES:
                yield bunch
                bunch, size = [], 0
    if bunch:
        yield bunch


def _room(damaged: Path) -> bool:
    """Whether the disk can hold as much again, and a bit."""
    return shutil.disk_usage(damaged.parent).free > damaged.stat().st_size * 5 // 4
