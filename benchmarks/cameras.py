"""Cameras on a box that has too much to do, and on one that has not: fairness, ages, memory, images/s, glass to alert.

    python benchmarks/cameras.py [PART…] [--seconds S]      parts: overload memory alert core; default: all

overload  16 file cameras, 576p at 10 fps, on one engine, for S seconds (60; 300 for the figure): looks of the
          slowest ÷ those of the fastest; age of an analysed frame (since it was decoded, when its detections are handed
          over), p99 ÷ the interval between two looks of a camera; resident memory from the first fifth on.
memory    resident memory of a gateway with five 1080p cameras less one with one, ÷ 4.
alert     a person comes and goes on a 1080p camera; from the frame's arrival (its time: a file's frame comes when its
          time has come) to its alert at a subscriber over MQTT, which is after its commit, p99; wanted: at most a look
          (p99, measured in the process beside) + one frame interval + 3 fsyncs (p99, of a file on that disk meanwhile).
core      images/s of a gateway whose two engines never lack a frame (raw video, hardly anything to decode) ÷ those of
          two bare sessions in two threads, in turns: alone; and while MQTT comes in at a rate, the bare ones beside a
          gateway without cameras that takes in the same. And how long /healthz waits for the event loop there.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

import av
import cv2
import numpy as np
import paho.mqtt.client as mqtt
from parts.air import SENSOR
from parts.probe import answers_ms
from stage import Mosquitto, Row, folder, gateway, main, memory_mb, percentile, publish, running, server

from gateway.clock import WallClock
from gateway.config.model import DEFAULT_MODEL, Camera
from gateway.models import find
from gateway.vision import tiles
from gateway.vision.board import Board
from gateway.vision.detector import Detector
from gateway.vision.offline import Item, read
from gateway.vision.vision import Vision
from tests.conftest import SHARED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from gateway.events import Input
    from gateway.vision.board import Captured
    from gateway.vision.engine_onnxruntime import OrtSession
    from gateway.vision.heads import Found
    from tests.servers.gateway import Gateway

CAMERAS, FPS, SIZE, SMALL = 16, 10, (1920, 1080), (768, 576)
FAIR, AGE, MB = 0.9, 2.0, 40.0
ALONE, BESIDE, LAG_MS = 0.95, 0.85, 20.0
MQTT_RATE = 10_000  # half of what a quiet machine of two cores takes through the broker
TURN_S, TURNS = 8.0, 2
TOP = f'gateway: bench\nmodel: {DEFAULT_MODEL}\nvision: {{engines: 2}}\nbrokers: {{here: {{url: "BROKER"}}}}\n'


def people(count: int = 40) -> list[NDArray[np.uint8]]:
    """Pictures of people on a square, two a second, where they are; else noise."""
    path = SHARED / "data/video/pets2009-s2l1.avi"
    items = read([path], 5) if path.is_file() else iter(())
    found = [item.picture for item, _ in zip(items, range(count), strict=False) if isinstance(item, Item)]
    rng = np.random.default_rng(0)
    return found or [rng.integers(0, 256, (576, 768, 3), np.uint8) for _ in range(count)]


def film(path: Path, pictures: Sequence[NDArray[np.uint8]], size: tuple[int, int] = SIZE, fps: int = FPS) -> Path:
    """A film of these pictures: H.264, or raw where the name ends in .nut."""
    with av.open(str(path), "w") as container:
        raw = path.suffix == ".nut"
        stream = cast("av.VideoStream", container.add_stream("rawvideo" if raw else "libx264", rate=fps))
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        if not raw:
            stream.gop_size = 2 * fps
            stream.codec_context.options = {"preset": "superfast", "tune": "zerolatency"}
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(np.asarray(cv2.resize(picture, size), np.uint8), "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


# ── overload ──


class Run(NamedTuple):
    """Looks of each camera, ages in s, seconds, and resident MB as time went."""

    looks: list[int]
    ages: list[float]
    seconds: float
    memory: list[float]


class Timed(Board):
    """Notes how old frames are when an engine is through with them."""

    ages: list[float]
    came: dict[tuple[str, int], float]

    def offer(self, captured: Captured) -> None:
        """As ever; when it came is kept until the camera's next."""
        self.came[captured.camera, captured.number] = time.monotonic()
        self.came.pop((captured.camera, captured.number - 200), None)
        super().offer(captured)

    def done(self, captured: Captured, found: Found | None) -> None:
        """As ever."""
        super().done(captured, found)
        self.ages.append(time.monotonic() - self.came[captured.camera, captured.number])


