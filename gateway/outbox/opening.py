"""How the store is found at the start: taken for this process alone, a damaged one set aside, a broken disk told."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import sqlite3
from typing import TYPE_CHECKING, NamedTuple

from gateway.errors import DiskBroken, DiskFull, OutboxError
from gateway.outbox import beside, dead, gaps, reading, reserve, restart, room, salvage, schema
from gateway.outbox.budget import size_of

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

log = logging.getLogger(__name__)

LOCK = "outbox.lock"
SUFFIXES = ("", "-wal", "-shm", "-journal")  # what SQLite keeps of one store; the last only while it is made


class Opened(NamedTuple):
    """A connection to write with.

    `lock`: the descriptor that holds the folder, None in memory; `why` it is in memory; `damaged`: what was set aside
    and why; both empty when all is well.
    """

    connection: sqlite3.Connection
    found: restart.Found
    lock: int | None
    why: str
    damaged: str


def find(folder: Path, epoch: str, *, memory: str) -> Opened:
    """The store in `folder`, or one in memory where the disk cannot be written; `epoch` is for a new one.

    memory: why it is to be in memory from the start; empty: it is not. Raises OutboxError where another process has the
    folder.
    """
    path, why = folder / schema.FILE, memory
    suspected = beside.suspected(folder, memory)
    if not memory or suspected:
        try:
            try:
                return _on_disk(folder, epoch, suspected)
            except DiskFull:
                if not room.spend(folder):
                    raise
                return _on_disk(folder, epoch, suspected)  # in the room that the ballast gave
        except (DiskBroken, DiskFull) as error:
            why = str(error)
            log.error("no durable outbox, going on in memory: %s", why)  # noqa: TRY400 - the disk's words, not our stack
    connection = schema.connect(":memory:")
    schema.create(connection, epoch)
    if path.exists() and not restart.save(path, connection):
        why += "; its state could not be read"
    return Opened(connection, restart.read(connection), None, why, "")


def _on_disk(folder: Path, epoch: str, suspected: str) -> Opened:
    """The store on the disk. Raises DiskBroken or DiskFull."""
    held = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = lock(folder)
        connection, found, damaged = open_file(folder / schema.FILE, epoch, suspected)
        beside.cleared(folder)
    except (DiskBroken, DiskFull, OSError) as error:
        if held is not None:
            os.close(held)
        if isinstance(error, OSError):
            raise schema.ours(error, f"{folder} cannot be used") from error
        raise
    if damaged:
        log.error("the outbox was damaged: %s", damaged)
    return Opened(connection, found, held, "", damaged)


def lock(folder: Path) -> int:
    """Take the state folder for this process alone, until the returned descriptor is closed."""
    fd = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.pread(fd, 20, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(fd)
        raise OutboxError(
            f"found that process {pid} uses {folder}; expected a state folder of this gateway's own. "
            "Stop the other gateway, or give this one another `state:`"
        ) from None
    try:
        os.pwrite(fd, str(os.getpid()).ljust(20).encode(), 0)
    except OSError:
        os.close(fd)
        raise
    return fd


def open_file(path: Path, epoch: str, suspected: str = "") -> tuple[sqlite3.Connection, restart.Found, str]:
    """Open or make the file; one that is damaged, or not ours, is renamed `.damaged-N` and a fresh one is made.

    One of a newer release is renamed `.newer-N`, and nothing is read from it.

    What can be read of a damaged one is in the fresh one; its epoch is new, for some of its numbers may be lost.
    `suspected`: the damage that was found while it was used, whatever a look at it would find now.
    Returns the connection, what a restart finds in it, and what was set aside. Raises DiskBroken or DiskFull where the
    place cannot be written.
    """
    damaged = ""
    for attempt in range(3):
        try:
            return *_open(path, epoch, "" if damaged else suspected), damaged
        except schema.NewerError as error:
            kept = set_aside(path, "newer")
            damaged = f"{error}; kept as {kept.name}, and a fresh one was made: with that release, rename it back"
        except schema.DamagedError as error:
            damaged = f"{error}; {_replace(path, epoch, take=attempt == 0)}"
        except (sqlite3.Error, OSError) as error:
            raise schema.ours(error, f"{path} cannot be opened for writing", path.parent) from error
    raise DiskBroken(f"{path} is damaged again at once: {damaged}")


def _replace(path: Path, epoch: str, *, take: bool) -> str:
    """Put a fresh file in the place of a damaged one, with what can be read of it if `take`; returns what was done."""
    fresh = path.with_name(f"{path.name}.new")
    _remove(fresh)  # of a start that was cut off
    taken: dict[str, int] = {}
    if take and path.is_file():
        try:
            connection = schema.connect(str(fresh))
            with contextlib.closing(connection), _readable(path):
                schema.create(connection, epoch)
                taken = salvage.take_over(path, connection)
        except (sqlite3.Error, OSError) as error:
            trouble = schema.ours(error, "a fresh outbox cannot be made", path.parent)
            if not isinstance(trouble, (DiskFull, schema.FoundDamageError)):
                raise trouble from error  # the disk itself fails: the file stays, for a start that can read it
            log.error("the damaged outbox cannot be read into a fresh one: %s", trouble)  # noqa: TRY400 - as above
            taken = {}
    kept = set_aside(path)
    if not any(taken.values()):
        _remove(fresh)
        return f"kept as {kept.name}, and a fresh one was made"
    fresh.rename(path)
    rows = ", ".join(f"{count} of {table}" for table, count in taken.items() if count)
    return f"kept as {kept.name}; what could be read of it is in the fresh one (rows: {rows})"


@contextlib.contextmanager
def _readable(path: Path) -> Generator[None]:
    """The file as SQLite can read more of it: what is the same in all of ours is mended in its first bytes.

    And without the part of a page at its end: SQLite would fill it with zeros, and rows with them.
    """
    with path.open("r+b") as file:
        header, whole = file.read(100), size_of(path) // schema.PAGE_BYTES * schema.PAGE_BYTES
        file.seek(whole)
        torn = file.read()
        file.truncate(whole)
        file.seek(0)
        file.write(schema.mended(header)[:whole])
        file.flush()
        try:
            yield
        finally:
            file.seek(0)
            file.write(header[:whole])
            file.seek(whole)
            file.write(torn)  # it is kept as it was found


def _remove(path: Path) -> None:
    for suffix in SUFFIXES:
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _open(path: Path, epoch: str, suspected: str) -> tuple[sqlite3.Connection, restart.Found]:
    """One try; raises DamagedError for what is on the disk, sqlite3.Error for the disk itself."""
    if path.exists() and not path.is_file():
        raise schema.DamagedError(f"found that {path.name} is no file")
    if suspected and path.exists():
        raise schema.DamagedError(f"found damage while it was used ({suspected})")
    _whole_pages(path)
    _readable_header(path)
    connection = None
    try:
        connection = schema.connect(str(path))
        if not connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
            schema.create(connection, epoch)
        schema.verify(connection, whole=path.stat().st_size <= schema.CHECKED_BYTES)
        schema.add_missing(connection)
        # A write that changes nothing shows whether the file can be written at all before anyone relies on it.
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE meta SET value = value WHERE key = 'epoch'")
        connection.execute("COMMIT")
        return connection, _found(connection)
    except BaseException as error:
        if connection is not None:
            connection.close()
        if isinstance(error, (sqlite3.Error, *schema.NOT_AS_WRITTEN)) and schema.is_damage(error):
            raise schema.DamagedError(f"found that {path.name} is damaged ({error})") from error
        raise


def _found(connection: sqlite3.Connection) -> restart.Found:
    """What a restart finds; reads besides what the ledger will at once, where damage can still be helped."""
    schema.epoch(connection)
    dead.total_bytes(connection)
    reserve.held(connection)
    gaps.listed(connection)
    for has in reading.places(connection).values():
        has.misses(0)
    return restart.read(connection)


def _whole_pages(path: Path) -> None:
    """Raise DamagedError where the file ends inside a page: SQLite would take zeros for the rest.

    With a journal beside it a power cut may have left it so, and the journal has what is missing; or it was being made.
    """
    journal, log_of_writes = (path.with_name(path.name + suffix) for suffix in ("-journal", "-wal"))
    if path.exists() and not journal.exists() and not size_of(log_of_writes):
        size = size_of(path)
        if size == 0 or size % schema.PAGE_BYTES:
            raise schema.DamagedError(f"found that {path.name} ends after {size} bytes, inside a page")


def _readable_header(path: Path) -> None:
    """Raise DamagedError where SQLite would only read the file, NewerError before it writes to a newer release's.

    See https://www.sqlite.org/fileformat.html#the_database_header.
    """
    if size_of(path) < 100:
        return
    with path.open("rb") as file:
        header = file.read(100)
    if max(header[18:20]) > 2:
        raise schema.DamagedError(f"found format versions {header[18]} and {header[19]} in it, expected 2 and 2")
    if int.from_bytes(header[68:72]) == schema.APPLICATION_ID:
        schema.known(int.from_bytes(header[60:64]))


def set_aside(path: Path, kind: str = "damaged") -> Path:
    """Rename the file, with what SQLite keeps beside it, to the first free `.damaged-N`; returns the new path."""
    n = 1
    while (kept := path.with_name(f"{path.name}.{kind}-{n}")).exists():
        n += 1
    for suffix in SUFFIXES:
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(kept.with_name(kept.name + suffix))
    return kept
