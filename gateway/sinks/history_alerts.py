"""The alerts in the history's file: every change, the newest of each alert, and what each sink published before."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from gateway.events import AlertRow

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

ROW = msgspec.msgpack.Decoder(AlertRow)
_PACK = msgspec.msgpack.Encoder()
ASKED_BACK_NS = 30 * 86_400 * 10**9  # `request {since_seq}` is answered from at least 30 days, whatever the size


class Noted(NamedTuple):
    """What a sink needs to publish a row.

    prev: the seq before it on each of its severities' topics, None for none; newest: no newer change of the same alert
    is known.
    """

    prev: tuple[int | None, ...]
    newest: bool


class Standing(NamedTuple):
    """Where the history is: the epoch, its newest seq, and the last seq that a sink published, by `city/severe`."""

    epoch: str
    seq: int
    last: dict[str, int]


class _Epoch(msgspec.Struct):
    epoch: str = ""


def epoch_of(row: AlertRow) -> str:
    """The epoch that its seq counts in."""
    return msgspec.json.decode(row.body, type=_Epoch).epoch


def topic(row: AlertRow, severity: str) -> str:
    """`city/severe`: what has an unbroken chain of its own."""
    return f"{row.class_}/{severity}"


def begin(db: sqlite3.Connection, name: str) -> int:
    """The epoch's number, made where it is new."""
    db.execute("INSERT OR IGNORE INTO epoch (name) VALUES (?)", (name,))
    return int(db.execute("SELECT n FROM epoch WHERE name = ?", (name,)).fetchone()[0])


def last_epoch(db: sqlite3.Connection) -> int:
    """The newest epoch's number; 0: none yet."""
    return int(db.execute("SELECT coalesce(max(n), 0) FROM epoch").fetchone()[0])


def epoch_name(db: sqlite3.Connection, number: int) -> str:
    """The epoch's name; empty where there is none."""
    found = db.execute("SELECT name FROM epoch WHERE n = ?", (number,)).fetchone()
    return str(found[0]) if found else ""


def store(db: sqlite3.Connection, rows: Iterable[AlertRow], current: int = 0) -> list[int]:
    """Store the rows, those that are there already without effect; the number of each one's epoch.

    Where it is known which epoch is the `current` one, any other that is not known yet was before all that are.
    """
    numbers: dict[str, int] = {}
    each: list[int] = []
    for row in rows:
        name = epoch_of(row)
        if name not in numbers:
            if current:
                db.execute("INSERT OR IGNORE INTO epoch (n, name) SELECT min(n) - 1, ? FROM epoch", (name,))
            numbers[name] = begin(db, name)
        number = numbers[name]
        each.append(number)
        db.execute(
            "INSERT OR IGNORE INTO change VALUES (?, ?, ?, ?, ?, ?)",
            (number, row.seq, row.id, row.changed_ns, row.shadow, _PACK.encode(row)),
        )
        db.execute(
            "INSERT INTO alert VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET epoch = excluded.epoch, "
            "seq = excluded.seq, changed_ns = excluded.changed_ns, open = excluded.open "
            "WHERE (excluded.epoch, excluded.seq) > (epoch, seq)",
            (row.id, number, row.seq, row.changed_ns, row.open),
        )
    return each


def note(db: sqlite3.Connection, sink: str, rows: Sequence[AlertRow], current: int = 0) -> list[Noted]:
    """Store the rows, extend the sink's chains by them, and say what it needs to publish each."""
    newest = "SELECT (epoch, seq) <= (?, ?) FROM alert WHERE id = ?"
    return [
        Noted(
            tuple(_extend(db, (sink, topic(row, severity), number, row.seq)) for severity in row.severities),
            db.execute(newest, (number, row.seq, row.id)).fetchone()[0] == 1,
        )
        for row, number in zip(rows, store(db, rows, current), strict=True)
    ]


def _extend(db: sqlite3.Connection, key: tuple[str, str, int, int]) -> int | None:
    known = db.execute("SELECT prev FROM chain WHERE sink = ? AND topic = ? AND epoch = ? AND seq = ?", key).fetchone()
    if known is None:
        known = db.execute(
            "SELECT max(seq) FROM chain WHERE sink = ? AND topic = ? AND epoch = ? AND seq < ?", key
        ).fetchone()
        db.execute("INSERT INTO chain VALUES (?, ?, ?, ?, ?)", (*key, known[0]))
    return None if known[0] is None else int(known[0])


