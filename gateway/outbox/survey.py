"""What `zhiwang check` says of the store that a configuration would run on, without writing to it or its folder."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from typing import TYPE_CHECKING

import msgspec

from gateway.config.scalars import Size
from gateway.outbox import beside, budget, dead, reading, schema
from gateway.outbox.room import BALLAST

if TYPE_CHECKING:
    from collections.abc import Collection, Generator
    from pathlib import Path

    from gateway.ports import Clock

CHECK_S = 2.0  # for reading the pages: a file of some hundred MB
STEPS = 20_000  # of SQLite's machine between two looks at the clock: under a millisecond


class Survey(msgspec.Struct, frozen=True):
    """Notes are good to know; warnings are what `run` would lose, do without or say. Nothing of it stops `run`."""

    notes: list[str]
    warnings: list[str]


def survey(folder: Path, bounds: budget.Budget, sinks: Collection[str], clock: Clock) -> Survey:
    """Look at the store in a state folder, beside a running gateway or without one.

    `sinks`: the names of those that the configuration has.
    """
    found = Survey([], [])
    path = folder / schema.FILE
    _place(folder, found)
    if not path.exists():  # `run` makes it
        _room(folder, bounds, 0, found)
        return found
    if why := beside.suspected(folder, ""):
        found.warnings.append(
            f"the outbox was found damaged while it was used ({why}): the next start takes what can be read into a "
            "fresh one and keeps the old one beside it"
        )
    used = budget.size_of(path)
    try:
        with _reader(path) as connection:
            used = budget.used(connection, path)
            _contents(connection, bounds, used, sinks, found)
            _pages(connection, path, clock, found)
    except schema.NewerError as error:
        found.warnings.append(f"{error}: `run` sets it aside as {path.name}.newer-1 and begins a fresh one")
    except (schema.DamagedError, sqlite3.Error, OSError, *schema.NOT_AS_WRITTEN) as error:
        found.warnings.append(_unreadable(path, error))
    _room(folder, bounds, used, found)
    return found


def _there(folder: Path) -> Path:
    """The folder, or that of those above it which is there."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def _place(folder: Path, found: Survey) -> None:
    """Whether the folder can be written, or made, by this user."""
    there = _there(folder)
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        found.warnings.append(
            f"{there} cannot be written by this user: as this user, `run` would keep everything in memory. Give it the "
            "folder, or name another in `state:`"
        )


@contextlib.contextmanager
def _reader(path: Path) -> Generator[sqlite3.Connection]:
    """A connection that makes no files: without a journal beside the file nobody else has it open."""
    mode = "mode=ro" if budget.size_of(path.with_name(f"{path.name}-wal")) else "mode=ro&immutable=1"
    with path.open("rb") as file:  # a clearer error than SQLite's where it may not be read
        file.read(1)
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True, timeout=CHECK_S)
    connection.text_factory = schema.lenient
    try:
        yield connection
    finally:
        connection.close()


def _contents(
    connection: sqlite3.Connection, bounds: budget.Budget, used: int, sinks: Collection[str], found: Survey
) -> None:
    schema.verify(connection, whole=False)
    if used > bounds.bytes:
        found.warnings.append(
            f"it holds {_size(used)} and `outbox.budget` is {_size(bounds.bytes)}: the oldest series are dropped when "
            "`run` writes to it. Raise the budget until its sinks have caught up"
        )
    for (sink, stream), has in reading.places(connection).items():
        if sink in sinks:
            continue
        rows = connection.execute(f"SELECT count(*) FROM {stream} WHERE position > ?", (has.upto,)).fetchone()[0]  # noqa: S608 - our names
        if rows:
            found.warnings.append(
                f"{rows} rows of {stream} wait for the sink {sink}, which is not configured: `run` lets them go. Was "
                "it renamed? Under its old name it gets them"
            )
        else:
            found.notes.append(f"the sink {sink} is no longer configured: `run` forgets its place in {stream}")
    count, size, again = dead.counted(connection)
    if count > again:
        found.notes.append(
            f"{count - again} dead letters wait for a person ({_size(size)}): `zhiwang outbox rejected` shows them, "
            "`zhiwang outbox retry` feeds them in again"
        )


def _pages(connection: sqlite3.Connection, path: Path, clock: Clock, found: Survey) -> None:
    """Read the pages, for a bounded time."""
    ends_ns = clock.monotonic_ns() + round(CHECK_S * 1e9)
    connection.set_progress_handler(lambda: clock.monotonic_ns() > ends_ns, STEPS)
    try:
        said = [row[0] for row in connection.execute("PRAGMA quick_check(3)").fetchall()]
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        found.notes.append(
            f"the outbox has {_size(budget.size_of(path))} and was not read to its end: `zhiwang outbox check` does"
        )
        return
    if said != ["ok"]:
        raise schema.DamagedError("; ".join(said))


def _unreadable(path: Path, error: Exception) -> str:
    if isinstance(error, PermissionError):
        return f"{path} may not be read by this user: run `check` as the user that runs the gateway"
    return (
        f"{path} is damaged ({' '.join(str(error).split())}): at the next start what can be read of it goes into a "
        "fresh one, and the old one is kept beside it as `.damaged-N`"
    )


def _room(folder: Path, bounds: budget.Budget, used: int, found: Survey) -> None:
    """Whether the disk has room for all that the store may come to hold."""
    there = _there(folder)
    free = shutil.disk_usage(there).free
    ballast = 0 if (folder / BALLAST).exists() else bounds.ballast
    need = max(0, bounds.bytes - used) + ballast
    if free < need:
        found.warnings.append(
            f"the disk of {there} has {_size(free)} free, and the outbox may still take {_size(need)}: in a long "
            "outage it is full before `outbox.budget` is spent. Free some room, or lower the budget"
        )


def _size(count: int) -> str:
    step = 10**9 if count >= 10**10 else 10**6 if count >= 10**6 else 1000
    return str(Size(count // step * step)) if count >= step else f"{count} B"
