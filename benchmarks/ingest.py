"""(a) What a reading costs: the gateway's CPU-seconds per 100,000 QoS 1 messages of 5 fields, beside its peers.

    python benchmarks/ingest.py [MESSAGES [ROUNDS]]

The gateway runs 20 rules of every kind over all five fields, its state saved, the page and its history on, one alert
per 1,000 messages (parts/corner.py). Beside it: `mosquitto_sub -q 1 > /dev/null`, which is the floor; the script that
somebody would write by hand; Node-RED (a fifth of the messages, on a topic of its own); and, for comparison, a gateway
without rules, page and history. Each round publishes once while all are stopped, so that the broker queues for each;
then one after another goes on alone until every value can be read back from VictoriaMetrics. The order rotates; user
and system time of the process alone; medians over the rounds.

Before that, the rate at which a publisher's messages go through the broker until all are acknowledged; after it, the
rate at which a queue is taken; each in turns with mosquitto_sub alone. At last, at LIVE messages a second as they come,
the CPU again, publish → alert, and how long the event loop leaves a request waiting.
"""

from __future__ import annotations

import statistics
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from parts import node_red
from parts.air import DEVICES, SENSOR
from parts.corner import RULES, begin_ms, corner
from parts.probe import Prober, answers_ms
from parts.subjects import MosquittoSub, Resident, by_hand
from stage import (
    Mosquitto,
    Row,
    Victoria,
    cpu_s,
    folder,
    gateway,
    main,
    numbers,
    percentile,
    publish,
    running,
    server,
    until,
    values,
)

from tests.conftest import free_port

if TYPE_CHECKING:
    from pathlib import Path

    from parts.subjects import Subject
    from stage import Gateway

MESSAGES, ROUNDS = numbers(__doc__, 50_000, 3)
WARM_UP = 5_000
LIVE, LIVE_S = 5_000, 15
PROBES_A_S = 8
RED_SHARE = 0.2
FLOOR, SCRIPT, RED = 1.25, 0.10, 0.40
PLAIN = """
gateway: plain
brokers: {here: {url: "BROKER", keepalive: 600 s}}
sensors:
  plain: {SENSOR, every: 10 s, max_late: 9 d}
sinks: {store: SINK}
""".replace("SENSOR", SENSOR)


class Bench:
    """The servers, and the stream so far."""

    def __init__(self, at: Path, stack: ExitStack) -> None:
        self.at, self.stack = at, stack
        self.broker, self.victoria = server(Mosquitto, at / "broker"), server(Victoria, at / "victoria")
        stack.enter_context(running(self.broker, self.victoria))
        self.sink = f'{{v2: "{self.victoria.url}", bucket: bench}}'
        self.totals = {"air": 0, "red": 0}  # messages so far, by topic
        self._begin_ms = begin_ms()

    def publish(self, count: int, rate: float = 0.0, topic: str = "air") -> None:
        """The stream's next messages."""
        corner = (self.totals[topic], self._begin_ms)
        assert publish(self.broker.port, count, rate=rate, topic=topic, corner=corner).wait(120) == 0
        self.totals[topic] += count

    @property
    def total(self) -> int:
        """Messages so far, of the stream that all but Node-RED hear."""
        return self.totals["air"]

    def resident(self, name: str, pid: int, measurement: str, share: float = 1.0) -> Resident:
        """A process that stores a measurement."""
        first = self.totals["red" if share < 1 else "air"]
        return Resident(name, pid, lambda: values(self.victoria, measurement), first, share)

    def red(self) -> Resident | str:
        """Node-RED, or why it is not here."""
        try:
            at, url = self.at / "red", self.victoria.url
            pid = node_red.start(self.stack, at, free_port(), self.broker.port, url, "red/+/up", "red")
        except node_red.NotThereError as error:
            return str(error)
        return self.resident("Node-RED", pid, "red", RED_SHARE)


def _rounds(bench: Bench, subjects: list[Subject]) -> None:
    """Publish and drain, round by round."""
    for number in range(ROUNDS + 1):
        count = MESSAGES if number else WARM_UP
        for subject in subjects:
            subject.stop()
        if any(subject.share < 1 for subject in subjects):
            bench.publish(round(count * RED_SHARE), topic="red")
        bench.publish(count)
        for place in range(len(subjects)):
            subject = subjects[(place + number) % len(subjects)]
            topic = "red" if subject.share < 1 else "air"
            took = subject.drain(round(count * subject.share), bench.totals[topic])
            if number:
                subject.costs.append(took * 100_000 / (count * subject.share))


