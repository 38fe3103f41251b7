"""A scripted day through `gateway.app.run` with a ReplayClock, as a program that may be told to kill itself.

python -m tests.e2e.played FOLDER FROM KILL_AT RESTARTS     (numbers of inputs; -1: never; RESTARTS: 3,17 or empty)

FOLDER has gateway.yaml and model.onnx; what was delivered is appended to FOLDER/rows, what was admitted to
FOLDER/admitted ("n input" a line, input -1 for what is not the script's).
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gateway.app import Options, run
from gateway.clock import ReplayClock
from gateway.config.load import load, text_of
from gateway.events import Command, Configured, Detections, Health, Input, Looked, Message, Restart, Tick
from gateway.registry import registry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.app import Running
    from gateway.events import Cut, Stream
    from gateway.ports import Commit, Rejected, Row

PAUSE = "PLAYED_PAUSE_S"  # in the environment: how long before it kills itself, for what is written in the meantime
S = 10**9
T0 = 1_780_000_020 * S
AWAY_S, BACK_S = 100, 130
HEALTH = {AWAY_S: "the connection was lost", AWAY_S + 3: "nothing listens", AWAY_S + 20: "login refused", BACK_S: ""}
STREAMS: tuple[Stream, ...] = ("series", "alerts", "requests")
CONFIG = """
gateway: played
timezone: Asia/Shanghai
brokers: {here: {url: "mqtt://127.0.0.1:1"}}
outbox: {linger: 1 ms}
sensors:
  water:
    mqtt: here
    topic: water/{gauge}
    json: {time: t, level: v}
    units: {level: m}
    every: 5 s
    stuck: 30 s
  air:
    mqtt: here
    topic: air/{device}
    json: {time: t, pm25: p, rh: h}
    units: {pm25: ug/m3}
    valid: {pm25: [0, 1000]}
    every: 4 s
cameras:
  crossing:
    detect: street.mp4
    model: model.onnx
    zones: {zebra: [[0, 0], [0.6, 0], [0.6, 1], [0, 1]], kiosk: {outline: [[0, 0], [0.2, 0], [0.2, 0.2]], least: 20 px}}
    lines: {kerb: [[0.09, 0], [0.09, 1]]}
rules:
  flood: {threshold: water.level, levels: {yellow: 2.8, orange: 3.3, red: 3.8}, clear_by: 0.1, for: 8 s}
  dry: {threshold: water.level, below: {blue: 2.2}, clear_for: 6 s, mode: shadow}
  odd: {threshold: water.level, outside: {yellow: [2.3, 3.5]}, unless: flood}
  surge: {rate: water.level, levels: {orange: 2 m/min}, min_dt: 6 s}
  dust: {threshold: air.pm25, levels: {blue: 75, yellow: 115}, over: mean 30 s, unless: air.rh > 95}
  peak: {threshold: air.pm25, levels: {yellow: 180}, over: max 20 s}
  usual: {threshold: air.pm25, levels: {yellow: 150}, over: p95 1 min, active: "04:00-05:00"}
  damp: {threshold: air.rh, levels: {blue: 97}, only_while: air.pm25 > 60, for: 4 s}
  crowd: {count: person, in: crossing.zebra, levels: {yellow: 2, orange: 4}, for: 5 s}
  kiosk: {enter: person, in: crossing.kiosk, hold: 2 s}
  gone: {leave: person, in: crossing.kiosk, mode: shadow}
  waits: {dwell: person, in: crossing.zebra, levels: {yellow: 2 s, orange: 6 s}, hold: 3 s, unless: flood}
  many: {crowd: person, in: crossing, levels: {blue: 1, yellow: 3}, hold: 1 s}
  over: {cross: person, over: crossing.kerb, levels: {yellow: 1}, per: 20 s}
"""


class Step(NamedTuple):
    """Inputs of one moment; `at_s`: seconds since the script's beginning."""

    at_s: int
    inputs: list[Input]


