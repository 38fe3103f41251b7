"""The recorder takes what the door admitted, keeps the ring within its budget, and says what it let go."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import numpy as np
import pytest

from gateway.clock import ReplayClock
from gateway.events import AlertRow, Cut, Detections, Health, Message
from gateway.recording.beside import Beside
from gateway.recording.parts import Checkpoint
from gateway.recording.queued import waiting
from gateway.recording.reader import Recording
from gateway.recording.recorder import Recorder
from tests.recording.made import ABOUT, NOTHING, NS, T0, begins, cut, gaps, numbers, read, state

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

VIDEO = Beside("/camera/gate/video", message_encoding="protobuf")


@asynccontextmanager
async def recording(
    folder: Path,
    *,
    budget: int = 10**8,
    file_bytes: int = 10**7,
    file_ns: int = 10**15,
    queue_bytes: int = 16_000_000,
    clock: ReplayClock | None = None,
) -> AsyncIterator[Recorder]:
    """A recorder that has begun, closed at the end."""
    recorder = Recorder(
        folder,
        ABOUT,
        clock or ReplayClock(T0),
        budget=budget,
        file_bytes=file_bytes,
        file_ns=file_ns,
        queue_bytes=queue_bytes,
    )
    recorder.begin(NOTHING)
    try:
        yield recorder
    finally:
        await recorder.aclose()


@asynccontextmanager
async def listening(recorder: Recorder) -> AsyncIterator[asyncio.Queue[Health]]:
    """What it says of itself."""
    said: asyncio.Queue[Health] = asyncio.Queue()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(recorder.run(said.put))
        yield said
        task.cancel()


def noise(n0: int, count: int, size: int = 100) -> Cut:
    """Messages that do not compress."""
    random = np.random.default_rng(n0)
    numbers = np.arange(n0, n0 + count, dtype=np.int64)
    return Cut(n0, [Message("here", "a", random.bytes(size)) for _ in numbers], T0 + numbers, numbers)


def on_disk(folder: Path) -> int:
    """Bytes of all files."""
    return sum(path.stat().st_size for path in folder.iterdir())


def row(seq: int, *, shadow: bool = False) -> AlertRow:
    body = b'{"schema": 1, "id": "flood-1", "seq": %d}' % seq
    return AlertRow(seq, "flood-1", "flood", "water", "city", ("severe",), "raised", "active", True, shadow, T0, body)


async def test_what_was_admitted_is_read_again(tmp_path: Path) -> None:
    """While the recorder runs, after a flush; and from the closed file."""
    async with recording(tmp_path) as recorder:
        for n0 in range(0, 5_000, 50):
            recorder.admitted(cut(n0, 50))
        files = await recorder.flush()
        assert numbers(read(*files)) == list(range(5_000))
        recorder.admitted(cut(5_000, 50))
    assert numbers(read(tmp_path)) == list(range(5_050))
    assert recorder.stats() == {
        "bytes": on_disk(tmp_path),
        "files": 1,
        "inputs": 5_050,
        "dropped": 0,
        "dropped_beside": 0,
        "gaps": 0,
        "queue_bytes": 0,
        "written_bytes": recorder.stats()["bytes"],
        "recording": 1,
    }


async def test_alerts_and_channels_beside_are_in_the_file(tmp_path: Path) -> None:
    clock = ReplayClock(T0)
    async with recording(tmp_path, clock=clock) as recorder:
        recorder.admitted(cut(0))
        recorder.alerts([row(1), row(2, shadow=True)])
        recorder.beside(VIDEO, T0 + 5, b"packet")
    found = Recording.open([tmp_path])
    assert list(found.alerts()) == [
        b'{"schema": 1, "id": "flood-1", "seq": 1,"status":"actual"}',
        b'{"schema": 1, "id": "flood-1", "seq": 2,"status":"test"}',
    ]
    assert list(found.messages(VIDEO.topic)) == [(T0 + 5, b"packet")]


async def test_every_file_of_the_ring_begins_with_a_checkpoint_and_the_oldest_go(tmp_path: Path) -> None:
    """A file is full, the next seal brings a checkpoint; all files together stay within the budget."""
    budget, n = 1_000_000, 0
    async with recording(tmp_path, budget=budget, file_bytes=200_000) as recorder:
        for _ in range(100):
            recorder.admitted(noise(n, 200))
            n += 200
            await recorder.flush()
            assert on_disk(tmp_path) <= budget
            if recorder.wants_checkpoint():
                recorder.checkpoint(state(n))
                assert not recorder.wants_checkpoint()
        stats = recorder.stats()
        files = await recorder.flush()
    assert sum(path.stat().st_size for path in files) == on_disk(tmp_path)
    assert stats["written_bytes"] > 1.5 * budget
    assert (stats["gaps"], stats["dropped"]) == (0, 0)
    found = Recording.open(files)
    assert found.files[0].first_n > 0
    assert [one.first_n for one in found.files[1:]] == [one.last_n for one in found.files[:-1]]
    assert found.files[-1].last_n == n
    for path in files:
        first = begins(read(path))[0]
        assert first.checkpoint == state(first.checkpoint.n if first.checkpoint else -1)
    assert sum(len(piece.cut.inputs) for piece in found.pieces() if hasattr(piece, "cut")) == n - found.files[0].first_n


async def test_a_file_is_full_when_it_is_old(tmp_path: Path) -> None:
    clock = ReplayClock(T0)
    async with recording(tmp_path, file_ns=3600 * NS, clock=clock) as recorder:
        recorder.admitted(cut(0))
        await recorder.flush()
        assert not recorder.wants_checkpoint()
        clock.advance(3600)
        recorder.admitted(cut(10))
        await recorder.flush()
        assert recorder.wants_checkpoint()
        recorder.checkpoint(state(20))
        recorder.admitted(cut(20))
    assert [file.first_n for file in Recording.open([tmp_path]).files] == [0, 20]
    assert numbers(read(tmp_path)) == list(range(30))


async def test_a_large_state_makes_large_files(tmp_path: Path) -> None:
    """A state larger than a file is to be would else begin a file at every seal."""
    large = Checkpoint(10, T0, 0, 1, np.random.default_rng(1).bytes(300_000))
    async with recording(tmp_path, budget=10_000_000, file_bytes=100_000) as recorder:
        recorder.admitted(noise(0, 10, 20_000))
        await recorder.flush()
        assert recorder.wants_checkpoint()
        recorder.checkpoint(large)
        n = 10
        while not recorder.wants_checkpoint():
            recorder.admitted(noise(n, 10, 10_000))
            await recorder.flush()
            n += 10
    assert n > 80
    assert len(Recording.open([tmp_path]).files) == 2


async def test_a_file_that_gets_no_checkpoint_stops_at_the_budget(tmp_path: Path) -> None:
    """The ring never takes more of the disk than it may; what follows is a hole."""
    async with recording(tmp_path, budget=300_000, file_bytes=50_000) as recorder:
        for i in range(50):
            recorder.admitted(noise(i * 100, 100))
            await recorder.flush()
        assert recorder.stats()["gaps"] == 1
    assert on_disk(tmp_path) <= 300_000


async def test_what_the_queue_cannot_take_is_a_hole_until_the_next_checkpoint(tmp_path: Path) -> None:
    """It is said, counted, and a gap in the file; recording goes on with a checkpoint, and that is said too."""
    async with recording(tmp_path, queue_bytes=20_000) as recorder, listening(recorder) as said:
        recorder.admitted(cut(0))
        await recorder.flush()
        recorder.admitted(noise(10, 50, 1000))
        recorder.admitted(cut(60))
        assert await said.get() == Health(
            "recorder/ring",
            "recording",
            ok=False,
            detail="the disk is too slow: 0 bytes wait to be recorded; inputs from 10 on are not recorded",
        )
        assert recorder.stats()["dropped"] == 60
        assert recorder.stats()["recording"] == 0
        assert recorder.wants_checkpoint()
        recorder.checkpoint(state(70))
        recorder.admitted(cut(70))
        well = await said.get()
        assert (well.ok, well.detail[:36]) == (True, "inputs 10 to 69 are not recorded: th")
        assert recorder.stats()["gaps"] == 1
    pieces = read(tmp_path)
    assert numbers(pieces) == [*range(10), *range(70, 80)]
    assert [(gap.from_n, gap.to_n) for gap in gaps(pieces)] == [(10, 70)]
    assert begins(pieces)[1].checkpoint == state(70)


def test_a_look_weighs_its_boxes() -> None:
    """Given a cut of one look with 300 boxes, then what it keeps in memory is counted: the queue's bound is one."""
    xyxy, score = np.zeros((300, 4), np.float32), np.zeros(300, np.float32)
    look = Detections("gate", 1, T0, 128, 96, xyxy, score, np.zeros(300, np.int16))
    stamps = np.array([T0], np.int64)
    assert waiting(Cut(0, [look], stamps, stamps)).weight >= xyxy.nbytes + score.nbytes + 600


