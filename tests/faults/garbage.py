"""A broker, in a thread of its own, that greets properly and then sends nonsense: noise, torn and altered packets."""

from __future__ import annotations

import asyncio
import random
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

CONNECT, PUBLISH, SUBSCRIBE, PINGREQ = 1, 3, 8, 12
CHUNK_BYTES = 8_192
ENDING = ("noise", "altered", "torn")
CONNECTIONS = 12  # about so many take a broker's budget: up to half a minute passes between two of them
ODD = 0.0001  # of the packets in between: their topic is no text, or their properties are none


class GarbageBroker:
    """Sends garbage for either version until `budget` bytes were taken; afterwards it answers pings, and no more.

    sent: bytes of garbage that the other side has taken; connections: how often it was greeted.
    """

    def __init__(self, seed: int, budget: int, *, modern: bool) -> None:
        self.port = 0
        self.sent = self.connections = 0
        self._chance = random.Random(seed)
        self._budget, self._modern = budget, modern
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"garbage-{seed}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        if tasks:
            await asyncio.wait(tasks, timeout=5)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with suppress(OSError, asyncio.IncompleteReadError):
            kind, _ = await _packet(reader)
            if kind >> 4 == CONNECT:
                self.connections += 1
                writer.write(b"\x20\x03\x00\x00\x00" if self._modern else b"\x20\x02\x00\x00")
                kind, body = await _packet(reader)
                if kind >> 4 == SUBSCRIBE:
                    writer.write(
                        b"\x90\x04" + body[:2] + b"\x00\x01" if self._modern else b"\x90\x03" + body[:2] + b"\x01"
                    )
                    async with asyncio.TaskGroup() as tasks:
                        tasks.create_task(self._answer(reader, writer))
                        tasks.create_task(self._spout(writer))
        self._writers.discard(writer)
        writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take what comes, and answer pings: it is the garbage that is to end the connection."""
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                kind, _ = await _packet(reader)
                if kind >> 4 == PINGREQ:
                    writer.write(b"\xd0\x00")
        writer.transport.abort()

    async def _spout(self, writer: asyncio.StreamWriter) -> None:
        """Packets that are whole for a while, so that much arrives; then what ends a connection, until it does."""
        served, whole = 0, self._chance.randrange(2 * self._budget // CONNECTIONS)
        with suppress(OSError):
            while self.sent < self._budget:
                kind = "framed" if served < whole else self._chance.choice(ENDING)
                chunk = garbage(self._chance, CHUNK_BYTES, kind, modern=self._modern)
                writer.write(chunk)
                await writer.drain()
                await asyncio.sleep(0.005)  # the other side's answer, a closed connection, is seen between two
                if writer.transport.is_closing():
                    return
                self.sent += len(chunk)
                served += len(chunk)
        if served:
            writer.transport.abort()


async def _packet(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    first = (await reader.readexactly(1))[0]
    length = shift = 0
    while True:
        byte = (await reader.readexactly(1))[0]
        length |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return first, await reader.readexactly(length)


def garbage(chance: random.Random, size: int, kind: str, *, modern: bool) -> bytes:
    """About so many bytes of one kind: noise, whole packets of it, or PUBLISH packets, torn or with altered bytes."""
    if kind == "noise":
        return chance.randbytes(size)
    parts, made = [], 0
    while made < size:
        part = _framed(chance, modern=modern)
        if kind == "altered" and chance.random() < 0.1:
            at = chance.randrange(len(part))
            part = part[:at] + bytes([part[at] ^ 1 << chance.randrange(8)]) + part[at + 1 :]
        parts.append(part)
        made += len(part)
    whole = b"".join(parts)
    return whole[: chance.randrange(1, len(whole))] if kind == "torn" else whole


def _framed(chance: random.Random, *, modern: bool) -> bytes:
    """A PUBLISH that is one, whose topic, properties and payload are noise now and then."""
    topic = chance.choice(
        (b"noise/a", b"noise/b", b"noise/" + chance.randbytes(chance.randrange(1, 20)).hex().encode())
    )
    if chance.random() < ODD:
        topic = chance.randbytes(chance.randrange(1, 40))
    qos = chance.randrange(2)
    body = len(topic).to_bytes(2) + topic + (chance.randrange(1, 65_536).to_bytes(2) if qos else b"")
    if modern:
        noise = chance.randbytes(chance.randrange(10)) if chance.random() < ODD else b""
        body += bytes([len(noise)]) + noise
    body += chance.choice((b'{"v": 1}', b'{"v": ', chance.randbytes(chance.randrange(300))))
    flags = qos << 1 | chance.randrange(2) | (8 if qos and chance.random() < 0.1 else 0)
    return bytes([PUBLISH << 4 | flags]) + _length(len(body)) + body


def _length(size: int) -> bytes:
    out = bytearray()
    while True:
        size, low = divmod(size, 128)
        out.append(low | (128 if size else 0))
        if not size:
            return bytes(out)