def _rates(bench: Bench, ours: Resident, one: Gateway, floor: MosquittoSub) -> tuple[list[float], list[float]]:
    """Messages a second of the gateway, and of mosquitto_sub, until all of a queue is acknowledged, in turns."""
    mine, theirs = list[float](), list[float]()
    for _ in range(ROUNDS):
        ours.stop()
        bench.publish(MESSAGES)
        floor.drain(MESSAGES, bench.total)
        theirs.append(MESSAGES / floor.seconds)
        began = time.monotonic()
        ours.go_on()
        until(lambda: _acknowledged(one, bench.total) or time.sleep(0.05), 120, "the queue")
        mine.append(MESSAGES / (time.monotonic() - began))
        ours.caught_up(bench.total)
    return mine, theirs


def _through(bench: Bench, ours: Resident, one: Gateway, floor: MosquittoSub) -> tuple[list[float], list[float]]:
    """Messages a second from a publisher at full speed through the broker until all are acknowledged, in turns."""
    mine, theirs = list[float](), list[float]()
    for _ in range(ROUNDS):
        began = time.monotonic()
        bench.publish(MESSAGES)
        until(lambda: _acknowledged(one, bench.total) or time.sleep(0.05), 120, "the stream")
        mine.append(MESSAGES / (time.monotonic() - began))
        ours.caught_up(bench.total)
        ours.stop()
        floor.drain(MESSAGES, bench.total)
        process = floor.begun(MESSAGES)
        bench.publish(MESSAGES)
        floor.ended(process)
        theirs.append(MESSAGES / floor.seconds)
        ours.go_on()
        ours.caught_up(bench.total)
    return mine, theirs


def _acknowledged(one: Gateway, total: int) -> bool:
    taken = one.metric("zhiwang_source_messages_total") >= total
    return taken and one.metric("zhiwang_source_unacknowledged") == 0


def _lag(bench: Bench, ours: Resident, one: Gateway) -> list[float]:
    """How long requests wait while it works off a queue as fast as it can."""
    ours.stop()
    bench.publish(MESSAGES)
    ours.go_on()
    ends = time.monotonic() + 120
    took = answers_ms(one.port, lambda: values(bench.victoria, "air") >= bench.total * 5 or time.monotonic() > ends)
    ours.caught_up(bench.total)
    return took


def _live(bench: Bench, ours: Resident, script: Resident, floor: MosquittoSub) -> tuple[list[float], list[float]]:
    """CPU-s per 100,000 of all three while they hear one stream as it comes; publish → alert in ms."""
    floor.drain(bench.total - floor.taken, 0)
    script.go_on()
    script.caught_up(bench.total)
    prober = Prober(bench.broker.port, "corner")
    bench.stack.callback(prober.close)
    before = [cpu_s(subject.pid) for subject in (ours, script)]
    count = LIVE * LIVE_S
    began, sub = time.monotonic(), floor.begun(count)
    stream = publish(bench.broker.port, count, rate=LIVE, corner=(bench.total, begin_ms()))
    bench.totals["air"] += count
    number = 0
    while stream.poll() is None:
        device, at = f"p{number:04}", time.time_ns() // 10**6
        reading = {"ts": at, "pm25": 500.0, "pm10": 50.0, "rh": 50.0, "temp": 20.0, "noise": 50.0}
        prober.send(f"air/{device}/up", reading, f"air.pm25{{device={device}}}")
        number += 1
        time.sleep(max(0.0, began + number / PROBES_A_S + number % 10 * 0.0037 - time.monotonic()))
    assert stream.returncode == 0
    least = floor.ended(sub) * 100_000 / count
    assert floor.seconds > LIVE_S * 0.9, "mosquitto_sub still had a queue"
    took = prober.took_ms()
    bench.totals["air"] += number
    for subject in (ours, script):
        subject.caught_up(bench.total)
    costs = [(cpu_s(subject.pid) - was) * 100_000 / count for subject, was in zip((ours, script), before, strict=True)]
    return [*costs, least], took


