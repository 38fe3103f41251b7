"""The file: its tables, its connections, what makes it sound, and SQLite's errors in our words."""

from __future__ import annotations

import errno
import sqlite3
from typing import TYPE_CHECKING

import msgspec

from gateway.errors import DiskBroken, DiskFull, OutboxError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FILE = "outbox.sqlite"
MAGIC = b"SQLite format 3\0"
APPLICATION_ID = 0x5A574F42  # "ZWOB", so that `file` and a repair tool know it
VERSION = 1
CHECKED_BYTES = 64_000_000
"""A whole check of so much takes well under a second. In a larger file nothing has to be checked behind the start: each
row is when it is read (its checksum, its place, that none before it is missing), and SQLite finds pages that are torn.
"""
PAGE_BYTES = 1024  # a transaction of a few readings changes a handful of pages, and each is written whole: flash wear
STREAMS = ("series", "alerts", "requests")
TO_READ = ("mode=ro", "mode=ro&immutable=1")
"""How to open a file to take over what is in it: the second reads one whose journal cannot be opened."""

TABLES = """
CREATE TABLE meta(key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE journal(id INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE snapshot(id INTEGER PRIMARY KEY, state BLOB NOT NULL, marks BLOB NOT NULL);
CREATE TABLE series(position INTEGER PRIMARY KEY, at_ns INTEGER, key TEXT, count INTEGER, body BLOB, crc INTEGER);
CREATE TABLE alerts(position INTEGER PRIMARY KEY, at_ns INTEGER, key TEXT, count INTEGER, body BLOB, crc INTEGER);
CREATE TABLE requests(position INTEGER PRIMARY KEY, at_ns INTEGER, key TEXT, count INTEGER, body BLOB, crc INTEGER);
CREATE TABLE cursors(sink TEXT, stream TEXT, position INTEGER, PRIMARY KEY(sink, stream)) WITHOUT ROWID;
CREATE TABLE dead(id INTEGER PRIMARY KEY AUTOINCREMENT, at_ns INTEGER, bytes INTEGER, retry INTEGER DEFAULT 0,
    count INTEGER, place TEXT, stream TEXT, key TEXT, source TEXT, topic TEXT, reason TEXT, body BLOB);
CREATE INDEX dead_retry ON dead(id) WHERE retry = 1;
"""
ADDED = """
CREATE TABLE IF NOT EXISTS gaps(id INTEGER PRIMARY KEY AUTOINCREMENT, sink TEXT, first_position INTEGER,
    last_position INTEGER, from_ns INTEGER, to_ns INTEGER, rows INTEGER, points INTEGER, dropped_ns INTEGER, why TEXT,
    series BLOB);
CREATE TABLE IF NOT EXISTS stretches(sink TEXT, stream TEXT, start INTEGER, head INTEGER,
    PRIMARY KEY(sink, stream, start)) WITHOUT ROWID;
"""
"""Tables that came after the first release: made where they are missing, and an earlier program does without them."""


NO_ROOM = {errno.ENOSPC, errno.EDQUOT}
PROBE_BYTES = 65_536
DAMAGE = {
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_ERROR,  # our own statements are right: a table or column is gone, or the format's number is another
    sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_CONSTRAINT,  # what was unique is no longer, or a value is missing
    sqlite3.SQLITE_RANGE,
}


NOT_AS_WRITTEN = (msgspec.MsgspecError, ValueError, TypeError, OverflowError)
"""What decoding a damaged value raises, beside SQLite's own errors."""


class DamagedError(OutboxError):
    """The file is not one that this program can go on with."""


class NewerError(DamagedError):
    """The file is of a newer release: nothing of it is touched."""


class FoundDamageError(DiskBroken):
    """SQLite has found damage in the file while it was used: the next start replaces it."""


def ours(error: Exception, doing: str, folder: Path | None = None) -> OutboxError:
    """SQLite's or the system's error, or one of `NOT_AS_WRITTEN`, as ours: full, damaged, or broken for good.

    SQLite knows a full disk and not a spent quota: where a write failed, a small one into `folder` shows which it is.
    """
    text = f"{doing}: {error}"
    if isinstance(error, OSError):
        return DiskFull(text) if error.errno in NO_ROOM else DiskBroken(text)
    code = getattr(error, "sqlite_errorcode", None) or 0
    if code & 0xFF == sqlite3.SQLITE_FULL or code == sqlite3.SQLITE_IOERR_SHMSIZE:  # the latter: no room for the index
        return DiskFull(f"{text}; free some room on the disk, then restart")
    if folder is not None and code == sqlite3.SQLITE_IOERR_WRITE and _quota_spent(folder):
        return DiskFull(f"{text}: this user's quota on the disk is spent; give it more or free some room, then restart")
    kind = FoundDamageError if is_damage(error) else DiskBroken
    return kind(f"{text}; see the kernel's log for this disk, and try `zhiwang outbox check`")


