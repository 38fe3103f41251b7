"""Room on a full disk: a ballast file that is given up, and series that are, so that everything else can go on."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sqlite3
from typing import TYPE_CHECKING

from gateway.errors import DiskFull
from gateway.outbox import schema, writing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

log = logging.getLogger(__name__)

BALLAST = "outbox.ballast"
LEAST_FREED = 4_000_000  # bytes of series that go at least: a checkpoint's worth of journal


class Ballast:
    """A file that holds `size` bytes of the disk for the day when it is full; 0: there is none."""

    def __init__(self, folder: Path, size: int) -> None:
        self.path, self.size = folder / BALLAST, size
        self._whole = False
        if size:
            self.restore()
        elif self.path.exists():
            spend(folder)

    @property
    def missing(self) -> bool:
        """Whether it should be there and is not."""
        return self.size > 0 and not self._whole

    def spend(self) -> None:
        """Give its bytes back to the disk."""
        self._whole = False
        spend(self.path.parent)

    def restore(self) -> None:
        """Make it where it is missing and the disk has half as much again."""
        if not self.missing:
            return
        with contextlib.suppress(OSError):  # no room after all: tried again later
            if self.path.exists() and self.path.stat().st_size == self.size:
                self._whole = True
                return
            if shutil.disk_usage(self.path.parent).free < self.size + self.size // 2:
                return
            fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(fd, 0, self.size + self.size // 2)  # what is free knows nothing of a quota
                os.ftruncate(fd, self.size)
                self._whole = True
            finally:
                os.close(fd)
                if not self._whole:
                    spend(self.path.parent)


def spend(folder: Path) -> bool:
    """Remove the ballast of a state folder; returns whether there was one."""
    try:
        (folder / BALLAST).unlink()
    except OSError:
        return False
    return True


def make(
    connection: sqlite3.Connection,
    ballast: Ballast,
    drop: Callable[[sqlite3.Connection, int], int],
    spare: Callable[[int], int],
) -> None:
    """Free what can be freed: the ballast, what others can spare, the oldest series, the journal, pages at the file's
    end; then the ballast.

    `spare(bytes)` removes so much, or what there is, of what may go before series do, and returns the bytes of it;
    `drop(connection, bytes)` deletes some rows of series inside a transaction and returns theirs. What fails for want
    of room is left for the next try; raises sqlite3.Error for anything else.
    """  # noqa: D205 - one thought
    ballast.spend()
    goal = max(LEAST_FREED, ballast.size * 2)
    spared = spare(goal)
    goal = max(0, goal - spared)
    gone = f"{spared} bytes of recordings" if spared else "the ballast"
    log.warning("the disk is full: %s went%s", gone, ", and the oldest series do" if goal else "")
    freed = 0
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        while freed < goal and (more := _dropped(connection, goal - freed, drop)):
            freed += more
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        while freed > 0:  # pages move into the holes and the file ends earlier, a few at a time: each costs journal
            connection.executescript(f"PRAGMA incremental_vacuum({writing.VACUUMED_AT_ONCE})")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            freed -= writing.VACUUMED_AT_ONCE * writing.PAGE_BYTES
    except sqlite3.OperationalError as error:
        if not isinstance(schema.ours(error, "", ballast.path.parent), DiskFull):
            raise
    ballast.restore()


def _dropped(connection: sqlite3.Connection, goal: int, drop: Callable[[sqlite3.Connection, int], int]) -> int:
    connection.execute("BEGIN IMMEDIATE")
    try:
        freed = drop(connection, goal)
        connection.execute("COMMIT")
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return freed