class TimedVision(Vision):
    """With such a board."""

    ages: list[float]

    def _new_board(self, wake: Callable[[], object]) -> Board:
        board = super()._new_board(wake)
        board.__class__ = Timed  # what it was made with is the source's business
        timed = cast("Timed", board)
        timed.ages, timed.came = self.ages, {}
        return timed


async def _run(clip: Path, seconds: float) -> Run:
    clock, memory = WallClock(), list[float]()
    cameras = {f"c{n}": Camera(detect=str(clip), loop=True, rate=FPS) for n in range(CAMERAS)}
    ages = TimedVision.ages = list[float]()
    vision = TimedVision(cameras, dict.fromkeys(cameras, find(DEFAULT_MODEL)), Path(), clock, 1, gated=False)

    async def commit(_: Sequence[Input]) -> None:
        await asyncio.sleep(0)

    task = asyncio.get_running_loop().create_task(vision.run(commit))
    while not all(counts["analysed"] for counts in vision.camera_stats().values()):  # noqa: ASYNC110 - counts have no event
        await asyncio.sleep(0.1)
    await asyncio.sleep(5)
    ages.clear()
    before, began = vision.camera_stats(), time.monotonic()
    for _ in range(round(seconds)):
        await asyncio.sleep(1)
        memory.append(memory_mb(os.getpid()))
    looks = [round(vision.camera_stats()[name]["analysed"] - before[name]["analysed"]) for name in cameras]
    spent = time.monotonic() - began
    task.cancel()
    await asyncio.wait([task])
    return Run(looks, sorted(ages), spent, memory)


