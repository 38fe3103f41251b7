"""How right speeds are: cars and people of known speed, as boxes with noise, at 10, 5 and 2 looks a second.

    python benchmarks/speed.py [--noise 0.03]    standard deviation of each side of a box, in its heights

A camera 8 m up looks down by 12° on 75 m of a street, 1280 × 720. Boxes are those around the corners of what moves,
so that the point below a box is not the same point of a car near and far: that error is in the figures. One in twenty
boxes is missing. A visitor's speed is the mean of its known speeds in the zone, as in `zhiwang_flow`.

    bias: mean of measured − true      error: mean of |measured − true|      p95: 95 of 100 are nearer
    measured: share of those who passed whose speed was known      2σ: share within twice what it says it may be off by
"""

from __future__ import annotations

import argparse
import math
import random
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gateway.config.model import Camera, Ground
from gateway.core.looks import Looks
from gateway.core.plan import CameraPlan, Plan
from gateway.core.state import State
from gateway.events import Detections, Looked

if TYPE_CHECKING:
    from collections.abc import Iterator

WIDTH, HEIGHT = 1280, 720
UP_M, DOWN, FOCAL = 8.0, math.radians(12), 1.6  # focal length in heights of the picture
MARKS = ((0.1, 0.95), (0.9, 0.95), (0.7, 0.4), (0.3, 0.4))
ZONE = ((0.02, 0.24), (0.98, 0.24), (0.98, 0.97), (0.02, 0.97))
RATES = (10, 5, 2)
CAR, PERSON = (1.8, 4.5, 1.5), (0.5, 0.5, 1.7)
SPEEDS_KMH = {"car": (0.0, 10.0, 30.0, 50.0, 80.0, 120.0), "person": (0.0, 3.0, 5.0, 12.0)}
EACH = 25
MISSED = 0.05


class Case(NamedTuple):
    """One passage: measured speeds m/s and what they may be off by."""

    true: float
    speeds: list[float]
    offs: list[float]


def seen_at(x: float, y: float, z: float) -> tuple[float, float]:
    """Where a point (east, north, up; metres) is in the picture, px."""
    forward = y * math.cos(DOWN) + (UP_M - z) * math.sin(DOWN)
    below = -y * math.sin(DOWN) + (UP_M - z) * math.cos(DOWN)
    return WIDTH / 2 + FOCAL * HEIGHT * x / forward, HEIGHT / 2 + FOCAL * HEIGHT * below / forward


def on_ground(u: float, v: float) -> tuple[float, float]:
    """Which point of the ground is there, fractions of the picture."""
    right, down = (u - 0.5) * WIDTH / HEIGHT / FOCAL, (v - 0.5) / FOCAL
    t = UP_M / (math.sin(DOWN) + down * math.cos(DOWN))
    return right * t, (math.cos(DOWN) - down * math.sin(DOWN)) * t


def box_of(x: float, y: float, size: tuple[float, float, float]) -> tuple[float, float, float, float]:
    """The box around a thing that stands there, along the street."""
    wide, long, high = size
    points = [
        seen_at(x + a * wide / 2, max(y + b * long / 2, 1.0), c * high)
        for a in (-1, 1)
        for b in (-1, 1)
        for c in (0, 1)
    ]
    us, vs = [u for u, _ in points], [v for _, v in points]
    return max(min(us), 0.0), max(min(vs), 0.0), min(max(us), float(WIDTH)), min(max(vs), float(HEIGHT))


def eyes() -> Looks:
    """A gateway's looks at that street."""
    ground = Ground(metres=tuple((mark, on_ground(*mark)) for mark in MARKS))
    camera = Camera(detect="a.mp4", zones={"street": ZONE}, tracks=True, ground=ground)
    plan = CameraPlan("a", camera, ("person", "car"), 0.4, "")
    return Looks(Plan("g", "UTC", "", None, None, None, (), (plan,), ()), State())  # type: ignore[arg-type]  nobody commands it


