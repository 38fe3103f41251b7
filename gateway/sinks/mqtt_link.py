"""A connection to a broker that is kept up (aiomqtt). Here, and only here, its errors become ours."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from urllib.parse import urlsplit

import aiomqtt
from aiomqtt.exceptions import MqttConnectError
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from gateway.errors import GatewayError, LoginRefused, Unreachable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from gateway.config.model import Broker
    from gateway.ports import Clock

ANSWER_S = 10.0  # a broker that does not answer within it is left
IN_FLIGHT = 100  # SEMANTICS.md §9
_FIRST_S, _LONGEST_S = 1.0, 60.0  # full jitter between attempts
_REFUSED_S = 300.0  # a refused login is tried rarely
_LOGIN = {134, 135, 138, 140}  # bad user or password, not authorised, banned, bad authentication method
_log = logging.getLogger(__name__)


class Outgoing(NamedTuple):
    """A message to publish. An empty retained one removes what the broker retained. `correlation`: MQTT 5 answers."""

    topic: str
    payload: bytes
    retain: bool = False
    correlation: bytes = b""


class Incoming(NamedTuple):
    """A message received. `answer_on` and `correlation` are MQTT 5's response topic and correlation data."""

    topic: str
    payload: bytes
    retain: bool
    answer_on: str
    correlation: bytes


class _Client(aiomqtt.Client):
    """aiomqtt's client, which also says what a broker answered to a publication, and leaves no socket behind."""

    window = asyncio.Semaphore(1)
    refusals = 0
    refused = ""

    def _on_publish(self, client: Any, userdata: Any, mid: int, reason_code: Any, properties: Any) -> None:
        if reason_code.is_failure:  # aiomqtt does not look
            self.refusals += 1
            self.refused = str(reason_code)
        super()._on_publish(client, userdata, mid, reason_code, properties)

    def _on_connect(self, client: Any, userdata: Any, flags: Any, reason_code: Any, properties: Any = None) -> None:
        window = int(getattr(properties, "ReceiveMaximum", IN_FLIGHT))  # paho does not look: a broker would hang up
        self.window = asyncio.Semaphore(min(window, IN_FLIGHT))
        super()._on_connect(client, userdata, flags, reason_code, properties)

    async def __aenter__(self) -> Self:
        self.pending_calls_threshold = IN_FLIGHT  # aiomqtt warns from 10 on, at every call
        try:
            return await super().__aenter__()
        except BaseException:
            if self._connected.cancelled():  # its callback for the end would trip over it
                self._connected = asyncio.Future()
            self._client.disconnect()  # no CONNACK came: aiomqtt would leave socket and reader open
            await asyncio.sleep(0)
            raise