def overload(at: Path, seconds: float) -> list[Row]:
    """See above."""
    got = asyncio.run(_run(film(at / "street.mp4", people(), SMALL), seconds))
    fair = min(got.looks) / max(got.looks)
    interval = got.seconds * len(got.looks) / sum(got.looks)
    age = percentile(got.ages, 0.99)
    fifth = max(1, len(got.memory) // 5)
    grown = statistics.median(got.memory[-fifth:]) - statistics.median(got.memory[fifth : 2 * fifth])
    rate = f"{sum(got.looks) / got.seconds:.0f} looks/s of {CAMERAS * FPS} wanted, over {got.seconds:.0f} s"
    return [
        Row("overload: slowest ÷ fastest camera", f"{fair:.2f}", f"at least {FAIR}; {rate}", fair >= FAIR),
        Row(
            "overload: age of an analysed frame, p99 ÷ interval",
            f"{age / interval:.2f} ({age:.2f} s, p50 {percentile(got.ages, 0.5):.2f} s ÷ {interval:.2f} s)",
            f"at most {AGE:g}",
            age <= AGE * interval,
        ),
        Row(
            "overload: resident memory grown",
            f"{grown:+.0f} MB ({', '.join(f'{one:.0f}' for one in got.memory[:: max(1, len(got.memory) // 8)])})",
            f"none, to {max(2.0, 0.01 * got.memory[-1]):.0f} MB",
            grown <= max(2.0, 0.01 * got.memory[-1]),
        ),
    ]


# ── memory ──


def memory(at: Path, _: float) -> list[Row]:
    """See above."""
    clip = film(at / "street.mp4", people())
    taken = {}
    for count in (1, 5):
        cameras = "".join(f'  c{n}: {{detect: "{clip}", loop: true, rate: 2, motion: off}}\n' for n in range(count))
        text = TOP.replace("BROKER", "mqtt://127.0.0.1:9") + "cameras:\n" + cameras
        with gateway(at / f"memory{count}", text) as one:
            time.sleep(25)  # rings fill
            taken[count] = memory_mb(one.pid)
    each = (taken[5] - taken[1]) / 4
    return [
        Row(
            "resident memory of a further 1080p camera",
            f"{each:.0f} MB ({taken[1]:.0f} MB with one, {taken[5]:.0f} MB with five)",
            f"at most {MB:g} MB",
            each <= MB,
        )
    ]


# ── glass to alert ──


def alert(at: Path, seconds: float) -> list[Row]:
    """See above."""
    here = people(60)
    nobody = np.asarray(np.median(np.stack(here), axis=0), np.uint8)
    clip = film(at / "comes.mp4", [*here[:FPS], *[nobody] * (2 * FPS)])
    broker = server(Mosquitto, at / "broker")
    text = TOP.replace("BROKER", broker.url) + (
        f'cameras:\n  gate: {{detect: "{clip}", loop: true, rate: {FPS}, motion: off, health: off}}\n'
        "rules:\n  somebody: {count: person, in: gate, levels: {yellow: 1}, picture: off}\n"
        "sinks:\n  alerts: {mqtt: here}\n"
    )
    took: list[float] = []

    def heard(_client: mqtt.Client, _userdata: object, message: mqtt.MQTTMessage) -> None:
        now_s = time.time()
        told = json.loads(message.payload) if "/alert/" in message.topic else {}
        if told.get("change") in ("raised", "returned"):
            took.append(now_s - datetime.fromisoformat(told["changed"]).timestamp())

    look = _look_ms()
    syncs: list[float] = []
    with running(broker), gateway(at / "alert", text):
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="glass")
        client.on_connect = lambda it, *_: it.subscribe("zhiwang/#", 1)
        client.on_message = heard
        client.connect("127.0.0.1", broker.port)
        client.loop_start()
        time.sleep(8)
        took.clear()
        ends = time.monotonic() + max(60.0, seconds)
        with (at / "fsync").open("ab", buffering=0) as file:
            while time.monotonic() < ends:
                began = time.perf_counter()
                file.write(bytes(4096))
                os.fsync(file.fileno())
                syncs.append((time.perf_counter() - began) * 1000)
                time.sleep(0.05)
        client.disconnect()
        client.loop_stop()
    came, syncs = sorted(1000 * one for one in took), sorted(syncs)
    most = percentile(look, 0.99) + 1000 / FPS + 3 * percentile(syncs, 0.99)
    parts = f"a look {percentile(look, 0.99):.0f} + {1000 / FPS:.0f} + 3 × fsync {percentile(syncs, 0.99):.1f}"
    return [
        Row(
            "glass to alert, p99",
            f"{percentile(came, 0.99):.0f} ms (p50 {percentile(came, 0.5):.0f} ms, {len(came)} alerts)",
            f"at most {most:.0f} ms: {parts}",
            percentile(came, 0.99) <= most,
        )
    ]


def _look_ms() -> list[float]:
    """How long a look at a 1080p frame takes, sorted."""
    detector, took = Detector(find(DEFAULT_MODEL)), list[float]()
    frame = av.VideoFrame.from_ndarray(np.asarray(cv2.resize(people(1)[0], SIZE), np.uint8), "rgb24")
    frame = frame.reformat(format="yuv420p")
    for _ in range(200):
        began = time.perf_counter()
        tiles.look(detector, [frame], [tiles.EVERYTHING])
        took.append((time.perf_counter() - began) * 1000)
    return sorted(took)


# ── the core beside bare sessions ──


def bare(seconds: float) -> float:
    """Images/s of two bare sessions in two threads; in a process of its own."""
    counts, ends, picture, manifest = [0, 0], [0.0], people(1)[0], find(DEFAULT_MODEL)
    start = threading.Barrier(3)

    def work(at: int) -> None:
        detector = Detector(manifest)
        detector.detect([picture])
        session, tensor = cast("OrtSession", detector.engine.session).inference, detector.engine.tensor(1).copy()
        name = detector.engine.session.signature.input_name
        start.wait()
        while time.monotonic() < ends[0] or not ends[0]:
            session.run(None, {name: tensor})
            counts[at] += 1

    threads = [threading.Thread(target=work, args=(at,)) for at in range(2)]
    for thread in threads:
        thread.start()
    ends[0] = time.monotonic() + 3600
    start.wait()
    time.sleep(1)
    before, began = sum(counts), time.monotonic()
    time.sleep(seconds)
    rate = (sum(counts) - before) / (time.monotonic() - began)
    ends[0] = 0.1
    for thread in threads:
        thread.join()
    return rate


