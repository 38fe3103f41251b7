"""A door for the tests of sources: keeps what came and returns when told to."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiomqtt
import pytest

from gateway.clock import WallClock
from gateway.config.model import Broker
from gateway.events import Health, Message
from gateway.sources.mqtt import MqttSource
from tests.sources.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from gateway.events import Input


VERSIONS = pytest.mark.parametrize("version", ["5", "3.1.1"])
"""Of MQTT: what a source promises, it promises in both."""


def broker_at(url: str, version: str, **keys: Any) -> Broker:
    """A broker as a configuration has it."""
    return Broker(url=url, version="3.1.1" if version == "3.1.1" else "5", **keys)


class Door:
    """Commits are recorded at once; they return at once while it is open, else when `let` or `open` says so."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.said: list[Health] = []
        self.batches: list[list[Input]] = []
        self.waiting: list[asyncio.Future[None]] = []
        self.shut = False

    async def commit(self, batch: Sequence[Input]) -> None:
        """As the real one."""
        self.batches.append(list(batch))
        self.messages += [i for i in batch if isinstance(i, Message)]
        self.said += [i for i in batch if isinstance(i, Health)]
        if self.shut and any(isinstance(i, Message) for i in batch):
            self.waiting.append(asyncio.get_running_loop().create_future())
            await self.waiting[-1]

    def open(self) -> None:
        """Let everything through from here on."""
        self.shut = False
        for future in self.waiting:
            if not future.done():
                future.set_result(None)

    def health(self, condition: str) -> list[bool]:
        """How a condition went."""
        return [health.ok for health in self.said if health.condition == condition]

    @property
    def bodies(self) -> list[bytes]:
        """Of all messages."""
        return [message.body for message in self.messages]


@asynccontextmanager
async def running(
    broker: Broker,
    door: Door,
    filters: Sequence[tuple[str, int]],
    client_id: str,
    *,
    remembered: frozenset[str] = frozenset(),
    seal: Callable[[], None] | None = None,
    session_lost: Callable[[], None] | None = None,
    subscribed: bool = True,
) -> AsyncIterator[MqttSource]:
    """A source at work until the block ends; it begins once the source is subscribed and has told the door."""
    source = MqttSource(
        "here",
        broker,
        filters,
        client_id=client_id,
        clock=WallClock(),
        base=Path("/"),
        remembered=remembered,
        seal=seal,
        session_lost=session_lost,
    )
    task = asyncio.get_running_loop().create_task(source.run(door.commit))
    try:
        if subscribed:
            wanted = {f for f, _ in filters}
            await until(
                lambda: task.done() or (source.stats()["connected"] and source.subscribed == wanted and door.said)
            )
        yield source
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()):
            raise error


async def publish(
    host: str, port: int, messages: Sequence[tuple[str, bytes]], *, retain: bool = False, **login: Any
) -> None:
    """Publish these with QoS 1, in order. `login`: as aiomqtt's client takes it."""
    async with aiomqtt.Client(host, port, protocol=aiomqtt.ProtocolVersion.V5, **login) as client:
        for topic, body in messages:
            await client.publish(topic, body, qos=1, retain=retain)
