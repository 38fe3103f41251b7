"""An outbox that a state machine drives, step by step."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from gateway.clock import WallClock
from gateway.outbox import Outbox
from tests.outbox.conftest import transaction, write

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

T = TypeVar("T")


class Driven:
    """An outbox in a folder and on an event loop of its own, for these sinks; each call is over when it returns."""

    def __init__(self, sinks: Sequence[tuple[str, str, str]]) -> None:
        self._sinks = sinks
        self._folder = Path(tempfile.mkdtemp())
        self._loop = asyncio.new_event_loop()
        self._open: Outbox | None = None

    @property
    def outbox(self) -> Outbox:
        """The open one."""
        assert self._open
        return self._open

    def do(self, work: Coroutine[object, object, T]) -> T:
        """Run to the end."""
        return self._loop.run_until_complete(work)

    def open(self) -> None:
        """For the first time, or as after a restart."""
        self._open = Outbox.open(self._folder, WallClock())
        self.do(self._open.declare(self._sinks))

    def reopen(self) -> None:
        """Stop in order and start again."""
        self.do(self.outbox.close())
        self.open()

    def append(self, *bodies: bytes) -> None:
        """Store some rows of series."""
        self.do(write(self.outbox, transaction(*bodies)))

    def remove(self) -> None:
        """Leave nothing."""
        if self._open:
            self.do(self._open.close())
        self._loop.close()
        shutil.rmtree(self._folder)
