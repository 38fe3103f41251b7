"""(a) What a reading costs: the gateway's CPU-seconds per 100,000 QoS 1 messages of 5 fields, beside a script by hand.

    python benchmarks/ingest.py [MESSAGES [ROUNDS]]

Each round publishes once to all subscribers while they are stopped (SIGSTOP), so that the broker queues for each;
then one after another goes on alone until every value can be read back from its server. The order rotates; user and
system time of the process alone, from /proc; medians over the rounds. At the end all hear one stream as it comes, at
LIVE messages a second: then the gateway's price is mostly that of its steps (20 a second) and hardly that of a message.
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from stage import (
    DEVICES,
    FIELDS,
    ROOT,
    Influx,
    Mosquitto,
    Row,
    Victoria,
    cpu_s,
    folder,
    gateway,
    main,
    publish,
    running,
    server,
    until,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MESSAGES = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 3
WARM_UP = 5_000
LIVE, LIVE_S = 2_000, 10
CONFIG = """
gateway: bench-{name}
brokers: {{here: {{url: "{broker}", keepalive: 600 s}}}}
sensors:
  {name}:
    mqtt: here
    topic: air/{{device}}/up
    json: {{time: ts, pm25: pm25, pm10: pm10, rh: rh, temp: temp, noise: noise}}
    every: 10 s
sinks:
  influx: {sink}
"""


class Subject(NamedTuple):
    """A process that is measured; `stored`: how many values of it can be read back, None where it stores none."""

    name: str
    pid: int
    stored: Callable[[], int] | None
    costs: list[float]


def _by_hand(stack: ExitStack, port: int, url: str) -> int:
    command = [sys.executable, str(ROOT / "benchmarks/by_hand.py"), str(port), url]
    process = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE))
    stack.callback(process.kill)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process.pid


def _quiet(pid: int) -> None:
    """Wait until a process that stores nothing has nothing to do."""
    last = -1.0
    while (now := cpu_s(pid)) > last:
        last = now
        time.sleep(0.5)


def _drain(subject: Subject, total: int) -> float:
    """Let a subject work off its queue; the CPU it took."""
    before = cpu_s(subject.pid)
    os.kill(subject.pid, signal.SIGCONT)
    stored = subject.stored
    if stored is None:
        time.sleep(1.0)
        _quiet(subject.pid)
    else:
        until(lambda: stored() >= total * len(FIELDS) or time.sleep(0.3), 90, f"{total} messages of {subject.name}")
        time.sleep(1.5)  # the last acknowledgements
    os.kill(subject.pid, signal.SIGSTOP)
    took = cpu_s(subject.pid) - before
    assert stored is None or stored() == total * len(FIELDS), f"{subject.name} stored {stored()}"
    return took


def _rounds(broker: Mosquitto, subjects: list[Subject]) -> int:
    """Publish and drain, round by round; how many messages there were."""
    total = 0
    for number in range(ROUNDS + 1):
        count = MESSAGES if number else WARM_UP
        for subject in subjects:
            os.kill(subject.pid, signal.SIGSTOP)
        assert publish(broker.port, count).wait(60) == 0
        total += count
        for place in range(len(subjects)):
            subject = subjects[(place + number) % len(subjects)]
            took = _drain(subject, total)
            if number:
                subject.costs.append(took * 100_000 / count)
    return total


def _live(broker: Mosquitto, subjects: list[Subject], total: int) -> list[float]:
    """What each subject takes for messages that come one by one."""
    for subject in subjects:
        os.kill(subject.pid, signal.SIGCONT)
    before = [cpu_s(subject.pid) for subject in subjects]
    count = LIVE * LIVE_S
    assert publish(broker.port, count, rate=LIVE).wait(60) == 0
    for subject in subjects:
        stored = subject.stored or (lambda: 10**9)
        wanted = (total + count) * len(FIELDS)
        until(lambda stored=stored, wanted=wanted: stored() >= wanted or time.sleep(0.3), 60, subject.name)
    time.sleep(1.5)
    return [(cpu_s(subject.pid) - was) * 100_000 / count for subject, was in zip(subjects, before, strict=True)]


def _victoria(store: Victoria, measurement: str) -> Callable[[], int]:
    match = f'{{__name__=~"{measurement}_.*"}}'
    return lambda: sum(len(series["values"]) for series in store.export(match))  # type: ignore[arg-type] - lists


def _influx(store: Influx, measurement: str) -> Callable[[], int]:
    counts = ", ".join(f"count({field}) AS {field}" for field in FIELDS)

    def stored() -> int:
        rows = store.query(f'SELECT {counts} FROM "{measurement}"', "bench")  # noqa: S608 - our own names
        return sum(int(rows[0][field]) for field in FIELDS) if rows else 0  # type: ignore[call-overload] - numbers

    return stored


def _measure(at: Path, stack: ExitStack) -> list[Row]:
    broker, influx, victoria = server(Mosquitto, at / "b"), server(Influx, at / "i"), server(Victoria, at / "v")
    stack.enter_context(running(broker, influx, victoria))
    influx.database("bench")
    v1, v2 = f'{{v1: "{influx.url}", db: bench}}', f'{{v2: "{victoria.url}", bucket: bench}}'
    ours_v2 = stack.enter_context(gateway(at / "g2", CONFIG.format(name="ours", broker=broker.url, sink=v2)))
    ours_v1 = stack.enter_context(gateway(at / "g1", CONFIG.format(name="older", broker=broker.url, sink=v1)))
    subjects = [
        Subject("gateway → VictoriaMetrics", ours_v2.pid, _victoria(victoria, "ours"), []),
        Subject(
            "by hand → VictoriaMetrics", _by_hand(stack, broker.port, victoria.url), _victoria(victoria, "by_hand"), []
        ),
        Subject("gateway → influxd 1.6", ours_v1.pid, _influx(influx, "older"), []),
        Subject("paho alone, storing nothing", _by_hand(stack, broker.port, "nothing"), None, []),
    ]
    total = _rounds(broker, subjects)
    live = _live(broker, subjects, total)
    medians = [statistics.median(subject.costs) for subject in subjects]
    rows = [
        Row(subject.name, f"{median:.2f} CPU-s", f"each round: {', '.join(f'{cost:.2f}' for cost in subject.costs)}")
        for subject, median in zip(subjects, medians, strict=True)
    ]
    for place in (0, 2):
        ratio = medians[place] / medians[1]
        rows.append(Row(f"{subjects[place].name} ÷ by hand", f"{ratio:.0%}", "at most 50 %", ratio <= 0.5))
    rows.append(Row("paho alone ÷ by hand", f"{medians[3] / medians[1]:.0%}"))
    for place in (0, 2):
        measured = f"{live[place] / live[1]:.0%}"
        rows.append(Row(f"{subjects[place].name} ÷ by hand, live", measured, f"at {LIVE:,} messages/s, for comparison"))
    return rows


def measure() -> list[Row]:
    """All of it."""
    with folder() as at, ExitStack() as stack:
        return _measure(at, stack)


if __name__ == "__main__":
    main(f"(a) CPU-seconds per 100,000 messages of 5 fields, {DEVICES} devices, {ROUNDS} rounds of {MESSAGES}", measure)
