"""A program for tests and benchmarks: replays a recording, and prints what it came to and on what.

python -m tests.replaying.digest RECORDING… [SEED]     SEED: cut its inputs anew, at places drawn from it
"""

from __future__ import annotations

import ctypes
import hashlib
import platform
import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy._core._multiarray_umath import (
    __cpu_dispatch__,
    __cpu_features__,
)  # numpy's own report; show_runtime prints it

from gateway.recording.columns import joined, part_of
from gateway.recording.parts import Part
from gateway.recording.reader import Recording
from gateway.replaying.play import play

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from gateway.events import Stepped
    from gateway.recording.parts import Piece
    from gateway.replaying.play import Played

LONGEST = 400  # inputs of a cut that is cut anew


class Digest(msgspec.Struct, frozen=True):
    """SHA-256 of the concatenated streams and of the state at the end; what made them."""

    alerts: str
    series: str
    requests: str
    state: str
    changes: int
    points: int
    holes: list[str]
    python: str
    features: list[str]
    blas: str

    def came_to(self) -> tuple[object, ...]:
        """What has to be the same everywhere."""
        return (self.alerts, self.series, self.requests, self.state, self.changes, self.points, self.holes)


class Hashes:
    """Fulfils Keeps: the streams, hashed as they come."""

    def __init__(self) -> None:
        self.alerts, self.series, self.requests = hashlib.sha256(), hashlib.sha256(), hashlib.sha256()

    def take(self, stepped: Sequence[Stepped]) -> None:
        """In order."""
        for one in stepped:
            for row in one.alerts:
                self.alerts.update(msgspec.msgpack.encode(row))
            for request in one.requests:
                self.requests.update(msgspec.msgpack.encode(request))
            self.series.update(one.series)

    def close(self, *, whole: bool = True) -> None:
        """Nothing to do."""
        del whole

    def digest(self, played: Played) -> Digest:
        """All of it."""
        return Digest(
            self.alerts.hexdigest(),
            self.series.hexdigest(),
            self.requests.hexdigest(),
            played.state_sha,
            len(played.alerts),
            played.points,
            played.holes,
            platform.python_version(),
            [name for name in __cpu_dispatch__ if __cpu_features__[name]],
            blas(),
        )


def cut_anew(pieces: Iterable[Piece], seed: int) -> Iterator[Piece]:
    """The same inputs in other cuts: from one input to LONGEST, over the borders of the old ones."""
    chance, waiting = random.Random(seed), list[Part]()
    for piece in pieces:
        if isinstance(piece, Part):
            waiting.append(piece)
            if sum(len(part.cut.inputs) for part in waiting) < LONGEST * 10:
                continue
        yield from _cut(waiting, chance)
        waiting.clear()
        if not isinstance(piece, Part):
            yield piece
    yield from _cut(waiting, chance)


def _cut(parts: Sequence[Part], chance: random.Random) -> Iterator[Piece]:
    if not parts:
        return
    whole, at = joined([part.cut for part in parts]), 0
    while at < len(whole.inputs):
        end = at + chance.choice((1, 1, 2, 5, chance.randint(1, LONGEST)))
        yield Part(part_of(whole, at, end), parts[-1].done_bytes)
        at = end


def blas() -> str:
    """Which kernels numpy's OpenBLAS runs; empty where it does not say."""
    libraries = Path(np.__file__).parent.parent / "numpy.libs"
    for path in libraries.glob("*openblas*"):
        try:
            name = ctypes.CDLL(str(path)).scipy_openblas_get_corename64_
        except (AttributeError, OSError):
            continue
        name.restype = ctypes.c_char_p
        return str(name().decode())
    return ""


def main(argv: Sequence[str]) -> None:
    """Print one Digest as JSON."""
    seed = int(argv[-1]) if argv[-1].isdecimal() else None
    recording, keeps = Recording.open([Path(word) for word in argv if not word.isdecimal()]), Hashes()
    pieces = None if seed is None else cut_anew(recording.pieces(), seed)
    print(msgspec.json.encode(keeps.digest(play(recording, keeps, pieces=pieces))).decode())


if __name__ == "__main__":
    main(sys.argv[1:])