async def test_channels_beside_have_half_of_the_queue(tmp_path: Path) -> None:
    """Video never takes the place of an input."""
    async with recording(tmp_path, queue_bytes=20_000) as recorder:
        recorder.beside(VIDEO, T0, bytes(10_001))
        recorder.admitted(cut(0))
        await recorder.flush()
        assert recorder.stats()["dropped_beside"] == 1
    assert numbers(read(tmp_path)) == list(range(10))


@pytest.mark.parametrize("cuts", [(1,), (60, 60), (200,)], ids=["alone", "in a small cut", "in a large cut"])
async def test_an_input_that_cannot_be_written_costs_the_recording_and_nothing_else(
    tmp_path: Path, cuts: tuple[int, ...]
) -> None:
    """Text that is no Unicode: no transport sends it, but whoever writes a source may."""
    clock = ReplayClock(T0)
    async with recording(tmp_path, clock=clock) as recorder, listening(recorder) as said:
        bad = Health("source/here", "connected", ok=False, detail="\ud800")
        count = 0
        for size in cuts:
            inputs = [bad, *noise(1, size - 1).inputs]
            recorder.admitted(Cut(count, inputs, np.full(size, T0, np.int64), np.zeros(size, np.int64)))
            count += size
        await recorder.flush()
        assert "surrogates not allowed" in (await said.get()).detail
        assert not recorder.wants_checkpoint()
        clock.advance(10)
        assert recorder.wants_checkpoint()
        recorder.checkpoint(state(count))
        recorder.admitted(cut(count, 9))
        assert (await said.get()).ok
    assert numbers(read(tmp_path)) == list(range(count, count + 9))


