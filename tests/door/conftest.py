"""A door over a real outbox, opened as often as a test likes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple

import pytest

from gateway.clock import WallClock
from gateway.door import Door
from gateway.outbox import Outbox
from tests.door.echo import EchoCore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from gateway.ports import Clock


class Opened(NamedTuple):
    """A started door and what stands behind it."""

    door: Door
    outbox: Outbox
    core: EchoCore

    async def series(self) -> bytes:
        """Everything that the series stream holds."""
        rows = await self.outbox.read("series", "all", 100_000, 1_000_000_000)
        return b"".join(row.body for row in rows)


Open = Callable[..., AbstractAsyncContextManager[Opened]]


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    """Open a door on the test's state folder; leave the block to stop it as a clean stop does."""

    @asynccontextmanager
    async def open_door(
        *, folder: Path = tmp_path, clock: Clock | None = None, core: EchoCore | None = None, linger_s: float = 0.0
    ) -> AsyncIterator[Opened]:
        clock = clock or WallClock()
        core = core or EchoCore()
        outbox = Outbox.open(folder, clock)
        try:
            await outbox.declare(
                [("all", "series", "oldest"), ("all", "alerts", "oldest"), ("all", "requests", "oldest")]
            )
            door = Door(core, outbox, clock, linger_ns=round(linger_s * 1e9))
            await door.start()
            yield Opened(door, outbox, core)
            await door.stop()
        finally:
            with contextlib.suppress(Exception):
                await door.stop()
            await outbox.close()

    return open_door
