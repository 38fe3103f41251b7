"""Cameras to detections, with real files and the real engine: the good day and the bad ones."""

from __future__ import annotations

import asyncio
import itertools
import time
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest

from gateway.clock import WallClock
from gateway.config.model import Camera
from gateway.config.scalars import Duration
from gateway.errors import DiskBroken
from gateway.events import Detections, Health, Looked
from gateway.vision.stream import Corrupt, Stream
from gateway.vision.vision import Vision
from tests.vision.conftest import manifest, street
from tests.vision.running import Door, eventually, our_threads, running

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gateway.config.manifest import Manifest

NS = 1_000_000_000
START = 1_700_000_000 * NS
BLOCK = [32, 16, 64, 64]


def outline(found: Detections) -> list[float]:
    """What all boxes span together."""
    return [*found.xyxy[:, :2].min(axis=0).tolist(), *found.xyxy[:, 2:].max(axis=0).tolist()]


async def test_a_file_becomes_detections_and_covered_time(video: Callable[..., Path], yolox: Manifest) -> None:
    """A file becomes detections and covered time.

    Given a looped file at 10 fps and 5 looks a second, then the block is found where it is, at the file's own times,
    and the time between is covered without gap.
    """
    camera = Camera(detect=str(video()), loop=True, rate=5)
    async with running({"gate": camera}, yolox, start_ns=START) as (vision, door):
        await door.until(lambda: len(door.detections("gate")) >= 12)
    found = door.detections("gate")
    assert outline(found[0]) == BLOCK
    assert (found[0].width_px, found[0].height_px) == (128, 96)
    offsets = [(got.event_ns - START) / NS for got in found]
    assert offsets == pytest.approx([i / 5 for i in range(len(found))], abs=0.11)
    looked = door.looked("gate")
    assert {got.why for got in looked} == {"analysed"}
    assert looked[0].from_ns == START
    assert all(a.to_ns == b.from_ns for a, b in itertools.pairwise(looked))
    assert door.health("camera/gate", "connected") == [True]
    assert door.health("engine/0", "model") == [True]
    assert vision.stats()["analysed"] >= 12


async def test_every_nth_frame_gives_the_same_detections_each_run(video: Callable[..., Path], yolox: Manifest) -> None:
    """Given the headless way (every fifth frame, waiting for the engine), run twice, then the inputs are the same."""
    runs = []
    for _ in range(2):
        camera = Camera(detect=str(video(frames=32)), loop=True, rate=1)
        async with running({"gate": camera}, yolox, every_nth=5, start_ns=START, paced=False) as (_, door):
            await door.until(lambda door=door: len(door.detections("gate")) >= 30)
        runs.append([
            (got.frame, got.event_ns, got.xyxy.tobytes(), got.score.tobytes(), got.label.tobytes())
            if isinstance(got, Detections)
            else (got.from_ns, got.to_ns, got.why)
            for got in door.inputs
            if isinstance(got, (Detections, Looked))
        ][:50])  # fmt: skip
    assert runs[0] == runs[1]
    frames = [row[0] for row in runs[0] if len(row) == 5]
    assert frames[:9] == [1, 6, 11, 16, 21, 26, 31, 33, 38]  # 32 frames, then the file starts over


async def test_a_file_that_ended_says_so_and_the_others_go_on(video: Callable[..., Path], yolox: Manifest) -> None:
    """A file that ended says so and the others go on.

    Given a file that is not looped beside one that is, when the first ends, then it is told, its time is blind from
    then on, and the second is still analysed.
    """
    cameras = {
        "once": Camera(detect=str(video(frames=5)), rate=5),
        "on": Camera(detect=str(video()), rate=5, loop=True),
    }
    async with running(cameras, yolox) as (_, door):
        await door.until(lambda: door.health("camera/once", "ended") == [True, False])
        before = len(door.detections("on"))
        await door.until(lambda: len(door.detections("on")) > before + 5 and door.looked("once")[-1].why == "blind")
    assert door.healths("camera/once", "ended") == [
        Health("camera/once", "ended", True),
        Health("camera/once", "ended", False, "the file has ended after 5 frames"),
    ]


