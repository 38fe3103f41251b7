"""How a benchmark reads recordings, with our reader and with the mcap library's; and made-up ones of known content."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from mcap.reader import make_reader

from gateway.events import Cut, Message
from gateway.recording.parts import Begin, Checkpoint, Part
from gateway.recording.readable import MESSAGE
from gateway.recording.reader import Recording
from gateway.recording.writer import FileWriter
from gateway.replaying.play import play

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from gateway.events import Input, Stepped
    from gateway.recording.parts import About

BODY_BYTES = 165
VALUES = {"pm1": 30, "pm25": 60, "pm10": 80, "rh": 55, "temp": 20, "noise": 55, "co2": 600, "uv": 20, "volt": 230}
BATCH = 400  # messages admitted together, as they are under load


class Nothing:
    """Fulfils Keeps: lets outputs go."""

    def take(self, stepped: Sequence[Stepped]) -> None:
        """Into nothing."""

    def close(self) -> None:
        """Nothing to do."""


class Rates(NamedTuple):
    """Messages a second, by turns."""

    replayed: list[float]
    read: list[float]
    by_mcap: list[float]

    def median(self) -> tuple[float, float, float]:
        """Each one's."""
        replayed, read, by_mcap = (statistics.median(turns) for turns in self)
        return replayed, read, by_mcap


def rates(ring: Sequence[Path], exported: Sequence[Path], turns: int) -> tuple[Rates, Rates]:
    """Of the ring's compact form (where the mcap library finds no messages), and of an export; in turns."""
    compact, readable = Rates([], [], []), Rates([], [], [])
    for _ in range(turns):
        for paths, into in ((ring, compact), (exported, readable)):
            into.replayed.append(_rate(lambda paths=paths: replayed(paths)))
            into.read.append(_rate(lambda paths=paths: read(paths)))
        by_mcap = _rate(lambda: read_by_mcap(exported))
        compact.by_mcap.append(by_mcap)
        readable.by_mcap.append(by_mcap)
    return compact, readable


def _rate(count: Callable[[], int]) -> float:
    began = time.monotonic()
    return count() / (time.monotonic() - began)


def replayed(paths: Sequence[Path]) -> int:
    """Messages stepped."""
    return play(Recording.open(paths), Nothing()).summary.messages


def read(paths: Sequence[Path]) -> int:
    """Messages taken out one by one, with their topic, body and time."""
    count = 0
    for piece in Recording.open(paths).pieces():
        if isinstance(piece, Part):
            for one, _ in zip(piece.cut.inputs, piece.cut.admitted_ns.tolist(), strict=True):
                count += isinstance(one, Message)
    return count


def read_by_mcap(paths: Sequence[Path]) -> int:
    """The same, by the library that everybody uses."""
    count = 0
    for path in paths:
        with path.open("rb") as file:
            for schema, _, _ in make_reader(file).iter_messages():
                count += schema is not None and schema.name == MESSAGE
    return count


def about_of(recording: Recording) -> About:
    """What its first file says of itself."""
    begin = next(piece for piece in recording.pieces() if isinstance(piece, Begin))
    return begin.about


def bytes_a_message(folder: Path, about: About, messages: int) -> float:
    """On disk, for messages of 165 bytes of 100 devices, nine values that walk at random, admitted by 400."""
    walk = np.random.default_rng(1)
    steps = walk.normal(0, 0.4, (messages // 100 + 1, 100, len(VALUES)))
    values = np.cumsum(steps, axis=0) + np.array(list(VALUES.values()))
    late_ms = walk.integers(0, 1000, messages)
    made, began_ns = folder / "made-165.mcap", about.began_ns
    writer = FileWriter(made, about, Checkpoint(0, began_ns, 0, 1, None))
    empty = writer.size
    for n0 in range(0, messages, BATCH):
        inputs: list[Input] = [
            _message(n, began_ns // 10**6 + n // 100 * 10_000 + int(late_ms[n]), values[n // 100, n % 100].tolist())
            for n in range(n0, n0 + BATCH)
        ]
        at = np.full(BATCH, began_ns + n0 // BATCH * 10_000_000, np.int64)
        writer.inputs(Cut(n0, inputs, at, at - began_ns))
    writer.close()
    size = made.stat().st_size - empty
    made.unlink()
    return size / messages


def _message(n: int, at_ms: int, values: list[float]) -> Message:
    fields = ",".join(f'"{name}":{value:.1f}' for name, value in zip(VALUES, values, strict=True))
    body = f'{{"ts":{at_ms},"device":"air-{n % 100:04}",{fields},"rssi":{-70 - n % 13},"fw":"'
    return Message("here", f"air/{n % 100:03}/up", f'{body}{"2.4.1-r7-unit"[: BODY_BYTES - len(body) - 2]}"}}'.encode())
