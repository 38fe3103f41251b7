"""(e) What is written to the disk a day at 10 readings a second.

python benchmarks/disk.py [SECONDS]

100 devices send a reading every 10 s each, a message each: the dearest way to have 10 a second. Three gateways hear the
same stream: one stores series only, one has two rules on every series as well, and one also keeps the page's history.
They have taken 70,000 messages before, so that nothing is new and every packet id has its redelivery mark.

Counted over a minute, times 1,440: what the kernel had to write for the gateway's process (write_bytes in
/proc/PID/io), what moving the journals into the files then takes (done here by this process after that minute, so that
it is in it), and, by its size and how often it is due, the snapshot of the state with the marks.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import time
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, NamedTuple

from stage import Influx, Mosquitto, Row, folder, gateway, main, publish, running, server, until, written_bytes

from gateway.door.stepper import DELTAS_AT_MOST

if TYPE_CHECKING:
    from pathlib import Path

    from stage import Gateway

SECONDS = int(sys.argv[1]) if len(sys.argv) > 1 else 60
WARM_UP_S = 12  # every device has sent once
RATE = 10
BEFORE = 70_000  # more than there are packet ids
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
NAMES = ("series only", "and two rules a series", "and the page")
TEXTS = {"bare": CONFIG, "rules": CONFIG + RULES, "page": CONFIG + RULES + PAGE}


class Written(NamedTuple):
    """What a gateway has written so far; its cuts, which say how often a snapshot is due; readings taken."""

    own: int
    cuts: float
    readings: float


def _written(one: Gateway) -> Written:
    cuts, readings = one.metric("zhiwang_door_cuts_total"), one.metric("zhiwang_core_readings_total")
    return Written(written_bytes(one.pid), cuts, readings)


def _checkpoint(one: Gateway) -> int:
    """Move the journals into the files, as SQLite does now and then; what that wrote."""
    before = written_bytes(os.getpid())
    for path in (one.folder / "state").glob("*.sqlite"):
        with closing(sqlite3.connect(path, timeout=30)) as connection:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    os.sync()
    return written_bytes(os.getpid()) - before


def _snapshot(one: Gateway) -> int:
    """The size of a snapshot, which it stores when it ends, twice: it goes through the journal."""
    assert one.stop() == 0
    path = one.folder / "state" / "outbox.sqlite"
    with closing(sqlite3.connect(path, timeout=30)) as connection:
        row = connection.execute("SELECT length(state) + length(marks) FROM snapshot ORDER BY id DESC").fetchone()
    return 2 * int(row[0])


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
    assert publish(broker.port, BEFORE).wait(60) == 0
    until(lambda: all(one.metric("zhiwang_core_readings_total") == BEFORE for one in gateways), 60, "what came before")
    publisher = publish(broker.port, RATE * (WARM_UP_S + SECONDS + 5), rate=RATE)
    stack.callback(publisher.wait)
    stack.callback(publisher.kill)
    time.sleep(WARM_UP_S)
    for one in gateways:
        _checkpoint(one)
    before, began = [_written(one) for one in gateways], time.monotonic()
    time.sleep(SECONDS)
    os.sync()
    after, seconds = [_written(one) for one in gateways], time.monotonic() - began
    rows: list[Row] = []
    for what, one, was, now in zip(NAMES, gateways, before, after, strict=True):
        parts = (now.own - was.own, _checkpoint(one), _snapshot(one) * (now.cuts - was.cuts) / DELTAS_AT_MOST)
        days = [part / seconds * 86_400 / 1e9 for part in parts]
        detail = f"transactions {days[0]:.2f}, moved {days[1]:.2f}, snapshots {days[2]:.2f}"
        rate = (now.readings - was.readings) / seconds
        measured, met = f"{sum(days):.2f} GB a day", sum(days) <= WANTED_GB
        rows.append(Row(what, measured, f"at most {WANTED_GB} GB; {detail}; {rate:.1f} readings/s", met))
    return rows


def measure() -> list[Row]:
    """All of it."""
    with folder() as at, ExitStack() as stack:
        return _measure(at, stack)


if __name__ == "__main__":
    main(f"(e) bytes written to the disk a day at {RATE} readings/s, over {SECONDS} s", measure)
