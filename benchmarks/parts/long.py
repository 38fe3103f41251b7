"""A long recording, made fast, and how soon something comes out of its middle.

    python benchmarks/parts/long.py FOLDER [GB]    makes it (one file, and as a ring), measures, removes it

Bodies are taken from random bytes, so that gigabytes of messages are gigabytes on the disk; a checkpoint of 1 MB stands
before every 64 MB, as in a ring of 64 MB files.
"""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path

import numpy as np

from gateway.events import Cut, Message
from gateway.recording.parts import About, Begin, Checkpoint, Part
from gateway.recording.reader import Recording
from gateway.recording.writer import FileWriter

NS = 1_000_000_000
T0 = 1_790_000_000 * NS
BODY, EACH, STEP_NS = 1000, 1000, NS // 1000  # 1,000 messages of 1 kB to a chunk, 1 ms apart
FILE_BYTES = 64_000_000
ABOUT = About(
    gateway="lg-1",
    epoch="e1",
    version="0",
    config_sha="c",
    config="gateway: lg-1\n",
    models=(),
    made="ring",
    began_ns=T0,
    timezone="UTC",
)


def checkpoint(n: int) -> Checkpoint:
    """Before input n."""
    return Checkpoint(n, T0 + n * STEP_NS, n * STEP_NS, 1, bytes(1_000_000))


def make(folder: Path, size: int, *, one_file: bool, closed: bool = True) -> int:
    """So many bytes of recording in `folder`; gives how many messages they are."""
    folder.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(1).bytes(48_000_000)
    n = written = serial = 0
    writer: FileWriter | None = None
    since = 0
    while written + (writer.size if writer else 0) < size:
        if writer is None or writer.size - since >= FILE_BYTES:
            if writer is None or not one_file:
                if writer is not None:
                    writer.close()
                    written += writer.size
                serial += 1
                said = About(**{**{f: getattr(ABOUT, f) for f in ABOUT.__struct_fields__}, "serial": serial})
                writer, since = FileWriter(folder / f"{serial:08d}.mcap", said, checkpoint(n)), 0
            else:
                writer.checkpoint(checkpoint(n))
                since = writer.size
        at = n * 37 % (len(noise) - EACH * BODY)
        stamps = T0 + np.arange(n, n + EACH, dtype=np.int64) * STEP_NS
        bodies = [noise[at + i * BODY : at + (i + 1) * BODY] for i in range(EACH)]
        writer.inputs(Cut(n, [Message("here", "air/1/up", body) for body in bodies], stamps, stamps - T0))
        writer.flush()
        n += EACH
    if writer is not None:
        writer.close() if closed else writer.abandon()
    return n


def seek(folder: Path, at_n: int) -> tuple[float, float, int]:
    """Open it and read from input `at_n` on: seconds until open, and to the first inputs; where they begin."""
    began = time.perf_counter()
    recording = Recording.open(sorted(folder.glob("*.mcap")))
    opened = time.perf_counter() - began
    for piece in recording.pieces(T0 + at_n * STEP_NS):
        if isinstance(piece, Part):
            return opened, time.perf_counter() - began, piece.cut.n0
        assert isinstance(piece, Begin)
    raise AssertionError(f"nothing came from {at_n} on")


def peak_mb() -> float:
    """Resident memory at its highest, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def main(folder: Path, gigabytes: float) -> None:
    """Make, measure, remove."""
    for name, one_file, closed in (
        ("one file", True, True),
        ("one file, killed", True, False),
        ("a ring", False, True),
    ):
        n = make(folder, int(gigabytes * 1e9), one_file=one_file, closed=closed)
        for share in (0.0, 0.5, 0.999):
            opened, first, began = seek(folder, int(n * share))
            where = f"{name}, at {share:.1%} of {n} messages"
            print(f"{where}: opened in {opened:.3f} s, first inputs ({began}) in {first:.3f} s")
        for path in folder.glob("*.mcap"):
            path.unlink()
    print(f"peak {peak_mb():.0f} MB (48 of them the noise it is made of)")


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 10)
