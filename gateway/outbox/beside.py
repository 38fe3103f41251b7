"""What is noted beside the file, for a start that finds it damaged, or shorter than it was.

Damage found while running: SQLite says so, and the next start reads what it can into a fresh file. The last durable
transaction: it is written after each commit and not synced, so that it never runs ahead of the file; a file that lost
its end to anything but a crash of the machine is known by it.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

SUSPECT = "outbox.suspect"
NOTE_AT, NOTE_BYTES = 32, 64  # in the lock's file, behind the number of the process
KEPT_CHARS = 4000


def suspect(folder: Path, why: str) -> None:
    """Note that the file was found to be damaged."""
    with contextlib.suppress(OSError), (folder / SUSPECT).open("a") as file:
        file.write(f"{_line(why)}\n")


def suspected(folder: Path, memory: str) -> str:
    """Why the file is to be replaced at this start; empty: it is not.

    `memory`: why the start was to be in memory. Damage that was found while running is no reason: the disk works.
    """
    try:
        lines = (folder / SUSPECT).read_text(errors="replace")[:KEPT_CHARS].splitlines()
    except OSError:
        return ""
    return lines[0] if lines and (not memory or _line(memory) in lines) else ""


def cleared(folder: Path) -> None:
    """Forget it: the file has been replaced."""
    (folder / SUSPECT).unlink(missing_ok=True)


def _line(why: str) -> str:
    return " ".join(why.split())


def note(lock: int, epoch: str, last_id: int) -> None:
    """Note the last durable transaction; `lock` is the descriptor that holds the folder."""
    with contextlib.suppress(OSError):
        os.pwrite(lock, f"{epoch} {last_id}".ljust(NOTE_BYTES).encode(), NOTE_AT)


def missing(lock: int, epoch: str, last_id: int) -> int:
    """How many transactions were durable and are not in the file, whose last is `last_id`; 0 of an unknown file."""
    try:
        words = os.pread(lock, NOTE_BYTES, NOTE_AT).split()
        return max(0, int(words[1]) - last_id) if words and words[0].decode() == epoch else 0
    except (OSError, ValueError, IndexError):
        return 0
