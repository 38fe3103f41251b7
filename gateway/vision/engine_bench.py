"""What each engine, number of threads and batch comes to on this box, measured in turns.

The settings take turns of a fraction of a second, in rounds, for boxes are shared: what else the machine does falls on
all of them. Each figure is the median over the rounds.
"""

from __future__ import annotations

import resource
import statistics
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from threading import Barrier
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gateway.config.box import VisionConfig
from gateway.vision.detector import Detector
from gateway.vision.timing import NS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from gateway.config.manifest import Manifest
    from gateway.ports import Clock

TURN_S = 0.25  # some tens of pictures of a small model
CLOSE = 0.97  # settings this near to the best are as good: the simpler one is taken
ENGINES: tuple[VisionConfig, ...] = (
    VisionConfig(engine="onnxruntime"),
    VisionConfig(engine="openvino", precision="f32"),
    VisionConfig(engine="openvino", precision="bf16"),
    VisionConfig(engine="cuda"),
    VisionConfig(engine="tensorrt"),
)


class Setting(NamedTuple):
    """One way to run a model: `threads` engines side by side, each with `batch` pictures at a time."""

    engine: str
    precision: str
    threads: int
    batch: int


class Result(NamedTuple):
    """What a setting came to: ms of one look of `batch` pictures, CPU seconds of the process for 1,000 pictures."""

    setting: Setting
    images_s: float
    p50_ms: float
    p95_ms: float
    cpu_s_1000: float


class Absent(NamedTuple):
    """An engine that cannot run the model here, and why."""

    engine: str
    why: str


class _Turn(NamedTuple):
    images_s: float
    looks_ms: list[float]
    cpu_s_1000: float


def noise(count: int, width: int = 1280, height: int = 720) -> list[NDArray[np.uint8]]:
    """Pictures of no content, as a camera's: what a network computes does not depend on it, but for boxes' choosing."""
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (height, width, 3), np.uint8) for _ in range(count)]


class Bench:
    """All settings of one model, opened. `pictures`: at least as many as the largest batch."""

    def __init__(
        self,
        manifest: Manifest,
        threads: Sequence[int],
        batches: Sequence[int],
        pictures: Sequence[NDArray[np.uint8]],
        clock: Clock,
        engines: Iterable[VisionConfig] = ENGINES,
    ) -> None:
        self.absent: list[Absent] = []
        self._clock = clock
        self._pictures = pictures
        self._detectors: dict[tuple[str, str], list[Detector]] = {}
        for vision in engines:
            made = self._opened(manifest, vision, max(threads), max(batches))
            if made:
                self._detectors[vision.engine, vision.precision] = made
        self.settings = [
            Setting(engine, precision, count, batch)
            for engine, precision in self._detectors
            for count in threads
            for batch in batches
        ]
        self._turns: dict[Setting, list[_Turn]] = {setting: [] for setting in self.settings}

    def _opened(self, manifest: Manifest, vision: VisionConfig, threads: int, slots: int) -> list[Detector]:
        """A detector for each thread. Raises ModelError where onnxruntime cannot do it either."""
        first = Detector(manifest, slots, vision=vision)
        if first.engine.falls:
            named = vision.engine + ("" if vision.precision == "auto" else f" {vision.precision}")
            self.absent.append(Absent(named, first.engine.falls[0].why))
            return []
        return [first, *(Detector(manifest, slots, vision=vision) for _ in range(threads - 1))]

    def measure(self, seconds: float, told: Callable[[float], None]) -> None:
        """Rounds of turns until the time is spent, two at least; `told` is given the share that is done."""
        began_ns = self._clock.monotonic_ns()
        rounds = 0
        while rounds < 2 or self._clock.monotonic_ns() - began_ns < seconds * NS:
            order = self.settings if rounds % 2 else self.settings[::-1]
            for at, setting in enumerate(order):
                self._turns[setting].append(self._turn(setting))
                spent = (self._clock.monotonic_ns() - began_ns) / NS / seconds
                told(min(1.0, max(spent, 0.0) if rounds >= 2 else min(spent, (at + 1) / len(order))))
            rounds += 1

    def results(self) -> list[Result]:
        """Of each setting."""
        return [_result(setting, turns) for setting, turns in self._turns.items() if turns]

    def _turn(self, setting: Setting) -> _Turn:
        detectors = self._detectors[setting.engine, setting.precision][: setting.threads]
        start = Barrier(setting.threads)
        pictures = self._pictures[: setting.batch]

        def look(detector: Detector) -> list[int]:
            start.wait()
            times = [self._clock.monotonic_ns()]
            while times[-1] - times[0] < TURN_S * NS:
                detector.detect(pictures)
                times.append(self._clock.monotonic_ns())
            return times

        before = _cpu_s()
        with ThreadPoolExecutor(setting.threads, thread_name_prefix="engine") as pool:
            each = list(pool.map(look, detectors))
        cpu_s = _cpu_s() - before
        images = sum(len(times) - 1 for times in each) * setting.batch
        rate = sum((len(times) - 1) * setting.batch * NS / (times[-1] - times[0]) for times in each)
        looks = [(b - a) / 1e6 for times in each for a, b in pairwise(times)]
        return _Turn(rate, looks, cpu_s / images * 1000)


def _cpu_s() -> float:
    """Of all threads: engines have some of their own."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _result(setting: Setting, turns: Sequence[_Turn]) -> Result:
    looks = [ms for turn in turns for ms in turn.looks_ms]
    p50, p95 = (float(value) for value in np.percentile(looks, (50, 95)))
    return Result(
        setting,
        statistics.median(turn.images_s for turn in turns),
        p50,
        p95,
        statistics.median(turn.cpu_s_1000 for turn in turns),
    )


def most(results: Sequence[Result]) -> Setting:
    """The setting with the most pictures a second; of those near to it the one of smaller batch, then fewer threads."""
    best = max(result.images_s for result in results)
    near = [result for result in results if result.images_s >= CLOSE * best]
    return min(near, key=lambda it: (it.setting.batch, it.setting.threads, it.cpu_s_1000)).setting


def soonest(results: Sequence[Result]) -> Setting:
    """The setting whose look is over soonest."""
    return min(results, key=lambda it: it.p50_ms).setting


def together(measured: Sequence[Sequence[Result]]) -> Setting:
    """The setting that is best for several models: by the product of their rates."""
    scores: dict[Setting, float] = {}
    for results in measured:
        for result in results:
            scores[result.setting] = scores.get(result.setting, 1.0) * result.images_s
    everywhere = [setting for setting in scores if all(setting in {it.setting for it in each} for each in measured)]
    best = max(scores[setting] for setting in everywhere) * CLOSE ** len(measured)
    return min(
        (setting for setting in everywhere if scores[setting] >= best), key=lambda it: (it.batch, it.threads, it.engine)
    )