def _quota_spent(folder: Path) -> bool:
    """Whether a file in the folder may not grow."""
    probe = folder / "outbox.probe"
    try:
        with probe.open("wb", buffering=0) as file:
            file.write(bytes(PROBE_BYTES))
    except OSError as error:
        return error.errno in NO_ROOM
    else:
        return False
    finally:
        probe.unlink(missing_ok=True)


def is_damage(error: Exception) -> bool:
    """Whether the error is about what stands in the file (also: a text where a blob must be), not about the disk."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is None or code & 0xFF in DAMAGE


def connect(path: str) -> sqlite3.Connection:
    """A connection that writes; nothing is in a transaction unless it says BEGIN."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
    try:
        _set_up(connection)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _set_up(connection: sqlite3.Connection) -> None:
    connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")  # this and the next only take effect before the first table
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {4_096_000 // PAGE_BYTES}")  # as many bytes as by default
    connection.execute("PRAGMA journal_size_limit = 16000000")
    connection.execute("PRAGMA secure_delete = OFF")  # Debian's default writes zeros over what is deleted: flash wear
    connection.execute("PRAGMA cache_size = -4000")


def read_only(path: Path) -> sqlite3.Connection:
    """A connection that reads beside the running gateway, and holds no transaction between statements."""
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, check_same_thread=False, timeout=30)
    connection.text_factory = lenient
    return connection


def lenient(found: bytes) -> str:
    """Text as it can be read: a flipped bit in it is found by the row's checksum, and is no error of SQLite's."""
    return found.decode("utf-8", "replace")


def create(connection: sqlite3.Connection, epoch: str) -> None:
    """Make the tables in an empty file."""
    connection.executescript(f"BEGIN IMMEDIATE; {TABLES} {ADDED}")
    connection.execute("INSERT INTO meta VALUES ('epoch', ?)", (epoch.encode(),))
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")


def epoch(connection: sqlite3.Connection) -> str:
    """The epoch that was made with the file."""
    return str(connection.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()[0], "ascii")


def add_missing(connection: sqlite3.Connection) -> None:
    """Make the tables and columns that a file of an earlier release lacks; its rows have no checksum."""
    lack = [stream for stream in STREAMS if "crc" not in columns(connection, stream)]
    added = "".join(f"ALTER TABLE {stream} ADD COLUMN crc INTEGER;" for stream in lack)
    connection.executescript(f"BEGIN IMMEDIATE; {ADDED} {added} COMMIT")


def columns(connection: sqlite3.Connection, table: str) -> list[str]:
    """The names of a table's columns, in their order; none where there is no such table."""
    return [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]


def copied(into: sqlite3.Connection, table: str, names: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Put rows with columns of these names into a store whose table may have others; rows of keys it has stay."""
    there = columns(into, table)
    kept = [at for at, name in enumerate(names) if name in there]
    named, places = ",".join(names[at] for at in kept), ",".join("?" * len(kept))
    rows = [[row[at] for at in kept] for row in rows]
    into.executemany(f"INSERT OR IGNORE INTO {table}({named}) VALUES ({places})", rows)  # noqa: S608 - our names


def mended(header: bytes) -> bytes:
    """The first 100 bytes of a file with what is the same in all of ours; as they are where nothing says that it is.

    See https://www.sqlite.org/fileformat.html#the_database_header.
    """
    if len(header) < 100 or (header[:16] != MAGIC and header[68:72] != APPLICATION_ID.to_bytes(4)):
        return header
    page = header[16:18] if int.from_bytes(header[16:18]) in {PAGE_BYTES, 4096} else PAGE_BYTES.to_bytes(2)
    return b"".join(
        (
            MAGIC,
            page,
            bytes((2, 2, 0, 64, 32, 32)),
            header[24:44],
            (4).to_bytes(4),
            header[48:56],
            (1).to_bytes(4),
            header[60:],
        )
    )


def known(version: int) -> None:
    """Raise NewerError where a store of ours has a version that this program does not know yet."""
    if version > VERSION:
        raise NewerError(f"found a store of a newer release (version {version}; this one knows {VERSION})")


def verify(connection: sqlite3.Connection, *, whole: bool) -> None:
    """Raise DamagedError unless this is a sound file of ours; `whole` reads every page."""
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if application == APPLICATION_ID:
        known(version)
    if application != APPLICATION_ID or version != VERSION:
        raise DamagedError(
            f"found application id {application:#x} and version {version}, expected {APPLICATION_ID:#x} and {VERSION}"
        )
    if not connection.execute("SELECT count(*) FROM meta WHERE key = 'epoch'").fetchone()[0]:
        raise DamagedError("found no epoch in it")
    if whole:
        found = [row[0] for row in connection.execute("PRAGMA quick_check(3)").fetchall()]
        if found != ["ok"]:
            raise DamagedError(f"found damage: {'; '.join(found)}")
