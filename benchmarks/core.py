"""What a step of the pure core costs: the rules on columns as multiples of one stable argsort, and the whole step.

    python benchmarks/core.py [--profile]

100,000 readings of 1,000 series (2 values of 500 devices, 100 times): once as sensors send them (slow waves, a few
beyond their lines), once as noise of which every other reading crosses a line. Every kind that steps readings:
threshold by levels, with a gate, over a mean; rate; stuck; silent; and, apart, a camera's count. Figures are medians of
several turns, the argsort's taken between them. Wanted: all rule kinds together at most 20 argsorts.
"""

from __future__ import annotations

import cProfile
import pstats
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gateway import models
from gateway.app.plan import make_plan
from gateway.config.load import loads
from gateway.core.core import Core
from gateway.core.ingest import Batch
from gateway.events import Configured, Cut, Detections, Health, Looked, Message, Restart, Tick
from gateway.registry import registry

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from gateway.core.ingest import Taken
    from gateway.events import Input

S = 10**9
T0 = 1_780_000_000 * S
DEVICES, TIMES, TURNS = 500, 100, 7
SENSORS = """
gateway: bench
brokers: {here: {url: mqtt://127.0.0.1:1883}}
sensors:
  air:
    mqtt: here
    topic: air/{device}
    json: {time: ts, pm25: pm25, rh: rh}
    every: 10 s
    STUCK
rules:
"""
RULES = {
    "threshold": "  r: {threshold: air.pm25, levels: {blue: 75, yellow: 115, red: 250}, clear_by: 5, for: 30 s}\n",
    "threshold with a gate": "  r: {threshold: air.rh, levels: {blue: 75, yellow: 90}, unless: air.pm25 > 300}\n",
    "threshold over a mean": "  r: {threshold: air.pm25, over: mean 5 min, levels: {blue: 75, yellow: 115}}\n",
    "threshold over a p95": "  r: {threshold: air.rh, over: p95 5 min, levels: {yellow: 95}}\n",
    "rate": "  r: {rate: air.pm25, levels: {yellow: 60 ug/m3/min}, for: 20 s}\n",
    "stuck": "",
}


def text_of(name: str) -> str:
    """The configuration with one kind of rule, or all."""
    rules = RULES.values() if name == "all" else [RULES[name]] if name in RULES else []
    numbered = "".join(rule.replace("  r:", f"  r{i}:") for i, rule in enumerate(rules)) or "  {}\n"
    stuck = "stuck: 10 min" if name in {"stuck", "all"} else ""
    return SENSORS.replace("STUCK", stuck) + numbered


def core_of(name: str) -> Core:
    """A core that has begun."""
    config = loads(text_of(name), Path("/"), registry())
    core = Core(make_plan(config, registry(), {}), registry().rules)
    first: list[Input] = [Restart("", "e", 1), Configured("", ""), Health("source/here", "connected", ok=True)]
    core.step(cut_of(1, first, np.full(3, T0)))
    return core


def cut_of(n0: int, inputs: list[Input], at_ns: NDArray[np.int64]) -> Cut:
    """One cut."""
    return Cut(n0, inputs, at_ns, at_ns - T0)


