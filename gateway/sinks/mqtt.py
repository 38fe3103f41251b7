"""Alerts to the ops centre's broker, on the topics of DESIGN.md: changes, retained open alerts, status, replies.

outbox ─ alerts ───▶ MqttAlerts ─┐ alert/…, open/…            ┌─▶ command/+ ─▶ the door
outbox ─ requests ─▶ MqttReplies ┴─▶ Link (aiomqtt) ◀─ broker ─┴─▶ request ─▶ the history ─▶ …/reply
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

import msgspec

from gateway.config.common import Struct
from gateway.config.scalars import Size
from gateway.errors import GatewayError, TransientError
from gateway.events import Command, RequestRow
from gateway.ports import Rejected
from gateway.sinks.history_alerts import ROW
from gateway.sinks.mqtt_chains import Chains
from gateway.sinks.mqtt_client import Outgoing
from gateway.sinks.mqtt_inbox import Inbox
from gateway.sinks.mqtt_link import Link
from gateway.sinks.outward import Topics, fields, stamp

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from zoneinfo import ZoneInfo

    from gateway.config.names import Names
    from gateway.events import AlertRow, Stream
    from gateway.ports import Clock, Row
    from gateway.sinks.history import History
    from gateway.sinks.history_alerts import Noted
    from gateway.sinks.mqtt_client import Incoming
    from gateway.sinks.surroundings import Surroundings

SMALLEST_PICTURE, MOST_PICTURE = 8_000, 100_000  # bytes; SEMANTICS.md §11
STATUS_EVERY_S = 60.0
SYNC_S = 5.0  # how long the retained messages of our own topics may take to arrive
GOODBYE_S = 2.0
WAITED_NS = 60_000_000_000  # a change that waited for longer to be published is history to who reads it
_REQUEST = msgspec.msgpack.Decoder(RequestRow)
_log = logging.getLogger(__name__)


class Mqtt(Struct, frozen=True):
    """Alerts to a broker, by its name. `picture`: how large their pictures are there at most; `off`: none go."""

    mqtt: str
    picture: Size | Literal["off"] = Size(100_000)

    def problems(self) -> list[tuple[str, str]]:
        """A picture that shows something, and no larger than one is made."""
        if self.picture == "off" or SMALLEST_PICTURE <= self.picture <= MOST_PICTURE:
            return []
        return [("picture", f"found {self.picture}; 8 kB to 100 kB, or off")]

    def broker(self) -> str:
        """The broker it connects to."""
        return self.mqtt

    def check(self, names: Names) -> list[tuple[str, str]]:
        """What is wrong with the broker's name."""
        return names.broker("mqtt", self.mqtt)


