"""(c) How long an alert takes: from publishing a reading over its limit to receiving the alert over MQTT.

    python benchmarks/latency.py [PAIRS]

A rule `threshold` without `for:`; each probe is a device whose value crosses the limit once. The same client publishes
(QoS 1) and receives, so both ways through the broker are in the figure, and so is the transaction (fsync) that stores
the alert before it leaves. Beside it, in turns of PROBES each, the floor: the same client publishes to a topic that it
hears itself, and then appends as many bytes to a file on the gateway's disk and fsyncs it. A pair is a turn of each,
beside the same stream of messages of 5 fields, all of which the same kind of rule watches; ratios are medians of pairs.
"""

from __future__ import annotations

import os
import statistics
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from parts.air import SENSOR
from parts.probe import Prober
from stage import Influx, Mosquitto, Row, cpu_s, folder, gateway, main, numbers, percentile, publish, running, server

if TYPE_CHECKING:
    from pathlib import Path

(PAIRS,) = numbers(__doc__, 12)
PROBES = 100
PAUSE_S = 0.04  # between two probes, and a little more, so that they meet every phase of whatever is periodic
LOADS = {0: 2, 1_000: 2, 10_000: PAIRS}  # messages a second: pairs
WANTED = 3.0
CONFIG = """
gateway: bench
brokers: {here: {url: "BROKER"}}
sensors:
  air: {SENSOR, every: 10 s}
  probe:
    mqtt: here
    topic: probe/{device}/up
    json: {value: v}
    series: 100000
rules:
  dust: {threshold: air.pm25, levels: {yellow: 5000}}
  limit: {threshold: probe.value, levels: {orange: 10}}
sinks:
  influx: {v1: "INFLUX", db: bench}
  alerts: {mqtt: here}
""".replace("SENSOR", SENSOR)


class Pair(NamedTuple):
    """Milliseconds of the alerts and of the floor, sorted."""

    alerts: list[float]
    floor: list[float]

    def ratio(self, share: float) -> float:
        """Of this percentile."""
        return percentile(self.alerts, share) / percentile(self.floor, share)


def _alerts(prober: Prober, label: str) -> list[float]:
    names = [f"{label}-{number:04}" for number in range(PROBES)]
    for name in names:
        prober.send(f"probe/{name}/up", {"v": 1.0})  # the gateway knows the device
    time.sleep(1.0)
    for number, name in enumerate(names):
        prober.send(f"probe/{name}/up", {"v": 20.0}, f"probe.value{{device={name}}}")
        time.sleep(PAUSE_S + number % 10 * 0.0037)
    return prober.took_ms()


def _floor(prober: Prober, at: Path) -> list[float]:
    took: list[float] = []
    with (at / "floor").open("ab", buffering=0) as file:
        for number in range(PROBES):
            began = time.perf_counter()
            prober.echo()
            file.write(bytes(200))
            os.fsync(file.fileno())
            took.append((time.perf_counter() - began) * 1000)
            time.sleep(PAUSE_S + number % 10 * 0.0037)
    return sorted(took)


def _rows(load: int, pairs: list[Pair], busy: str) -> list[Row]:
    beside = f"beside {load:,}/s" if load else "nothing else to do"
    rows: list[Row] = []
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        ratio = statistics.median(pair.ratio(share) for pair in pairs)
        alert, floor = (
            statistics.median(percentile(turn, share) for turn in turns) for turns in zip(*pairs, strict=True)
        )
        measured = f"{ratio:.1f} floors ({alert:.1f} ms and {floor:.1f} ms)"
        wanted = load == max(LOADS)
        words = f"at most {WANTED:g}; " if wanted else ""
        words += f"{len(pairs)} pairs of {PROBES}, {busy}"
        rows.append(Row(f"{beside}, {name}", measured, words, ratio <= WANTED if wanted else None))
    return rows


def _measure(at: Path, stack: ExitStack) -> list[Row]:
    broker, influx = server(Mosquitto, at / "broker"), server(Influx, at / "influx")
    stack.enter_context(running(broker, influx))
    influx.database("bench")
    text = CONFIG.replace("BROKER", broker.url).replace("INFLUX", influx.url)
    ours = stack.enter_context(gateway(at / "gateway", text))
    prober = Prober(broker.port, "bench")
    stack.callback(prober.close)
    rows: list[Row] = []
    for load, count in LOADS.items():
        stream = publish(broker.port, load * 3600, rate=load) if load else None
        try:
            time.sleep(2.0 if load else 0.0)
            before, began, heard = cpu_s(ours.pid), time.monotonic(), ours.metric("zhiwang_source_messages_total")
            pairs = [Pair(_alerts(prober, f"{load}-{turn}"), _floor(prober, at)) for turn in range(count)]
            seconds = time.monotonic() - began
            busy = (cpu_s(ours.pid) - before) / seconds
            rate = (ours.metric("zhiwang_source_messages_total") - heard) / seconds
            assert stream is None or stream.poll() is None, "the stream ended"
        finally:
            if stream is not None:
                stream.kill()
                stream.wait()
        rows += _rows(load, pairs, f"gateway at {busy:.0%} of a core for {rate:,.0f} messages/s")
    return rows


def measure() -> list[Row]:
    """All of it."""
    with folder() as at, ExitStack() as stack:
        return _measure(at, stack)


if __name__ == "__main__":
    main("(c) from publish to alert, beside publish to subscriber and one fsync", measure)