def _bare() -> float:
    ran = subprocess.run(
        [sys.executable, "-X", "faulthandler", __file__, "bare", "--seconds", str(TURN_S)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return float(ran.stdout.split()[-1])


def _looks(one: Gateway) -> float:
    time.sleep(3)
    before, began = one.metric("zhiwang_camera_analysed_total"), time.monotonic()
    time.sleep(TURN_S)
    return (one.metric("zhiwang_camera_analysed_total") - before) / (time.monotonic() - began)


def core(at: Path, _: float) -> list[Row]:
    """See above."""
    clip = film(at / "raw.nut", people(20), SMALL, 60)
    broker = server(Mosquitto, at / "broker")
    sensors = f"sensors:\n  air: {{{SENSOR}, every: 10 s}}\n"
    sensors += "rules:\n  dust: {threshold: air.pm25, levels: {yellow: 5000}}\n"
    cameras = "".join(
        f'  c{n}: {{detect: "{clip}", loop: true, rate: 60, motion: off, health: off}}\n' for n in range(6)
    )
    plain = TOP.replace("BROKER", broker.url)
    lags: list[float] = []
    pairs: dict[int, list[tuple[float, float]]] = {0: [], MQTT_RATE: []}
    with running(broker):
        for turn in range(TURNS):
            for load, got in pairs.items():
                name = f"{turn}-{load}"
                ours = _beside(
                    at / f"ours-{name}", plain + sensors + "cameras:\n" + cameras, broker, load, _looks, lags
                )
                theirs = _beside(at / f"bare-{name}", plain + sensors, broker, load, lambda _: _bare(), None)
                got.append((ours, theirs))
    rows = []
    for (load, got), wanted in zip(pairs.items(), (ALONE, BESIDE), strict=True):
        ratio = statistics.median(ours / theirs for ours, theirs in got)
        rates = " and ".join(f"{statistics.median(column):.0f}" for column in zip(*got, strict=True))
        beside = f"beside {load:,} messages/s" if load else "alone"
        rows.append(Row(f"images/s ÷ bare sessions, {beside}", f"{ratio:.2f} ({rates})", f"{wanted}", ratio >= wanted))
    lag = percentile(sorted(lags), 0.99)
    rows.append(
        Row(
            f"event loop beside {MQTT_RATE:,} messages/s, p99",
            f"{lag:.0f} ms (p50 {percentile(sorted(lags), 0.5):.1f} ms)",
            f"at most {LAG_MS:g} ms",
            lag <= LAG_MS,
        )
    )
    return rows


def _beside(
    at: Path,
    text: str,
    broker: Mosquitto,
    load: int,
    measure: Callable[[Gateway], float],
    lags: list[float] | None,
) -> float:
    """What `measure` gives beside a gateway that takes in so many messages a second."""
    with gateway(at, text) as one, ExitStack() as stack:
        if load:
            stream = publish(broker.port, load * 3600, rate=load)
            stack.callback(stream.wait)
            stack.callback(stream.kill)
        ended = threading.Event()
        waits = threading.Thread(
            target=lambda: lags.extend(answers_ms(one.port, ended.is_set)) if lags is not None else None
        )
        if load:
            waits.start()
        try:
            return measure(one)
        finally:
            ended.set()
            if load:
                waits.join()


PARTS: dict[str, Callable[[Path, float], list[Row]]] = {
    "overload": overload,
    "memory": memory,
    "alert": alert,
    "core": core,
}


def measure(parts: Sequence[str], seconds: float) -> list[Row]:
    """The rows of these parts."""
    rows: list[Row] = []
    for name in parts:
        with folder() as at:
            rows += PARTS[name](at, seconds)
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, "bare"])
    parser.add_argument("--seconds", type=float, default=60.0)
    args = parser.parse_args()
    if args.parts == ["bare"]:
        print(bare(args.seconds))
    else:
        main("cameras: too many, and one", lambda: measure(args.parts or list(PARTS), args.seconds))
