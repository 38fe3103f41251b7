"""A broker that speaks MQTT 5: connects in the event loop, again and again, and answers what is no message.

broker ──▶ Wire: turns of bounded length ──▶ Intake ──▶ MqttSource ──▶ door
   ◀────── PUBACK in bulk, in order      ◀───────────── committed  ◀───┘
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from itertools import count
from typing import TYPE_CHECKING

import mqtt5
from mqtt5 import DisconnectReasonCode as Code

from gateway.config.tls import context_of
from gateway.config.urls import address
from gateway.sources.mqtt_v5_packets import connect, named, puback, subscribe
from gateway.sources.mqtt_v5_wire import Wire
from gateway.sources.mqtt_words import CONNECT_S, IF_OLD, error_in_words, in_words, is_login, lost

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.config.model import Broker
    from gateway.ports import Clock
    from gateway.sources.intake import Intake
    from gateway.sources.mqtt_session import Session

_log = logging.getLogger(__name__)
_PUBCOMP = b"\x70\x02"
_KEEPALIVE_MOST_S = 65_535


class Link:
    """One broker's connection, made again and again."""

    def __init__(self, session: Session, broker: Broker, *, base: Path, clock: Clock, intake: Intake) -> None:
        self._session, self._broker, self._base = session, broker, base
        self._clock, self._intake = clock, intake
        self._keepalive_s = min(_KEEPALIVE_MOST_S, max(1, round(broker.keepalive / 1e9)))
        self._wire: Wire | None = None

    async def run(self) -> None:
        """Connect, until cancelled; `close` comes then."""
        while True:
            self._session.begin()
            await self._connection()
            await self._clock.sleep(self._session.ended())

    async def close(self) -> None:
        """Disconnect in order, keep the session."""
        self._session.connected = False
        if self._wire is not None:
            self._wire.close()
            await self._wire.ended.wait()

    def committed(self, acks: list[int]) -> None:
        """A batch is durable: acknowledge these, in order, if their connection still is."""
        ours = self._session.mine(acks)
        if self._wire is not None:
            if ours:
                self._wire.write(puback(ours))
            self._wire.released()

    async def _connection(self) -> None:
        """One connection from its beginning to its end."""
        try:
            hello = connect(self._broker, self._session.client_id, self._base, self._keepalive_s)
            secure = address(self._broker.url)[2]
            # not in the loop: to read all of a system's authorities takes 20 ms
            context = await asyncio.to_thread(context_of, self._broker, self._base) if secure else None
        except (OSError, KeyError) as error:
            self._session.fail(error_in_words(error, self._broker), login=True)
            return
        wire = Wire(self._session, self._intake, hello, self._answer)
        try:
            await self._reach(wire, context)
        except (OSError, UnicodeError) as error:
            self._session.fail(error_in_words(error, self._broker))
            return
        self._wire = wire
        await wire.ended.wait()
        self._wire = None
        if isinstance(wire.error, ssl.SSLError):
            self._session.fail(error_in_words(wire.error, self._broker))
        elif wire.lost and self._session.connected:
            self._session.fail(lost(self._session.client_id))
        elif wire.lost:
            self._session.fail(f"the connection was lost before it let us in{IF_OLD}")

    async def _reach(self, wire: Wire, context: ssl.SSLContext | None) -> None:
        host, port, _ = address(self._broker.url)
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(CONNECT_S):
            sock = await _connected(host, port)
            await loop.create_connection(lambda: wire, sock=sock, ssl=context, server_hostname=context and host)

    def _answer(self, wire: Wire, packet: mqtt5.Packet) -> None:
        """To each packet that is no message."""
        match packet:
            case mqtt5.ConnAckPacket() if not self._session.connected:
                self._connack(wire, packet)
            case mqtt5.SubAckPacket():
                self._session.answered(packet.packet_id, [(code.value, named(code)) for code in packet.reason_codes])
            case mqtt5.UnsubAckPacket() | mqtt5.PingRespPacket():
                pass
            case mqtt5.PubRelPacket():  # of a QoS 2 message that is older than our subscription
                wire.write(_PUBCOMP + packet.packet_id.to_bytes(2))
            case mqtt5.DisconnectPacket():
                self._refused(wire, packet)
            case _:
                wire.end(f"what the broker sent is no MQTT 5: {type(packet).__name__} to us", code=Code.PROTOCOL_ERROR)

    def _connack(self, wire: Wire, packet: mqtt5.ConnAckPacket) -> None:
        if packet.reason_code is not mqtt5.ConnAckReasonCode.SUCCESS:
            self._refused(wire, packet)
            return
        keepalive_s = packet.server_keep_alive
        wire.accepted(self._keepalive_s if keepalive_s is None else keepalive_s)
        kept_s, wanted_s = packet.session_expiry_interval, self._broker.session / 1e9
        if kept_s is not None and kept_s < wanted_s:
            _log.warning("broker %s keeps our session for %d s only, not %d", self._session.name, kept_s, wanted_s)
        stale, wanted = self._session.accepted(present=packet.session_present)
        ids = count(1)
        for some in stale:
            wire.write(mqtt5.UnsubscribePacket(next(ids), some).write())
        for filters in wanted:
            packet_id = next(ids)
            self._session.ask(packet_id, filters)
            wire.write(subscribe(packet_id, filters))

    def _refused(self, wire: Wire, packet: mqtt5.ConnAckPacket | mqtt5.DisconnectPacket) -> None:
        """The broker ends it, and says why."""
        code = packet.reason_code
        words = in_words(
            code.value,
            named(code),
            self._session.client_id,
            elsewhere=packet.server_reference,
            reason=packet.reason_str,
        )
        wire.end(words, login=is_login(code.value))


async def _connected(host: str, port: int) -> socket.socket:
    """A socket to the first of the host's addresses that answers. Raises what the last one said."""
    loop = asyncio.get_running_loop()
    failure: OSError | None = None
    for family, kind, proto, _, where in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        sock = socket.socket(family, kind, proto)
        sock.setblocking(False)
        try:
            await loop.sock_connect(sock, where)
        except OSError as error:
            sock.close()
            failure = error
        except asyncio.CancelledError:
            sock.close()
            raise
        else:
            return sock
    raise failure or OSError("no address")
