"""Where `watch` hears of alerts and sends commands: one gateway's local socket, or a broker with any number of them."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple, Protocol
from urllib.parse import unquote, urlsplit

import aiomqtt
import msgspec
from aiomqtt.exceptions import MqttConnectError

from gateway.config.findings import redacted
from gateway.console.alert import Alert, from_json
from gateway.errors import LoginRefused, RefusedError, Unreachable
from gateway.sources import local_client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from gateway.events import Command

REPLY_S = 10.0
QUIET_S = 0.5  # a broker sends what it retains at once: half a second without more is the end of it
NOT_ALLOWED = {4, 5, 134, 135}  # MQTT 3.1.1 and 5: bad user name or password, not authorized
ROOT = "zhiwang/v1"


class Heard(NamedTuple):
    """An alert as it came, and as it reads. `alert` None: the one with `id` is no longer open."""

    id: str
    alert: Alert | None
    body: dict[str, object]
    change: bool


class Feed(Protocol):
    """A place to follow alerts at.

    `follow` tells what is open, then None, then each change, and ends by raising Unreachable. `command` asks for the
    alert where the place needs to know more than its id.
    """

    def follow(self) -> AsyncIterator[Heard | None]:
        """What is open, None, then each change."""
        ...

    async def command(self, command: Command, alert: Alert | None) -> dict[str, object]:
        """Send it and return the reply."""
        ...


class LocalFeed:
    """The running gateway of a configuration, by `<state>/zhiwang.sock`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def follow(self) -> AsyncIterator[Heard | None]:
        """As Feed. Raises Unreachable where no gateway runs or it ended."""
        async for answer in local_client.follow(self._path):
            opened = answer.get("open")
            for body in opened if isinstance(opened, list) else [answer.get("alert")]:
                if isinstance(body, dict) and (alert := from_json(body)):
                    yield Heard(alert.id, alert, body, change="alert" in answer)
            if "open" in answer:
                yield None

    async def command(self, command: Command, alert: Alert | None) -> dict[str, object]:
        """As Feed. Raises Unreachable, or RefusedError with the gateway's words."""
        asked = {
            "id": command.id,
            "target": alert.id if alert else command.target,
            "verb": command.verb,
            "who": command.who or None,
            "note": command.note,
            "if_seq": command.if_seq,
            "until_ns": command.until_ns,
        }
        reply = (await local_client.ask(self._path, {"command": asked})).get("reply")
        if not isinstance(reply, dict):
            raise RefusedError("the gateway gave no reply")
        return reply


async def _within(messages: AsyncIterator[aiomqtt.Message], seconds: float) -> aiomqtt.Message | None:
    """The next message, or None where none comes in time."""
    try:
        async with asyncio.timeout(seconds):
            return await anext(messages)
    except TimeoutError:
        return None


class Login(NamedTuple):
    """A broker's address and how to get in. `ca`: a file of certificates, else the system's."""

    host: str
    port: int
    user: str | None
    password: str | None
    tls: bool
    ca: str | None

    @classmethod
    def parse(cls, url: str, password: str | None, ca: str | None) -> Login:
        """`mqtt://user@host:1883` or `mqtts://…`. Raises RefusedError."""
        parts = urlsplit(url)
        if parts.scheme not in {"mqtt", "mqtts"} or not parts.hostname:
            raise RefusedError(
                f"found {redacted(url)!r}; expected mqtt://host, mqtts://host:port or a configuration's file"
            )
        tls = parts.scheme == "mqtts"
        given = unquote(parts.password) if parts.password else password
        user = unquote(parts.username) if parts.username else None
        return cls(parts.hostname, parts.port or (8883 if tls else 1883), user, given, tls, ca)


class BrokerFeed:
    """Every gateway that publishes on a broker: retained `open/+`, then the changes; commands by their topics."""

    def __init__(self, login: Login, identifier: str) -> None:
        self._login = login
        self._identifier = identifier
        self._client: aiomqtt.Client | None = None
        self._replies: dict[str, asyncio.Future[dict[str, object]]] = {}
        self._retained: dict[str, str] = {}  # an open topic → the alert it holds

    async def follow(self) -> AsyncIterator[Heard | None]:
        """What is open, then each change. Raises Unreachable, LoginRefused."""
        login = self._login
        try:
            async with aiomqtt.Client(
                login.host,
                login.port,
                username=login.user,
                password=login.password,
                identifier=self._identifier,
                protocol=aiomqtt.ProtocolVersion.V5,
                tls_context=ssl.create_default_context(cafile=login.ca) if login.tls else None,
                timeout=10,
                max_queued_incoming_messages=100_000,
            ) as client:
                self._client = client
                wanted = ("open/+", "alert/#", "command/+/reply")
                await client.subscribe([(f"{ROOT}/+/+/{topic}", 1) for topic in wanted])
                messages = aiter(client.messages)
                while message := await _within(messages, QUIET_S):
                    if heard := self._heard(message):
                        yield heard
                yield None
                async for message in messages:
                    if heard := self._heard(message):
                        yield heard
        except MqttConnectError as error:
            refused = getattr(error.rc, "value", error.rc) in NOT_ALLOWED
            raise (LoginRefused if refused else Unreachable)(
                f"{login.host}:{login.port} refused us: {error}"
            ) from error
        except (aiomqtt.MqttError, OSError) as error:
            raise Unreachable(f"{login.host}:{login.port}: {error}") from error
        finally:
            self._client = None

    async def command(self, command: Command, alert: Alert | None) -> dict[str, object]:
        """Publish it on the alert's command topic and wait for the reply there. Raises RefusedError, Unreachable."""
        if alert is None:
            raise RefusedError(
                f"no open alert has the id or code {command.target}; of one that has closed ask its own gateway: "
                "zhiwang watch CONFIG there, or command/<alert id>"
            )
        if self._client is None:
            raise Unreachable("the broker is away")
        topic = f"{ROOT}/{alert.community or '_'}/{alert.gateway}/command/{alert.id}"
        asked = {
            "id": command.id,
            "verb": command.verb,
            "who": command.who,
            "note": command.note,
            "if_seq": command.if_seq,
            "until": None if command.until_ns is None else datetime.fromtimestamp(command.until_ns / 1e9, UTC),
        }
        reply: asyncio.Future[dict[str, object]] = asyncio.get_running_loop().create_future()
        self._replies[command.id] = reply
        try:
            await self._client.publish(topic, msgspec.json.encode(asked), qos=1)
            async with asyncio.timeout(REPLY_S):
                return await reply
        except aiomqtt.MqttError as error:
            raise Unreachable(f"{self._login.host}: {error}") from error
        except TimeoutError as error:
            raise RefusedError(
                f"no reply in {REPLY_S:.0f} s: does {alert.gateway} list {command.who!r} under commands.mqtt?"
            ) from error
        finally:
            del self._replies[command.id]

    def _heard(self, message: aiomqtt.Message) -> Heard | None:
        topic, payload = str(message.topic), message.payload
        what = topic.split("/")[4]
        if not payload:
            gone = self._retained.pop(topic, "")
            return Heard(gone, None, {}, change=False) if gone else None
        try:
            body = msgspec.json.decode(payload, type=dict[str, object])
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None  # somebody else's message on our topics
        if what == "command":
            waiting = self._replies.get(str(body.get("id")))
            if waiting and not waiting.done():
                waiting.set_result(body)
            return None
        alert = from_json(body)
        if alert is None:
            return None
        if what == "open":
            self._retained[topic] = alert.id
        return Heard(alert.id, alert, body, change=what == "alert")
