"""A server that answers as told, for the answers no server here gives; rows as the outbox hands them over."""

from __future__ import annotations

import asyncio
import gzip
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from gateway.ports import Row

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    Answer = Callable[[bytes], tuple[int, bytes, str]]


def series_rows(*bodies: bytes) -> list[Row]:
    """Rows of the series stream."""
    return [Row(n, 0, "", body.count(b"\n"), body) for n, body in enumerate(bodies, 1)]


class Scripted:
    """An HTTP server: `answer(body)` gives status, body and further header lines; None: it never answers."""

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[bytes] = []
        self.heads: list[str] = []
        self.answer: Answer | None = lambda _: (204, b"", "")

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                self.heads.append(head)
                length = re.search(r"content-length: (\d+)", head, re.IGNORECASE)
                body = await reader.readexactly(int(length[1]) if length else 0)
                self.requests.append(gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body)
                if self.answer is None:
                    await asyncio.Event().wait()
                    return
                status, said, more = self.answer(self.requests[-1])
                writer.write(f"HTTP/1.1 {status} X\r\n{more}Content-Length: {len(said)}\r\n\r\n".encode() + said)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()


@asynccontextmanager
async def _serving(scripted: Scripted) -> AsyncIterator[Scripted]:
    async with asyncio.TaskGroup() as tasks:
        connections: list[asyncio.Task[None]] = []

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connections.append(tasks.create_task(scripted.handle(reader, writer)))

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        scripted.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield scripted
        finally:
            server.close()
            for connection in connections:
                connection.cancel()


@pytest.fixture
async def scripted() -> AsyncIterator[Scripted]:
    """The server that answers as told."""
    async with _serving(Scripted()) as server:
        yield server
