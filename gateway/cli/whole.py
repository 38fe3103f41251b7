"""Outputs that appear under their name only when they are whole."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, TextIO

from gateway.whole import made_whole

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path


@contextlib.contextmanager
def opened(output: Path | None) -> Generator[TextIO]:
    """Standard output, or a file that appears under its name only when it is whole."""
    if output is None:
        yield sys.stdout
        return
    with made_whole(output) as part, part.open("w", encoding="utf-8") as out:
        yield out
