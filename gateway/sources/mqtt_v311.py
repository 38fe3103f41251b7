"""The network thread of one broker that speaks MQTT 3.1.1: connects, reads, pauses and acknowledges, by paho.

    broker ──▶ [ poll · read · on_message ] ──▶ Intake ──▶ event loop ──▶ door
       ◀────── [ PUBACK in order, PINGREQ ] ◀── acks   ◀── committed ◀───┘

The thread never waits for the door: when the intake is full it stops polling for reading, and pings on.
"""

from __future__ import annotations

import asyncio
import select
import socket
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

from paho.mqtt.client import MQTT_ERR_SUCCESS

from gateway.events import Message
from gateway.sources.mqtt_v311_client import Client, make_client
from gateway.sources.mqtt_words import error_in_words, in_words, is_login

if TYPE_CHECKING:
    from pathlib import Path

    from paho.mqtt.client import ConnectFlags, DisconnectFlags, MQTTMessage
    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode

    from gateway.config.model import Broker
    from gateway.ports import Clock
    from gateway.sources.intake import Intake
    from gateway.sources.mqtt_session import Session

NS = 10**9
_READS = 16  # of at most 64 kB in one go, so that acknowledgements and a stop get their turn
_REST_S = 0.005  # between two reads of a stream: each costs 0.1 ms; well below what pacing takes for silence


