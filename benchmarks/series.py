"""(f) A million known series: memory of each, what a step costs beside a thousand, and how long a restart takes.

    python benchmarks/series.py [SERIES]

Five values of each of SERIES / 5 devices, five rules on every value (25 rules: levels, `for:`, outside, rate, gated),
one reading in 500 beyond a line. In one process, over the real core: resident memory grown while the core met them,
three messages of each device; then cuts of 200 messages of as many devices, of all that are known and of a core that
knows 200 (1,000 series), in turns; then what a restart does: the snapshot and the changes after it into a fresh core.
A tenth as many with a sixth rule, over a window, for comparison. At last a gateway as a process meets them over MQTT,
is killed, and started again.
"""

from __future__ import annotations

import gc
import os
import socket
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from parts.air import SENSOR, payload
from publisher import CONNECT, message, packet
from stage import Mosquitto, Row, folder, gateway, main, memory_mb, numbers, running, server, until

from gateway.app.plan import make_plan
from gateway.config.load import loads
from gateway.core.core import Core
from gateway.events import Configured, Cut, Health, Message, Restart, Tick
from gateway.registry import registry

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.events import Input

S = 10**9
T0 = 1_780_000_000 * S
(SERIES,) = numbers(__doc__, 1_000_000)
FEW = 1_000
CUT, TURNS = 200, 60
TIMES = 3
GIVEN_S = 180
BYTES, STEPS, RESTART_S = 400, 2.0, 10.0
FIELDS = {"pm25": 140, "pm10": 190, "rh": 80, "temp": 40, "noise": 80}
HEAD = """
gateway: bench
brokers: {here: {url: "BROKER"}}
sensors:
  air: {SENSOR, every: 60 s, series: 2000000, max_late: 9 d, allowed_lateness: 9 d}
rules:
""".replace("SENSOR", SENSOR)
RULES = """
  VALUE-1: {threshold: air.VALUE, levels: {blue: LINE, yellow: HIGH}, clear_by: 2}
  VALUE-2: {threshold: air.VALUE, levels: {yellow: LINE}, for: 5 min}
  VALUE-3: {threshold: air.VALUE, outside: {yellow: [0, HIGH]}, clear_by: 1, for: 2 min}
  VALUE-4: {rate: air.VALUE, levels: {yellow: 900 u/min}}
  VALUE-5: {threshold: air.VALUE, levels: {orange: LINE}, unless: air.rh > 95}
"""
WINDOW = "  VALUE-6: {threshold: air.VALUE, over: mean 10 min, levels: {yellow: HIGH}}\n"
TAIL = "sinks: {alerts: {mqtt: here}}\n"


def _text(window: bool = False, broker: str = "mqtt://127.0.0.1:1883") -> str:
    rules = RULES + (WINDOW if window else "")
    filled = (
        rules.replace("VALUE", v).replace("LINE", str(x)).replace("HIGH", str(x + 200)) for v, x in FIELDS.items()
    )
    return HEAD.replace("BROKER", broker) + "".join(filled) + TAIL


class Fed:
    """A core, and where its inputs are."""

    def __init__(self, window: bool = False) -> None:
        self._plan = make_plan(loads(_text(window), Path("/"), registry()), registry(), {})
        self.core = self.fresh()
        self.n, self.deltas = 4, list[bytes]()
        first: list[Input] = [Restart("", "e", 1), Configured("", ""), Health("source/here", "connected", ok=True)]
        self.core.step(Cut(1, first, np.full(3, T0), np.zeros(3, np.int64)))

    def fresh(self) -> Core:
        """A core that knows nothing."""
        return Core(self._plan, registry().rules)

    def step(self, inputs: list[Input], at_s: float) -> float:
        """Step them as one cut; seconds of CPU."""
        at_ns = np.full(len(inputs), T0 + round(at_s * S))
        cut = Cut(self.n, inputs, at_ns, at_ns - T0)
        began = time.thread_time()
        stepped = self.core.step(cut)
        took = time.thread_time() - began
        self.n += len(inputs)
        self.deltas.append(stepped.delta)
        return took