async def test_large_and_small_cuts_keep_their_order(tmp_path: Path) -> None:
    """Large ones are packed as they come, small ones when they are many, or with what stands between them."""
    async with recording(tmp_path) as recorder:
        n = 0
        for count in (1, 250, 40, 70, 3, 5, 100, 99, 1, 2):
            recorder.admitted(cut(n, count))
            n += count
            recorder.beside(VIDEO, T0 + n, b"packet")
            if count == 5:
                recorder.checkpoint(state(n))
    assert numbers(read(tmp_path)) == list(range(n))


async def test_the_next_process_goes_on_behind_the_files_that_are_there(tmp_path: Path) -> None:
    for n in (0, 10):
        recorder = Recorder(tmp_path, ABOUT, ReplayClock(T0), budget=10**8, file_bytes=10**7, file_ns=10**15)
        recorder.begin(state(n) if n else NOTHING)
        recorder.admitted(cut(n))
        await recorder.aclose()
    assert [file.about.serial for file in Recording.open([tmp_path]).files] == [1, 2]
    assert numbers(read(tmp_path)) == list(range(20))


async def test_a_recorder_that_never_began_is_closed_without_a_trace(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "ring", ABOUT, ReplayClock(T0), budget=10**8, file_bytes=10**7, file_ns=10**15)
    assert await recorder.flush() == []
    await recorder.aclose()
    assert not (tmp_path / "ring").exists()


async def test_a_long_file_has_checkpoints_to_begin_at(tmp_path: Path) -> None:
    """At least every 200,000 inputs, whatever the file's size: a replay from the middle does not begin a day before."""
    async with recording(tmp_path) as recorder:
        for n0 in range(0, 200_000, 20_000):
            assert not recorder.wants_checkpoint()
            recorder.admitted(cut(n0, 20_000))
            await recorder.flush()
        assert recorder.wants_checkpoint()
        recorder.checkpoint(state(200_000))
        assert not recorder.wants_checkpoint()
        recorder.admitted(cut(200_000))
    found = Recording.open([tmp_path])
    assert len(found.files) == 1
    assert numbers(found.pieces(T0 + 20_001 * NS)) == list(range(200_000, 200_010))