def open_alerts(db: sqlite3.Connection, epoch: int) -> list[AlertRow]:
    """The newest change of each open alert, in order of seq."""
    return _rows(
        db,
        "SELECT c.row FROM alert a JOIN change c ON c.epoch = a.epoch AND c.seq = a.seq "
        "WHERE a.open AND a.epoch = ? ORDER BY a.seq",
        (epoch,),
    )


def past_alerts(db: sqlite3.Connection, limit: int) -> list[AlertRow]:
    """The last change of the alerts that closed last, the newest first."""
    return _rows(
        db,
        "SELECT c.row FROM alert a JOIN change c ON c.epoch = a.epoch AND c.seq = a.seq "
        "WHERE NOT a.open ORDER BY a.changed_ns DESC LIMIT ?",
        (limit,),
    )


def since(db: sqlite3.Connection, epoch: int, seq: int, limit: int) -> list[AlertRow]:
    """The changes after `seq` that the outside may see, in order, at most `limit`."""
    return _rows(
        db,
        "SELECT row FROM change WHERE epoch = ? AND seq > ? AND NOT shadow ORDER BY seq LIMIT ?",
        (epoch, seq, limit),
    )


def last_of(db: sqlite3.Connection, alert_id: str) -> AlertRow | None:
    """The newest change of one alert."""
    rows = _rows(db, "SELECT row FROM change WHERE id = ? ORDER BY seq DESC LIMIT 1", (alert_id,))
    return rows[0] if rows else None


def chain_of(db: sqlite3.Connection, sink: str, epoch: int, row: AlertRow) -> tuple[int | None, ...]:
    """The row's `prev` on each of its topics, as the sink published it; None also where it did not yet."""
    known = [
        db.execute(
            "SELECT prev FROM chain WHERE sink = ? AND topic = ? AND epoch = ? AND seq = ?",
            (sink, topic(row, severity), epoch, row.seq),
        ).fetchone()
        for severity in row.severities
    ]
    return tuple(None if found is None else found[0] for found in known)


def standing(db: sqlite3.Connection, sink: str, epoch: int) -> Standing:
    """Where the history is in this epoch."""
    newest = db.execute("SELECT coalesce(max(seq), 0) FROM change WHERE epoch = ?", (epoch,)).fetchone()[0]
    return Standing(epoch_name(db, epoch), int(newest), last_seq_by_topic(db, sink, epoch))


def last_seq_by_topic(db: sqlite3.Connection, sink: str, epoch: int) -> dict[str, int]:
    """The last seq the sink published, by `city/severe`."""
    rows = db.execute("SELECT topic, max(seq) FROM chain WHERE sink = ? AND epoch = ? GROUP BY topic", (sink, epoch))
    return {str(name): int(seq) for name, seq in rows.fetchall()}


def prune(db: sqlite3.Connection, before_ns: int) -> int:
    """Forget alerts that closed before `before_ns`, with all their changes; how many."""
    db.execute(
        "DELETE FROM chain WHERE (epoch, seq) IN (SELECT c.epoch, c.seq FROM change c JOIN alert a ON a.id = c.id "
        "WHERE NOT a.open AND a.changed_ns < ?)",
        (before_ns,),
    )
    db.execute("DELETE FROM change WHERE id IN (SELECT id FROM alert WHERE NOT open AND changed_ns < ?)", (before_ns,))
    return db.execute("DELETE FROM alert WHERE NOT open AND changed_ns < ?", (before_ns,)).rowcount


def oldest_ns(db: sqlite3.Connection) -> int | None:
    """When the alert that closed first closed."""
    found = db.execute("SELECT min(changed_ns) FROM alert WHERE NOT open").fetchone()[0]
    return None if found is None else int(found)


def _rows(db: sqlite3.Connection, sql: str, parameters: tuple[object, ...]) -> list[AlertRow]:
    return [ROW.decode(row) for (row,) in db.execute(sql, parameters).fetchall()]
