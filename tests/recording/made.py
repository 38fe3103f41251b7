"""Recordings for tests: small, with numbers that say where they come from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from gateway.events import Cut, Health, Message, Tick
from gateway.recording.parts import About, Begin, Checkpoint, Gap, Part
from gateway.recording.reader import Recording
from gateway.recording.writer import FileWriter

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from gateway.events import Input
    from gateway.recording.parts import Piece

NS = 1_000_000_000
T0 = 1_790_000_000 * NS
NOTHING = Checkpoint(0, 0, 0, 1, None)
ABOUT = About(
    gateway="lg-1",
    epoch="e1",
    version="0.1.0",
    config_sha="c1",
    config="gateway: lg-1\n",
    models=(),
    made="ring",
    began_ns=T0,
    timezone="UTC",
)


def about(**changes: object) -> About:
    """Of a file, with these changes."""
    return msgspec.structs.replace(ABOUT, **changes)


def message(n: int) -> Message:
    """The message with number n, which its body repeats."""
    return Message("here", f"meter/{n % 7}", b'{"n": %d}' % n, packet_id=n % 65_535 + 1)


def cut(n0: int, count: int = 10, step_ns: int = NS // 10) -> Cut:
    """Inputs n0, n0 + 1, …: a tick at every tenth, else messages; admitted `step_ns` apart from T0 on."""
    inputs: list[Input] = [Tick() if n % 10 == 9 else message(n) for n in range(n0, n0 + count)]
    numbers = np.arange(n0, n0 + count, dtype=np.int64)
    return Cut(n0, inputs, T0 + numbers * step_ns, numbers * step_ns)


def state(n: int) -> Checkpoint:
    """The checkpoint before input n of such a stream."""
    return Checkpoint(n, T0 + (n - 1) * (NS // 10), (n - 1) * (NS // 10), n // 10 + 1, b"state %d" % n)


def write(
    path: Path,
    n0: int,
    n1: int,
    *,
    said: About = ABOUT,
    at: Sequence[int] = (),
    closed: bool = True,
    each: int = 10,
    late_ns: int = 0,
) -> Path:
    """A file of inputs [n0, n1) in chunks of `each`, checkpoints before those in `at`, all admitted late by so much."""
    writer = FileWriter(path, said, state(n0) if n0 else NOTHING)
    for n in range(n0, n1, each):
        if n in at:
            writer.checkpoint(state(n))
        one = cut(n, min(each, n1 - n))
        writer.inputs(Cut(n, one.inputs, one.admitted_ns + late_ns, one.elapsed_ns))
        writer.flush()
    if closed:
        writer.close()
    else:
        writer.abandon()
    return path


def read(*paths: Path, **span: int) -> list[Piece]:
    """All pieces."""
    return list(Recording.open(paths).pieces(**span))


def numbers(pieces: Iterable[Piece]) -> list[int]:
    """The numbers of the inputs given, after a look that each is the one that was written."""
    found: list[int] = []
    for piece in pieces:
        if isinstance(piece, Part):
            for n, one in enumerate(piece.cut.inputs, piece.cut.n0):
                assert one == (Tick() if n % 10 == 9 else message(n)) or isinstance(one, Health)
                found.append(n)
            assert len(piece.cut.inputs) == len(piece.cut.admitted_ns) == len(piece.cut.elapsed_ns)
    return found


def begins(pieces: Iterable[Piece]) -> list[Begin]:
    """Where a file's configuration or state begins."""
    return [piece for piece in pieces if isinstance(piece, Begin)]


def gaps(pieces: Iterable[Piece]) -> list[Gap]:
    """The holes."""
    return [piece for piece in pieces if isinstance(piece, Gap)]
