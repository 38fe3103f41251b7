"""How many cameras a box carries: file cameras, decoded and looked at for real, more of them until their rate falls."""

from __future__ import annotations

import asyncio
import os
import threading
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

from gateway.errors import ModelError
from gateway.events import Detections, Health
from gateway.vision.timing import NS
from gateway.vision.vision import Vision

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from gateway.config.box import VisionConfig
    from gateway.config.manifest import Manifest
    from gateway.config.model import Camera
    from gateway.events import Input
    from gateway.ports import Clock

FILLED = 0.85  # of the cores: the rest is for the event loop, the disk, and bursts
KEPT = 0.95  # of the rate that is wanted: counting looks in a few seconds is no more exact
_FIRST_S = 30.0
WARM_S = 1.0  # models load, files open, the first frames of all cameras come at once
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


class Step(NamedTuple):
    """So many cameras for some seconds. `rate`: the slowest camera's looks a second; `frames`: its decoded frames.

    skipped: the share of the frames that were due and that nobody came to. decoded, looks: of all cameras, a second.
    p50_s, p95_s: from a frame's arrival to its detections. decode, inference, rest: CPU seconds a second; others: what
    other programs took of the same cores meanwhile, as a share of them. unwell: what was said not to be well.
    """

    cameras: int
    rate: float
    frames: float
    skipped: float
    decoded: float
    looks: float
    p50_s: float
    p95_s: float
    decode: float
    inference: float
    rest: float
    others: float
    unwell: str


class Wanted(NamedTuple):
    """What is measured: cameras like this one, on so many engine threads, for so long each number, so many at most.

    clips: what the cameras show, in turn, at `stream` frames a second.
    """

    camera: Camera
    clips: Sequence[Path]
    stream: float
    manifest: Manifest
    vision: VisionConfig
    engines: int
    seconds: float
    at_most: int


