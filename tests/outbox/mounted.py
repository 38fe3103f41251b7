"""A small file system for one test."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def mounted(folder: Path, *options: str, undo: bool = True) -> Iterator[None]:
    """A file system mounted on `folder`, or the test is skipped where this user may not mount."""
    folder.mkdir(exist_ok=True)
    if subprocess.run(["mount", *options, str(folder)], capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        yield
    finally:
        if undo:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)  # a mount left would break every later run


def fill(folder: Path, *, leave: int = 0) -> Path:
    """Take what is left of the disk, but for so many bytes, as somebody else would."""
    other = folder / "other"
    with suppress(OSError), other.open("ab", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    os.truncate(other, other.stat().st_size - leave)
    return other
