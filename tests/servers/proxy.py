"""A TCP proxy that misbehaves on demand, in a thread of its own: what lies between two machines, for any protocol.

client ─▶ Proxy.port ─ fault ─▶ 127.0.0.1:target
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Literal, NamedTuple

import pytest

from tests.conftest import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

Kind = Literal["none", "delay", "stall", "half_open", "corrupt", "throttle", "refuse"]
Direction = Literal["out", "in"]
CHUNK_BYTES = 16_384
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: on, 0 s: close with RST, not with FIN


class Fault(NamedTuple):
    """What is wrong now; `amount`: seconds of delay, bytes a second, or the share of chunks that are corrupted."""

    kind: Kind = "none"
    amount: float = 0.0


class _Link:
    """One connection through the proxy. `dead`: what it is sent goes nowhere, as after a NAT has forgotten it."""

    def __init__(self, near: asyncio.StreamWriter, far: asyncio.StreamWriter | None) -> None:
        self.near, self.far = near, far
        self.dead = False

    def reset(self) -> None:
        """Break both halves at once."""
        for writer in (self.near, self.far):
            if writer is None or writer.transport.is_closing():
                continue
            sock: socket.socket = writer.get_extra_info("socket")
            with suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()


class Proxy:
    """Each method starts a fault and ends the one before; `mend` ends it. All return once it is in force.

    passed: bytes handed on, by direction (`out`: from the client to the target); connections: accepted so far.
    """

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self.passed: dict[Direction, int] = {"out": 0, "in": 0}
        self.connections = 0
        self._target = target
        self._fault = Fault()
        self._chance = random.Random(target)
        self._links: set[_Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._changed = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"proxy-{self.port}", daemon=True)
        self._thread.start()
        self._call(self._turn(Fault()))

    def mend(self) -> None:
        """Everything passes. Connections that were half open stay dead: nobody tells their ends."""
        self._call(self._turn(Fault()))

    def delay(self, seconds: float) -> None:
        """Each chunk waits so long, in both directions."""
        self._call(self._turn(Fault("delay", seconds)))

    def stall(self) -> None:
        """Nothing passes and nothing breaks; afterwards all of it goes on."""
        self._call(self._turn(Fault("stall")))

    def cut(self) -> None:
        """Reset every connection; new ones pass."""
        self._call(self._turn(Fault()))
        self._call(self._cut())

    def half_open(self) -> None:
        """What is sent is taken and lost, new connections too; no end is told when the other closes."""
        self._call(self._turn(Fault("half_open")))

    def corrupt(self, share: float = 0.3) -> None:
        """In so many of the chunks one byte is flipped, in both directions."""
        self._call(self._turn(Fault("corrupt", share)))

    def throttle(self, bytes_per_s: float) -> None:
        """So many bytes a second and direction, for each connection."""
        self._call(self._turn(Fault("throttle", bytes_per_s)))

    def refuse(self) -> None:
        """Nobody listens, and what was connected is reset."""
        self._call(self._turn(Fault("refuse")))

    def close(self) -> None:
        """End it, with every connection and the thread."""
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _call(self, work: Coroutine[None, None, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    # in the proxy's thread

    async def _turn(self, fault: Fault) -> None:
        self._fault = fault
        self._changed.set()  # wakes whoever stands in a stall
        self._changed = asyncio.Event()
        if fault.kind == "half_open":
            for link in self._links:
                link.dead = True
        if fault.kind == "refuse":
            await self._unlisten()
            await self._cut()
        elif self._server is None:
            self._server = await asyncio.start_server(self._accepted, "127.0.0.1", self.port)

    async def _unlisten(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()

    async def _cut(self) -> None:
        for link in list(self._links):
            link.reset()

    async def _close(self) -> None:
        await self._unlisten()
        await self._cut()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = self._loop.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection from its beginning to its end."""
        link = _Link(writer, None)
        self._links.add(link)
        try:
            if self._fault.kind == "half_open":
                link.dead = True
                await self._pump(link, reader, writer, "out")
                return
            far_reader, link.far = await asyncio.open_connection("127.0.0.1", self._target)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._pump(link, reader, link.far, "out"))
                tasks.create_task(self._pump(link, far_reader, writer, "in"))
        except* OSError:
            pass  # an end has gone: so has the connection
        finally:
            link.reset()
            self._links.discard(link)

    async def _pump(
        self, link: _Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, direction: Direction
    ) -> None:
        """Hand on what comes, as the fault of the moment has it, and the end of it."""
        while read := await reader.read(CHUNK_BYTES):
            while self._fault.kind == "stall":
                await self._changed.wait()
            chunk = await self._through(read)
            if link.dead:
                continue
            writer.write(chunk)
            await writer.drain()
            self.passed[direction] += len(chunk)
        if link.dead:
            await asyncio.Event().wait()  # its FIN is lost too
        writer.write_eof()

    async def _through(self, chunk: bytes) -> bytes:
        kind, amount = self._fault
        if kind == "delay":
            await asyncio.sleep(amount)
        elif kind == "throttle":
            await asyncio.sleep(len(chunk) / amount)
        elif kind == "corrupt" and self._chance.random() < amount:
            at = self._chance.randrange(len(chunk))
            return chunk[:at] + bytes([chunk[at] ^ 1 << self._chance.randrange(8)]) + chunk[at + 1 :]
        return chunk


@pytest.fixture
def proxy_to() -> Iterator[Callable[[int], Proxy]]:
    """Makes proxies to ports of this machine; the test's end ends them."""
    made: list[Proxy] = []

    def make(port: int) -> Proxy:
        made.append(Proxy(port))
        return made[-1]

    yield make
    for proxy in made:
        proxy.close()
