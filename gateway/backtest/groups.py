"""Recordings to groups that can be replayed apart from one another: by gateway, and by day within one.

Each file of a recording begins with a checkpoint, so a day can be replayed without the one before. What that means for
an alert that is open over midnight: it stands in the checkpoint that the next day begins with, goes on there, and is
counted once, on the day it was raised. The checkpoint is that of the recorded configuration, though: a rule that was
changed starts empty there, its open alerts are closed, and a condition that holds over midnight is raised, and counted,
on both days; so is what its `for:` or window had begun. `whole` replays each gateway in one go instead, exactly, on one
core.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from gateway.backtest.parts import Group
from gateway.errors import RecordingError
from gateway.recording.files import copies
from gateway.recording.reader import Recording

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from gateway.recording.reader import FileFound

MIB = 1 << 20
TICK_NS = 10**9
SAMPLE = 1 << 12
"""Of each MiB between a file's ends: 0.4 % of the bytes is read, and no compressed chunk stays the same by chance."""


def groups(paths: Sequence[Path], *, whole: bool = False) -> tuple[list[Group], dict[str, str]]:
    """(the groups in the order of gateway and time, why a file cannot be read by its path)."""
    found: list[FileFound] = []
    unreadable: dict[str, str] = {}
    for path in _files(paths):
        try:
            found += Recording.open([path]).files
        except RecordingError as error:
            unreadable[str(path)] = str(error)
    by_gateway: dict[str, list[FileFound]] = {}
    twice = copies(found)  # a cut beside its day is no day of its own
    for file in sorted((one for one in found if one.path not in twice), key=_by_gateway_and_time):
        by_gateway.setdefault(file.about.gateway, []).append(file)
    made = [_group(mine) for files in by_gateway.values() for mine in (_whole(files) if whole else _days(files))]
    return made, unreadable


def _by_gateway_and_time(file: FileFound) -> tuple[str, int, int]:
    return file.about.gateway, file.first_ns, file.about.serial


def local_day(at_ns: int, timezone: str) -> str:
    """The local date of a time, `2026-08-14`."""
    return datetime.fromtimestamp(at_ns // 10**9, UTC).astimezone(ZoneInfo(timezone)).date().isoformat()


def fingerprint(path: Path) -> str:
    """SHA-256 over a file's size, its first and last MiB (the index of all chunks) and a sample of each between."""
    size = path.stat().st_size
    digest = hashlib.sha256(size.to_bytes(8, "little"))
    with path.open("rb") as file:
        digest.update(file.read(MIB))
        for at in range(MIB, size - MIB, MIB):
            file.seek(at)
            digest.update(file.read(SAMPLE))
        file.seek(max(MIB, size - MIB))
        digest.update(file.read())
    return digest.hexdigest()


def _files(paths: Iterable[Path]) -> list[Path]:
    """The files, and those in folders, each once."""
    every = [one for path in paths for one in (sorted(path.glob("*.mcap")) if path.is_dir() else [path])]
    return list(dict.fromkeys(path.resolve() for path in every))


def _whole(files: list[FileFound]) -> list[list[FileFound]]:
    return [files]


def _days(files: list[FileFound]) -> list[list[FileFound]]:
    """Files in order, parted where a file begins on another day than the one before."""
    days: list[list[FileFound]] = []
    last = ""
    for file in files:
        day = local_day(_begin_ns(file), file.about.timezone)
        if day != last:
            days.append([])
        days[-1].append(file)
        last = day
    return days


def _begin_ns(file: FileFound) -> int:
    """When its first input came: at most a tick behind its checkpoint's last one, but for a gateway that was away."""
    began_ns = file.about.began_ns
    return (began_ns if file.first_ns < began_ns <= file.last_ns else file.first_ns) + TICK_NS


def _group(files: list[FileFound]) -> Group:
    about = files[0].about
    prints = [fingerprint(file.path) for file in files]
    return Group(
        gateway=about.gateway,
        day=local_day(_begin_ns(files[0]), about.timezone),
        timezone=about.timezone,
        files=tuple(str(file.path) for file in files),
        bytes=sum(file.bytes for file in files),
        from_ns=min(_begin_ns(files[0]), files[0].last_ns),
        to_ns=max(file.last_ns for file in files),
        key=hashlib.sha256("\n".join(prints).encode()).hexdigest(),
        configs=tuple(dict.fromkeys(file.about.config for file in files)),
    )
