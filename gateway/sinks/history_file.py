"""The history's SQLite file: its tables, opening it whatever state it is in, and keeping it within its size."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from pathlib import Path

VERSION = 1
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_TABLES = """
CREATE TABLE epoch (n INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
-- every change of every alert, as the core made it
CREATE TABLE change (
    epoch INTEGER NOT NULL, seq INTEGER NOT NULL, id TEXT NOT NULL, changed_ns INTEGER NOT NULL,
    shadow INTEGER NOT NULL, row BLOB NOT NULL, PRIMARY KEY (epoch, seq)
);
CREATE INDEX change_id ON change (id, seq);
CREATE INDEX change_time ON change (changed_ns);
-- the newest change of each alert
CREATE TABLE alert (
    id TEXT PRIMARY KEY, epoch INTEGER NOT NULL, seq INTEGER NOT NULL, changed_ns INTEGER NOT NULL,
    open INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX alert_open ON alert (epoch, seq) WHERE open;
CREATE INDEX alert_closed ON alert (changed_ns) WHERE NOT open;
-- what a sink published before, by topic: a seq's prev stays the same however often it is delivered
CREATE TABLE chain (
    sink TEXT NOT NULL, topic TEXT NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL, prev INTEGER,
    PRIMARY KEY (sink, topic, epoch, seq)
) WITHOUT ROWID;
CREATE TABLE series (n INTEGER PRIMARY KEY, subject TEXT NOT NULL UNIQUE, last_s INTEGER, last REAL);
-- the last minutes as they came, so that a transaction touches one page and not one a series (flash wears)
CREATE TABLE recent (n INTEGER PRIMARY KEY, from_s INTEGER NOT NULL, to_s INTEGER NOT NULL, body BLOB NOT NULL);
-- what is older, packed by series
CREATE TABLE chunk (series INTEGER NOT NULL, from_s INTEGER NOT NULL, to_s INTEGER NOT NULL, body BLOB NOT NULL);
CREATE INDEX chunk_series ON chunk (series, to_s);
CREATE INDEX chunk_time ON chunk (to_s);
"""

_log = logging.getLogger(__name__)


def damaged(error: sqlite3.Error) -> bool:
    """Whether the error says that the file itself is broken."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED


def open_history(path: Path | None, now_ns: int) -> sqlite3.Connection:
    """The history at `path`, or in memory for None and where nothing can be written.

    A damaged file, or one of another version, is set aside first. Always succeeds, and logs what it had to do.
    """
    if path is not None:
        for _ in range(2):
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                return _opened(str(path))
            except sqlite3.Error as error:
                if not damaged(error) or not _set_aside(path, now_ns, str(error)):
                    _log.warning("history %s cannot be opened, kept in memory until the next start: %s", path, error)
                    break
            except OSError as error:
                _log.warning("history %s cannot be opened, kept in memory until the next start: %s", path, error)
                break
    return _opened(":memory:")


def used_bytes(db: sqlite3.Connection) -> int:
    """What the tables take, without free pages."""
    page, pages, free = (
        int(db.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_size", "page_count", "freelist_count")
    )
    return (pages - free) * page


def _opened(where: str) -> sqlite3.Connection:
    db = sqlite3.connect(where, isolation_level=None, check_same_thread=False, timeout=5)
    try:
        db.execute("PRAGMA page_size=1024")  # small changes, small pages: flash wears. Of new files only, as the next
        db.execute("PRAGMA auto_vacuum=INCREMENTAL")
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=NORMAL")  # the outbox delivers again what a power cut takes from here
        db.execute("PRAGMA journal_size_limit=4000000")
        version = int(db.execute("PRAGMA user_version").fetchone()[0])
        if version == 0:
            db.executescript(f"BEGIN; {_TABLES} PRAGMA user_version={VERSION}; COMMIT;")
        elif version != VERSION:
            error = sqlite3.DatabaseError(f"found version {version}, this program writes {VERSION}")
            error.sqlite_errorcode = sqlite3.SQLITE_NOTADB
            raise error
    except sqlite3.Error:
        db.close()
        raise
    return db


def _set_aside(path: Path, now_ns: int, why: str) -> bool:
    aside = path.with_name(f"{path.name}.damaged-{now_ns // 10**9}")
    try:
        path.rename(aside)
        for tail in ("-wal", "-shm"):
            Path(f"{path}{tail}").unlink(missing_ok=True)
    except OSError as error:
        _log.warning("history %s is damaged (%s) and cannot be set aside: %s", path, why, error)
        return False
    _log.warning("history %s is damaged (%s): set aside as %s, a new one begins", path, why, aside.name)
    return True


def set_aside(db: sqlite3.Connection, path: Path | None, now_ns: int, why: str) -> sqlite3.Connection:
    """A new connection instead of one whose file turned out to be damaged."""
    with closing(db):
        pass
    if path is not None and path.exists():
        _set_aside(path, now_ns, why)
    return open_history(path, now_ns)
