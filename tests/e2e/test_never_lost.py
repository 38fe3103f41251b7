"""kill -9 at random moments: what the broker was told is taken is in InfluxDB afterwards."""

from __future__ import annotations

import json
import random
import threading
import time
from typing import TYPE_CHECKING

import paho.mqtt.client as mqtt
import pytest

from tests.servers.gateway import Gateway, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers.influx import Influx
    from tests.servers.mosquitto import Mosquitto

CONFIG = """
gateway: killed
brokers: {{here: {{url: "{broker}"}}}}
sensors:
  meter:
    mqtt: here
    topic: meter/{{device}}
    json: {{time: t, value: v}}
sinks:
  influx: {{v1: "{influx}", db: {db}, from: oldest}}
"""


class Publisher(threading.Thread):
    """Publishes `count` distinct values at QoS 1, a device's one after another, at `rate` a second."""

    def __init__(self, port: int, count: int, rate: float, devices: int = 20) -> None:
        super().__init__(daemon=True)
        self._port, self._count, self._rate, self._devices = port, count, rate, devices

    def run(self) -> None:
        """Publish, and wait until the broker has all of it."""
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="publisher", protocol=mqtt.MQTTv5)
        client.max_queued_messages_set(0)
        client.connect("127.0.0.1", self._port)
        client.loop_start()
        begin, base_ms = time.monotonic(), time.time_ns() // 10**6
        last = None
        for i in range(self._count):
            body = json.dumps({"t": base_ms + i // self._devices, "v": i})
            last = client.publish(f"meter/{i % self._devices:03}", body, qos=1)
            ahead = begin + i / self._rate - time.monotonic()
            if ahead > 0.01:
                time.sleep(ahead)
        assert last is not None
        last.wait_for_publish(60)
        client.disconnect()
        client.loop_stop()


def _values(influx: Influx, db: str) -> set[float]:
    rows = influx.query("SELECT value FROM meter", db)
    return {row["value"] for row in rows}  # type: ignore[misc] - numbers all


@pytest.mark.parametrize(
    ("count", "kills", "rate"),
    [
        pytest.param(6000, 5, 480.0, id="short"),
        pytest.param(60_000, 200, 300.0, marks=[pytest.mark.soak, pytest.mark.timeout(1200)], id="full"),
    ],
)
def test_every_message_is_in_influxdb_after_kills_at_random_moments(
    own_mosquitto: Mosquitto, influx: Influx, gateway_of: Callable[[str], Gateway], count: int, kills: int, rate: float
) -> None:
    """Given a stream that lasts as long as the killing, when the last life may go on, nothing is missing."""
    db = influx.database(f"killed{count}")
    gateway = gateway_of(CONFIG.format(broker=own_mosquitto.url, influx=influx.url, db=db))
    gateway.start()
    publisher = Publisher(own_mosquitto.port, count, rate)
    publisher.start()
    chance = random.Random(count)
    for _ in range(kills):
        time.sleep(chance.uniform(0.2, 1.5))
        gateway.kill()
        gateway.start(ready=False)
    publisher.join(240)
    assert not publisher.is_alive()
    until(lambda: len(_values(influx, db)) >= count, 120, f"{count} distinct values")
    assert _values(influx, db) == set(map(float, range(count)))
