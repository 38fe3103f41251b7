"""Seeking into a large recording: made of sensor messages and incompressible video, entered at random moments.

As a program, `python seek.py RECORDING FROM_NS`: prints the seconds from opening it to the first output of a replay
from there, and the most memory that took.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # as the benchmarks have it

import msgspec
import numpy as np
from stage import Row, memory_mb

from gateway.events import Cut, Input, Message, Tick
from gateway.recording.beside import Beside
from gateway.recording.besides import checkpoints
from gateway.recording.parts import Checkpoint
from gateway.recording.reader import Recording
from gateway.recording.writer import FileWriter
from gateway.replaying.play import play
from parts.air import DEVICES, payload
from parts.corner import DAYS, STEP_MS
from parts.recorded import about_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.events import Stepped
    from gateway.recording.parts import About

S = 10**9
FILE_BYTES = 128_000_000  # as the ring's
VIDEO = Beside("/camera/crossing/video", message_encoding="application/octet-stream")
PACKET, PACKETS_A_S = 50_000, 25  # four cameras of 2.5 Mbit/s, or so
MESSAGES_A_S = 500
TRIES = 5


class _First:
    """Fulfils Keeps: says when the first output comes, and ends the process."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def take(self, stepped: Sequence[Stepped]) -> None:
        """The first with a point in it."""
        if any(one.points for one in stepped):
            said = {"seconds": time.monotonic() - self._began, "mb": memory_mb(os.getpid(), "VmHWM")}
            print(json.dumps(said), flush=True)
            os._exit(0)

    def close(self) -> None:
        """Nothing to do."""


def sought(at: Path, ring: Recording, gigabytes: float, wanted_s: float) -> list[Row]:
    """Enter a recording of so many bytes at TRIES moments; the same with one of a hundredth."""
    about, states = about_of(ring), list(checkpoints(ring))
    between = (states[-1].n - states[0].n) // max(1, len(states) - 1)
    state = next(one.state for one in reversed(states) if one.state)
    assert state is not None
    figures: list[tuple[float, float]] = []
    for share in (0.01, 1.0):
        folder = at / f"large-{share}"
        folder.mkdir()
        span = _make(folder, about, state, between, round(gigabytes * share * 1e9))
        figures.append(_enter(folder, *span))
        for path in folder.iterdir():
            path.unlink()
    (small_s, small_mb), (seconds, mb) = figures
    what = f"seek into {gigabytes:g} GB to the first output"
    words = (
        f"at most {wanted_s:g} s; a checkpoint of {len(state) / 1e3:.0f} kB every {between:,} inputs, as it was live"
    )
    grown = f"{mb - small_mb:+.0f} MB"
    return [
        Row(what, f"{seconds:.2f} s", words, seconds <= wanted_s),
        Row("… memory, more than with a hundredth of it", grown, f"flat; {mb:.0f} MB in all", mb - small_mb < 30),
        Row("… with a hundredth of it", f"{small_s:.2f} s"),
    ]


def _enter(folder: Path, first_ns: int, last_ns: int) -> tuple[float, float]:
    """Median seconds and most megabytes over moments in the whole of it."""
    answers: list[dict[str, float]] = []
    for number in range(TRIES):
        from_ns = first_ns + (last_ns - first_ns) * (2 * number + 1) // (2 * TRIES)
        done = subprocess.run([sys.executable, __file__, str(folder), str(from_ns)], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()[-2000:]
        answers.append(json.loads(done.stdout))
    return statistics.median(one["seconds"] for one in answers), max(one["mb"] for one in answers)


def _make(folder: Path, about: About, state: bytes, between: int, size: int) -> tuple[int, int]:
    """The files, as a ring's; admission of the first and of the last input."""
    noise = np.random.default_rng(1).bytes(64_000_000)
    began_ns, n, second, written, serial, since = about.began_ns, 1, 0, 0, 0, 0
    begin_ms = began_ns // 10**6 - DAYS * 86_400_000
    while written < size:
        serial += 1
        one = msgspec.structs.replace(about, serial=serial, began_ns=began_ns + second * S)
        path = folder / f"{serial:08d}-20260101T000000Z.mcap"
        writer = FileWriter(path, one, _checkpoint(n, began_ns + second * S, second * S, state))
        while writer.size < FILE_BYTES and written + writer.size < size:
            second += 1
            at_ns = began_ns + second * S
            inputs: list[Input] = [_message(n + i, begin_ms) for i in range(MESSAGES_A_S - 1)]
            stamps = np.full(MESSAGES_A_S, at_ns, np.int64)
            writer.inputs(Cut(n, [*inputs, Tick()], stamps, stamps - began_ns))
            n += MESSAGES_A_S
            since += MESSAGES_A_S
            for packet in range(PACKETS_A_S):
                at = (n * 7919 + packet * 104_729) % (len(noise) - PACKET)
                writer.beside(VIDEO, at_ns, noise[at : at + PACKET])
            if since >= between:
                writer.checkpoint(_checkpoint(n, at_ns, at_ns - began_ns, state))
                since = 0
        writer.close()
        written += writer.size
    return began_ns, began_ns + second * S


def _checkpoint(n: int, admitted_ns: int, elapsed_ns: int, state: bytes) -> Checkpoint:
    return Checkpoint(n, admitted_ns, elapsed_ns, 1, state)


def _message(n: int, begin_ms: int) -> Message:
    """As in the stream of corner.py: a device's stamps are 10 s apart, whatever the rate they come at."""
    return Message("here", f"air/{n % DEVICES:03}/up", payload(n, begin_ms + n // DEVICES * STEP_MS))


if __name__ == "__main__":
    keeps = _First()
    play(Recording.open([Path(sys.argv[1])]), keeps, from_ns=int(sys.argv[2]))
