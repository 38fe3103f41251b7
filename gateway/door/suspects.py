"""Which messages were being stepped when the process died: a segfault or an out-of-memory kill leaves nothing else.

`stepping` in the state folder is mapped memory that a dead process leaves as it was; no sync is needed, as the kernel
outlives us. A message that was being stepped at two deaths in a row is stepped alone; at the third it is set aside.
Messages are known by CRC-32 of topic and body.
"""

from __future__ import annotations

import contextlib
import logging
import mmap
import os
from array import array
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

log = logging.getLogger(__name__)

MARK, KNOWN = "stepping", "suspects.json"
MOST = (
    16_384  # messages of a cut that are remembered: larger cuts are rare, and their beginning is what is stepped first
)
WORD = 4  # bytes: the count, then the CRCs, uint32 each
ALONE, ASIDE = 2, 3  # deaths in a row


class Suspects:
    """The mark of the cut being stepped, and how often each message was in one at a death. Core thread only."""

    def __init__(self, folder: Path | None) -> None:
        """`folder` None: nothing is remembered (in memory there is no next time)."""
        self._mark: mmap.mmap | None = None
        self._deaths: dict[int, int] = {}
        if folder is None:
            return
        self._known = folder / KNOWN
        try:
            self._open(folder / MARK)
        except OSError as error:
            log.warning("deaths while stepping will not be noticed: %s", error)

    def _open(self, path: Path) -> None:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(fd, 0, WORD * (MOST + 1))  # a hole on a full disk would be a SIGBUS
            self._mark = mmap.mmap(fd, WORD * (MOST + 1))
        finally:
            os.close(fd)
        count = min(int.from_bytes(self._mark[:WORD], "little"), MOST)
        before: dict[int, int] = {}
        with contextlib.suppress(OSError, msgspec.MsgspecError):  # none, or torn: deaths are counted anew
            before = msgspec.json.decode(self._known.read_bytes(), type=dict[int, int])
        if count:
            log.warning("the process died while it stepped %d messages", count)
            here = array("I", self._mark[WORD : WORD * (count + 1)])
            self._deaths = {crc: before.get(crc, 0) + 1 for crc in here}
            self._save()
            self.end()
        else:
            self._deaths = before

    def deaths(self, crc: int) -> int:
        """At how many deaths in a row a message was being stepped."""
        return self._deaths.get(crc, 0)

    def any(self) -> bool:
        """Whether any message is suspected."""
        return bool(self._deaths)

    def begin(self, crcs: array[int]) -> None:
        """These messages are about to be stepped."""
        if self._mark is not None and crcs:
            some = crcs[:MOST]
            self._mark[WORD : WORD * (len(some) + 1)] = some.tobytes()
            self._mark[:WORD] = len(some).to_bytes(WORD, "little")

    def end(self) -> None:
        """They were stepped."""
        if self._mark is not None:
            self._mark[:WORD] = b"\0\0\0\0"

    def clear(self, crcs: Sequence[int]) -> None:
        """These messages did no harm, or will do none again."""
        cleared = [crc for crc in crcs if crc in self._deaths]
        if cleared:
            for crc in set(cleared):
                del self._deaths[crc]
            self._save()

    def close(self) -> None:
        """Let go of the mark."""
        if self._mark is not None:
            self._mark.close()
            self._mark = None

    def _save(self) -> None:
        """Before anything is stepped again: the next death must find it. Not synced: a power cut is no death."""
        new = self._known.with_suffix(".new")
        try:
            new.write_bytes(msgspec.json.encode(self._deaths))
            new.replace(self._known)
        except OSError as error:
            log.warning("suspected messages are not remembered: %s", error)
