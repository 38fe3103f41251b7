"""aiomqtt's client as the alerts' way out needs it: a window that holds, refusals seen, TLS and login."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import aiomqtt
from paho.mqtt.enums import MQTTErrorCode

from gateway.config.tls import context_of
from gateway.config.urls import address, login_of

if TYPE_CHECKING:
    import ssl
    from collections.abc import Coroutine
    from pathlib import Path

    from paho.mqtt.properties import Properties

    from gateway.config.model import Broker

IN_FLIGHT = 100  # SEMANTICS.md §9


class Outgoing(NamedTuple):
    """A message to publish. An empty retained one removes what the broker retained.

    `correlation`: MQTT 5 answers; `backfill`: it waited, which a user property says.
    """

    topic: str
    payload: bytes
    retain: bool = False
    correlation: bytes = b""
    backfill: bool = False


class Incoming(NamedTuple):
    """A message received. `answer_on` and `correlation` are MQTT 5's response topic and correlation data."""

    topic: str
    payload: bytes
    retain: bool
    answer_on: str
    correlation: bytes


class Client(aiomqtt.Client):
    """aiomqtt's client, which also sends at once, says what a broker answered, and leaves no socket behind."""

    window = asyncio.Semaphore(1)
    refusals = 0
    refused = ""

    def begin(self, message: Outgoing, properties: Properties | None) -> Coroutine[Any, Any, None]:
        """Publish at QoS 1, the window acquired; returns what waits until the broker took it, and releases the window.

        It is sent by `flush`, or when the loop comes to it. Raises aiomqtt.MqttError.
        """
        info = self._client.publish(message.topic, message.payload, 1, message.retain, properties)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise aiomqtt.MqttCodeError(info.rc, "Could not publish message")
        taken = self._pending_publishes[info.mid] = asyncio.Event()
        return self._taken(info.mid, taken)

    async def _taken(self, mid: int, taken: asyncio.Event) -> None:
        try:
            await self._wait_for(taken.wait(), None)
        finally:
            self._pending_publishes.pop(mid, None)
            self.window.release()

    def flush(self) -> None:
        """Send what was begun, now: the loop would come to it after everything else that is due."""
        try:
            self._client.loop_write()
        except (OSError, ValueError) as error:
            if not self._disconnected.done():
                self._disconnected.set_exception(error)

    def _on_socket_register_write(self, client: Any, userdata: Any, sock: Any) -> None:
        try:
            here = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            here = False  # the thread that connects
        if here:  # at once: aiomqtt's way would come after `flush` has sent it all, and wait for nothing, busily
            self._loop.add_writer(sock.fileno(), self.flush)
        else:
            super()._on_socket_register_write(client, userdata, sock)

    def _on_publish(self, client: Any, userdata: Any, mid: int, reason_code: Any, properties: Any) -> None:
        if reason_code.is_failure:  # aiomqtt does not look
            self.refusals += 1
            self.refused = str(reason_code)
        super()._on_publish(client, userdata, mid, reason_code, properties)

    def _on_connect(self, client: Any, userdata: Any, flags: Any, reason_code: Any, properties: Any = None) -> None:
        window = int(getattr(properties, "ReceiveMaximum", IN_FLIGHT))  # paho does not look: a broker would hang up
        self.window = asyncio.Semaphore(min(window, IN_FLIGHT))
        super()._on_connect(client, userdata, flags, reason_code, properties)

    def close_what_is_refused(self, context: ssl.SSLContext, host: str) -> None:
        """Shake hands as the socket is wrapped, which closes it on failure: paho leaves it open."""

        def wrap(tcp_sock: socket.socket) -> ssl.SSLSocket:
            return context.wrap_socket(tcp_sock, server_hostname=host)

        self._client._ssl_wrap_socket = wrap  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - paho has no public way

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


def make_client(broker: Broker, client_id: str, base: Path, will: Outgoing, answer_s: float) -> Client:
    """A client for one connection, which waits `answer_s` seconds for each answer.

    Secrets and certificates are read anew, so that a changed one is found. Raises OSError or KeyError where one cannot
    be read.
    """
    host, port, secure = address(broker.url)
    user, password = login_of(broker, client_id.removesuffix("-out"), base)
    context = context_of(broker, base) if secure else None
    modern = broker.version == "5"
    client = Client(
        host,
        port,
        username=user,
        password=password,
        identifier=client_id,
        protocol=aiomqtt.ProtocolVersion.V5 if modern else aiomqtt.ProtocolVersion.V311,
        clean_session=None if modern else True,
        clean_start=True if modern else 3,  # 3: paho's default where the protocol has no clean start
        will=aiomqtt.Will(will.topic, will.payload, qos=1, retain=will.retain),
        timeout=answer_s,
        keepalive=max(1, round(int(broker.keepalive) / 1e9)),
        max_queued_incoming_messages=1000,
        max_inflight_messages=IN_FLIGHT,
        tls_context=context,
        socket_options=((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),),  # an alert does not wait for Nagle
    )
    if context is not None:
        client.close_what_is_refused(context, host)
    return client
