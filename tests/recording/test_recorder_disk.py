"""Disks that are full, gone, silent or cut off in the middle: the recording suffers, says so, and comes back."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from gateway.clock import ReplayClock
from gateway.recording.parts import Part
from gateway.recording.reader import Recording
from gateway.recording.writer import FileWriter
from tests.conftest import ROOT
from tests.outbox.mounted import fill, mounted
from tests.recording.child import QUEUE_BYTES
from tests.recording.made import ABOUT, NOTHING, T0, begins, cut, gaps, numbers, read, state
from tests.recording.test_recorder import listening, noise, recording

if TYPE_CHECKING:
    from collections.abc import Iterator


class Child:
    """A recorder in another process."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.recording.child", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            cwd=ROOT,
            env={**os.environ, **env},
        )

    def ask(self, command: str) -> object:
        """Have a command done."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(command + "\n")
        return msgspec.json.decode(self.process.stdout.readline())

    def stat(self, name: str) -> object:
        """One of its figures."""
        return msgspec.convert(self.ask("stats"), dict[str, float])[name]


@contextmanager
def child(folder: Path, **env: str) -> Iterator[Child]:
    """Such a process, killed at the end if it still runs."""
    one = Child(folder, env)
    try:
        yield one
    finally:
        one.process.kill()
        one.process.communicate()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 MB."""
    folder = tmp_path / "disk"
    with mounted(folder, "-t", "tmpfs", "-o", "size=8M", "tmpfs"):
        yield folder


@pytest.fixture(scope="module")
def slow_disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What makes writes wait, to be preloaded."""
    compiler, library = shutil.which("cc"), tmp_path_factory.mktemp("slow") / "slow_disk.so"
    if compiler is None:
        pytest.skip("no C compiler here to make a slow disk with (apt install gcc)")
    source = Path(__file__).with_name("slow_disk.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return library


def test_kill_leaves_what_was_flushed(tmp_path: Path) -> None:
    """By kill -9; then the next process: its file follows the one that was not closed."""
    with child(tmp_path) as one:
        one.ask("admit 0 100")
        one.ask("flush")
        one.ask("admit 100 50")
        one.process.send_signal(signal.SIGKILL)
        one.process.wait()
    found = Recording.open([tmp_path])
    assert numbers(found.pieces()) == list(range(100))
    assert found.files[0].damage == ()
    assert (found.files[0].first_n, found.files[0].last_n) == (0, 100)


async def test_a_ring_larger_than_its_disk_gives_up_its_oldest(disk: Path) -> None:
    """Nothing but the ring's oldest files is lost: no hole, no word."""
    n = 0
    async with recording(disk / "ring", budget=10**8, file_bytes=2_000_000) as recorder:
        for _ in range(10):
            for _ in range(4):
                recorder.admitted(noise(n, 500, 1000))  # more than a chunk
                n += 500
            await recorder.flush()
            if recorder.wants_checkpoint():
                recorder.checkpoint(state(n))
        assert recorder.stats()["gaps"] == 0
        assert recorder.stats()["written_bytes"] > 15_000_000
    found = Recording.open([disk / "ring"])
    assert found.files[-1].last_n == n
    assert found.files[0].first_n > 0
    assert len(begins(found.pieces())) == 1


async def test_on_a_full_disk_recording_stops_and_comes_back_when_there_is_room(disk: Path) -> None:
    """The file stays readable to its last good chunk; the next begins with a checkpoint and says why it does."""
    clock = ReplayClock(T0)
    async with recording(disk / "ring", clock=clock) as recorder, listening(recorder) as said:
        recorder.admitted(noise(0, 100))
        await recorder.flush()
        other = fill(disk)
        recorder.admitted(noise(100, 1000))
        recorder.admitted(noise(1100, 1000))
        await recorder.flush()
        stopped = await said.get()
        assert not stopped.ok
        assert stopped.detail.startswith("No space left on device")
        assert stopped.detail.endswith("inputs from 100 on are not recorded")
        assert recorder.stats()["dropped"] == 2000
        assert recorder.stats()["queue_bytes"] == 0
        clock.advance(10)  # still full: it tries, and stays where it is
        assert recorder.wants_checkpoint()
        recorder.checkpoint(state(2100))
        recorder.admitted(cut(2100))
        await recorder.flush()
        assert not recorder.wants_checkpoint()
        other.unlink()
        clock.advance(10)
        assert recorder.wants_checkpoint()
        recorder.checkpoint(state(2200))
        recorder.admitted(cut(2200))
        await recorder.flush()
        well = await said.get()
        assert well.ok
        assert well.detail.startswith("inputs 100 to 2199 are not recorded: No space left on device")
        assert said.empty()
    pieces = read(disk / "ring")
    assert [(gap.from_n, gap.to_n) for gap in gaps(pieces)] == [(100, 2200)]
    assert begins(pieces)[1].checkpoint == state(2200)
    assert "No space left on device" in begins(pieces)[1].why


