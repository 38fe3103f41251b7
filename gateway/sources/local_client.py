"""Asking the running gateway at its local socket: what `watch` and `outbox` use."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import msgspec

from gateway.errors import RefusedError, Unreachable
from gateway.sources.local import Object, address_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator
    from pathlib import Path

_LONGEST = 64 * 1024 * 1024  # bytes of one answer: thousands of open alerts


async def ask(path: Path, request: Object) -> Object:
    """One request, its answer. Raises Unreachable where no gateway runs, RefusedError with the gateway's words."""
    async with _connected(path) as (reader, writer):
        writer.write(msgspec.json.encode(request) + b"\n")
        return await _answer(reader, path)


async def follow(path: Path) -> AsyncIterator[Object]:
    """`{"open": [alert, …]}` first, then `{"alert": {…}}` with each change. Raises as `ask`, also when it stops."""
    async with _connected(path) as (reader, writer):
        writer.write(b'{"follow":{}}\n')
        while True:
            yield await _answer(reader, path)


async def _answer(reader: asyncio.StreamReader, path: Path) -> Object:
    try:
        line = await reader.readline()
    except ConnectionError:
        line = b""
    if not line.endswith(b"\n"):
        raise Unreachable(f"the gateway at {path} hung up")
    answer: Object = msgspec.json.decode(line, type=dict[str, object])
    if "error" in answer:
        raise RefusedError(str(answer["error"]))
    return answer


@asynccontextmanager
async def _connected(path: Path) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    try:
        with address_of(path) as address:
            reader, writer = await asyncio.open_unix_connection(address, limit=_LONGEST)
    except OSError as error:
        raise Unreachable(
            f"no gateway answers at {path} ({error.strerror}); is it running, and is this its user?"
        ) from error
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
