"""One connection to a broker that speaks MQTT 5: its bytes in turns of bounded length, its pauses, its pings, its end.

socket ─▶ buffer ─▶ turn: messages ─▶ intake        a turn takes so many packets at most, then the loop goes round;
             ▲        │    packets ─▶ link          after one that brought messages it rests, since a read costs as
             └─ rest ─┘                             much as 100 messages; while the intake is full it reads nothing
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import mqtt5
from mqtt5 import DisconnectReasonCode as Code

from gateway.sources.mqtt_v5_packets import Malformed, Reader
from gateway.sources.mqtt_words import IF_OLD, OLD_BROKER

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.sources.intake import Intake
    from gateway.sources.mqtt_session import Session

_BUFFER = 262_144  # bytes, allocated once a connection; more only while a packet is larger
_PACKETS = 1500  # of one turn: 1 ms here, below 5 ms on a board five times slower
_REST_S = 0.005  # between two reads of a stream; well below what pacing takes for silence
_STREAM_S = 0.05  # what comes that soon after another is a stream: a rest after each of a few costs more than it saves
_CONNACK_S = 10.0
_CLOSE_S = 1.0  # for what is still to be sent, and for TLS to say goodbye
_PING = mqtt5.PingReqPacket().write()
_BEATS = 8  # looks at the keep-alive in each of it
_PING_AFTER = 0.5  # of it without a word in one of the directions: a broker waits for 1.5 of it
_CONNACK = 2  # its packet type
_OLD_CONNACK = b"\x20\x02"  # two bytes follow: MQTT 3.1.1's


class Wire(asyncio.BufferedProtocol):
    """`hello` is sent first; `answer` is given each packet that is no PUBLISH. `ended` once the socket is closed."""

    def __init__(
        self, session: Session, intake: Intake, hello: bytes, answer: Callable[[Wire, mqtt5.Packet], None]
    ) -> None:
        self.ended = asyncio.Event()
        self.error: Exception | None = None
        self.lost = False  # it ended, and not by us
        self._session, self._intake = session, intake
        self._hello, self._answer = hello, answer
        self._reader = Reader(session.name)
        self._above = session.number(0)
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._usual = self._view = memoryview(bytearray(_BUFFER))
        self._filled = 0  # bytes of it hold what is not taken
        self._needed = 1  # so many have to be there for a packet
        self._closing = False
        self._full = False
        self._resting: asyncio.Handle | None = None
        self._beating: asyncio.TimerHandle | None = None
        self._keepalive_s = 0.0
        self._heard_s = self._sent_s = self._came_s = 0.0
        self._pinged_s: float | None = None

    # asyncio's calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say hello, and wait for the answer as long as is decent."""
        self._transport = cast(asyncio.Transport, transport)
        self.write(self._hello)
        self._beating = self._loop.call_later(
            _CONNACK_S, self.end, f"no answer to CONNECT within {_CONNACK_S:g} s{IF_OLD}"
        )

    def get_buffer(self, sizehint: int) -> memoryview:
        """Room for what comes; asyncio's hint is not needed.

        A packet larger than the buffer doubles it as it comes: what its length says may be a lie.
        """
        del sizehint
        if self._filled == len(self._view):
            larger = memoryview(bytearray(min(2 * len(self._view), max(self._needed, len(self._view) + 1))))
            larger[: self._filled] = self._view
            self._view = larger
        return self._view[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        """So many bytes more are there."""
        if self._closing:  # TLS hands over what still came
            return
        self._filled += nbytes
        self._heard_s = self._loop.time()
        if self._filled >= self._needed:
            self._turn()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        self.lost = not self._closing
        self.error = exc if self.lost else None
        self._closing = True
        for handle in (self._resting, self._beating):
            if handle is not None:
                handle.cancel()
        self._transport = None
        self.ended.set()

    # for the link

    def write(self, packets: bytes) -> None:
        """Send it, unless the end has begun."""
        if self._transport is not None and not self._closing and packets:
            self._transport.write(packets)
            self._sent_s = self._loop.time()

    def accepted(self, keepalive_s: float) -> None:
        """Begin to keep alive; 0: neither side asks for it."""
        if self._beating is not None:
            self._beating.cancel()
        self._keepalive_s = keepalive_s
        if keepalive_s:
            self._beat()

    def released(self) -> None:
        """There may be room in the intake again."""
        if self._full and not self._intake.full():
            self._full = False
            self._heard_s, self._pinged_s = self._loop.time(), None  # silence is measured from now
            self._resting = self._loop.call_soon(self._go_on)

    def end(self, words: str, *, login: bool = False, code: Code | None = None) -> None:
        """End it for this reason, which `code` tells the broker."""
        if not self._closing:
            self._session.fail(words, login=login)
            self.close(code)

    def close(self, code: Code | None = Code.NORMAL_DISCONNECTION) -> None:
        """Disconnect in order, and by force where that takes long."""
        if self._transport is None or self._closing:
            return
        if code is not None:
            self.write(mqtt5.DisconnectPacket(reason_code=code).write())
        self._closing = True
        self._transport.close()
        if self._beating is not None:
            self._beating.cancel()
        self._beating = self._loop.call_later(_CLOSE_S, self._transport.abort)

    # the turns

    def _turn(self) -> None:
        """Make messages of what is there, as much as a turn may; then read on, rest, or pause."""
        self._resting, self._needed = None, 0
        start, left, came = 0, _PACKETS, False
        try:
            if not self._session.connected and self._view[0] >> 4 != _CONNACK:
                raise Malformed("it begins with another packet than CONNACK", Code.PROTOCOL_ERROR)  # noqa: TRY301 - all that is malformed ends in one place
            while left > 0 and not self._closing:
                taken = self._reader.take(
                    self._view[start : self._filled], above=self._above, room=self._intake.room(), most=left
                )
                start += taken.end
                left -= len(taken.messages) + 1
                if taken.messages:
                    self._intake.put(taken.messages, taken.acks)
                    came = True
                if taken.packet is None:
                    self._needed = taken.needed
                    break
                self._answer(self, taken.packet)
        except Malformed as error:
            self._refuse(error, start)
        if self._closing:
            return
        more = start < self._filled and not self._needed
        self._keep(start)
        if self._intake.full():
            self._full = True
            self._pause()
        elif more or (came and self._streams()):
            self._pause()
            self._resting = self._loop.call_later(0.0 if more else _REST_S, self._go_on)
        else:
            self._read()

    def _streams(self) -> bool:
        """Whether what came now follows closely on something."""
        before_s, self._came_s = self._came_s, self._heard_s
        return self._came_s - before_s < _STREAM_S

    def _keep(self, start: int) -> None:
        """What is not taken, from `start` on, moves to the front, of the usual buffer where its packet fits."""
        rest = self._view[start : self._filled]
        self._filled = len(rest)
        if max(self._filled, self._needed) <= len(self._usual):
            self._view = self._usual
        self._view[: self._filled] = rest

    def _refuse(self, error: Malformed, start: int) -> None:
        """Bytes that cannot be read end the connection."""
        old = not self._session.connected and bytes(self._view[start : start + 2]) == _OLD_CONNACK
        self.end(OLD_BROKER if old else f"what the broker sent is no MQTT 5: {error}", code=error.code)

    def _go_on(self) -> None:
        """After a rest or a pause."""
        self._resting = None
        if self._filled and self._filled >= self._needed:
            self._turn()
        else:
            self._read()

    def _read(self) -> None:
        if self._transport is not None and not self._closing:
            self._transport.resume_reading()

    def _pause(self) -> None:
        if self._transport is not None:
            self._transport.pause_reading()

    # the keep-alive

    def _beat(self) -> None:
        """Ping where it is time; end a connection whose broker does not answer, unless it is us who do not read."""
        now_s, after_s = self._loop.time(), self._keepalive_s * _PING_AFTER
        self._beating = self._loop.call_later(self._keepalive_s / _BEATS, self._beat)
        if self._full or (self._pinged_s is not None and self._heard_s >= self._pinged_s):
            self._pinged_s = None
        elif self._pinged_s is not None and now_s - self._pinged_s >= self._keepalive_s:
            self.end("Keep alive timeout", code=Code.KEEP_ALIVE_TIMEOUT)
            return
        silent = not self._full and now_s - self._heard_s >= after_s
        if self._pinged_s is None and (silent or now_s - self._sent_s >= after_s):
            self.write(_PING)
            self._pinged_s = now_s
