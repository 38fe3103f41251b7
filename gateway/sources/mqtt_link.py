"""The network thread of one broker: connects, reads, pauses, acknowledges, and says how it is.

    broker ──▶ [ poll · read · on_message ] ──▶ Intake ──▶ event loop ──▶ door
       ◀────── [ PUBACK in order, PINGREQ ] ◀── acks   ◀── committed ◀───┘

The thread never waits for the door: when the intake is full it stops polling for reading, and pings on.
"""

from __future__ import annotations

import logging
import select
import socket
from collections import deque
from typing import TYPE_CHECKING, Any

from paho.mqtt.client import MQTT_ERR_SUCCESS
from paho.mqtt.subscribeoptions import SubscribeOptions

from gateway.events import Health, Message
from gateway.sources.mqtt_client import Client, error_in_words, in_words, is_login, make_client

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from paho.mqtt.client import ConnectFlags, DisconnectFlags, MQTTMessage
    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode

    from gateway.config.model import Broker
    from gateway.ports import Clock
    from gateway.sources.intake import Intake

NS = 10**9
_log = logging.getLogger(__name__)
_FIRST_S, _LONGEST_S = 1.0, 30.0  # of the wait between attempts; the upper bound doubles from the one to the other
_LOGIN_S = (60.0, 300.0)  # between attempts with a refused login: accounts get locked
_STEADY_NS = 10 * NS  # a connection that held so long starts the waiting anew
_READS = 16  # of at most 64 kB in one go, so that acknowledgements and a stop get their turn
_REST_S = 0.005  # between two reads of a stream: each costs 0.1 ms; well below what pacing takes for silence
_FILTERS = 8  # of one SUBSCRIBE: some brokers take no more


