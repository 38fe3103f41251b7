"""An outbox on the test's state folder."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gateway.clock import WallClock
from gateway.events import AlertRow
from gateway.outbox import Outbox, Transaction
from gateway.outbox.records import SeriesRow

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from gateway.errors import OutboxError

Open = Callable[..., AbstractAsyncContextManager[Outbox]]
SINKS = [("influx", "series", "oldest"), ("mqtt", "alerts", "oldest"), ("replies", "requests", "oldest")]


def alert(seq: int) -> AlertRow:
    """One change of one alert."""
    return AlertRow(
        seq, "flood-1", "flood", "w.l", "city", ("severe",), "raised", "a", True, False, 5, b'{"seq":%d}' % seq
    )


def transaction(*series: bytes, **more: object) -> Transaction:
    """A transaction with these rows of series."""
    rows = [SeriesRow(5, body.count(b"\n") + 1, body) for body in series]
    return Transaction(**{"next_n": 1, "admitted_ns": 5, "elapsed_ns": 6, "series": rows} | more)


async def write(outbox: Outbox, one: Transaction) -> None:
    """Store a transaction and wait until it is durable."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def settle(error: OutboxError | None) -> None:
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    outbox.write(one, lambda error: loop.call_soon_threadsafe(settle, error))
    await done


@pytest.fixture
def light(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: what is opened tens of thousands of times need not wait for a disk."""
    memory = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    """Open the outbox; leaving the block closes it."""

    @asynccontextmanager
    async def open_outbox(folder: Path = tmp_path, *, memory: str = "") -> AsyncIterator[Outbox]:
        outbox = Outbox.open(folder, WallClock(), memory=memory)
        try:
            await outbox.declare(SINKS)
            yield outbox
        finally:
            await outbox.close()

    return open_outbox
