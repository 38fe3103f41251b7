"""Who talks to a gateway here: an ops centre that keeps every message it hears, and a publisher of readings."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import paho.mqtt.client as mqtt

from tests.servers.gateway import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from tests.servers.mosquitto import Mosquitto

Json = dict[str, Any]


class Heard(NamedTuple):
    """A message as it came; `body` is {} where it was empty."""

    topic: str
    body: Json
    retain: bool


class Peer:
    """A connection to a broker, kept up by paho's own thread; `heard` is everything it was sent, in order."""

    def __init__(self, broker: Mosquitto, name: str, *filters: str) -> None:
        self.heard: list[Heard] = []
        self._filters = filters
        self._subscribed = threading.Event()
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=name, protocol=mqtt.MQTTv5)
        self.client.max_queued_messages_set(0)
        self.client.max_inflight_messages_set(2000)
        self.client.reconnect_delay_set(1, 1)
        self.client.on_connect = self._connected
        self.client.on_subscribe = lambda *_: self._subscribed.set()
        self.client.on_message = self._came
        self._broker = broker

    def __enter__(self) -> Self:
        self.client.connect(self._broker.host, self._broker.port)
        self.client.loop_start()
        if self._filters:
            assert self._subscribed.wait(10)
        else:
            until(self.client.is_connected, 10)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def _connected(self, *_: object) -> None:
        if self._filters:
            self.client.subscribe([(topic, mqtt.SubscribeOptions(qos=1)) for topic in self._filters])

    def _came(self, _client: object, _userdata: object, message: mqtt.MQTTMessage) -> None:
        self.heard.append(Heard(message.topic, json.loads(message.payload or b"{}"), message.retain))

    def say(self, topic: str, body: object, qos: int = 1) -> mqtt.MQTTMessageInfo:
        """Publish bytes as they are, text in UTF-8, anything else as JSON."""
        payload = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
        return self.client.publish(topic, payload, qos=qos)

    def wait(self, true: Callable[[Heard], bool], what: str, seconds: float = 30.0) -> Heard:
        """The first message of which `true` holds, waiting for it."""
        return until(lambda: next((one for one in list(self.heard) if true(one)), None), seconds, what)


class Centre(Peer):
    """An ops centre: subscribed to everything below one gateway's topics."""

    def __init__(self, broker: Mosquitto, base: str, name: str = "centre") -> None:
        super().__init__(broker, name, f"{base}/#")
        self.base = base

    def changes(self, rule: str = "") -> list[Heard]:
        """The changes heard so far, in order."""
        mine = [one for one in list(self.heard) if one.topic.startswith(f"{self.base}/alert/")]
        return [one for one in mine if not rule or one.topic.endswith(f"/{rule}")]

    def change(self, rule: str, change: str, seconds: float = 30.0) -> Json:
        """The first such change of a rule, waiting for it."""
        return until(
            lambda: next((one.body for one in self.changes(rule) if one.body["change"] == change), None),
            seconds,
            f"{rule} to be {change}; heard {[(one.topic, one.body.get('change')) for one in self.changes()]}",
        )