def script(commands: Sequence[str], seconds: int = 300, seed: int = 5) -> list[Step]:
    """Everything that can come: readings in and out of order, double and wrong ones, looks, commands, ticks, health.

    `commands` are alert ids that people act on.
    """
    chance, judge = random.Random(seed), random.Random(seed + 1)
    dust, steps = 80.0, [Step(0, [Health("source/here", "connected", ok=True)])]
    for second in range(1, seconds):
        at_ns, inputs = T0 + second * S, list[Input]()
        level = 2.9 + 1.1 * math.sin((second - 60) / 40) + chance.choice((-0.1, 0.0, 0.0, 0.1))
        dust = min(300.0, max(0.0, dust + chance.uniform(-25, 26)))
        away = AWAY_S <= second < BACK_S
        if not away and chance.random() < 0.6 and not 200 <= second < 240:
            late_s = chance.choice((0, 0, 0, 0, 3, 700, 9000))
            stuck = 150 <= second < 230
            value = 3.1 if stuck else round(level, 2)
            inputs.append(_message("water/g1", {"t": (at_ns - late_s * S) / S, "v": value}))
        for device in ("a", "b") if not away else ():
            body = {"t": at_ns / S, "p": round(dust, 1), "h": chance.choice((50, 96, 98, 99, 99))}
            if chance.random() < 0.05:
                body["p"] = chance.choice(["much", 5000, None])
            inputs.append(_message(f"air/{device}", body))
            if chance.random() < 0.1:
                inputs.append(_message(f"air/{device}", body))
        inputs += _looks(chance, second, at_ns)
        if second in HEALTH:
            inputs.append(Health("source/here", "connected", ok=second == BACK_S, detail=HEALTH[second]))
        if commands and second % 7 == 0:
            verb = chance.choice(("acknowledge", "acknowledge", "shelve", "unshelve"))
            inputs.append(Command(f"c{second}", chance.choice(commands), verb, "值班员", reply_to="somewhere"))
        if commands and second % 9 == 0:
            said = judge.choice(("right", "wrong", "wrong", "unmark"))
            inputs.append(Command(f"j{second}", judge.choice(commands), said, "值班员", "看过", reply_to="somewhere"))
        steps.append(Step(second, [*inputs, Tick()]))
    return steps


def _message(topic: str, body: object) -> Message:
    return Message("here", topic, json.dumps(body).encode())


def _looks(chance: random.Random, second: int, at_ns: int) -> list[Input]:
    """A look a second; now and then the camera is blind."""
    if 60 <= second < 75:
        return [Looked("crossing", at_ns - S, at_ns, "blind")]
    count = chance.choice((0, 1, 2, 3, 5)) if second % 40 < 20 else chance.choice((0, 0, 1))
    step = second % 20 * 6  # they walk; which of them are there is chance
    left = np.array([[30 + 40 * i + step, 10, 50 + 40 * i + step, 60] for i in range(count)], np.float32)
    left = left.reshape(count, 4)
    found = Detections(
        "crossing",
        second,
        at_ns,
        640,
        360,
        left,
        np.array([0.35 + 0.1 * chance.randrange(6) for _ in range(count)], np.float32),
        np.zeros(count, np.int16),
    )
    return [found, Looked("crossing", at_ns - S, at_ns, chance.choice(("analysed", "analysed", "still")))]


class Kept:
    """A sink that appends each row to a file, one JSON array a line."""

    name = "kept"

    def __init__(self, stream: Stream, path: Path) -> None:
        self.stream: Stream = stream
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    async def deliver(self, rows: Sequence[Row]) -> Sequence[Rejected]:
        """Append them in one write."""
        lines = [json.dumps([self.stream, row.position, row.body.hex()]) + "\n" for row in rows]
        os.write(self._file, "".join(lines).encode())
        return ()

    async def aclose(self) -> None:
        """Close the file."""
        os.close(self._file)


