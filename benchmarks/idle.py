"""(e) What a quiet corner costs: CPU, memory, bytes written a day and fsyncs a minute, at 10 readings a second.

    python benchmarks/idle.py [SECONDS]

100 devices send a reading every 10 s each, a message each: the dearest way to have 10 a second. Three gateways hear the
same stream: one stores series only, one has two rules on every series as well, and one also the page with its history,
and the recording.
Resident memory is taken after SETTLE_S of that. Then they take 70,000 messages at once, so that nothing is new and
every packet id has its redelivery mark (what memory is afterwards is printed beside it).

Counted over SECONDS: the process's CPU; what the kernel had to write for it (write_bytes in /proc/PID/io), what moving
the journals into the files then takes (done here by this process after that time, so that it is in it) and, by its size
and how often it is due, the snapshot of the state with the marks. Then, over as long again, strace counts its fsyncs
and fdatasyncs (apart, for it slows what it watches).
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import time
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, NamedTuple

from stage import (
    Influx,
    Mosquitto,
    Row,
    cpu_s,
    folder,
    gateway,
    main,
    memory_mb,
    numbers,
    publish,
    running,
    server,
    until,
    written_bytes,
)

from gateway.door.stepper import DELTAS_AT_MOST

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from stage import Gateway

(SECONDS,) = numbers(__doc__, 60)
WARM_UP_S = 12  # every device has sent once
SETTLE_S = 30
RATE = 10
BEFORE = 70_000  # more than there are packet ids
CPU, MEMORY_MB, WRITTEN_GB, SYNCS = 0.01, 70, 2.0, 70
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
UNRECORDED = "recording: off\n"
TEXTS = {"bare": CONFIG + UNRECORDED, "rules": CONFIG + RULES + UNRECORDED, "page": CONFIG + RULES + PAGE}
NAMES = {"bare": "series only", "rules": "two rules a series", "page": "and page and recording"}


class So(NamedTuple):
    """A gateway's counters so far: its cuts say how often a snapshot is due."""

    at_s: float
    cpu_s: float
    written: int
    cuts: float
    readings: float


def _so(one: Gateway) -> So:
    cuts, readings = one.metric("zhiwang_door_cuts_total"), one.metric("zhiwang_core_readings_total")
    return So(time.monotonic(), cpu_s(one.pid), written_bytes(one.pid), cuts, readings)


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


def _syncs(at: Path, gateways: Sequence[Gateway]) -> list[float] | str:
    """Fsyncs and fdatasyncs a minute of each, or why they cannot be counted."""
    if shutil.which("strace") is None:
        return "strace is not installed (apt-get install strace)"
    files = [at / f"strace-{number}" for number in range(len(gateways))]
    command = ("strace", "-f", "-q", "-c", "-e", "trace=fsync,fdatasync,sync_file_range,msync")
    traces = [
        subprocess.Popen([*command, "-o", str(file), "-p", str(one.pid)], stderr=subprocess.DEVNULL)
        for file, one in zip(files, gateways, strict=True)
    ]
    began = time.monotonic()
    time.sleep(SECONDS)
    seconds = time.monotonic() - began
    for trace in traces:
        if trace.poll() is not None:
            return "strace may not watch a process here"
        trace.send_signal(signal.SIGINT)
        trace.wait(30)
    counts = [re.findall(r"^ *[\d.]+ +[\d.]+ +\d+ +(\d+) .*sync", file.read_text(), re.MULTILINE) for file in files]
    return [sum(map(int, count)) * 60 / seconds for count in counts]


def _rows(
    name: str, was: So, now: So, parts: Sequence[float], memory: tuple[float, float], syncs: float | str
) -> list[Row]:
    """Four figures of one gateway. parts: bytes of transactions, of moving them into the files, of snapshots."""
    seconds, held = now.at_s - was.at_s, name != "page"
    days = [part / seconds * 86_400 / 1e9 for part in parts]
    busy, gigabytes = (now.cpu_s - was.cpu_s) / seconds, sum(days)
    rate = (now.readings - was.readings) / seconds

    def row(what: str, measured: str, wanted: str, more: str, met: bool) -> Row:
        words = "; ".join(part for part in (wanted if held else "", more) if part)
        return Row(f"{NAMES[name]}: {what}", measured, words, met if held else None)

    detail = f"transactions {days[0]:.2f}, moved {days[1]:.2f}, snapshots {days[2]:.2f}"
    rows = [
        row("CPU", f"{busy:.2%} of a core", f"less than {CPU:.0%}", f"{rate:.1f} readings/s", busy < CPU),
        row(
            "resident memory",
            f"{memory[0]:.0f} MB",
            f"at most {MEMORY_MB} MB",
            f"{memory[1]:.0f} MB after {BEFORE:,} messages at once",
            memory[0] <= MEMORY_MB,
        ),
        row("written a day", f"{gigabytes:.2f} GB", f"at most {WRITTEN_GB:g} GB", detail, gigabytes <= WRITTEN_GB),
    ]
    if isinstance(syncs, str):
        return [*rows, Row(f"{NAMES[name]}: fsyncs a minute", f"not measured: {syncs}", f"at most {SYNCS}")]
    return [*rows, row("fsyncs a minute", f"{syncs:.0f}", f"at most {SYNCS}", "", syncs <= SYNCS)]


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
    assert publish(broker.port, RATE * SETTLE_S, rate=RATE).wait(SETTLE_S + 30) == 0
    settled = [memory_mb(one.pid) for one in gateways]
    assert publish(broker.port, BEFORE, rate=5_000).wait(60) == 0
    until(
        lambda: all(one.metric("zhiwang_core_readings_total") == BEFORE + RATE * SETTLE_S for one in gateways),
        60,
        "what came before",
    )
    publisher = publish(broker.port, RATE * (WARM_UP_S + 2 * SECONDS + 30), rate=RATE)
    stack.callback(publisher.wait)
    stack.callback(publisher.kill)
    time.sleep(WARM_UP_S)
    for one in gateways:
        _checkpoint(one)
    before = [_so(one) for one in gateways]
    time.sleep(SECONDS)
    os.sync()
    after, memory = [_so(one) for one in gateways], [memory_mb(one.pid) for one in gateways]
    moved = [_checkpoint(one) for one in gateways]
    syncs = _syncs(at, gateways)
    rows: list[Row] = []
    for place, (name, one) in enumerate(zip(TEXTS, gateways, strict=True)):
        was, now = before[place], after[place]
        snapshots = _snapshot(one) * (now.cuts - was.cuts) / DELTAS_AT_MOST
        parts = (now.written - was.written, moved[place], snapshots)
        counted = syncs if isinstance(syncs, str) else syncs[place]
        rows += _rows(name, was, now, parts, (settled[place], memory[place]), counted)
    return rows


def measure() -> list[Row]:
    """All of it."""
    with folder() as at, ExitStack() as stack:
        return _measure(at, stack)


if __name__ == "__main__":
    main(f"(e) a quiet corner: {RATE} readings/s, over {SECONDS} s", measure)
