"""Starts what a test looks at, and waits for conditions."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
import pytest

from gateway.console.http import serve_plain
from tests.conftest import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from gateway.console.http import Ready
    from gateway.ports import View
    from tests.console.memory import MemoryView

    Serve = Callable[[View, str, str | None, Ready], Coroutine[None, None, None]]

TOKEN = "correct-horse-battery"


def is_ready() -> tuple[bool, dict[str, object]]:
    """A gateway that is ready."""
    return True, {"sources": {"here": True}, "outbox": "writable"}


def server_of(*, plain: bool) -> Serve:
    """The plain server, or the page's where its extra is installed."""
    if plain:
        return serve_plain
    pytest.importorskip("nicegui", reason="the console extra is not installed")
    from gateway.console.server import serve  # noqa: PLC0415 - imports NiceGUI

    return serve


@asynccontextmanager
async def serving(
    view: MemoryView,
    token: str | None = None,
    *,
    plain: bool = False,
    ready: Callable[[], tuple[bool, dict[str, object]]] = is_ready,
) -> AsyncIterator[str]:
    """The page's server, or the plain one, on a free loopback port; yields its address, with a closing slash."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    async with asyncio.TaskGroup() as tasks:
        server = tasks.create_task(server_of(plain=plain)(view, f"127.0.0.1:{port}", token, ready))
        async with aiohttp.ClientSession() as session:
            await until_up(session, url, server)
        yield url
        server.cancel()


async def until_up(session: aiohttp.ClientSession, url: str, server: asyncio.Task[None]) -> None:
    """Wait until it answers."""
    async with asyncio.timeout(20):
        while True:
            assert not server.done(), "the server ended"
            try:
                async with session.get(f"{url}healthz") as answer:
                    assert answer.status == 200
                    return
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.02)