def _share(what: str, ours: float, theirs: float, wanted: float | None, words: str) -> Row:
    ratio = ours / theirs
    return Row(
        what, f"{ratio:.2f}" if ratio > 1 else f"{ratio:.0%}", words, None if wanted is None else ratio <= wanted
    )


def _measure(at: Path, stack: ExitStack) -> list[Row]:
    bench = Bench(at, stack)
    one = stack.enter_context(gateway(at / "corner", corner("corner", bench.broker.url, bench.sink)))
    ours = bench.resident(f"gateway, {RULES} rules, history and alerts", one.pid, "air")
    floor = MosquittoSub(bench.broker.port)
    through = _through(bench, ours, one, floor)  # before others listen, for whom the broker would queue
    text = PLAIN.replace("BROKER", bench.broker.url).replace("SINK", bench.sink)
    plain = stack.enter_context(gateway(at / "plain", text))
    script = bench.resident("the script by hand", by_hand(stack, bench.broker.port, bench.victoria.url), "by_hand")
    bare = bench.resident("gateway that only stores", plain.pid, "plain")
    red = bench.red()
    subjects: list[Subject] = [ours, floor, script, bare, *([] if isinstance(red, str) else [red])]
    _rounds(bench, subjects)
    ours.go_on()
    changes = one.metric("zhiwang_door_alerts_total") / bench.total * 1000
    cost = {subject.name: statistics.median(subject.costs) for subject in subjects}
    rows = [
        Row(subject.name, f"{cost[subject.name]:.2f} CPU-s", f"rounds: {', '.join(f'{c:.2f}' for c in subject.costs)}")
        for subject in subjects
    ]
    mine = cost[ours.name]
    rows.append(_share("gateway ÷ mosquitto_sub", mine, cost[floor.name], FLOOR, f"at most {FLOOR}"))
    rows.append(_share("gateway ÷ the script", mine, cost[script.name], SCRIPT, f"at most {SCRIPT:.0%}"))
    if isinstance(red, str):
        rows.append(Row("gateway ÷ Node-RED", f"not measured: {red}", f"at most {RED:.0%}"))
    else:
        rows.append(_share("gateway ÷ Node-RED", mine, cost[red.name], RED, f"at most {RED:.0%}"))
    rows.append(_share("gateway that only stores ÷ mosquitto_sub", cost[bare.name], cost[floor.name], None, ""))
    rows.append(Row("changes of alerts per 1,000 messages", f"{changes:.2f}", "2: one comes, and goes"))
    rows.append(_rate("rate through the broker, gateway ÷ mosquitto_sub", through))
    rows.append(_rate("rate out of a queue, gateway ÷ mosquitto_sub", _rates(bench, ours, one, floor)))
    rows.append(_times("/healthz answered, at full speed", _lag(bench, ours, one), "the loop's lag and the answer"))
    costs, alerts = _live(bench, ours, script, floor)
    rows.append(_times(f"publish → alert at {LIVE:,} messages/s", alerts, f"{len(alerts)} alerts"))
    for name, other in (("mosquitto_sub", costs[2]), ("the script", costs[1])):
        words = f"{costs[0]:.2f} and {other:.2f} CPU-s"
        rows.append(_share(f"gateway ÷ {name}, as it comes, {LIVE:,}/s", costs[0], other, None, words))
    return rows


def _rate(what: str, rates: tuple[list[float], list[float]]) -> Row:
    ours, floor = (statistics.median(turns) for turns in rates)
    return Row(what, f"{ours / floor:.2f}", f"at least 1.0; {ours:,.0f} and {floor:,.0f} messages/s", ours >= floor)


def _times(what: str, ms: list[float], words: str) -> Row:
    return Row(what, f"p50 {percentile(ms, 0.5):.1f} ms  p99 {percentile(ms, 0.99):.1f} ms", words)


def measure() -> list[Row]:
    """All of it."""
    with folder() as at, ExitStack() as stack:
        return _measure(at, stack)


if __name__ == "__main__":
    main(f"(a) CPU-seconds per 100,000 messages of 5 fields, {DEVICES} devices, {ROUNDS} rounds of {MESSAGES}", measure)
