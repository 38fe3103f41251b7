"""The files of a recording: what each holds, in which order they belong, and how far each of them counts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import zstandard

from gateway.errors import RecordingError
from gateway.recording import columns
from gateway.recording.channels import INPUTS
from gateway.recording.chunks import read_chunk
from gateway.recording.parts import About
from gateway.recording.scan import Scanned, scan

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

NO_LIMIT = 2**63


class FileFound(msgspec.Struct):
    """One file: which inputs [first_n, last_n) it holds, when they were admitted, what is wrong with it.

    `damage` grows while the file is read: a chunk's checksum is looked at only then. first_ns and last_ns are the
    stamps of the checkpoint before the first input (0 where there was none) and of the last input.
    """

    path: Path
    about: About
    first_ns: int
    last_ns: int
    first_n: int
    last_n: int
    bytes: int
    damage: tuple[str, ...]
    scanned: Scanned


def found(path: Path) -> FileFound:
    """What is in this file. Raises RecordingError as `scan` does."""
    scanned = scan(path)
    head = scanned.head
    last_n, last_ns = scanned.end or _last(scanned)
    return FileFound(
        path=path,
        about=head.about,
        first_ns=head.first_ns or head.about.began_ns,
        last_ns=last_ns or head.about.began_ns,
        first_n=head.first_n,
        last_n=last_n,
        bytes=scanned.size,
        damage=tuple(f"{path.name}: {one}" for one in scanned.damage),
        scanned=scanned,
    )


def _last(scanned: Scanned) -> tuple[int, int]:
    """Where a file ends that was not closed: its last chunk with inputs that can be read says so."""
    decompressor = zstandard.ZstdDecompressor()
    with scanned.path.open("rb") as file:
        for chunk in reversed(scanned.chunks):
            try:
                logged = read_chunk(file, chunk, decompressor).logged
                spans = [columns.span(one.data) for one in logged if one.channel == INPUTS]
            except (ValueError, RecordingError):
                continue
            if spans:
                return spans[-1].n1, spans[-1].last_ns
    return scanned.head.first_n, scanned.head.first_ns


def ordered(files: Sequence[FileFound]) -> list[FileFound]:
    """Files as they were written: epochs by their first beginning; in each the ring's by their serial, others by time.

    Clocks may have been wrong at a start, and numbers begin again from the last durable one after a crash: neither
    alone gives the order.
    """
    began: dict[str, int] = {}
    ring: dict[str, bool] = {}
    for file in files:
        epoch = file.about.epoch
        began[epoch] = min(began.get(epoch, file.about.began_ns), file.about.began_ns)
        ring[epoch] = ring.get(epoch, True) and file.about.serial > 0

    def place(file: FileFound) -> tuple[int, str, int, int, str]:
        about = file.about
        own = about.serial if ring[about.epoch] else about.began_ns
        return began[about.epoch], about.epoch, own, file.first_n, file.path.name

    return sorted(files, key=place)


def copies(files: Iterable[FileFound]) -> dict[Path, FileFound]:
    """Files whose inputs another one of these has as well, and which: a cut beside its day, a part of a file copied.

    They would take the place of what they came from, and what follows them in it would count for nothing. Numbers
    alone do not say it, for they begin again after a crash; times and numbers together do.
    """
    whole: list[FileFound] = []
    result: dict[Path, FileFound] = {}
    for file in sorted(files, key=lambda one: one.first_n - one.last_n):
        of = next((one for one in whole if _has_all(one, file)), None)
        if of is None:
            whole.append(file)
        else:
            result[file.path] = of
    return result


def _has_all(one: FileFound, other: FileFound) -> bool:
    mine, its = one.about, other.about
    if (mine.gateway, mine.epoch) != (its.gateway, its.epoch) or its.made == "import":
        return False  # two imports of one beginning may go on with different things
    if its.made == "ring" and (mine.made, mine.serial) != (its.made, its.serial):
        return False  # files of a ring follow one another, and have what an export of them may lack, such as video
    numbers = one.first_n <= other.first_n and other.last_n <= one.last_n
    return numbers and one.first_ns <= other.first_ns and other.last_ns <= one.last_ns


def limits(files: Sequence[FileFound]) -> list[int]:
    """For each file the number from which on it does not count: inputs that later ones of its epoch hold again.

    What a crash took from the outbox was admitted once more after the restart, and that is what came of it.
    """
    least: dict[str, int] = {}
    result: list[int] = []
    for file in reversed(files):
        limit = least.get(file.about.epoch, NO_LIMIT)
        result.append(limit)
        least[file.about.epoch] = min(limit, file.first_n)
    return result[::-1]
