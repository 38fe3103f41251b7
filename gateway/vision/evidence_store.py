"""Where evidence lies: a folder for each alert below `<state>/evidence`, files named by what is in them.

evidence/<alert>/<sha256>.jpg, .mp4, .ts.sealed; evidence/<alert>/pinned: a person keeps it; evidence/held/: taken when
a condition began, whose alert has not come yet. Nothing here loads a library of pictures.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import os
import re
import shutil
from typing import TYPE_CHECKING, NamedTuple

from gateway.errors import EvidenceError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

log = logging.getLogger(__name__)
FOLDER = "evidence"
HELD = "held"
PINNED = "pinned"
SUFFIX = {"image/jpeg": ".jpg", "video/mp4": ".mp4", "video/mp2t": ".ts", "application/vnd.zhiwang.sealed": ".sealed"}
KIND = {suffix: kind for kind, suffix in SUFFIX.items()}
IN_MEMORY = 64  # pictures that a full or broken disk did not take: at most 6.4 MB
PROBE = 4096  # bytes: a block, which a full disk does not have
SLACK = 20_000_000  # bytes of the disk that evidence leaves to others: the outbox's ballast is not for it
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,200}")


class Kept(NamedTuple):
    """One file: its alert, media type, hash and size."""

    alert: str
    kind: str
    sha256: str
    bytes: int
    path: Path


class Unkept(NamedTuple):
    """A picture that the disk did not take, and its alert."""

    alert: str
    body: bytes


class Store:
    """See the module. Used in threads, each call of a file at a time."""

    def __init__(self, state: Path, budget: int) -> None:
        self.folder = state / FOLDER
        self._budget = budget
        self._memory: dict[str, Unkept] = {}
        self._lacked = 0  # bytes that there was no room for last

    def keep(self, alert: str, kind: str, body: bytes, spared: Collection[str]) -> str:
        """Store a file for an alert, durable on return; gives its hash. `spared`: alerts whose files do not go for it.

        Raises EvidenceError where the disk or the budget has no room: a picture is then kept in memory all the same.
        """
        sha256 = hashlib.sha256(body).hexdigest()
        try:
            self.make_room(len(body), {*spared, alert})
            self._write(self._of(alert) / f"{sha256}{SUFFIX[kind]}", body)
        except (OSError, EvidenceError) as error:
            self._lacked = len(body)
            if kind == "image/jpeg":
                self._memory[sha256] = Unkept(alert, body)
                for old in list(self._memory)[:-IN_MEMORY]:
                    del self._memory[old]
            raise error if isinstance(error, EvidenceError) else EvidenceError(_words(error)) from None
        return sha256

    def settle(self, spared: Collection[str]) -> None:
        """Store what is in memory alone, as there is room again; `spared` as in `keep`.

        Raises EvidenceError where there is none yet: of what is stored already nothing goes for it.
        """
        try:
            self._fits(self._lacked, {*spared, *(one.alert for one in self._memory.values())})
            probe = self.folder / HELD / "room"
            probe.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                probe.write_bytes(bytes(PROBE))
            finally:
                probe.unlink(missing_ok=True)
            for sha256, (alert, body) in list(self._memory.items()):
                self.make_room(len(body), {*spared, alert})
                self._write(self._of(alert) / f"{sha256}{SUFFIX['image/jpeg']}", body)
                del self._memory[sha256]
        except OSError as error:
            raise EvidenceError(_words(error)) from None

    def hold(self, capture: str, body: bytes) -> None:
        """Keep what was taken when a condition began, until its alert comes. Where there is no room, it is not kept."""
        path = self.folder / HELD / f"{_safe(capture)}.jpg"
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            if shutil.disk_usage(path.parent).free >= len(body) + SLACK:
                path.write_bytes(body)
        except OSError:
            self.drop(capture)  # half a picture is none

    def held(self, capture: str) -> bytes | None:
        """What was held under this name."""
        try:
            return (self.folder / HELD / f"{_safe(capture)}.jpg").read_bytes()
        except OSError:
            return None

    def drop(self, capture: str) -> None:
        """It is not needed any more."""
        with contextlib.suppress(OSError):
            (self.folder / HELD / f"{_safe(capture)}.jpg").unlink()

    def sweep(self, before_s: float) -> None:
        """What was held before that time (seconds UTC), by a process that was killed, waits for nothing any more."""
        for path in (self.folder / HELD).glob("*.jpg"):
            with contextlib.suppress(OSError):
                if path.stat().st_mtime < before_s:
                    path.unlink()

    def read(self, alert: str, sha256: str) -> bytes | None:
        """A file's bytes; None where it is gone, or not what its name says."""
        for path in self._of(alert).glob(f"{_safe(sha256)}.*"):
            with contextlib.suppress(OSError):
                body = path.read_bytes()
                if hashlib.sha256(body).hexdigest() == sha256:
                    return body
        unkept = self._memory.get(sha256)
        return unkept.body if unkept else None

    def files(self) -> Iterator[tuple[float, Kept]]:
        """Every file with the time it was made, oldest first."""
        found: list[tuple[float, Kept]] = []
        for path in self.folder.glob("*/*"):
            if path.suffix in KIND and path.parent.name != HELD:
                with contextlib.suppress(OSError):
                    stat = path.stat()
                    kept = Kept(path.parent.name, KIND[path.suffix], path.stem, stat.st_size, path)
                    found.append((stat.st_mtime, kept))
        yield from sorted(found, key=lambda one: (one[0], one[1].path))

    def make_room(self, wanted: int, spared: Collection[str]) -> int:
        """Remove the oldest until so many bytes fit into the budget and on the disk; returns what went.

        Never of an alert that is spared or pinned. Raises EvidenceError where that is not enough: then nothing goes.
        """
        lacks, files = self._fits(wanted, spared)
        return self.free(lacks, spared, files) if lacks else 0

    def _fits(self, wanted: int, spared: Collection[str]) -> tuple[int, list[tuple[float, Kept]]]:
        """(bytes that must go for so many, every file). Raises EvidenceError where so many may not go."""
        files = list(self.files())
        used = sum(kept.bytes for _, kept in files)
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        left = shutil.disk_usage(self.folder).free
        lacks = max(used + wanted - self._budget, wanted + SLACK - left, 0)
        if lacks:
            theirs = {alert for alert in {kept.alert for _, kept in files} if alert in spared or self.pinned(alert)}
            bound = sum(kept.bytes for _, kept in files if kept.alert in theirs)
            if used - bound < lacks:
                raise EvidenceError(
                    f"no room for {wanted} bytes: {used} of {self._budget} are used, {bound} of them by open or pinned "
                    f"alerts, and the disk has {left} left, of which {SLACK} are for others; free some room on it, "
                    "close or unpin alerts, or raise evidence.budget"
                )
        return lacks, files

    def free(self, wanted: int, spared: Collection[str], files: list[tuple[float, Kept]] | None = None) -> int:
        """Remove the oldest files, so many bytes, as far as there are; returns what went."""
        freed = 0
        for _, kept in list(self.files()) if files is None else files:
            if freed >= wanted:
                break
            if kept.alert in spared or self.pinned(kept.alert):
                continue
            with contextlib.suppress(OSError):
                kept.path.unlink()
                freed += kept.bytes
                kept.path.parent.rmdir()  # where it was the last
        return freed

    def pinned(self, alert: str) -> bool:
        """Whether a person keeps this alert's evidence."""
        return (self._of(alert) / PINNED).exists()

    def pin(self, alert: str, *, wanted: bool = True) -> None:
        """Keep an alert's evidence whatever comes, or no longer. Raises EvidenceError where there is none."""
        folder = self._of(alert)
        if not folder.is_dir():
            raise EvidenceError(f"there is no evidence of {alert}; `zhiwang evidence list` says of which there is")
        if wanted:
            (folder / PINNED).touch(mode=0o600)
        else:
            (folder / PINNED).unlink(missing_ok=True)

    def _of(self, alert: str) -> Path:
        return self.folder / _safe(alert)

    def _write(self, path: Path, body: bytes) -> None:
        """Whole or not at all, and on the disk on return."""
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        new = path.with_suffix(path.suffix + ".new")
        try:
            new.unlink(missing_ok=True)
            new.touch(mode=0o600)
            with new.open("wb") as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            new.replace(path)
        except OSError:
            new.unlink(missing_ok=True)
            raise
        for folder in (path.parent, self.folder):
            handle = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def _safe(name: str) -> str:
    """A name that is one level of a path, whatever came."""
    return name if _NAME.fullmatch(name) and name != HELD else "_" + hashlib.sha256(name.encode()).hexdigest()[:32]


def _words(error: OSError) -> str:
    full = error.errno in {errno.ENOSPC, errno.EDQUOT}
    return f"the disk is full ({error.strerror}); free some room on it" if full else f"cannot be written: {error}"
