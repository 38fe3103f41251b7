"""A connection to a broker that is kept up (aiomqtt). Here, and only here, its errors become ours."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import aiomqtt
from aiomqtt.exceptions import MqttConnectError
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from gateway.config.urls import shown
from gateway.errors import GatewayError, LoginRefused, Unreachable
from gateway.events import Health
from gateway.sinks.mqtt_client import Client, Incoming, Outgoing, make_client

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from gateway.config.model import Broker
    from gateway.ports import Clock

ANSWER_S = 10.0  # a broker that does not answer within it is left
_FIRST_S, _LONGEST_S = 1.0, 60.0  # full jitter between attempts
_REFUSED_S = 300.0  # a refused login is tried rarely
_LOGIN = {134, 135, 138, 140}  # bad user or password, not authorised, banned, bad authentication method
BACKFILL = ("backfill", "1")  # the user property of what waited for more than a minute
_log = logging.getLogger(__name__)


class Link:
    """Keeps a connection to one broker while `run` runs.

    on_session(link): called on each connection; the link is ready once it calls `ready`; it runs until the connection
    ends and is cancelled then. on_message(message): each message received; neither may raise but our own errors.
    report: told when the link gets ready, and when an attempt fails; a connection that is lost and back at once is no
    news.
    """

    def __init__(
        self,
        name: str,
        broker: Broker,
        client_id: str,
        base: Path,
        clock: Clock,
        will: Outgoing,
        closing: asyncio.Event,
        on_session: Callable[[], Awaitable[None]],
        on_message: Callable[[Incoming], Awaitable[None]],
        report: Callable[[Health], Awaitable[None]],
    ) -> None:
        self._name = name
        self._broker = broker
        self._where = shown(broker.url)
        self._client_id = client_id
        self._base = base
        self._clock = clock
        self._will = will
        self._closing = closing
        self._on_session = on_session
        self._on_message = on_message
        self._report = report
        self._news: Health | None = None
        self._heard = asyncio.Event()
        self._client: Client | None = None
        self._ready = asyncio.Event()
        self._lost = asyncio.Event()
        self._why: GatewayError = Unreachable(f"{self._where}: not connected yet")

    async def run(self) -> None:
        """Keep the connection until cancelled, or until `closing` is set and on_session returns."""
        async with asyncio.TaskGroup() as tasks:
            telling = tasks.create_task(self._tell())
            await self._keep()
            telling.cancel()

    async def _keep(self) -> None:
        longest_s = _FIRST_S
        while not self._closing.is_set():
            was_ready, failure = await self._session()
            if failure is None:
                return
            if was_ready or str(failure) != str(self._why):
                _log.warning("sink %s: %s", self._name, failure)
            if not was_ready:
                self._say(ok=False, detail=str(failure))
            self._why = failure
            longest_s = _FIRST_S if was_ready else min(2 * longest_s, _LONGEST_S)
            low, high = (_REFUSED_S / 2, _REFUSED_S) if isinstance(failure, LoginRefused) else (0.0, longest_s)
            await self._pause(self._clock.uniform(low, high))

    def ready(self) -> None:
        """Say that what comes first on a connection has been published."""
        self._ready.set()
        self._say(ok=True)

    def _say(self, *, ok: bool, detail: str = "") -> None:
        self._news = Health(f"sink/{self._name}", "connected", ok, detail)
        self._heard.set()

    async def _tell(self) -> None:
        """Report how the connection is, beside it: the door may be full of what this sink has yet to take."""
        told: Health | None = None
        while True:
            await self._heard.wait()
            self._heard.clear()
            if self._news is not None and self._news != told:
                told = self._news
                await self._report(told)

    async def wait_ready(self) -> None:
        """Wait until the connection is ready, ANSWER_S at most; then raises what stands in the way."""
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._ready.wait()
        except TimeoutError:
            raise self._why from None

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Publish in order, QoS 1, at most 100 at a time; returns when the broker took all.

        Raises Unreachable when the connection is lost meanwhile, LoginRefused when the broker lets us not publish one.
        """
        client, lost = self._client, self._lost
        if client is None:
            raise self._why
        before = client.refusals
        try:
            async with asyncio.TaskGroup() as tasks:
                watch = tasks.create_task(_raise_when(lost, self._where))
                sent: list[asyncio.Task[None]] = []
                for message in messages:
                    if client.window.locked():
                        client.flush()
                    await client.window.acquire()  # first come, first served: the order stays
                    sent.append(tasks.create_task(client.begin(message, _properties(message))))
                client.flush()
                if sent:
                    await asyncio.wait(sent)
                watch.cancel()
        except* (GatewayError, aiomqtt.MqttError) as group:
            failure = self._ours(_first(group))
        else:
            failure = None
        if failure is not None:
            lost.set()  # what is in flight is unknown: a new connection starts clean
            raise failure
        if client.refusals != before:  # perhaps of another's that was under way: once too often is harmless
            raise LoginRefused(
                f"{self._where} refuses what {self._client_id} publishes: {client.refused}. Let its user write "
                f"{messages[0].topic.rpartition('/')[0]}/… in the broker's access control"
            )

    async def subscribe(self, *filters: str) -> list[str]:
        """Subscribe with QoS 1; the filters that the broker refused."""
        if self._client is None:
            raise self._why
        try:
            codes: Any = await self._client.subscribe([(name, 1) for name in filters])
        except aiomqtt.MqttError as error:
            raise self._ours(error) from error
        values = [code if isinstance(code, int) else code.value for code in codes]
        granted = [name for name, value in zip(filters, values, strict=False) if value < 128]
        return [name for name in filters if name not in granted]

    async def unsubscribe(self, *filters: str) -> None:
        """Receive no more of them."""
        if self._client is None:
            raise self._why
        try:
            await self._client.unsubscribe(list(filters))
        except aiomqtt.MqttError as error:
            raise self._ours(error) from error

    async def _pause(self, seconds: float) -> None:
        """Wait, but not when closing."""
        async with asyncio.TaskGroup() as tasks:
            sleep = tasks.create_task(self._clock.sleep(seconds))
            closing = tasks.create_task(self._closing.wait())
            await asyncio.wait((sleep, closing), return_when=asyncio.FIRST_COMPLETED)
            sleep.cancel()
            closing.cancel()

    async def _session(self) -> tuple[bool, GatewayError | None]:
        """One connection until it ends: whether it was ready, and why it ended (None: on_session returned)."""
        failure: GatewayError | None = None
        self._lost = asyncio.Event()
        try:
            async with self._client_of() as client, asyncio.TaskGroup() as tasks:
                self._client = client
                reader = tasks.create_task(self._read(client))
                watch = tasks.create_task(_raise_when(self._lost, self._where))
                await self._on_session()
                reader.cancel()
                watch.cancel()
        except* (GatewayError, aiomqtt.MqttError, OSError, KeyError) as group:
            failure = self._ours(_first(group))
        finally:
            was_ready = self._ready.is_set()
            self._client = None
            self._ready.clear()
            self._lost.set()
        return was_ready, failure

    def _client_of(self) -> Client:
        return make_client(self._broker, self._client_id, self._base, self._will, ANSWER_S)

    async def _read(self, client: Client) -> None:
        async for message in client.messages:
            properties = message.properties
            await self._on_message(
                Incoming(
                    str(message.topic),
                    bytes(message.payload or b""),
                    message.retain,
                    str(getattr(properties, "ResponseTopic", "")),
                    bytes(getattr(properties, "CorrelationData", b"")),
                )
            )

    def _ours(self, error: BaseException) -> GatewayError:
        """The error that says what to do."""
        where = self._where
        if isinstance(error, GatewayError):
            return error
        if isinstance(error, MqttConnectError):
            code = error.rc if isinstance(error.rc, int) else error.rc.value if error.rc is not None else 0
            if code in _LOGIN:
                return LoginRefused(f"{where} refuses {self._client_id}: {error}. Check the broker's user and password")
        if isinstance(error, KeyError):
            return LoginRefused(f"{where}: the environment has no {error.args[0]}; set it, or use a file")
        if isinstance(error, OSError):  # of our own files: aiomqtt turns the network's into MqttError
            return LoginRefused(f"{where}: password or certificate cannot be read: {error}")
        return Unreachable(f"{where}: {error or 'no answer'}")


def _properties(message: Outgoing) -> Properties | None:
    """Those of MQTT 5; an older broker's client leaves them out."""
    if not message.correlation and not message.backfill:
        return None
    properties = Properties(PacketTypes.PUBLISH)
    if message.correlation:
        properties.CorrelationData = message.correlation
    if message.backfill:
        properties.UserProperty = [BACKFILL]
    return properties


async def _raise_when(lost: asyncio.Event, where: str) -> None:
    await lost.wait()
    raise Unreachable(f"{where}: the connection was lost")


def _first(group: BaseExceptionGroup[Any]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
