"""(e) What is written to the disk a day at 10 readings a second.

python benchmarks/disk.py [SECONDS]

100 devices send a reading every 10 s each, a message each: the dearest way to have 10 a second. What the kernel had to
write for the gateway's process (write_bytes in /proc/PID/io; sync before and after), checkpoints included, over a
minute, times 1,440. Three gateways hear the same stream: one stores series only, one has two rules on every series as
well, and one also keeps the page's history.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from stage import Influx, Mosquitto, Row, folder, gateway, main, publish, running, server, until, written_bytes

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = int(sys.argv[1]) if len(sys.argv) > 1 else 75
WARM_UP_S = 12  # every device has sent once
RATE = 10
WANTED_GB = 2.5
CONFIG = """
gateway: bench-NAME
brokers: {here: {url: "BROKER"}}
sensors:
  NAME:
    mqtt: here
    topic: air/{device}/up
    json: {time: ts, pm25: pm25}
    every: 10 s
sinks:
  influx: {v1: "INFLUX", db: bench}
  alerts: {mqtt: here}
"""
RULES = """
rules:
  dust: {threshold: NAME.pm25, levels: {yellow: 5000}, for: 30 s}
  smog: {threshold: NAME.pm25, over: mean 10 min, levels: {yellow: 5000}}
"""
PAGE = '\nhttp: {listen: "127.0.0.1:{port}", page: true}\n'
TEXTS = {"bare": CONFIG, "rules": CONFIG + RULES, "page": CONFIG + RULES + PAGE}


def _measure(at: Path, stack: ExitStack) -> list[Row]:
    broker, influx = server(Mosquitto, at / "broker"), server(Influx, at / "influx")
    stack.enter_context(running(broker, influx))
    influx.database("bench")
    gateways = [
        stack.enter_context(
            gateway(at / name, text.replace("NAME", name).replace("BROKER", broker.url).replace("INFLUX", influx.url))
        )
        for name, text in TEXTS.items()
    ]
    publisher = publish(broker.port, RATE * (WARM_UP_S + SECONDS + 3), rate=RATE)
    stack.callback(publisher.wait)
    stack.callback(publisher.kill)
    time.sleep(WARM_UP_S)
    os.sync()
    before, began = [written_bytes(one.pid) for one in gateways], time.monotonic()
    readings = [one.metric("zhiwang_core_readings_total") for one in gateways]
    time.sleep(SECONDS)
    os.sync()
    seconds = time.monotonic() - began
    written = [written_bytes(one.pid) - was for one, was in zip(gateways, before, strict=True)]
    taken = [one.metric("zhiwang_core_readings_total") - was for one, was in zip(gateways, readings, strict=True)]
    until(lambda: all(one.metric("zhiwang_sink_lag_rows") == 0 for one in gateways), 10, "delivery")
    rows: list[Row] = []
    for what, size, count in zip(
        ("series only", "and two rules a series", "and the page"), written, taken, strict=True
    ):
        gb = size / seconds * 86_400 / 1e9
        measured = f"{gb:.2f} GB a day"
        rows.append(Row(what, measured, f"at most {WANTED_GB} GB ({count / seconds:.1f} readings/s)", gb <= WANTED_GB))
    return rows


def measure() -> list[Row]:
    """All of it."""
    with folder() as at, ExitStack() as stack:
        return _measure(at, stack)


if __name__ == "__main__":
    main(f"(e) bytes written to the disk a day at {RATE} readings/s, over {SECONDS} s", measure)
