"""(c) How long an alert takes: from publishing a reading over its limit to receiving the alert over MQTT.

python benchmarks/latency.py [PROBES]

A rule `threshold` without `for:`; each probe is a device whose value crosses the limit once. The same client publishes
(QoS 1) and receives, so both ways through the broker are in the figure, and so is the transaction (fsync) that stores
the alert before it leaves. First with nothing else to do, then beside 500 and 5,000 messages of 5 fields a second, all
of which the same kind of rule watches.
"""

from __future__ import annotations

import json
import math
import statistics
import sys
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import paho.mqtt.client as mqtt
from stage import Influx, Mosquitto, Row, cpu_s, folder, gateway, main, publish, running, server, until

if TYPE_CHECKING:
    from pathlib import Path

PROBES = int(sys.argv[1]) if len(sys.argv) > 1 else 150
PAUSE_S = 0.15  # between two probes, and a little more, so that they meet every phase of whatever is periodic
LOADS = (0, 500, 5_000)
CONFIG = """
gateway: bench
brokers: {here: {url: "BROKER"}}
sensors:
  air:
    mqtt: here
    topic: air/{device}/up
    json: {time: ts, pm25: pm25, pm10: pm10, rh: rh, temp: temp, noise: noise}
    every: 10 s
  probe:
    mqtt: here
    topic: probe/{device}/up
    json: {value: v}
rules:
  dust: {threshold: air.pm25, levels: {yellow: 5000}}
  limit: {threshold: probe.value, levels: {orange: 10}}
sinks:
  influx: {v1: "INFLUX", db: bench}
  alerts: {mqtt: here}
"""


class Prober:
    """Publishes probes and notes when their alerts come."""

    def __init__(self, port: int) -> None:
        self.came: dict[str, float] = {}
        self._subscribed = threading.Event()
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="prober")
        self._client.on_connect = lambda client, *_: client.subscribe("zhiwang/v1/+/bench/alert/#", qos=1)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._on_message
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert self._subscribed.wait(10)

    def _on_message(self, _client: mqtt.Client, _userdata: object, message: mqtt.MQTTMessage) -> None:
        at = time.perf_counter()
        alert = json.loads(message.payload)
        if alert["change"] == "raised":
            self.came.setdefault(alert["subject"], at)

    def send(self, device: str, value: float) -> float:
        """Publish one reading; when."""
        at = time.perf_counter()
        self._client.publish(f"probe/{device}/up", json.dumps({"v": value}), qos=1)
        return at

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()


def _probe(prober: Prober, label: int) -> list[float]:
    """The latencies in ms of one series of probes, sorted."""
    names = [f"{label}-{number:04}" for number in range(PROBES)]
    for name in names:
        prober.send(name, 1.0)  # the gateway knows the device
    time.sleep(2.0)
    sent: dict[str, float] = {}
    for number, name in enumerate(names):
        sent[f"probe.value{{device={name}}}"] = prober.send(name, 20.0)
        time.sleep(PAUSE_S + number % 10 * 0.0037)
    until(lambda: sent.keys() <= prober.came.keys(), 30, "every alert")
    return sorted((prober.came[subject] - at) * 1000 for subject, at in sent.items())


def _measure(at: Path, stack: ExitStack) -> list[Row]:
    broker, influx = server(Mosquitto, at / "broker"), server(Influx, at / "influx")
    stack.enter_context(running(broker, influx))
    influx.database("bench")
    ours = stack.enter_context(
        gateway(at / "gateway", CONFIG.replace("BROKER", broker.url).replace("INFLUX", influx.url))
    )
    prober = Prober(broker.port)
    stack.callback(prober.close)
    rows: list[Row] = []
    for load in LOADS:
        seconds = PROBES * (PAUSE_S + 0.017) + 3
        publisher = publish(broker.port, round(load * (seconds + 2)), rate=load) if load else None
        before, began = cpu_s(ours.pid), time.monotonic()
        ms = _probe(prober, load)
        busy = (cpu_s(ours.pid) - before) / (time.monotonic() - began)
        if publisher is not None:
            assert publisher.wait(60) == 0
        p99 = ms[math.ceil(len(ms) * 0.99) - 1]
        measured = f"p50 {statistics.median(ms):.1f} ms  p99 {p99:.1f} ms  most {ms[-1]:.1f} ms"
        what = f"beside {load:,} messages/s" if load else "nothing else to do"
        rows.append(Row(what, measured, f"no figure is wanted; {len(ms)} alerts, gateway at {busy:.0%} of a core"))
    return rows


def measure() -> list[Row]:
    """All of it."""
    with folder() as at, ExitStack() as stack:
        return _measure(at, stack)


if __name__ == "__main__":
    main("(c) from publish to alert", measure)
