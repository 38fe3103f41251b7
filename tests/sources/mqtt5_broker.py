"""A broker that does what a test says: it accepts, and then sends the bytes it is given, right or wrong."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

import mqtt5

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

P = TypeVar("P")


class ScriptedBroker:
    """`hello` answers each CONNECT, `then` follows the next SUBSCRIBE; `came` is every packet, in order."""

    def __init__(self) -> None:
        self.port = 0
        self.hello: bytes = mqtt5.ConnAckPacket().write()
        self.then: bytes = b""
        self.connections = 0
        self.came: list[object] = []
        self._writer: asyncio.StreamWriter | None = None

    @property
    def url(self) -> str:
        """For a configuration."""
        return f"mqtt://127.0.0.1:{self.port}"

    def of(self, kind: type[P]) -> list[P]:
        """The packets of one kind that came."""
        return [packet for packet in self.came if isinstance(packet, kind)]

    def send(self, *packets: bytes) -> None:
        """To the last connection."""
        assert self._writer
        self._writer.write(b"".join(packets))

    async def drain(self) -> None:
        """Until the other side has taken enough."""
        assert self._writer
        await self._writer.drain()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        self._writer = writer
        held = b""
        with suppress(ConnectionError):
            while read := await reader.read(65_536):
                held += read
                while held:
                    try:
                        packet, used = mqtt5.read(memoryview(held))
                    except IndexError:
                        break
                    held = held[used:]
                    self.came.append(packet)
                    self._answer(packet, writer)
        writer.close()

    def _answer(self, packet: object, writer: asyncio.StreamWriter) -> None:
        if isinstance(packet, mqtt5.ConnectPacket):
            writer.write(self.hello)
        elif isinstance(packet, mqtt5.SubscribePacket):
            codes = [mqtt5.SubAckReasonCode.GRANTED_QOS_AT_LEAST_ONCE] * len(packet.topic_filters)
            then, self.then = self.then, b""
            writer.write(mqtt5.SubAckPacket(packet.packet_id, codes).write() + then)


@asynccontextmanager
async def scripted() -> AsyncIterator[ScriptedBroker]:
    """One on a free port, until the block ends."""
    broker = ScriptedBroker()
    tasks: set[asyncio.Task[None]] = set()
    loop = asyncio.get_running_loop()

    def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(loop.create_task(broker.serve(reader, writer)))

    server = await asyncio.start_server(accepted, "127.0.0.1", 0)
    broker.port = server.sockets[0].getsockname()[1]
    try:
        yield broker
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await server.wait_closed()
