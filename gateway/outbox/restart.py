"""What a restart reads: counters, marks, and the states to go on from; and what can be saved from a broken disk."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import msgspec

from gateway.outbox import schema
from gateway.outbox.records import Checkpoint, Journal, MarksOf, Resumed, merge_marks, unpack, unseal

if TYPE_CHECKING:
    from pathlib import Path


class Found(msgspec.Struct, frozen=True):
    """A restart's findings. `unreadable` counts journal and snapshot rows whose checksum does not fit."""

    resumed: Resumed
    last_id: int
    positions: tuple[int, int, int]
    unreadable: int


def read(connection: sqlite3.Connection) -> Found:
    """Read the newest two snapshots and the journal after them."""
    rows = connection.execute("SELECT id, body FROM journal ORDER BY id").fetchall()
    journal = {int(row_id): unpack(body) for row_id, body in rows}
    readable = [row for row in journal.values() if row is not None]
    last = readable[-1] if readable else Journal(0, 1, 0, 0, (0, 0, 0), [], {}, [])
    snapshots = connection.execute("SELECT id, state, marks FROM snapshot ORDER BY id DESC LIMIT 2").fetchall()
    checkpoints: list[Checkpoint] = []
    marks: MarksOf = {}
    unreadable = len(journal) - len(readable)
    for snapshot_id, sealed_state, sealed_marks in snapshots:
        state, packed = unseal(sealed_state), unseal(sealed_marks)
        if state is None or packed is None:
            unreadable += 1
            continue
        after = _unbroken(journal, int(snapshot_id))
        if not checkpoints:
            marks = merge_marks(msgspec.msgpack.decode(packed, type=MarksOf), after)
        checkpoints.append(Checkpoint(state, [delta for row in after for delta in row.deltas]))
    if not snapshots:
        after = _unbroken(journal, 0)
        marks = merge_marks({}, after)
        checkpoints.append(Checkpoint(None, [delta for row in after for delta in row.deltas]))
    resumed = Resumed(last.next_n, last.next_seq, last.admitted_ns, last.elapsed_ns, marks, checkpoints)
    last_id = max([*journal, *(int(row[0]) for row in snapshots)], default=0)
    return Found(resumed, last_id, _positions(connection, last.positions), unreadable)


def _unbroken(journal: dict[int, Journal | None], after_id: int) -> list[Journal]:
    """The rows after `after_id` up to the first that is missing or cannot be read: no change may be left out."""
    rows: list[Journal] = []
    row_id = after_id + 1
    while (row := journal.get(row_id)) is not None:
        rows.append(row)
        row_id += 1
    return rows


def _positions(connection: sqlite3.Connection, known: tuple[int, int, int]) -> tuple[int, int, int]:
    """The last used position of each stream, also where the last journal row could not be read."""
    found = [
        max(
            known[place],
            connection.execute(f"SELECT ifnull(max(position), 0) FROM {stream}").fetchone()[0],  # noqa: S608 - our names
            connection.execute("SELECT ifnull(max(position), 0) FROM cursors WHERE stream = ?", (stream,)).fetchone()[
                0
            ],
        )
        for place, stream in enumerate(schema.STREAMS)
    ]
    return (found[0], found[1], found[2])


SAVED = (
    "journal",
    "snapshot",
    "cursors",
    "alerts",  # readings wait on the disk for a restart; alerts and requests cannot
    "requests",
)


def save(path: Path, memory: sqlite3.Connection) -> bool:
    """Copy state, cursors, and the alerts and requests that wait, from a disk that can still be read; False if not."""
    for mode in schema.TO_READ:
        try:
            source = sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True)
        except sqlite3.Error:
            continue
        try:
            if source.execute("PRAGMA user_version").fetchone()[0] > schema.VERSION:
                return False
            tables = {
                name: (schema.columns(source, name), source.execute(f"SELECT * FROM {name}").fetchall())  # noqa: S608 - our names
                for name in SAVED
            }
        except sqlite3.Error:
            continue
        finally:
            source.close()
        for name, (names, rows) in tables.items():
            schema.copied(memory, name, names, rows)
        return True
    return False