class Feed:
    """Plays a script into the door, from input number `begin` on; the clock moves with it.

    `restarts`: numbers of inputs before which that is committed which a restart commits.
    """

    name = "feed"

    def __init__(
        self, steps: Sequence[Step], clock: ReplayClock, restart: Sequence[Input], stop: asyncio.Event
    ) -> None:
        self.begin = 0
        self.restarts: frozenset[int] = frozenset()
        self.watched = asyncio.Event()
        self._steps, self._clock, self._restart, self._stop = steps, clock, restart, stop

    async def run(self, commit: Commit) -> None:
        """Until the script is over; then the gateway is told to stop."""
        await self.watched.wait()
        number = 0
        for step in self._steps:
            part: list[Input] = []
            for item in step.inputs:
                if number in self.restarts:
                    await self._commit(commit, step, part)
                    for one in self._restart:
                        await commit([one])
                    part = []
                if number >= self.begin:
                    part.append(item)
                number += 1
            await self._commit(commit, step, part)
        self._stop.set()
        await asyncio.Event().wait()

    async def _commit(self, commit: Commit, step: Step, part: list[Input]) -> None:
        if part:
            self._clock.advance(step.at_s - (self._clock.now_ns() - T0) / S)
            await commit(part)


async def play(
    folder: Path, steps: Sequence[Step], begin: int = 0, kill_at: int = -1, restarts: Sequence[int] = ()
) -> None:
    """Run a gateway over the script, from input number `begin` on, in FOLDER/state."""
    numbered = [(step, item) for step in steps for item in step.inputs]
    number_of = {id(item): number for number, (_, item) in enumerate(numbered)}
    config = load(folder / "gateway.yaml", registry())
    clock = ReplayClock(T0 + (numbered[begin - 1][0].at_s * S if begin else 0))
    stop = asyncio.Event()
    epoch = ReplayClock(T0).token_hex(2)  # what a new outbox draws first
    feed = Feed(steps, clock, [Restart("", epoch, 1), Configured(config.sha, "")], stop)
    feed.begin, feed.restarts = begin, frozenset(restarts)
    admitted = os.open(folder / "admitted", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def note(cut: Cut) -> None:
        numbers = [number_of.get(id(item), -1) for item in cut.inputs]
        os.write(admitted, "".join(f"{cut.n0 + i} {number}\n" for i, number in enumerate(numbers)).encode())
        if kill_at >= 0 and kill_at in numbers:
            time.sleep(float(os.environ.get(PAUSE, "0")))
            os.kill(os.getpid(), signal.SIGKILL)

    async def watch(running: Running) -> None:
        running.door.on_admitted(note)
        feed.watched.set()

    sinks = tuple(Kept(stream, folder / "rows") for stream in STREAMS)
    options = Options(
        text=text_of(folder / "gateway.yaml"),
        sources=(feed,),
        sinks=sinks,
        series_history=False,
        services=(("watch", watch),),
    )
    try:
        await run(config, registry(), clock, stop, options)
    finally:
        os.close(admitted)


async def played(folder: Path, text: str, steps: Sequence[Step]) -> Running:
    """What ran, for its counters: a gateway of this configuration over the whole script, delivering to nobody."""
    (folder / "gateway.yaml").write_text(text)
    clock, stop = ReplayClock(T0), asyncio.Event()
    feed, seen = Feed(steps, clock, [], stop), list["Running"]()

    async def watch(running: Running) -> None:
        seen.append(running)
        feed.watched.set()

    options = Options(sources=(feed,), sinks=(), series_history=False, services=(("watch", watch),))
    await run(load(folder / "gateway.yaml", registry()), registry(), clock, stop, options)
    return seen[0]


def main(argv: Sequence[str]) -> None:
    """See the module. FOLDER/commands has the ids that are acted on."""
    folder = Path(argv[0])
    begin, kill_at = int(argv[1]), int(argv[2])
    restarts = [int(one) for one in argv[3].split(",") if one]
    steps = script(json.loads((folder / "commands").read_text()))
    asyncio.run(play(folder, steps, begin, kill_at, restarts))


if __name__ == "__main__":
    main(sys.argv[1:])
