"""What a second worker brings: a backtest of 24 files with one worker and with two, in turns.

    python benchmarks/backtest.py [MESSAGES [ROUNDS]]

24 days of one gateway, MESSAGES each (JSON of 5 values from 50 devices, 8 rules), are replayed through a configuration
that differs from the recorded one. Each run is a whole backtest in a new folder: Dask's workers are started, warmed by
one small task each, and ended; the time is from the first task's beginning to the table's files. Starting and warming
is left out and told apart, for it is the same for a month and for a year. Medians over the rounds, the order changing.

Beside it, in each round, what two plain Python processes that only count come to ÷ one of them: as much as this machine
gives at that moment, where others work on it too.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from stage import Row, cpu_s, folder, main, numbers  # first: it finds the project

from gateway.backtest import spread
from gateway.backtest.backtest import Asked, Backtest
from gateway.config.load import loads
from gateway.events import Message
from gateway.exchange.given import Findings, Given
from gateway.exchange.recorded import write
from gateway.registry import registry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MESSAGES, ROUNDS = numbers(__doc__, 20_000, 3)
FILES, DEVICES, NS = 24, 50, 10**9
WARM_UP = 500
WANTED = 1.8
COUNT = "for _ in range(60_000_000): pass"  # about as long as a worker's share of a small backtest
BEGIN_NS = int(datetime(2026, 8, 1, tzinfo=UTC).timestamp()) * NS
YAML = """\
gateway: bench
brokers: {here: {url: "mqtt://127.0.0.1"}}
sensors:
  air:
    mqtt: here
    topic: "air/{device}/up"
    json: {pm25: d.pm25, pm10: d.pm10, co: d.co, no2: d.no2, rh: d.rh}
    every: 60 s
rules:
  dust: {threshold: air.pm25, levels: {blue: 75, yellow: 115}, for: 30 s}
  coarse: {threshold: air.pm10, over: mean 10 min, levels: {yellow: 150}}
  gas: {threshold: air.co, levels: {orange: 9}, unless: air.rh > 95}
  nitrogen: {threshold: air.no2, levels: {yellow: 180}}
  dry: {threshold: air.rh, below: {blue: 15}}
  leap: {rate: air.pm25, levels: {yellow: 900 ug/m3/min}}
  damp: {threshold: air.rh, over: max 5 min, levels: {blue: 99}}
  thick: {threshold: air.pm25, over: p95 10 min, levels: {orange: 180}}
"""


class Run(NamedTuple):
    """One backtest: seconds to start and to work, CPU-seconds of this process meanwhile and of its workers."""

    start_s: float
    work_s: float
    own_cpu_s: float
    workers_cpu_s: float
    table: bytes


def _readings(day: int, count: int) -> Iterator[Given]:
    begin_ns = BEGIN_NS + day * 86_400 * NS
    for number in range(count):
        device, turn = number % DEVICES, number // DEVICES
        dust = 40 + (turn * 7 + device * 13 + day * 5) % 90
        values = (
            f'"pm25":{dust}.5,"pm10":{dust * 3 // 2}.25,"co":{turn % 8}.1,"no2":{60 + turn % 70},"rh":{30 + turn % 60}'
        )
        body = f'{{"ts":{begin_ns // 10**6 + number * 20},"fw":"1.4.2","id":"box-{device:04}","d":{{{values}}}}}'
        yield Given(begin_ns + number * 20_000_000, Message("here", f"air/box-{device:04}/up", body.encode()))


def _recordings(at: Path) -> tuple[Path, Path, Path]:
    """(the folder of 24 files, the folder of the one that warms up, the configuration)."""
    many, warm = at / "recordings", at / "warm"
    config = loads(YAML, at, registry())
    for target, files, count in ((many, FILES, MESSAGES), (warm, 2, WARM_UP)):
        target.mkdir()
        for day in range(files):
            write(target / f"{day:02}.mcap", _readings(day, count), config, YAML, Findings())
    changed = at / "changed.yaml"
    changed.write_text(YAML.replace("blue: 75", "blue: 80"), encoding="utf-8")
    return many, warm, changed


def _run(many: Path, warm: Path, config: Path, output: Path, workers: int) -> Run:
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    backtest = Backtest(Asked((many,), (str(config),)), registry(), output)
    small = Backtest(Asked((warm,), (str(config),)), registry(), output / "warm")
    with spread.local(workers) as pool:
        for done in pool.run(small.todo[:workers]):
            small.take(done)
        small.write()  # so that what draws and writes is loaded
        ready, own = time.perf_counter(), cpu_s(os.getpid())
        for done in pool.run(backtest.todo):
            assert not done.error
            backtest.take(done)
        backtest.write()
        ended, own = time.perf_counter(), cpu_s(os.getpid()) - own
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    theirs = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(ready - began, ended - ready, own, theirs, (output / "table.json").read_bytes())


def _plain(processes: int) -> float:
    """Counts a second of so many processes that only count, all together."""
    began = time.perf_counter()
    started = [subprocess.Popen([sys.executable, "-c", COUNT]) for _ in range(processes)]
    assert [one.wait() for one in started] == [0] * processes
    return processes / (time.perf_counter() - began)


def _measure() -> list[Row]:
    with folder() as at:
        many, warm, config = _recordings(at)
        runs: dict[int, list[Run]] = {1: [], 2: []}
        ceilings: list[float] = []
        for turn in range(ROUNDS):
            ceilings.append(_plain(2) / _plain(1))
            for workers in (1, 2) if turn % 2 == 0 else (2, 1):
                runs[workers].append(_run(many, warm, config, at / f"out-{turn}-{workers}", workers))
        size = sum(file.stat().st_size for file in many.iterdir())
    assert len({run.table for each in runs.values() for run in each}) == 1, "one worker and two give other tables"
    ratios = [one.work_s / two.work_s for one, two in zip(runs[1], runs[2], strict=True)]
    one, two = (statistics.median(run.work_s for run in runs[workers]) for workers in (1, 2))
    ratio, total = statistics.median(ratios), FILES * MESSAGES
    own = statistics.median(run.own_cpu_s for run in runs[2])
    cpu = statistics.median(b.workers_cpu_s / a.workers_cpu_s for a, b in zip(runs[1], runs[2], strict=True))
    start = statistics.median(run.start_s for run in runs[2])
    return [
        Row(f"{FILES} files, {total:,} messages, {size / 1e6:.0f} MB: 1 worker", f"{one:.1f} s, {total / one:,.0f}/s"),
        Row("… 2 workers", f"{two:.1f} s, {total / two:,.0f}/s"),
        Row("2 workers ÷ 1 worker", f"{ratio:.2f}", f"at least {WANTED}", ratio >= WANTED),
        Row("… of each pair", ", ".join(f"{one:.2f}" for one in ratios)),
        Row("two plain processes ÷ one, in each round", ", ".join(f"{one:.2f}" for one in ceilings)),
        Row("start and warm-up of 2 workers (not in the above)", f"{start:.1f} s"),
        Row("CPU of all workers, with start: 2 ÷ 1 worker", f"{cpu:.2f}"),
        Row("CPU of the process that hands out, during the work", f"{own:.1f} s"),
    ]


if __name__ == "__main__":
    main("What a second worker brings", _measure)
