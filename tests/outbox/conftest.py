"""An outbox on the test's state folder."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from gateway.clock import WallClock
from gateway.events import AlertRow
from gateway.outbox import Outbox, Transaction
from gateway.outbox.records import SeriesRow

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

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
