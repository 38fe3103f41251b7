"""Films and models that are out of the ordinary: time stamps that lie, sizes of extremes, outputs that are no boxes."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest

from gateway.clock import WallClock
from gateway.config.model import Camera
from gateway.vision.detector import manifest_of
from gateway.vision.heads import MOST_BOXES
from tests.servers.camera import BentCamera, film
from tests.vision.conftest import street
from tests.vision.graphs import known
from tests.vision.running import running

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gateway.config.manifest import Manifest

RED = (32, 16, 64, 64)
NS = 1_000_000_000
ANCHORS = 126  # of YOLOX at 96 × 64


def _encoded(path: Path, width: int, height: int, frames: int, codec: str = "libx264", pixels: str = "yuv420p") -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, pixels
        stream.codec_context.thread_count = 1
        if codec == "libx264":
            stream.options = {"preset": "ultrafast", "tune": "zerolatency"}
        rng = np.random.default_rng(7)
        for _ in range(frames):
            picture = np.full((height, width, 3), 90, np.uint8)
            picture[:, : width // 2] = (255, 0, 0)
            picture[:: max(1, height // 64)] += rng.integers(0, 4, dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode())
    return path


def _restamped(source: Path, path: Path, late: dict[int, int]) -> Path:
    """The same packets, of which some have a presentation time that is so many frames too late."""
    with av.open(str(source)) as read, av.open(str(path), "w") as container:
        stream = container.add_stream_from_template(read.streams.video[0])
        packets = [packet for packet in read.demux(video=0) if packet.size]
        for number, packet in enumerate(packets):
            assert packet.pts is not None
            packet.pts += late.get(number, 0) * packets[1].pts  # type: ignore[operator] - they all have one
            packet.stream = stream
            container.mux(packet)
    return path


async def test_a_file_whose_time_stamps_go_back_is_looked_at_in_order(yolox: Manifest, tmp_path: Path) -> None:
    """Given a file in which some frames claim to be later than those after them, then times go forward all the same."""
    whole = _encoded(tmp_path / "whole.mp4", 128, 96, 30)
    _restamped(whole, tmp_path / "back.mp4", {5: 7, 6: 3, 15: 60})
    async with running({"gate": Camera(detect="back.mp4")}, yolox, tmp_path, every_nth=1, paced=False) as (_, door):
        await door.until(lambda: door.health("camera/gate", "ended") == [True, False])
    times = [got.event_ns for got in door.detections("gate")]
    assert len(times) == 30
    steps = [b - a for a, b in itertools.pairwise(times)]
    assert min(steps) > 0
    assert sum(step == NS // 10 for step in steps) >= 27  # but for where one leaps ahead


async def test_a_raw_stream_without_any_time_stamp_is_looked_at_in_order(yolox: Manifest, tmp_path: Path) -> None:
    """Given H.264 as it comes from an encoder, without container or PTS, then each frame has a time, always forward."""
    (tmp_path / "raw.h264").write_bytes(b"".join(film(street(red=RED), frames=30).pictures))
    async with running({"gate": Camera(detect="raw.h264")}, yolox, tmp_path, every_nth=1, paced=False) as (_, door):
        await door.until(lambda: door.health("camera/gate", "ended") == [True, False])
    times = [got.event_ns for got in door.detections("gate")]
    assert len(times) == 30
    assert all(0 < b - a <= NS for a, b in itertools.pairwise(times))


@pytest.mark.parametrize("camera_says", ["back", "far back", "far ahead"])
async def test_a_live_cameras_time_stamps_that_jump_move_no_time(camera_says: str, yolox: Manifest) -> None:
    """Given RTP time stamps that jump back or ahead mid-stream, then frames have times of about now, always forward."""
    with BentCamera(film(street(red=RED))) as bent:
        async with running({"gate": Camera(detect=bent.url)}, yolox) as (_, door):
            await door.until(lambda: len(door.detections("gate")) > 3)
            bent.back_s = {"back": 5.0, "far back": 3600.0, "far ahead": -3600.0}[camera_says]
            before = len(door.detections("gate"))
            await door.until(lambda: len(door.detections("gate")) > before + 8)
            now_ns = WallClock().now_ns()
    times = [got.event_ns for got in door.detections("gate")]
    assert all(0 < b - a < 2 * NS for a, b in itertools.pairwise(times))
    assert abs(now_ns - times[-1]) < 2 * NS
    assert door.health("camera/gate", "connected") == [True]


@pytest.mark.parametrize("gated", [False, True])
async def test_another_size_mid_stream_is_looked_at_in_its_own_pixels(gated: bool, yolox: Manifest) -> None:
    """Given a camera whose picture doubles its size mid-stream, then boxes follow, on the connection that it had.

    Also where only what moves is looked at, and the picture before is what it is measured by.
    """
    small, large = film(street(red=RED)), film(street(256, 192, red=(64, 32, 128, 128)))
    with BentCamera(small) as bent:
        async with running({"gate": Camera(detect=bent.url)}, yolox, gated=gated) as (_, door):
            await door.until(lambda: len(door.detections("gate")) > 1)
            bent.film = large
            await door.until(lambda: door.detections("gate")[-1].width_px == 256)
            bent.film = small
            await door.until(lambda: door.detections("gate")[-1].width_px == 128)
        assert bent.connections == 1
    for got in door.detections("gate"):
        scale = got.width_px // 128
        assert got.xyxy[:, 2:].max(axis=0).tolist() == [64 * scale, 64 * scale]


@pytest.mark.parametrize(("width", "height", "frames"), [(1, 1, 4), (2, 2, 4), (7680, 4320, 3)])
async def test_a_picture_of_one_pixel_and_one_of_33_million_are_pictures(
    width: int, height: int, frames: int, video: Callable[..., Path], yolox: Manifest, tmp_path: Path
) -> None:
    """Given films of extreme sizes beside a usual one, then each frame is looked at, and nobody else is held up."""
    odd = (width, height) == (1, 1)
    _encoded(tmp_path / "odd.avi", width, height, frames, *(("rawvideo", "bgr24") if odd else ("libx264",)))
    cameras = {"odd": Camera(detect="odd.avi"), "good": Camera(detect=str(video()), loop=True)}
    async with running(cameras, yolox, tmp_path, every_nth=1, paced=False) as (_, door):
        await door.until(lambda: door.health("camera/odd", "ended") == [True, False], 60)
        await door.until(lambda: len(door.detections("good")) > 10)
    found = door.detections("odd")
    assert [(got.width_px, got.height_px) for got in found] == [(width, height)] * frames
    assert all((got.xyxy >= 0).all() and (got.xyxy <= [width, height] * 2).all() for got in found)
    if width > 64:
        assert found[0].xyxy[:, 2:].max(axis=0).round().tolist() == [width / 2, height]


def _yolox_of(path: Path, rows: np.ndarray) -> Manifest:
    return manifest_of(known(path, {"output": rows.astype(np.float32)[None]}))


def _rows(certain: int) -> np.ndarray:
    """Outputs for every anchor, of which the first are certain, and as far apart as cells are."""
    rows = np.zeros((ANCHORS, 85), np.float32)
    rows[:certain, 4:6] = 1
    return rows


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
async def test_single_outputs_that_are_no_numbers_cost_their_box_alone(
    value: float, video: Callable[..., Path], tmp_path: Path
) -> None:
    """Given a model of which some outputs are NaN or infinite, then those are no boxes, and it is told or seen well."""
    rows = _rows(4)
    rows[0, 2] = rows[1, 4] = value
    model = _yolox_of(tmp_path / "half.onnx", rows)
    async with running({"a": Camera(detect=str(video()), loop=True)}, model) as (_, door):
        await door.until(lambda: door.detections("a") or not all(door.health("engine/0", "model")))
    assert all(np.isfinite(got.xyxy).all() and np.isfinite(got.score).all() for got in door.detections("a"))
    assert door.detections("a") or not door.health("engine/0", "model")[-1]


async def test_no_box_at_all_is_an_empty_street(video: Callable[..., Path], tmp_path: Path) -> None:
    """Given a model that never finds anything, then its looks count as analysed, with no box."""
    model = _yolox_of(tmp_path / "none.onnx", _rows(0))
    async with running({"a": Camera(detect=str(video()), loop=True)}, model) as (_, door):
        await door.until(lambda: len(door.detections("a")) > 3)
    assert {len(got.score) for got in door.detections("a")} == {0}
    assert door.looked("a")[-1].why == "analysed"


async def test_ten_thousand_boxes_are_the_best_three_hundred_and_hold_nobody_up(
    video: Callable[..., Path], yolox: Manifest, tmp_path: Path
) -> None:
    """Given a model with 10,000 certain boxes a frame, then 300 go on, and the camera beside it is looked at, too."""
    corner = np.random.default_rng(8).uniform(0, 0.9, (1, 10_000, 2)).astype(np.float32)
    logits = np.full((1, 10_000, 80), -9, np.float32)
    logits[..., 0] = 9
    boxes = np.concatenate([corner, np.full((1, 10_000, 2), 0.01, np.float32)], axis=2)
    many = manifest_of(known(tmp_path / "many.onnx", {"logits": logits, "pred_boxes": boxes}))
    cameras = {name: Camera(detect=str(video()), loop=True) for name in ("many", "usual")}
    async with running(cameras, {"many": many, "usual": yolox}) as (_, door):
        await door.until(lambda: len(door.detections("many")) > 3 and len(door.detections("usual")) > 3)
    assert {len(got.score) for got in door.detections("many")} == {MOST_BOXES}