class Link:
    """One broker's connection, made again and again until `stop`. Everything but the marked methods is the thread's."""

    def __init__(
        self,
        name: str,
        broker: Broker,
        wanted: Mapping[str, int],
        *,
        client_id: str,
        base: Path,
        remembered: frozenset[str],
        clock: Clock,
        intake: Intake,
        session_lost: Callable[[], None] | None,
    ) -> None:
        self._name, self._broker, self._client_id, self._base = name, broker, client_id, base
        self._wanted = wanted
        self._clock = clock
        self._intake = intake
        self._session_lost = session_lost
        self._acks: deque[list[int]] = deque()
        self._woken, self._waker = socket.socketpair()
        self._woken.setblocking(False)
        self._waker.setblocking(False)
        self._stopping = False
        self._generation = 0
        self._connected = False
        self._since_ns = 0
        self._failure: tuple[str, bool] = ("", False)  # in words, and whether the login was refused
        self._said: dict[str, tuple[bool, str]] = {}
        self._asked: dict[int, list[str]] = {}
        self._refused: dict[str, str] = {}
        self.subscribed = remembered
        self.counts = {"connects": 0, "sessions_lost": 0, "stale_acks": 0}

    # for the event loop

    def acknowledge(self, acks: list[int]) -> None:
        """Send these, in order, if their connection still is. From any thread."""
        self._acks.append(acks)
        self._wake()

    def stop(self) -> None:
        """Disconnect in order, keep the session, end the thread. From any thread."""
        self._stopping = True
        self._wake()

    @property
    def connected(self) -> bool:
        """Whether the broker has accepted us."""
        return self._connected

    def _wake(self) -> None:
        try:
            self._waker.send(b"!")
        except OSError:  # full: it is awake anyway; closed: it has ended
            return

    # the thread

    def run(self) -> None:
        """The thread's body."""
        try:
            attempt = 0
            while not self._stopping:
                self._failure = ("the connection was lost", False)
                self._connection()
                if self._stopping:
                    break
                steady = self._connected and self._clock.monotonic_ns() - self._since_ns > _STEADY_NS
                self._connected = False
                attempt = 0 if steady else attempt + 1
                words, login = self._failure
                if login:
                    self._say("login", ok=False, detail=words)
                self._say("connected", ok=False, detail=words)
                longest = min(_LONGEST_S, _FIRST_S * 2 ** min(attempt - 1, 10)) if attempt else _FIRST_S
                self._idle(self._clock.uniform(*_LOGIN_S) if login else self._clock.uniform(0.0, longest))
        finally:
            self._connected = False
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
        self._generation += 1
        self._asked.clear()
        try:
            client = make_client(self._broker, self._client_id, self._base)
        except (OSError, KeyError) as error:
            self._failure = (error_in_words(error, self._broker), True)
            return
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        try:
            client.reconnect()
        except (OSError, UnicodeError) as error:
            self._failure = (error_in_words(error, self._broker), False)
            return
        try:
            self._serve(client)
        finally:
            if client.socket() is not None:
                self._acknowledge(client)
                client.disconnect()

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
            taken = client.take_publishes(self._name, self._intake.room())
            if taken is not None:
                generation = self._generation << 16
                self._intake.put(taken.messages, [generation | packet_id for packet_id in taken.packet_ids])
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
            acks = self._acks.popleft()
            ours = [ack & 0xFFFF for ack in acks if ack >> 16 == self._generation]
            client.acknowledge(ours)
            self.counts["stale_acks"] += len(acks) - len(ours)
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
            self._failure = (in_words(reason, self._client_id), is_login(reason))
            return
        self._connected = True
        self._since_ns = self._clock.monotonic_ns()
        if not flags.session_present and self._session_lost is not None:
            self._intake.cut(self._session_lost)
        if not flags.session_present and self.subscribed:
            self.counts["sessions_lost"] += 1
            _log.warning("broker %s kept no session: what was published while we were away is lost", self._name)
        self.counts["connects"] += 1
        self._say("login", ok=True)  # also for the first time: an earlier process may have said otherwise
        self._say("connected", ok=True)
        stale = self.subscribed - self._wanted.keys()
        if stale:
            client.unsubscribe(sorted(stale))
        self.subscribed = frozenset(self._wanted.keys() & self.subscribed) if flags.session_present else frozenset()
        self._refused.clear()
        filters = sorted(self._wanted)
        for start in range(0, len(filters), _FILTERS):
            some = filters[start : start + _FILTERS]
            _, mid = client.subscribe([(f, self._options(f)) for f in some])
            self._asked[mid] = some

    def _options(self, topic_filter: str) -> Any:
        """Retained messages come only with a new subscription, where the protocol can say so."""
        qos = self._wanted[topic_filter]
        return SubscribeOptions(qos=qos, retainHandling=1) if self._broker.version == "5" else qos

    def _on_subscribe(
        self, _client: object, _userdata: object, mid: int, reasons: list[ReasonCode], _properties: Properties | None
    ) -> None:
        granted: set[str] = set()
        for topic_filter, reason in zip(self._asked.pop(mid, []), reasons, strict=False):
            if reason.is_failure:
                self._refused[topic_filter] = str(reason)
                continue
            granted.add(topic_filter)
            if reason.value < self._wanted[topic_filter]:
                _log.warning("broker %s grants %s only at QoS 0: messages can be lost", self._name, topic_filter)
        self.subscribed |= granted
        if self._refused:
            which = ", ".join(f"{f} ({why})" for f, why in sorted(self._refused.items()))
            self._say("subscribed", ok=False, detail=f"the broker refuses to let us read {which}")
        elif not self._asked:
            self._say("subscribed", ok=True)

    def _on_disconnect(
        self,
        _client: object,
        _userdata: object,
        flags: DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if self._connected or flags.is_disconnect_packet_from_server:
            self._failure = (in_words(reason, self._client_id), is_login(reason))

    def _on_message(self, _client: object, _userdata: object, came: MQTTMessage) -> None:
        try:
            topic = came.topic
        except UnicodeDecodeError as error:  # no route fits it: it will be set aside, and acknowledged
            topic = error.object.decode("utf-8", "backslashreplace")
        users: list[tuple[str, str]] = getattr(came.properties, "UserProperty", [])
        wants_ack = came.qos == 1
        message = Message(
            source=self._name,
            topic=topic,
            body=bytes(came.payload),
            qos=came.qos,
            retain=came.retain,
            duplicate=came.dup,
            properties=tuple(users),
            packet_id=came.mid if wants_ack else 0,
        )
        self._intake.put([message], [self._generation << 16 | came.mid] if wants_ack else [])

    def _say(self, condition: str, *, ok: bool, detail: str = "") -> None:
        if self._said.get(condition) != (ok, detail):
            self._said[condition] = (ok, detail)
            self._intake.say(Health(f"source/{self._name}", condition, ok, detail))
