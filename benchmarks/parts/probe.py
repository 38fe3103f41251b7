"""Probes of a running gateway: publish → alert over MQTT, and how long its event loop leaves a request waiting."""

from __future__ import annotations

import http.client
import json
import threading
import time
from typing import TYPE_CHECKING

import paho.mqtt.client as mqtt
from stage import until

if TYPE_CHECKING:
    from collections.abc import Callable


class Prober:
    """A client that publishes readings (QoS 1) and notes when their alerts come: both ways through the broker."""

    def __init__(self, port: int, gateway: str) -> None:
        self.came: dict[str, float] = {}
        self._sent: dict[str, float] = {}
        self._echo = f"echo/{gateway}"
        self._subscribed, self._echoed = threading.Event(), threading.Event()
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=f"prober-{gateway}")
        self._client.on_connect = lambda client, *_: client.subscribe(
            [(f"zhiwang/v1/+/{gateway}/alert/#", 1), (self._echo, 1)]
        )
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._on_message
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert self._subscribed.wait(10)

    def _on_message(self, _client: mqtt.Client, _userdata: object, message: mqtt.MQTTMessage) -> None:
        at = time.perf_counter()
        if message.topic == self._echo:
            self._echoed.set()
            return
        alert = json.loads(message.payload)
        if alert["change"] == "raised":
            self.came.setdefault(alert["subject"], at)

    def send(self, topic: str, reading: dict[str, float], subject: str = "") -> None:
        """Publish one reading; with a subject, its alert is expected and timed."""
        if subject:
            self._sent[subject] = time.perf_counter()
        self._client.publish(topic, json.dumps(reading), qos=1)

    def echo(self) -> None:
        """Publish (QoS 1) what this client hears itself, and wait for it."""
        self._echoed.clear()
        self._client.publish(self._echo, b"1", qos=1)
        assert self._echoed.wait(30)

    def took_ms(self) -> list[float]:
        """How long each alert took that was expected, sorted, once all have come; the next begin anew."""
        sent, self._sent = self._sent, {}
        until(lambda: sent.keys() <= self.came.keys(), 60, "every alert")
        return sorted((self.came[subject] - at) * 1000 for subject, at in sent.items())

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()


def answers_ms(port: int, ended: Callable[[], bool], pause_s: float = 0.02) -> list[float]:
    """How long /healthz takes on a connection kept open, until `ended`, sorted: the loop's lag and the answer."""
    took: list[float] = []
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    while not ended():
        began = time.perf_counter()
        connection.request("GET", "/healthz")
        connection.getresponse().read()
        took.append((time.perf_counter() - began) * 1000)
        time.sleep(pause_s)
    connection.close()
    return sorted(took)