def _messages(devices: Iterable[int], turn: int) -> list[Input]:
    """One message of each."""
    made: list[Input] = []
    for device in devices:
        i = device * 7 + turn
        body = payload(i, T0 // 10**6 + turn * 60_000, leap=i % 500 == 0)
        made.append(Message("here", f"air/{device:06}/up", body))
    return made


def _met(fed: Fed, devices: int) -> None:
    """Let it meet so many devices."""
    for turn in range(TIMES):
        for first in range(0, devices, 2_000):
            fed.step(_messages(range(first, min(devices, first + 2_000)), turn), turn * 60.0)
            fed.deltas.clear()


def _grown(devices: int, window: bool) -> tuple[Fed, float]:
    """A core that has met so many devices, and the bytes of resident memory that it took, by series."""
    fed = Fed(window)
    _met(fed, 200)
    gc.collect()
    before = memory_mb(os.getpid())
    _met(fed, devices)
    gc.collect()
    return fed, (memory_mb(os.getpid()) - before) * 1024**2 / (devices * len(FIELDS))


def _steps(many: Fed, few: Fed, devices: int) -> tuple[float, float]:
    """CPU microseconds a reading, medians in turns: of all that are known, and of those few."""
    rng = np.random.default_rng(1)
    took: tuple[list[float], list[float]] = ([], [])
    many.deltas.clear()
    for turn in range(TIMES, TIMES + TURNS):
        chosen = rng.choice(devices, CUT, replace=False).tolist()
        for place, (fed, of) in enumerate(((many, chosen), (few, rng.permutation(CUT).tolist()))):
            took[place].append(fed.step(_messages(of, turn), turn * 60.0) / (CUT * len(FIELDS)) * 1e6)
    return statistics.median(took[0]), statistics.median(took[1])


def _tick(fed: Fed) -> float:
    """CPU milliseconds of a tick, while nothing is silent."""
    at_s = (TIMES - 1) * 60.0 + 1
    return statistics.median(fed.step([Tick()], at_s + second) for second in range(5)) * 1000


def _restored(fed: Fed, snapshot: bytes) -> float:
    """Seconds a fresh core takes for the snapshot and the deltas after it."""
    core = fed.fresh()
    began = time.monotonic()
    core.restore(snapshot, fed.deltas)
    return time.monotonic() - began


def _core_rows() -> list[Row]:
    devices = SERIES // len(FIELDS)
    many, each = _grown(devices, window=False)
    few = Fed()
    _met(few, FEW // len(FIELDS))
    began = time.monotonic()
    snapshot = many.core.snapshot()
    wrote = time.monotonic() - began
    tick = _tick(many)
    one, other = _steps(many, few, devices)
    restored = _restored(many, snapshot)
    detail = f"{len(snapshot) / 1e6:.0f} MB in {wrote:.1f} s, and {len(many.deltas)} deltas"
    cost = f"{one:.2f} and {other:.2f} us; a tick {tick:.1f} ms"
    return [
        Row("memory of a series, 5 rules", f"{each:.0f} B", f"at most {BYTES} B", each <= BYTES),
        Row(
            f"a reading's step ÷ with {FEW:,} series",
            f"{one / other:.2f}",
            f"at most {STEPS:g}; {cost}",
            one <= STEPS * other,
        ),
        Row("the core's restore", f"{restored:.1f} s", f"snapshot of {detail}"),
    ]


def _publish(port: int, first: int, devices: int, turn: int) -> None:
    """A message of each device over MQTT, at QoS 1."""
    begin = time.time_ns() // 10**6 + turn * 1000
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(packet(0x10, CONNECT))
        assert sock.recv(4)[:1] == b"\x20"
        sock.settimeout(60)
        for start in range(first, first + devices, 400):
            wave = range(start, min(first + devices, start + 400))
            sock.sendall(b"".join(message(i, begin, "air", devices=10**6) for i in wave))
            left = 4 * len(wave)
            while left:
                left -= len(sock.recv(left))


def _process_rows() -> list[Row]:
    devices = SERIES // len(FIELDS)
    with folder() as at, ExitStack() as stack:
        broker = server(Mosquitto, at / "broker")
        stack.enter_context(running(broker))
        one = stack.enter_context(gateway(at / "gateway", _text(broker=broker.url)))
        empty = memory_mb(one.pid)
        for turn in range(2):
            _publish(broker.port, 0, devices, turn)
            wanted = (turn + 1) * SERIES
            until(
                lambda wanted=wanted: one.metric("zhiwang_core_readings_total") >= wanted or time.sleep(0.5), 300, "all"
            )
        until(lambda: one.metric("zhiwang_source_unacknowledged") == 0 or time.sleep(0.2), 60, "acknowledgements")
        grown = memory_mb(one.pid)
        one.kill()
        began = time.monotonic()
        one.start(ready=False)
        while not one.ready() and time.monotonic() - began < GIVEN_S:
            time.sleep(0.1)
        took = time.monotonic() - began
        size = sum(path.stat().st_size for path in (at / "gateway" / "state").glob("outbox.sqlite*")) / 1e6
        words = f"at most {RESTART_S:g} s; outbox {size:.0f} MB; {empty:.0f} MB resident before, {grown:.0f} after"
        again = memory_mb(one.pid)
        measured = f"{took:.1f} s" if one.ready() else f"not within {GIVEN_S} s"
        return [Row("kill -9 to ready again", measured, f"{words}, {again:.0f} again", took <= RESTART_S)]


def measure() -> list[Row]:
    """All of it."""
    rows = _core_rows()
    command = [
        sys.executable,
        __file__,
        str(SERIES // 10),
        "window",
    ]  # apart: what this process freed, it would take again
    each = float(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    rows.append(Row("memory of a series, a sixth rule over a window", f"{each:.0f} B", f"{SERIES // 10:,} series"))
    return rows + _process_rows()


if __name__ == "__main__" and sys.argv[2:] == ["window"]:
    print(_grown(SERIES // len(FIELDS), window=True)[1])
elif __name__ == "__main__":
    main(f"(f) {SERIES:,} known series", measure)