async def test_a_truncated_video_gives_what_it_holds(
    video: Callable[..., Path], yolox: Manifest, tmp_path: Path
) -> None:
    """A truncated video gives what it holds.

    Given a video whose second half is missing, then its first half is analysed, the rest counted or ended, and the
    neighbour goes on; cut inside its index it cannot be opened, and that is told.
    """
    whole = video(frames=60, codec="mpeg4").read_bytes()
    frames_at, index_at = whole.index(b"movi"), whole.index(b"idx1")
    (tmp_path / "half.avi").write_bytes(whole[: (frames_at + index_at) // 2])
    mp4 = video(frames=60).read_bytes()
    (tmp_path / "headless.mp4").write_bytes(mp4[: len(mp4) // 2])
    cameras = {
        "half": Camera(detect="half.avi"),
        "headless": Camera(detect="headless.mp4"),
        "good": Camera(detect=str(video()), loop=True),
    }
    async with running(cameras, yolox, tmp_path, every_nth=1, paced=False) as (vision, door):
        await door.until(
            lambda: (
                door.health("camera/half", "ended") == [True, False]
                and door.health("camera/headless", "connected")
                and len(door.detections("good")) > 30
            )
        )
        counts = vision.camera_stats()
    assert 10 < counts["half"]["frames"] < 60
    assert outline(door.detections("half")[0]) == BLOCK
    [told] = door.healths("camera/headless", "connected")
    assert not told.ok
    assert "headless.mp4: cannot be opened (Invalid data" in told.detail


async def test_corrupt_frames_are_counted_told_and_not_analysed(
    video: Callable[..., Path], yolox: Manifest, tmp_path: Path
) -> None:
    """Corrupt frames are counted told and not analysed.

    Given a file with noise written over ten of its frames, then the bad frames are counted, the condition told, the
    frames before and after analysed.
    """
    damaged = bytearray(video(frames=60).read_bytes())
    with av.open(str(video(frames=60))) as container:
        for packet in list(container.demux(video=0))[20:30]:
            noise = np.random.default_rng(3).bytes(packet.size - 5)
            damaged[packet.pos + 5 : packet.pos + packet.size] = noise  # after the NAL's length and type
    (tmp_path / "damaged.mp4").write_bytes(bytes(damaged))
    async with running({"gate": Camera(detect="damaged.mp4")}, yolox, tmp_path, every_nth=1, paced=False) as got:
        vision, door = got
        await door.until(lambda: door.health("camera/gate", "ended") == [True, False])
        counts = vision.camera_stats()["gate"]
    assert counts["corrupt"] >= 3
    assert counts["analysed"] == counts["frames"] >= 10
    [told] = door.healths("camera/gate", "corrupt")
    assert not told.ok
    assert "corrupt frames so far, the last: " in told.detail


async def test_what_is_well_is_said_to_be_though_only_an_earlier_process_knew_otherwise(
    video: Callable[..., Path], yolox: Manifest
) -> None:
    """Given alerts of a login, corrupt frames, an end and a model from before a restart, a good file ends them all."""
    camera = Camera(detect=str(video()), loop=True)
    async with running({"gate": camera}, yolox, every_nth=1, paced=False) as (_, door):
        await door.until(lambda: door.health("camera/gate", "corrupt"))
    for condition in ("connected", "login", "frozen", "ended", "corrupt"):
        assert door.health("camera/gate", condition) == [True]
    assert door.health("engine/0", "model") == [True]


async def test_a_live_camera_is_well_again_after_a_minute_without_corrupt_frames(
    video: Callable[..., Path], yolox: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given no corrupt frame since the start, when the window has passed, that is said, before any end."""
    monkeypatch.setattr("gateway.vision.camera._CORRUPT_WINDOW_NS", NS // 2)
    camera = Camera(detect=str(video(frames=200)))
    async with running({"gate": camera}, yolox) as (_, door):
        await door.until(lambda: door.health("camera/gate", "corrupt"))
        assert door.health("camera/gate", "ended") == [True]
    assert door.health("camera/gate", "corrupt") == [True]


async def test_an_absent_camera_is_tried_until_it_is_there(
    video: Callable[..., Path], yolox: Manifest, tmp_path: Path
) -> None:
    """Given no file, a text file, then a video under the camera's name, then it goes from told to seeing."""
    path = tmp_path / "late.mp4"
    async with running({"late": Camera(detect="late.mp4", loop=True)}, yolox, tmp_path) as (vision, door):
        await door.until(lambda: door.health("camera/late", "connected") == [False])
        await door.until(lambda: door.looked("late"))
        assert {got.why for got in door.looked("late")} == {"blind"}
        path.write_text("this is no video\n")
        tried = vision.stats()["retries"]
        await eventually(lambda: vision.stats()["retries"] > tried)
        path.write_bytes(video().read_bytes())
        await door.until(lambda: door.detections("late"))
    assert door.health("camera/late", "connected") == [False, True]
    assert "No such file" in door.healths("camera/late", "connected")[0].detail


async def test_a_broken_model_blinds_its_own_cameras_only(
    video: Callable[..., Path], yolox: Manifest, tmp_path: Path
) -> None:
    """Given one camera whose model is a text file, then the engine says so once and the other camera is analysed."""
    (tmp_path / "text.onnx").write_text("no model")
    cameras = {name: Camera(detect=str(video()), loop=True) for name in ("good", "bad")}
    manifests = {"good": yolox, "bad": manifest(tmp_path / "text.onnx", name="text")}
    async with running(cameras, manifests) as (_, door):
        await door.until(lambda: len(door.detections("good")) > 8 and door.looked("bad"))
    assert not door.detections("bad")
    assert "analysed" not in {got.why for got in door.looked("bad")}
    told = [got for got in door.healths("engine/0", "model") if not got.ok]
    assert len(told) == 1
    assert "text.onnx: not a model" in told[0].detail


async def test_the_last_picture_is_a_small_jpeg_with_its_boxes(video: Callable[..., Path], yolox: Manifest) -> None:
    """Given a look, then the page gets its JPEG and boxes as fractions; before it, nothing; of strangers, nothing."""
    async with running({"gate": Camera(detect=str(video()), loop=True)}, yolox) as (vision, door):
        assert vision.picture("gate") is None
        assert vision.picture("stranger") is None
        await door.until(lambda: door.detections("gate"))
        picture = vision.picture("gate")
    assert picture is not None
    assert picture.jpeg[:2] == b"\xff\xd8"
    assert picture.boxes.min(axis=0)[:2].tolist() == pytest.approx([32 / 128, 16 / 96])
    assert set(picture.labels) == {"red"}
    assert picture.event_ns in {got.event_ns for got in door.detections("gate")}


async def test_a_door_that_hangs_holds_no_more_than_its_bound(video: Callable[..., Path], yolox: Manifest) -> None:
    """A door that hangs holds no more than its bound.

    Given a commit that never returns, then only so many frames are handed over, the newest are skipped and counted,
    and cancelling ends all threads within 2 s.
    """
    cameras = {"gate": Camera(detect=str(video(frames=200)), loop=True, rate=100)}
    vision = Vision(cameras, dict.fromkeys(cameras, yolox), video().parent, WallClock(), 2, paced=False)
    door, forever = Door(), asyncio.Event()

    async def commit(batch: list) -> None:
        await door.commit(batch)
        await forever.wait()

    task = asyncio.get_running_loop().create_task(vision.run(commit))
    await eventually(lambda: vision.stats()["skipped"] > 10 and vision.stats()["analysed"] >= 400)
    analysed = vision.stats()["analysed"]
    skipped = vision.stats()["skipped"]
    await eventually(lambda: vision.stats()["skipped"] > skipped + 100)
    assert vision.stats()["analysed"] == analysed == 400
    began = time.monotonic()
    task.cancel()
    await asyncio.wait([task])
    assert time.monotonic() - began < 2
    assert not our_threads()


async def test_a_fault_in_a_thread_is_heard(
    video: Callable[..., Path], yolox: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a defect that nobody expected, then run() raises it instead of going on half blind."""
    monkeypatch.setattr("gateway.vision.camera.FileTime", None)
    vision = Vision({"gate": Camera(detect=str(video()))}, {"gate": yolox}, video().parent, WallClock(), 1)
    with pytest.raises(TypeError):
        await vision.run(Door().commit)
    assert not our_threads()


async def test_a_broken_outbox_is_raised_as_what_it_is(video: Callable[..., Path], yolox: Manifest) -> None:
    """Given a door whose disk broke, then run() raises DiskBroken itself, with all threads ended."""

    async def commit(_batch: object) -> None:
        raise DiskBroken("read-only")

    vision = Vision({"gate": Camera(detect=str(video()))}, {"gate": yolox}, video().parent, WallClock(), 1)
    with pytest.raises(DiskBroken):
        await vision.run(commit)
    assert not our_threads()


def test_frames_of_which_a_part_is_missing_are_not_looked_at(tmp_path: Path) -> None:
    """Frames of which a part is missing are not looked at.

    Given a raw H.264 stream whose frames come in two slices, when five frames lack their second, then these five are
    corrupt (the decoder fills the hole with guesses) and the others are pictures.
    """
    path = tmp_path / "slices.h264"
    encoder = av.CodecContext.create("libx264", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt, encoder.framerate = 128, 96, "yuv420p", Fraction(10)
    encoder.options = {"tune": "zerolatency", "x264-params": "slices=2:keyint=1"}
    frame = av.VideoFrame.from_ndarray(street(red=(32, 16, 64, 64)), "rgb24")
    with path.open("wb") as out:
        for number in range(20):
            frame.pts = number
            [packet] = encoder.encode(frame)
            body = bytes(packet)
            out.write(body[: body.rindex(b"\0\0\1")] if 5 <= number < 10 else body)
    with Stream(str(path)) as stream:
        kinds = [isinstance(got, Corrupt) for got in stream.pictures()]
    assert kinds == [5 <= number < 10 for number in range(20)]


def test_the_default_of_silent_is_a_duration() -> None:
    """So that a stream that says nothing is told within 3 s."""
    assert Camera(detect="x").silent == Duration.parse("2 s")
