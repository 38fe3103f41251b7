"""A file that only grows by whole blocks: each is synced, a torn tail is cut at the start, a full file is put away.

log.lp ─ full ─▶ log-000001.lp, log-000002.lp …   (`keep` of them stay, the oldest goes first)
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import mmap
import os
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from gateway.errors import Unreachable

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)


class Mark(NamedTuple):
    """The last row that is in a file: of series by its position in the outbox, of alerts by its seq."""

    epoch: str
    number: int


Scan = Callable[[mmap.mmap], "tuple[int, Mark] | None"]
"""Where the last whole block ends, and its mark; None: the file holds none, so it is not ours or never became so."""


class GrowingFile:
    """One such file. `mark`: its last row, known once it is open. Use it from one thread; raises Unreachable."""

    def __init__(self, path: Path, rotate_bytes: int, keep: int, scan: Scan) -> None:
        self.mark: Mark | None = None
        self._path = path
        self._rotate_bytes = rotate_bytes
        self._keep = keep
        self._scan = scan
        self._fd: int | None = None
        self._size = 0
        self._failed: tuple[int, int] | None = None  # inode and sound size of a file that could not be synced

    def open(self) -> None:
        """Have it open and whole. Another program may move it away at any time: then a fresh one is begun."""
        try:
            if self._fd is not None and not self._moved(self._fd):
                return
            self.close()
            self._path.parent.mkdir(parents=True, exist_ok=True)
            while self._fd is None:
                self._open()
        except OSError as error:
            raise self._unusable(error) from error

    def append(self, block: bytes, mark: Mark) -> None:
        """Add one block; it is on the disk on return, and not at all in the file when this raises."""
        self.open()
        try:
            if self._size and self._size + len(block) > self._rotate_bytes:
                self._rotate()
            if self._fd is not None:  # as `open` leaves it
                self._write(self._fd, block)
        except OSError as error:
            raise self._unusable(error) from error
        self.mark = mark

    def close(self) -> None:
        """Close it, as often as one likes."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def _unusable(self, error: OSError) -> Unreachable:
        return Unreachable(f"{self._path} cannot be written: {error.strerror or error}")

    def _moved(self, fd: int) -> bool:
        try:
            return self._path.stat().st_ino != os.fstat(fd).st_ino
        except FileNotFoundError:
            return True

    def _open(self) -> None:
        """One try: afterwards it is open and locked, or a file that is not ours was set aside."""
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not self._moved(fd) and self._recover(fd):
                _sync_folder(self._path.parent)
                self._fd, fd = fd, -1
        except BlockingIOError:
            raise Unreachable(f"{self._path} is written by another sink or process: give each a file") from None
        finally:
            if fd >= 0:
                os.close(fd)

    def _recover(self, fd: int) -> bool:
        """Cut a torn tail off; False: there is nothing whole in it, and it was renamed."""
        status = os.fstat(fd)
        found: tuple[int, Mark | None] | None
        if status.st_size:
            with mmap.mmap(fd, 0, access=mmap.ACCESS_READ) as content:
                found = self._scan(content)
            if found and not found[0]:
                found = (0, self._rotated_mark())
        else:
            found = (0, self._rotated_mark())
        if self._failed and self._failed[0] == status.st_ino:
            found = (self._failed[1], self.mark)  # what failed to sync may be readable, and still not be on the disk
        if found is None:
            self._set_aside()
            return False
        self._size, self.mark = found
        if self._size < status.st_size:
            log.warning("%s: cut a torn tail of %d bytes", self._path, status.st_size - self._size)
            os.ftruncate(fd, self._size)
        if status.st_size:
            os.fsync(fd)  # what is taken for delivered is on the disk, whoever wrote it and died
        self._failed = None
        return True

    def _write(self, fd: int, block: bytes) -> None:
        left = memoryview(block)
        try:
            while left:
                left = left[os.write(fd, left) :]
            os.fsync(fd)
        except OSError:
            self._failed = (os.fstat(fd).st_ino, self._size)
            with contextlib.suppress(OSError):  # where it fails too, opening it again does it
                os.ftruncate(fd, self._size)
            self.close()
            raise
        self._size += len(block)

    def _rotate(self) -> None:
        rotated = self._rotated()
        number = max(rotated, default=0) + 1
        self._path.rename(self._path.with_name(f"{self._path.stem}-{number:06}{self._path.suffix}"))
        for old in sorted(rotated)[: max(0, len(rotated) + 1 - self._keep)]:
            rotated[old].unlink(missing_ok=True)
        self.open()

    def _rotated(self) -> dict[int, Path]:
        """What was put away, by number."""
        name = re.compile(rf"{re.escape(self._path.stem)}-(\d{{6,}}){re.escape(self._path.suffix)}")
        found = [(name.fullmatch(path.name), path) for path in self._path.parent.iterdir()]
        return {int(match[1]): path for match, path in found if match}

    def _rotated_mark(self) -> Mark | None:
        """The last row of the newest file that was put away."""
        rotated = self._rotated()
        if not rotated:
            return None
        with rotated[max(rotated)].open("rb") as file:
            if not os.fstat(file.fileno()).st_size:
                return None
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                found = self._scan(content)
        return found and found[1]

    def _set_aside(self) -> None:
        n = 1
        while (kept := self._path.with_name(f"{self._path.name}.damaged-{n}")).exists():
            n += 1
        self._path.rename(kept)
        log.warning(
            "%s held nothing that this sink had finished: kept as %s, and a fresh one was made", self._path, kept
        )


def _sync_folder(folder: Path) -> None:
    """A name that was made, or a rename, is on the disk too."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