async def test_a_hole_grows_by_what_waited_when_the_disk_failed(disk: Path) -> None:
    """Inputs 100 to 109 waited, the queue was full at 110, and then the disk was, too."""
    clock = ReplayClock(T0)
    async with recording(disk / "ring", clock=clock, queue_bytes=100_000) as recorder, listening(recorder) as said:
        recorder.admitted(noise(0, 100))
        await recorder.flush()
        fill(disk)
        recorder.admitted(noise(100, 10))
        recorder.admitted(noise(110, 100, 1000))
        assert recorder.stats()["dropped"] == 100
        await recorder.flush()
        assert recorder.stats()["dropped"] == 110
        (disk / "other").unlink()
        clock.advance(10)
        recorder.checkpoint(state(210))
        assert "inputs from 110 on" in (await said.get()).detail
        await recorder.flush()
        assert (await said.get()).detail.startswith("inputs 100 to 209 are not recorded: No space left")
    assert [(gap.from_n, gap.to_n) for gap in gaps(read(disk / "ring"))] == [(100, 210)]
    assert (recorder.stats()["gaps"], recorder.stats()["inputs"]) == (1, 100)


def test_a_write_that_the_disk_had_no_room_for_is_repeated_whole(disk: Path) -> None:
    """What it took of a chunk is taken back: the next try stands where the first did."""
    writer = FileWriter(disk / "a.mcap", ABOUT, NOTHING)
    other = fill(disk, leave=10_000)
    writer.inputs(noise(0, 1000))
    with pytest.raises(OSError, match="No space left"):
        writer.flush()
    assert (disk / "a.mcap").stat().st_size == writer.size
    with pytest.raises(OSError, match="No space left"):
        writer.flush()
    other.unlink()
    writer.close()
    found = Recording.open([disk / "a.mcap"])
    assert sum(len(piece.cut.inputs) for piece in found.pieces() if isinstance(piece, Part)) == 1000
    assert found.files[0].damage == ()
    assert (disk / "a.mcap").read_bytes().count(b"\x04\x00\x00\x00zstd") == 2 + 2  # chunks, and the summary's


async def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """Another file stands where the folder should be; when it has gone, recording begins."""
    (tmp_path / "state").touch()
    clock = ReplayClock(T0)
    async with recording(tmp_path / "state/recording", clock=clock) as recorder, listening(recorder) as said:
        recorder.admitted(cut(0))
        stopped = await said.get()
        assert not stopped.ok
        assert "Not a directory" in stopped.detail
        assert str(tmp_path / "state") in stopped.detail
        (tmp_path / "state").unlink()
        clock.advance(10)
        recorder.checkpoint(state(10))
        recorder.admitted(cut(10))
        assert (await said.get()).ok
    assert numbers(read(tmp_path / "state/recording")) == list(range(10, 20))


def test_a_disk_that_does_not_answer_costs_video_first_then_inputs_and_never_time(
    tmp_path: Path, slow_disk: Path
) -> None:
    """The queue is bounded; `admitted` and `checkpoint` answer while the disk does not."""
    silent, held, ring = tmp_path / "silent", tmp_path / "held", tmp_path / "ring"
    bad = {"SLOW_AT": str(ring), "SLOW_BY": str(silent), "SLOW_HELD": str(held)}
    with child(ring, LD_PRELOAD=str(slow_disk), **bad) as one:
        one.ask("admit 0 100")
        one.ask("flush")
        silent.touch()
        one.ask("admit 100 200")  # more than wakes the thread, which takes it and hangs
        while not held.exists():
            one.ask("stats")
        one.ask("beside 10000")
        assert one.stat("dropped_beside") == 0
        for n0 in range(300, 700, 100):
            one.ask(f"admit {n0} 100")
        while not one.stat("gaps"):
            n0 += 100
            one.ask(f"admit {n0} 100")
            assert one.stat("queue_bytes") <= QUEUE_BYTES
        assert one.stat("dropped_beside") == 1
        assert one.stat("recording") == 0
        one.ask("admit 5000 100")
        assert one.ask("wants") is False
        silent.unlink()
        one.ask("flush")
        assert one.ask("wants") is True
        one.ask("checkpoint 5100")
        one.ask("admit 5100 10")
        one.ask("flush")
        assert one.stat("recording") == 1
    pieces = read(ring)
    assert numbers(pieces) == [*range(n0), *range(5100, 5110)]
    assert [(gap.from_n, gap.to_n) for gap in gaps(pieces)] == [(n0, 5100)]
    assert begins(pieces)[1].why.startswith("hole: the disk is too slow")