class MqttAlerts:
    """The alerts stream onto a broker. `run` keeps the connection; until there is one `deliver` raises Unreachable."""

    stream: Stream = "alerts"

    def __init__(self, name: str, around: Surroundings, kind: Mqtt) -> None:
        self.name = name
        self._topics = Topics(around.community, around.gateway)
        self._gateway = around.gateway
        self._clock: Clock = around.clock
        self._zone: ZoneInfo = around.zone
        self._history: History = around.history
        self._status: Callable[[], dict[str, object]] = around.status
        self._durable: Callable[[], bool] = around.durable
        self._command: Callable[[Command], Awaitable[None]] = around.command
        self._listens = bool(around.commands.mqtt)
        self._chains = Chains(name, around.history)
        self._keeping = asyncio.Lock()  # what was published is kept before anyone is told what came before
        self._retained: set[str] = set()
        self._synced = asyncio.Event()
        self._closing = asyncio.Event()
        self._ended = asyncio.Event()
        self._ended.set()
        self.inbox = Inbox(name, self._topics, around.commands.mqtt, around.history, self._now, around.evidence)
        self.link = Link(
            name,
            around.brokers[kind.mqtt],
            f"{around.gateway}-out",
            around.base,
            around.clock,
            Outgoing(self._topics.status, msgspec.json.encode({**self._identity(), "status": "offline"}), True),
            self._closing,
            self._session,
            self._receive,
            around.report,
        )

    async def run(self) -> None:
        """Keep the connection, with status and retained alerts on it, until cancelled or closed."""
        self._ended.clear()
        try:
            await self.link.run()
        finally:
            self._ended.set()

    async def deliver(self, rows: Sequence[Row]) -> Sequence[Rejected]:
        """Publish the changes in order; returns when the broker took all of them."""
        alerts: list[tuple[Row, AlertRow]] = []
        rejected: list[Rejected] = []
        for row in rows:
            try:
                alerts.append((row, ROW.decode(row.body)))
            except msgspec.MsgspecError as error:
                rejected.append(Rejected(row, row.body, f"no alert row: {error}"))
        outside = [(row, alert) for row, alert in alerts if not alert.shadow]
        if outside:
            await self.link.wait_ready()
            await self._publish(outside)
        return rejected

    async def _publish(self, outside: Sequence[tuple[Row, AlertRow]]) -> None:
        """What is new is published first and kept after: an alert waits for no disk but the outbox's."""
        alerts = [alert for _, alert in outside]
        async with self._keeping:
            new = self._chains.new(alerts)
            noted = await self._chains.keep(alerts) if new is None else new
            late_ns = self._clock.now_ns() - WAITED_NS
            messages = [
                message
                for (row, alert), note in zip(outside, noted, strict=True)
                for message in self._messages(alert, note, waited=row.at_ns < late_ns)
            ]
            await self.link.publish(messages)
            if new is not None:
                await self._chains.keep(alerts)

    async def aclose(self) -> None:
        """Say that the gateway is offline and leave the broker; `run` returns."""
        self._closing.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(2 * GOODBYE_S):
                await self._ended.wait()

    def _messages(self, alert: AlertRow, noted: Noted, *, waited: bool) -> list[Outgoing]:
        published, durable = self._now(), self._durable()
        messages = [
            Outgoing(
                self._topics.alert(alert, severity),
                msgspec.json.encode(fields(alert, prev=prev, published=published, durable=durable)),
                backfill=waited,
            )
            for severity, prev in zip(alert.severities, noted.prev, strict=True)
        ]
        if noted.newest:  # an older one, delivered after an outage, is history: the newest was retained on connecting
            messages.append(self._state_of(alert))
        return messages

    def _state_of(self, alert: AlertRow) -> Outgoing:
        body = b""
        if alert.open:
            body = msgspec.json.encode(fields(alert, published=self._now(), durable=self._durable()))
        return Outgoing(self._topics.open(alert.id), body, retain=True)

    async def _session(self) -> None:
        """What a connection begins with, before the backlog; then its heartbeat."""
        try:
            await self._sync()
            self.link.ready()
            while not self._closing.is_set():
                with suppress(TimeoutError):
                    async with asyncio.timeout(STATUS_EVERY_S):
                        await self._closing.wait()
                        break
                await self.link.publish([self._status_message("online")])
        finally:
            with suppress(GatewayError, TimeoutError):
                async with asyncio.timeout(GOODBYE_S):
                    await self.link.publish([self._status_message("offline")])

    async def _sync(self) -> None:
        """Read our own retained `open/+`, empty what is no longer open, republish what is."""
        self._retained.clear()
        self._synced.clear()
        inbound = [self._topics.request, *([self._topics.command_filter] if self._listens else [])]
        own = (self._topics.open_filter, self._topics.status)
        refused = await self.link.subscribe(*inbound, *own)
        await self.link.publish([self._status_message("online")])
        if not set(own) & set(refused):
            with suppress(TimeoutError):  # what came until then is what there is
                async with asyncio.timeout(SYNC_S):
                    await self._synced.wait()  # our own status came back: what was retained came before it
            await self.link.unsubscribe(*own)
        if refused:
            _log.warning("sink %s: the broker lets us not subscribe to %s", self.name, ", ".join(refused))
        try:
            await self._chains.learn()
            open_now = [alert for alert in await self._history.open_alerts() if not alert.shadow]
        except TransientError as error:
            _log.warning("sink %s: %s; retained alerts stay as they are", self.name, error)
            return
        gone = self._retained - {alert.id for alert in open_now}
        empty = [Outgoing(self._topics.open(alert_id), b"", retain=True) for alert_id in sorted(gone)]
        await self.link.publish([*empty, *(self._state_of(alert) for alert in open_now)])

    async def _receive(self, message: Incoming) -> None:
        """One message from the broker."""
        if (opened := self._topics.opened(message.topic)) is not None:
            if message.retain and message.payload:
                self._retained.add(opened)
        elif message.topic == self._topics.status:
            if not message.retain:
                self._synced.set()
        elif (target := self._topics.commanded(message.topic)) is not None:
            command = self.inbox.command(target, message)
            if isinstance(command, Command):
                await self._command(command)
            elif command is not None:
                await self.link.publish([command])
        elif message.topic == self._topics.request:
            try:
                async with self._keeping:
                    answers = await self.inbox.answer(message)
            except TransientError as error:
                _log.warning("sink %s: a request cannot be answered: %s", self.name, error)
                return
            await self.link.publish(answers)

    def _status_message(self, status: str) -> Outgoing:
        more = self._status() if status == "online" else {}
        # Identity last: to the page the gateway's own `status` is that of its alerts (actual), here it is on or off.
        body = {**more, **self._identity(), "status": status, "published": self._now()}
        return Outgoing(self._topics.status, msgspec.json.encode(body), retain=True)

    def _identity(self) -> dict[str, object]:
        return {"schema": 1, "gateway": self._gateway}

    def _now(self) -> str:
        return stamp(self._clock.now_ns(), self._zone)


class MqttReplies:
    """The requests stream: replies to the commands that came in on the same connection; others are not for here."""

    stream: Stream = "requests"

    def __init__(self, alerts: MqttAlerts, clock: Clock) -> None:
        self.name = alerts.name
        self._alerts = alerts
        self._clock = clock

    async def deliver(self, rows: Sequence[Row]) -> Sequence[Rejected]:
        """Publish the replies that have not expired."""
        replies: list[Outgoing] = []
        rejected: list[Rejected] = []
        for row in rows:
            try:
                request = _REQUEST.decode(row.body)
            except msgspec.MsgspecError as error:
                rejected.append(Rejected(row, row.body, f"no request row: {error}"))
                continue
            if request.kind != "reply" or request.expires_ns <= self._clock.now_ns():
                continue
            if (reply := self._alerts.inbox.reply(request.target, request.body)) is not None:
                replies.append(reply)
        if replies:
            await self._alerts.link.wait_ready()
            await self._alerts.link.publish(replies)
        return rejected

    async def aclose(self) -> None:
        """Nothing of its own to close."""
