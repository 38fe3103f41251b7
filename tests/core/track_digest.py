"""A program for the tests: tracks a seeded crowd, and prints a hash of what it came to and on which CPU.

python -m tests.core.track_digest
"""

from __future__ import annotations

import hashlib
import json
import random

import numpy as np
from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__  # numpy's own report

from gateway.core.state import State
from gateway.core.track import Tracker
from gateway.events import Detections

LABELS = ("person", "car", "truck")


def crowd(seed: int, looks: int, people: int) -> list[Detections]:
    """People and cars who walk about, seen with noise, now and then not at all, at a rate that varies."""
    dice = random.Random(seed)
    there = [
        [dice.uniform(0, 1900), dice.uniform(100, 1000), dice.gauss(0, 60), dice.gauss(0, 30)] for _ in range(people)
    ]
    kinds, at_ns, out = [dice.randrange(3) for _ in range(people)], 0, list[Detections]()
    for frame in range(looks):
        step_s = dice.choice((0.04, 0.1, 0.1, 0.5))
        at_ns += round(step_s * 1e9)
        rows: list[list[float]] = []
        for one, kind in zip(there, kinds, strict=True):
            one[0] += one[2] * step_s
            one[1] += one[3] * step_s
            if dice.random() < 0.85:
                x, y = one[0] + dice.gauss(0, 2), one[1] + dice.gauss(0, 2)
                rows.append([x - 20, y - 90, x + 20, y, dice.choice((0.9, 0.6, 0.45, 0.2)), kind])
        boxes = np.array(rows, np.float32).reshape(-1, 6)
        label = boxes[:, 5].astype(np.int16)
        out.append(Detections("gate", frame, at_ns, 1920, 1080, boxes[:, :4].copy(), boxes[:, 4].copy(), label))
    return out


def main() -> None:
    """Print JSON: numpy's active dispatched CPU features and a hash of all ids and the final state."""
    state = State()
    tracker, digest = Tracker("gate", LABELS, state), hashlib.sha256()
    for seen in crowd(1, 200, 40):
        for part in tracker.step(seen):
            digest.update(part.tobytes())
    digest.update(state.snapshot())
    active = [name for name in __cpu_dispatch__ if __cpu_features__[name]]
    print(json.dumps({"features": active, "digest": digest.hexdigest()}))


if __name__ == "__main__":
    main()