class Link:
    """One broker's connection, made again and again. Everything but the marked methods is the thread's."""

    def __init__(self, session: Session, broker: Broker, *, base: Path, clock: Clock, intake: Intake) -> None:
        self._session, self._broker, self._base = session, broker, base
        self._clock = clock
        self._intake = intake
        self._acks: deque[list[int]] = deque()
        self._woken, self._waker = socket.socketpair()
        self._woken.setblocking(False)
        self._waker.setblocking(False)
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._ended = asyncio.Event()

    # for the event loop

    async def run(self) -> None:
        """Start the thread and see that it goes on."""
        loop = asyncio.get_running_loop()

        def body() -> None:
            try:
                self._run()
            finally:
                loop.call_soon_threadsafe(self._ended.set)

        self._thread = threading.Thread(target=body, name=f"mqtt-{self._session.name}", daemon=True)
        self._thread.start()
        await self._ended.wait()  # it ends by itself only by a fault, which the thread's own hook has told
        raise RuntimeError(f"the network thread of broker {self._session.name} ended")

    async def close(self) -> None:
        """Disconnect in order, keep the session, end the thread."""
        self._stopping = True
        self._wake()
        if self._thread is not None:
            await self._ended.wait()
            self._thread.join()

    def committed(self, acks: list[int]) -> None:
        """A batch is durable: acknowledge these, in order, if their connection still is."""
        self._acks.append(acks)
        self._wake()

    def _wake(self) -> None:
        try:
            self._waker.send(b"!")
        except OSError:  # full: it is awake anyway; closed: it has ended
            return

    # the thread

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._session.begin()
                self._connection()
                if not self._stopping:
                    self._idle(self._session.ended())
        finally:
            self._session.connected = False
            self._woken.close()
            self._waker.close()

    def _idle(self, seconds: float) -> None:
        until = self._clock.monotonic_ns() + round(seconds * NS)
        while not self._stopping and (left := until - self._clock.monotonic_ns()) > 0:
            select.select([self._woken], [], [], left / NS)
            self._drain()

    def _drain(self) -> None:
        try:
            self._woken.recv(4096)
        except BlockingIOError:
            return

    def _connection(self) -> None:
        """One connection from its beginning to its end."""
        try:
            client = make_client(self._broker, self._session.client_id, self._base)
        except (OSError, KeyError) as error:
            self._session.fail(error_in_words(error, self._broker), login=True)
            return
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        try:
            client.reconnect()
        except (OSError, UnicodeError) as error:
            self._session.fail(error_in_words(error, self._broker))
            return
        try:
            self._serve(client)
        finally:
            if client.socket() is not None:
                self._acknowledge(client)
                client.disconnect()
            if client.stream is not None and client.stream.error is not None:
                self._session.fail(error_in_words(client.stream.error, self._broker))

    def _serve(self, client: Client) -> None:
        poll = select.poll()
        poll.register(self._woken, select.POLLIN)
        paused, pinged_ns = False, 0
        while not self._stopping and client.socket() is not None and (stream := client.stream) is not None:
            full = self._intake.full()
            now_ns = self._clock.monotonic_ns()
            if paused and not full:
                client.heard_again()
            elif full and not paused:
                pinged_ns = now_ns
            paused = full
            writing = client.want_write() or stream.unsent
            poll.register(stream.fileno(), (0 if paused else select.POLLIN) | (select.POLLOUT if writing else 0))
            ready = dict(poll.poll(0 if not paused and stream.pending() else min(1000, client.keepalive * 250)))
            if self._woken.fileno() in ready:
                self._drain()
            self._acknowledge(client)
            event = ready.get(stream.fileno(), 0)
            broken = paused and event & (select.POLLERR | select.POLLHUP)
            if broken or (not paused and (event & ~select.POLLOUT or stream.pending())):
                self._read(client, 1 if broken else _READS)
                self._rest(client)
            if client.socket() is not None and event & select.POLLOUT:
                client.loop_write()
                self._flush(client)
            if not paused:
                client.loop_misc()
            elif now_ns - pinged_ns >= client.keepalive * NS // 2:
                pinged_ns = now_ns
                client.ping_while_paused()

    def _read(self, client: Client, most: int) -> None:
        """What has arrived: messages in one go where they can be had so, all else by paho, a packet at a time."""
        for _ in range(most):
            taken = client.take_publishes(self._session.name, self._intake.room())
            if taken is not None:
                above = self._session.number(0)
                self._intake.put(taken.messages, [above | packet_id for packet_id in taken.packet_ids])
            elif client.loop_read() != MQTT_ERR_SUCCESS or client.socket() is None:
                return
            if client.stream is None or not client.stream.pending() or self._intake.full():
                return

    def _rest(self, client: Client) -> None:
        """Let more come before reading on, unless there is something to send."""
        if client.socket() is not None and client.stream is not None and not client.stream.unsent:
            select.select([self._woken], [], [], _REST_S)

    def _acknowledge(self, client: Client) -> None:
        """Acknowledgements of this connection, in the order the messages came; those of an older one are dropped."""
        if not self._acks or client.stream is None:
            return
        client.stream.cork()
        while self._acks:
            client.acknowledge(self._session.mine(self._acks.popleft()))
        self._flush(client)

    def _flush(self, client: Client) -> None:
        if client.socket() is not None and client.stream is not None:
            try:
                client.stream.flush()
            except OSError:  # the next read finds the connection closed and says so
                return

    # paho's callbacks

    def _on_connect(
        self, client: Any, _userdata: object, flags: ConnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._fail(reason)
            return
        stale, wanted = self._session.accepted(present=flags.session_present)
        for some in stale:
            client.unsubscribe(some)
        for filters in wanted:
            _, mid = client.subscribe(filters)
            self._session.ask(mid, filters)

    def _on_subscribe(
        self, _client: object, _userdata: object, mid: int, reasons: list[ReasonCode], _properties: Properties | None
    ) -> None:
        self._session.answered(mid, [(reason.value, str(reason)) for reason in reasons])

    def _on_disconnect(
        self,
        _client: object,
        _userdata: object,
        _flags: DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if self._session.connected:
            self._fail(reason)

    def _fail(self, reason: ReasonCode) -> None:
        words = in_words(reason.value, str(reason), self._session.client_id)
        self._session.fail(words, login=is_login(reason.value))

    def _on_message(self, _client: object, _userdata: object, came: MQTTMessage) -> None:
        try:
            topic = came.topic
        except UnicodeDecodeError as error:  # no route fits it: it will be set aside, and acknowledged
            topic = error.object.decode("utf-8", "backslashreplace")
        wants_ack = came.qos == 1
        message = Message(
            source=self._session.name,
            topic=topic,
            body=bytes(came.payload),
            qos=came.qos,
            retain=came.retain,
            duplicate=came.dup,
            packet_id=came.mid if wants_ack else 0,
        )
        self._intake.put([message], [self._session.number(came.mid)] if wants_ack else [])