class Link:
    """Keeps a connection to one broker while `run` runs.

    on_session(link): called on each connection; the link is ready once it calls `ready`; it runs until the connection
    ends and is cancelled then. on_message(message): each message received; neither may raise but our own errors.
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
    ) -> None:
        self._name = name
        self._broker = broker
        self._client_id = client_id
        self._base = base
        self._clock = clock
        self._will = will
        self._closing = closing
        self._on_session = on_session
        self._on_message = on_message
        self._client: _Client | None = None
        self._ready = asyncio.Event()
        self._lost = asyncio.Event()
        self._why: GatewayError = Unreachable(f"{broker.url}: not connected yet")

    async def run(self) -> None:
        """Keep the connection until cancelled, or until `closing` is set and on_session returns."""
        longest_s = _FIRST_S
        while not self._closing.is_set():
            was_ready, failure = await self._session()
            if failure is None:
                return
            if was_ready or str(failure) != str(self._why):
                _log.warning("sink %s: %s", self._name, failure)
            self._why = failure
            longest_s = _FIRST_S if was_ready else min(2 * longest_s, _LONGEST_S)
            low, high = (_REFUSED_S / 2, _REFUSED_S) if isinstance(failure, LoginRefused) else (0.0, longest_s)
            await self._pause(self._clock.uniform(low, high))

    def ready(self) -> None:
        """Say that what comes first on a connection has been published."""
        self._ready.set()

    async def wait_ready(self) -> None:
        """Wait until the connection is ready, ANSWER_S at most; then raises what stands in the way."""
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._ready.wait()
        except TimeoutError:
            raise self._why from None

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Publish in order, QoS 1, at most IN_FLIGHT at a time; returns when the broker took all.

        Raises Unreachable when the connection is lost meanwhile, LoginRefused when the broker lets us not publish one.
        """
        client, lost = self._client, self._lost
        if client is None:
            raise self._why
        before = client.refusals
        try:
            async with asyncio.TaskGroup() as tasks:
                watch = tasks.create_task(_raise_when(lost, self._broker.url))
                if sent := [tasks.create_task(self._send(client, message)) for message in messages]:
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
                f"{self._broker.url} refuses what {self._client_id} publishes: {client.refused}. Let its user write "
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
            async with self._connection() as client, asyncio.TaskGroup() as tasks:
                self._client = client
                reader = tasks.create_task(self._read(client))
                watch = tasks.create_task(_raise_when(self._lost, self._broker.url))
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

    def _connection(self) -> _Client:
        """A client for one connection. Secrets and certificates are read anew, so that a changed one is found."""
        broker = self._broker
        parts = urlsplit(broker.url)
        secure = parts.scheme == "mqtts"
        password = broker.password.read(self._base) if broker.password else None
        context = None
        if secure:
            context = ssl.create_default_context(cafile=str(self._base / broker.ca) if broker.ca else None)
            if broker.certificate:
                key = self._base / broker.key if broker.key else None
                context.load_cert_chain(self._base / broker.certificate, key)
        modern = broker.version == "5"
        return _Client(
            parts.hostname or "",
            parts.port or (8883 if secure else 1883),
            username=broker.user or (self._client_id.removesuffix("-out") if password else None),
            password=password,
            identifier=self._client_id,
            protocol=aiomqtt.ProtocolVersion.V5 if modern else aiomqtt.ProtocolVersion.V311,
            clean_session=None if modern else True,
            clean_start=True if modern else 3,  # 3: paho's default where the protocol has no clean start
            will=aiomqtt.Will(self._will.topic, self._will.payload, qos=1, retain=self._will.retain),
            timeout=ANSWER_S,
            keepalive=max(1, round(int(broker.keepalive) / 1e9)),
            max_queued_incoming_messages=1000,
            max_inflight_messages=IN_FLIGHT,
            tls_context=context,
            socket_options=((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),),  # an alert does not wait for Nagle
        )

    async def _read(self, client: _Client) -> None:
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

    async def _send(self, client: _Client, message: Outgoing) -> None:
        properties = None
        if message.correlation:
            properties = Properties(PacketTypes.PUBLISH)
            properties.CorrelationData = message.correlation
        async with client.window:  # first come, first served: the order stays
            await client.publish(message.topic, message.payload, qos=1, retain=message.retain, properties=properties)

    def _ours(self, error: BaseException) -> GatewayError:
        """The error that says what to do."""
        url = self._broker.url
        if isinstance(error, GatewayError):
            return error
        if isinstance(error, MqttConnectError):
            code = error.rc if isinstance(error.rc, int) else error.rc.value if error.rc is not None else 0
            if code in _LOGIN:
                return LoginRefused(f"{url} refuses {self._client_id}: {error}. Check the broker's user and password")
        if isinstance(error, KeyError):
            return LoginRefused(f"{url}: the environment has no {error.args[0]}; set it, or use a file")
        if isinstance(error, OSError):  # of our own files: aiomqtt turns the network's into MqttError
            return LoginRefused(f"{url}: password or certificate cannot be read: {error}")
        return Unreachable(f"{url}: {error or 'no answer'}")


async def _raise_when(lost: asyncio.Event, url: str) -> None:
    await lost.wait()
    raise Unreachable(f"{url}: the connection was lost")


def _first(group: BaseExceptionGroup[Any]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
