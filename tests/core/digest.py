"""A program for the tests: steps every case through seeded streams, and prints what it came to and on which CPU.

python -m tests.core.digest
"""

from __future__ import annotations

import hashlib
import random

import msgspec
from numpy._core._multiarray_umath import (
    __cpu_dispatch__,
    __cpu_features__,
)  # numpy's own report; show_runtime prints it

from tests.core.build import Stamped, core_of, run
from tests.core.cases import CASES, COUNTS, TRACKS
from tests.core.streams import looks_from, stream_from, walks_from

SEEDS = 3


def seeded(name: str, seed: int) -> list[Stamped]:
    """The inputs of a case, from a seed."""
    faces = random.Random(f"{name} {seed}").randbytes(600)
    if name in CASES:
        return [step.stamped for step in stream_from(CASES[name], faces)]
    steps = (walks_from if name in TRACKS else looks_from)("crossing", faces)
    return [step.stamped for step in steps]


def main() -> None:
    """Print JSON: numpy's active dispatched CPU features and a hash of all outputs and final states."""
    digest = hashlib.sha256()
    for name in (*CASES, *COUNTS, *TRACKS):
        text = CASES[name].text if name in CASES else (COUNTS | TRACKS)[name]
        for seed in range(SEEDS):
            core = core_of(text)
            came = run(core, seeded(name, seed), [3, 50])
            parts = [came.series, core.snapshot(), *(row.body for row in came.alerts), *(r.body for r in came.requests)]
            for part in parts:
                digest.update(hashlib.sha256(part).digest())
    active = [name for name in __cpu_dispatch__ if __cpu_features__[name]]
    print(msgspec.json.encode({"features": active, "digest": digest.hexdigest()}).decode())


if __name__ == "__main__":
    main()