def messages(noisy: bool) -> Cut:
    """A message of two values from each device every 10 s, in an order of chance."""
    rng = np.random.default_rng(1)
    device = np.concatenate([rng.permutation(DEVICES) for _ in range(TIMES)])
    turn = np.repeat(np.arange(TIMES), DEVICES)
    if noisy:
        pm25, rh = rng.uniform(0, 150, len(turn)), rng.uniform(50, 100, len(turn))
    else:
        pm25 = rng.uniform(15, 65, DEVICES)[device] + 15 * np.sin(turn / 25 + device) + rng.normal(0, 1, len(turn))
        rh = rng.uniform(30, 65, DEVICES)[device] + 15 * np.sin(turn / 40 + device) + rng.normal(0, 0.3, len(turn))
    at_ns = T0 + S + turn * 10 * S + np.tile(np.arange(DEVICES), TIMES) * 10**6
    rows = zip(device.tolist(), at_ns.tolist(), pm25.round(2).tolist(), rh.round(1).tolist(), strict=True)
    inputs: list[Input] = [
        Message("here", f"air/{d:04}", b'{"ts": %d, "pm25": %.2f, "rh": %.1f}' % (t // 10**6, p, h))
        for d, t, p, h in rows
    ]
    return cut_of(4, inputs, at_ns)


def taken_by(core: Core, cut: Cut) -> Taken:
    """The cut's columns, as the rules get them."""
    messages = [item for item in cut.inputs if isinstance(item, Message)]
    taken = core._ingest.take(Batch(cut.n0, messages, cut.admitted_ns, cut.elapsed_ns))  # noqa: SLF001 - the rules are measured apart from what comes before them
    core._meet()  # noqa: SLF001 - as above
    return taken


def seconds(call: Callable[[], object]) -> float:
    """How long it takes once."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def rules_on_columns(name: str, cut: Cut) -> tuple[float, float]:
    """(seconds of the rules' step, seconds of one stable argsort of the same columns), medians in turns."""
    rules, sorts = list[float](), list[float]()
    for _ in range(TURNS):
        core = core_of(name)
        taken = taken_by(core, cut)
        series = taken.readings.series[np.argsort(taken.readings.n, kind="stable")]  # as they were admitted

        def step(core: Core = core, taken: Taken = taken) -> None:
            run = core._run(taken.readings)  # noqa: SLF001 - as above
            core._silent.heard(taken.heard)  # noqa: SLF001 - as above
            for rule in core._order:  # noqa: SLF001 - as above
                rule.readings(run, 0)

        rules.append(seconds(step))
        sorts.append(min(seconds(lambda series=series: np.argsort(series, kind="stable")) for _ in range(3)))
    return statistics.median(rules), statistics.median(sorts)


def whole_step(name: str, cut: Cut) -> tuple[float, int]:
    """(seconds of the whole step, from JSON to line protocol and delta, alert rows)."""
    took, rows = list[float](), 0
    for _ in range(3):
        core = core_of(name)
        began = time.perf_counter()
        rows = len(core.step(cut).alerts)
        took.append(time.perf_counter() - began)
    return statistics.median(took), rows


def count_step() -> float:
    """Seconds for a count of 1,000 frames of 20 boxes each."""
    text = (
        SENSORS.replace("STUCK", "") + "  c: {count: person, in: x.z, levels: {yellow: 1, red: 5}, for: 10 s}\n"
        "cameras: {x: {detect: rtsp://127.0.0.1/1, zones: {z: [[0, 0.5], [1, 0.5], [1, 1], [0, 1]]}}}\n"
    )
    config = loads(text, Path("/"), registry())
    manifest = models.find(config.model)
    core = Core(make_plan(config, registry(), {"x": manifest}), registry().rules)
    core.step(cut_of(1, [Restart("", "e", 1), Configured("", "")], np.full(2, T0)))
    rng = np.random.default_rng(3)
    inputs: list[Input] = []
    for i in range(1000):
        at = T0 + i * 200_000_000
        corner = rng.uniform(0, 500, (20, 2)).astype(np.float32)
        boxes = np.concatenate([corner, corner + rng.uniform(10, 100, (20, 2)).astype(np.float32)], axis=1)
        score = np.sort(rng.uniform(0.1, 1, 20).astype(np.float32))[::-1]
        inputs += [Detections("x", i, at, 640, 480, boxes, score, rng.integers(0, 3, 20).astype(np.int16))]
        inputs += [Looked("x", at - 200_000_000, at, "analysed")]
    return seconds(lambda: core.step(cut_of(3, inputs, T0 + np.arange(2000) * 100_000_000)))


def ticks(things: int) -> float:
    """Seconds a tick takes with so many things that promise readings, and no other rule."""
    core = core_of("none")
    first: list[Input] = [Message("here", f"air/{i:05}", b'{"pm25": 20, "rh": 50}') for i in range(things)]
    core.step(cut_of(4, first, np.full(things, T0 + S)))
    return min(
        seconds(lambda i=i: core.step(cut_of(4 + things + i, [Tick()], np.array([T0 + S + i * S])))) for i in range(9)
    )


def main() -> None:
    """Print everything."""
    if "--profile" in sys.argv:
        cut, core = messages(noisy=False), core_of("all")
        with cProfile.Profile() as profile:
            core.step(cut)
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)
        return
    for noisy in (False, True):
        cut = messages(noisy)
        readings = 2 * len(cut.inputs)
        print(f"{readings:,} readings of {2 * DEVICES:,} series, {'noise' if noisy else 'as sensors send them'}")
        for name in (*RULES, "all"):
            took, sort = rules_on_columns(name, cut)
            print(f"  {name:24} {took * 1e3:7.1f} ms = {took / sort:5.1f} stable argsorts of {sort * 1e3:.1f} ms")
        took, rows = whole_step("all", cut)
        print(f"  {'whole step, all rules':24} {took * 1e3:7.0f} ms with decoding, {rows:,} alert rows")
    print(f"count: {count_step() * 1e3:.0f} us a frame of 20 boxes")
    print(f"silent: {ticks(10_000) * 1e6:.0f} us a tick with 10,000 things")


if __name__ == "__main__":
    main()
