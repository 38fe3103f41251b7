"""A TCP relay before a broker: a test sees each MQTT packet that passes, and may cut the wire or alter what passes."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

PUBLISH, PUBACK, SUBSCRIBE, SUBACK, UNSUBSCRIBE, PINGREQ, DISCONNECT = 3, 4, 8, 9, 10, 12, 14


class Packet(NamedTuple):
    """One MQTT packet: who sent it, on which connection, its type (MQTT 5 §2.1.2) and what follows the length."""

    ours: bool
    connection: int
    kind: int
    header: int
    body: bytes

    @property
    def mid(self) -> int:
        """The packet identifier of a QoS 1 PUBLISH, or of a PUBACK and the like."""
        at = 2 + int.from_bytes(self.body[:2]) if self.kind == PUBLISH else 0
        return int.from_bytes(self.body[at : at + 2])


class Wire:
    """The relay; `packets` is all that passed, in order."""

    def __init__(self) -> None:
        self.port = 0
        self.connections = 0
        self.packets: list[Packet] = []
        self.alter: Callable[[Packet], bytes] | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        """For a configuration."""
        return f"mqtt://127.0.0.1:{self.port}"

    def mids(self, kind: int, *, ours: bool, connection: int | None = None) -> list[int]:
        """The packet identifiers of one kind in the order they passed."""
        return [
            p.mid
            for p in self.packets
            if p.kind == kind and p.ours == ours and connection in {None, p.connection} and (kind != PUBLISH or p.mid)
        ]

    def count(self, kind: int) -> int:
        """How many of one kind we sent."""
        return sum(p.ours and p.kind == kind for p in self.packets)

    def cut(self) -> None:
        """Break every connection."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int) -> None:
        """One connection, both ways."""
        self.connections += 1
        number = self.connections
        far_reader, far_writer = await asyncio.open_connection(host, port)
        self._writers |= {writer, far_writer}
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._pump(reader, far_writer, number, ours=True))
                tasks.create_task(self._pump(far_reader, writer, number, ours=False))
        finally:
            self._writers -= {writer, far_writer}

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int, *, ours: bool
    ) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                header = await reader.readexactly(1)
                length, shift, size = 0, 0, b""
                while not size or size[-1] & 128:
                    size += await reader.readexactly(1)
                    length |= (size[-1] & 127) << shift
                    shift += 7
                body = await reader.readexactly(length)
                packet = Packet(ours, number, header[0] >> 4, header[0], body)
                self.packets.append(packet)
                writer.write(header + size + (self.alter(packet) if self.alter else body))
                await writer.drain()
        writer.close()


@asynccontextmanager
async def wired(host: str, port: int) -> AsyncIterator[Wire]:
    """A relay to the broker at host:port."""
    wire = Wire()
    relays: set[asyncio.Task[None]] = set()
    loop = asyncio.get_running_loop()

    def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        relays.add(loop.create_task(wire.relay(reader, writer, host, port)))

    server = await asyncio.start_server(accepted, "127.0.0.1", 0, limit=2**20)
    wire.port = server.sockets[0].getsockname()[1]
    try:
        yield wire
    finally:
        server.close()
        wire.cut()
        if relays:
            await asyncio.wait(relays)
