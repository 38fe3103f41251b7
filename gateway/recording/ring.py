"""The files of the ring: one is written, the oldest go when the budget or the disk is spent. Used by one thread."""

from __future__ import annotations

import contextlib
import errno
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from gateway.recording.writer import CHUNK_BYTES, FileWriter

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.ports import Clock
    from gateway.recording.parts import About, Checkpoint

NEVER = 2**63  # does a writer flush by itself: room is made first
BEGINNINGS = 4  # a file is at least so many times its first checkpoint: a large state does not roll it at once
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
_NAME = re.compile(r"(\d{8,})-\d{8}T\d{6}Z\.mcap")


class OverBudget(OSError):
    """The file being written has all of the budget for itself, and no checkpoint came to begin the next with."""


class Ring:
    """Files by serial number and time in one folder, together within `budget` bytes.

    A file is `full` at file_bytes or file_ns after its beginning. Where the disk itself is full the oldest go too, but
    for the last one. Every method raises OSError as the disk does.
    """

    def __init__(self, folder: Path, about: About, clock: Clock, *, budget: int, file_bytes: int, file_ns: int) -> None:
        self._folder, self._about, self._clock = folder, about, clock
        self._budget, self._file_ns = budget, file_ns
        self._file_bytes = min(file_bytes, budget // 4)  # else a new file would push all that came before out
        self._others: dict[Path, int] = {}
        self._full_bytes = self._file_bytes
        self._serial = 0
        self._began_ns = 0
        self.writer: FileWriter | None = None
        self.removed = 0
        self._left_bytes = self._left_inputs = 0

    @property
    def bytes(self) -> int:
        """Of all files together, as they are on the disk."""
        return sum(self._others.values()) + (self.writer.size if self.writer else 0)

    @property
    def written(self) -> int:
        """Bytes written since the start."""
        return self._left_bytes + (self.writer.size if self.writer else 0)

    @property
    def inputs(self) -> int:
        """Inputs written since the start."""
        return self._left_inputs + (self.writer.count if self.writer else 0)

    @property
    def full(self) -> bool:
        """Whether the next checkpoint should begin a new file."""
        if self.writer is None:
            return False
        age_ns = self._clock.monotonic_ns() - self._began_ns
        return self.writer.size >= self._full_bytes or age_ns >= self._file_ns

    def files(self) -> list[Path]:
        """Oldest first, with the one that is being written."""
        return [*self._others, *([self.writer.path] if self.writer else [])]

    def flush_full(self) -> None:
        """Write a chunk if one is full."""
        self.flush(CHUNK_BYTES)

    def begin(self, checkpoint: Checkpoint, hole: str = "") -> FileWriter:
        """Close the file that is being written and begin the next. `hole`: why inputs before it are missing."""
        self.close()
        self._look()
        now_ns = self._clock.now_ns()
        self._serial += 1
        stamp = datetime.fromtimestamp(max(0, now_ns) / 1e9, UTC)
        path = self._folder / f"{self._serial:08d}-{stamp:%Y%m%dT%H%M%S}Z.mcap"
        about = msgspec.structs.replace(self._about, made="ring", began_ns=now_ns, serial=self._serial)
        self._make_room(len(checkpoint.state or b"") + len(about.config) + 100_000)
        while True:
            try:
                self.writer = FileWriter(path, about, checkpoint, hole=hole, chunk_bytes=NEVER)
            except OSError as error:
                path.unlink(missing_ok=True)
                if error.errno not in NO_ROOM or not self._remove_oldest(keep=1):
                    raise
            else:
                self._began_ns = self._clock.monotonic_ns()
                large = min(BEGINNINGS * self.writer.size, self._budget // 2)
                self._full_bytes = max(self._file_bytes, large)
                return self.writer

    def flush(self, at_least: int = 1) -> None:
        """Write what waits, if it is so many bytes; where there is no room the oldest files go."""
        writer = self.writer
        if writer is None or writer.pending < at_least:
            return
        self._make_room(writer.pending)
        while True:
            try:
                writer.flush()
            except OSError as error:
                if error.errno not in NO_ROOM or not self._remove_oldest(keep=1):
                    raise
            else:
                return

    def close(self) -> None:
        """End the file that is being written, with its summary where there is room for one: it can be read without."""
        if self.writer is None:
            return
        self.flush()
        with contextlib.suppress(OSError):
            self.writer.close()
        self._left(self.writer)

    def abandon(self) -> None:
        """Leave the file that is being written as it is."""
        if self.writer is not None:
            self.writer.abandon()
            self._left(self.writer)

    def _left(self, writer: FileWriter) -> None:
        self.writer = None
        self._others[writer.path] = writer.size
        self._left_bytes += writer.size
        self._left_inputs += writer.count

    def _look(self) -> None:
        """What is in the folder: also of earlier processes, and without what someone removed."""
        self._folder.mkdir(parents=True, exist_ok=True)
        found = sorted(path for path in self._folder.iterdir() if _NAME.fullmatch(path.name))
        self._others = {path: path.stat().st_size for path in found}
        if found:
            self._serial = max(self._serial, int(found[-1].name.partition("-")[0]))

    def _make_room(self, for_bytes: int) -> None:
        while self.bytes + for_bytes > self._budget:
            if not self._remove_oldest():
                if self.writer is not None and self.bytes + for_bytes > self._budget:
                    raise OverBudget(errno.EFBIG, "the file has all of the budget, and no checkpoint came to roll it")
                return

    def _remove_oldest(self, *, keep: int = 0) -> bool:
        """Let a file go; `keep` of them stay: a disk that others fill takes not all of what was recorded."""
        if len(self._others) <= keep:
            return False
        path = next(iter(self._others))
        path.unlink(missing_ok=True)
        del self._others[path]
        self.removed += 1
        return True
