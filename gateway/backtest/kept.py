"""What tasks came to, kept in the backtest's folder: one small file each, by the task's key.

A backtest that was interrupted or killed takes what is there and goes on; so does one with more recordings or more
configurations. A file is there whole or not at all; one that cannot be read is made again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gateway.backtest.parts import Done
from gateway.errors import GatewayError
from gateway.whole import written_whole

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.backtest.parts import Task

FOLDER = "tasks"


class Kept:
    """The folder of results. Raises GatewayError where it cannot be made or written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise GatewayError(f"{self._folder}: cannot be made ({error.strerror})") from error

    def get(self, task: Task) -> Done | None:
        """What this task came to before, under the name that its configuration has now."""
        try:
            done = msgspec.json.decode(self._path(task.key).read_bytes(), type=Done)
        except (OSError, msgspec.MsgspecError):
            return None
        return msgspec.structs.replace(done, variant=task.variant.name)

    def put(self, done: Done) -> None:
        """Keep a result; what failed is not kept, and is tried again next time."""
        if done.error:
            return
        path = self._path(done.key)
        with written_whole(path) as part:
            part.write_bytes(msgspec.json.encode(done))

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.json"
