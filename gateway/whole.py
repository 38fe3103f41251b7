"""Files that appear under their name only when they are whole."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from gateway.errors import GatewayError

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path


@contextmanager
def made_whole(path: Path) -> Generator[Path]:
    """Where to write meanwhile: it takes the name `path` when the block has ended well, and is removed otherwise."""
    part = path.with_name(f"{path.name}.part")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def written_whole(path: Path) -> Generator[Path]:
    """The same for what a command writes. Raises GatewayError where it cannot be written."""
    try:
        with made_whole(path) as part:
            yield part
    except OSError as error:
        raise GatewayError(f"{path}: cannot be written ({error.strerror or error})") from error
