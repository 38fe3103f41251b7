"""Recordings of several gateways, told apart."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from gateway.errors import RecordingError
from gateway.recording.files import found

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def by_gateway(paths: Sequence[Path]) -> dict[str, list[Path]]:
    """The files of each gateway, in the order of its name; a folder stands for the files in it.

    Raises RecordingError where a file that is named cannot be read; one in a folder is left to who opens the folder.
    """
    grouped: dict[str, list[Path]] = {}
    for path in paths:
        if path.is_dir():
            for one in sorted(path.glob("*.mcap")):
                with contextlib.suppress(RecordingError):
                    grouped.setdefault(found(one).about.gateway, []).append(one)
        else:
            grouped.setdefault(found(path).about.gateway, []).append(path)
    return dict(sorted(grouped.items()))