def looks_of(kind: str, speed: float, rate: float, noise: float, dice: random.Random) -> Iterator[Detections]:
    """One passes alone, along the street or, people, across it."""
    size, label = (CAR, 1) if kind == "car" else (PERSON, 0)
    across = kind == "person" and dice.random() < 0.5
    away = dice.choice((1, -1))
    x, y = dice.uniform(-3, 3), dice.uniform(20, 50) if speed == 0 else 14.0 if away > 0 else 90.0
    if across:
        x, y = -8.0, dice.uniform(18, 40)
    start = dice.uniform(0, 1 / rate)
    for frame in range(round(min(20.0, 76.0 / max(speed, 0.1)) * rate)):
        went = speed * (start + frame / rate)
        here = (x + went, y) if across else (x, y + away * went)
        at_ns = round(1e9 + frame * 1e9 / rate)
        rows: list[tuple[float, float, float, float]] = []
        if here[1] > 13 and dice.random() > MISSED:
            left, top, right, bottom = box_of(*here, size)
            off = noise * (bottom - top)
            sides = [side + dice.gauss(0, off) for side in (left, top, right, bottom)]
            if right - left > 4 and bottom - top > 4:
                rows.append((sides[0], sides[1], max(sides[2], sides[0] + 2), max(sides[3], sides[1] + 2)))
        boxes = np.clip(np.array(rows, np.float32).reshape(-1, 4), 0, [WIDTH, HEIGHT, WIDTH, HEIGHT])
        score, labels = np.full(len(rows), 0.9, np.float32), np.full(len(rows), label, np.int16)
        yield Detections("a", frame, at_ns, WIDTH, HEIGHT, boxes.astype(np.float32), score, labels)


def passed(kind: str, speed: float, rate: float, noise: float, dice: random.Random) -> Case:
    """What was measured of one."""
    eye, case, before = eyes(), Case(speed, [], []), 0
    for seen in looks_of(kind, speed, rate, noise, dice):
        look = eye.take(seen)
        eye.looked(Looked("a", before, seen.event_ns, "analysed"))
        before = seen.event_ns
        if look.moves is None:
            continue
        rows = look.zones["street"].here & look.moves.known
        case.speeds.extend(look.moves.speed[rows].tolist())
        case.offs.extend(look.moves.speed_off[rows].tolist())
    return case


def line(kind: str, rate: int, kmh: float, cases: list[Case]) -> str:
    """A row of the table."""
    known = [case for case in cases if case.speeds]
    if not known:
        return f"{kind:7} {rate:4d} {kmh:6g}  {0:8.0%}"
    errors = [sum(case.speeds) / len(case.speeds) * 3.6 - kmh for case in known]
    off = sorted(abs(error) for error in errors)
    said = [(speed, sigma, case.true) for case in known for speed, sigma in zip(case.speeds, case.offs, strict=True)]
    within = sum(abs(speed - true) <= 2 * sigma for speed, sigma, true in said) / len(said)
    bias, error = sum(errors) / len(errors), sum(off) / len(off)
    p95 = off[min(len(off) - 1, math.ceil(0.95 * len(off)) - 1)]
    sigma = sum(one for _, one, _ in said) / len(said) * 3.6
    shares = f"{len(known) / len(cases):8.0%} {bias:+7.2f} {error:7.2f} {p95:7.2f} {sigma:6.2f} {within:5.0%}"
    return f"{kind:7} {rate:4d} {kmh:6g}  {shares}"


def main() -> None:
    """The table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--noise", type=float, default=0.03)
    noise = parser.parse_args().noise
    print(f"noise of a box's sides: {noise:g} heights; {EACH} passages each; km/h")
    print(f"{'what':7} {'fps':>4} {'true':>6}  {'measured':>8} {'bias':>7} {'error':>7} {'p95':>7} {'σ':>6} {'2σ':>5}")
    for kind, speeds in SPEEDS_KMH.items():
        for rate in RATES:
            for kmh in speeds:
                dice = random.Random(f"{kind} {rate} {kmh}")
                print(line(kind, rate, kmh, [passed(kind, kmh / 3.6, rate, noise, dice) for _ in range(EACH)]))


if __name__ == "__main__":
    main()