def most_cameras(wanted: Wanted, cores: int, clock: Clock, told: Callable[[Step], None]) -> list[Step]:
    """Every step that was tried; the last number of cameras that kept its rate is what the box carries."""
    steps = [_step(wanted, 1, clock)]
    told(steps[0])
    carried, too_many = int(kept(steps[0], wanted)), wanted.at_most + 1
    if not carried:
        return steps
    count = alone(steps, wanted, cores)
    while too_many - carried > 1 + carried // 8:  # no answer is sharper than what else runs on the box
        count = min(max(count, carried + 1), too_many - 1)
        steps.append(_step(wanted, count, clock))
        told(steps[-1])
        if kept(steps[-1], wanted):
            carried = count
        else:
            too_many = count
        grown = max(carried + 1, carried * 5 // 4)
        count = grown if too_many > wanted.at_most else (carried + too_many) // 2
    return steps


def kept(step: Step, wanted: Wanted) -> bool:
    """Whether every camera was looked at as often as wanted; a gated one: whenever it was due, with all frames."""
    if wanted.camera.motion == "off":
        return step.rate >= KEPT * wanted.camera.rate
    return step.frames >= KEPT * wanted.stream and step.skipped <= 1 - KEPT


def alone(steps: Sequence[Step], wanted: Wanted, cores: int) -> int:
    """How many cameras would fill most of the cores, by what decoding a frame and a look cost over all the steps."""
    decoded, looks = sum(step.decoded for step in steps), sum(step.looks for step in steps)
    frame = sum(step.decode + step.rest for step in steps) / max(decoded, 1)
    look = sum(step.inference for step in steps) / max(looks, 1)
    wanted_looks = wanted.camera.rate
    if wanted.camera.motion != "off":  # as often as something moved, by the steps in which nobody was left out
        whole = [step for step in steps if kept(step, wanted)] or steps
        wanted_looks = sum(step.looks for step in whole) / sum(step.cameras for step in whole)
    return int(FILLED * cores / max(wanted.stream * frame + wanted_looks * look, 1e-6))


def _step(wanted: Wanted, count: int, clock: Clock) -> Step:
    return asyncio.run(_measured(wanted, count, clock))


async def _measured(wanted: Wanted, count: int, clock: Clock) -> Step:
    cameras = {
        f"camera{number}": msgspec.structs.replace(wanted.camera, detect=str(clip))
        for number, clip in zip(range(count), cycle(wanted.clips), strict=False)
    }
    manifests = dict.fromkeys(cameras, wanted.manifest)
    vision = Vision(cameras, manifests, Path(), clock, wanted.engines, vision=wanted.vision)
    ages_s: list[float] = []
    unwell: dict[tuple[str, str], str] = {}

    async def commit(batch: Sequence[Input]) -> None:
        now_ns = clock.now_ns()
        ages_s.extend((now_ns - it.event_ns) / NS for it in batch if isinstance(it, Detections))
        unwell.update({(it.component, it.condition): it.detail for it in batch if isinstance(it, Health) and not it.ok})
        await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        running = group.create_task(vision.run(commit))
        await _first_looks(vision, unwell, clock)
        await clock.sleep(WARM_S)
        ages_s.clear()
        before, began_ns, cpu, busy = vision.camera_stats(), clock.monotonic_ns(), _cpu_s(), _busy_s()
        await clock.sleep(wanted.seconds)
        after, spent_s = vision.camera_stats(), (clock.monotonic_ns() - began_ns) / NS
        used = {kind: (now - cpu[kind]) / spent_s for kind, now in _cpu_s().items()}
        others = max(0.0, (_busy_s() - busy) / spent_s - sum(used.values())) / len(os.sched_getaffinity(0))
        running.cancel()

    def grown(what: str) -> NDArray[np.float64]:
        return np.array([after[name][what] - before[name][what] for name in cameras])

    rate, frames = (float(grown(what).min()) / spent_s for what in ("analysed", "frames"))
    skipped = float(grown("skipped").sum() / max(1.0, grown("skipped").sum() + grown("analysed").sum()))
    p50, p95 = (float(age) for age in np.percentile(ages_s or [spent_s], (50, 95)))
    return Step(
        cameras=count,
        rate=rate,
        frames=frames,
        skipped=skipped,
        decoded=float(grown("frames").sum()) / spent_s,
        looks=float(grown("analysed").sum()) / spent_s,
        p50_s=p50,
        p95_s=p95,
        decode=used["camera"],
        inference=used["engine"],
        rest=used["rest"],
        others=others,
        unwell="; ".join(dict.fromkeys(unwell.values())),
    )


async def _first_looks(vision: Vision, unwell: Mapping[tuple[str, str], str], clock: Clock) -> None:
    """Until every camera was looked at once. Raises ModelError where that does not come."""
    until_ns = clock.monotonic_ns() + round(_FIRST_S * NS)
    while not all(stats["analysed"] for stats in vision.camera_stats().values()):
        if clock.monotonic_ns() > until_ns:
            why = "; ".join(dict.fromkeys(unwell.values())) or "no reason was given"
            raise ModelError(f"a camera was not looked at once in {_FIRST_S:.0f} s ({why})")
        await clock.sleep(0.05)


def _cpu_s() -> dict[str, float]:
    """CPU seconds of this process: of the cameras' threads, the engines (theirs and libraries'), and the rest."""
    spent = {"camera": 0.0, "engine": 0.0, "rest": 0.0}
    kinds = {thread.native_id: thread.name.partition("-")[0] for thread in threading.enumerate()}
    for task in Path("/proc/self/task").iterdir():
        try:
            ticks = (task / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[11:13]
        except OSError:  # it has ended
            continue
        kind = kinds.get(int(task.name), "engine")  # a thread that Python did not start is a library's
        spent[kind if kind in spent else "rest"] += sum(map(int, ticks)) * _TICK_S
    return spent


def _busy_s() -> float:
    """CPU seconds of all programs on the cores that this process may use."""
    mine = {f"cpu{core}" for core in os.sched_getaffinity(0)}
    rows = (line.split() for line in Path("/proc/stat").read_text(encoding="utf-8").splitlines())
    return sum(sum(map(int, (*row[1:4], *row[6:9]))) for row in rows if row and row[0] in mine) * _TICK_S
