"""A gateway's dead letters as they lie in its store, byte for byte."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path


class Letter(NamedTuple):
    """One of them."""

    where: str
    topic: str
    reason: str
    body: bytes


def letters(state: Path) -> list[Letter]:
    """All of them, the oldest first; beside the running gateway or after it."""
    uri = f"{(state / 'outbox.sqlite').absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True)) as store:
        return [Letter(*row) for row in store.execute("SELECT place, topic, reason, body FROM dead ORDER BY id")]
