"""Cameras' packets in a recording: all of them, decodable, with the times of their frames; or those around an alert."""

from __future__ import annotations

import itertools
import logging
from typing import TYPE_CHECKING

import numpy as np
import pytest

from gateway.config.model import Camera
from gateway.recording.video import Picture, decode, encode
from gateway.vision.annexb import Coded, head_units
from gateway.vision.annexb import decode as decode_video
from tests.recording.films import FPS, NS, START, Recorded, decoded, film, frames_of
from tests.vision.conftest import manifest, red_yolox
from tests.vision.running import running

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.config.manifest import Manifest
    from tests.servers.rtsp import Serve

KINDS = [
    ("libx264", "a.mp4", 0),
    ("libx264", "a.mp4", 2),
    ("libx264", "a.ts", 2),
    ("libx264", "a.mkv", 0),
    ("libx265", "a.mp4", 0),
    ("libx265", "a.mp4", 3),
    ("libx265", "a.ts", 0),
]
SETS = {"h264": {7, 8}, "h265": {32, 33, 34}}


@pytest.fixture(scope="module")
def yolox(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """The small model that finds red."""
    return manifest(red_yolox(tmp_path_factory.mktemp("models") / "yolox.onnx"))


async def play(path: Path, tmp_path: Path, model: Manifest, **settings: object) -> Recorded:
    """A film as the camera `gate`, recorded from its first frame to its end."""
    cameras = {"gate": Camera(detect=str(path), health="off", rate=5)}
    recorded = Recorded(tmp_path / "recording.mcap")
    tap = recorded.tap(cameras, **{"video": "always", **settings})
    async with running(cameras, model, every_nth=5, start_ns=START, paced=False, video=tap) as (_, door):
        await door.until(lambda: door.health("camera/gate", "ended")[-1:] == [False])
    return recorded


@pytest.mark.parametrize(("codec", "name", "b_frames"), KINDS)
async def test_every_frame_is_there_again_with_its_own_time(
    codec: str, name: str, b_frames: int, tmp_path: Path, yolox: Manifest
) -> None:
    """Given films as cameras and their recorders make them, then libav decodes each frame of what was recorded, the
    same to the pixel, parameter sets are before each key frame, and each time is that of its own frame.
    """  # noqa: D205 - one thought
    path = film(tmp_path / name, codec, b_frames=b_frames)
    recorded = await play(path, tmp_path, yolox)
    messages = recorded.video()
    assert {(message.frame_id, message.codec) for message in messages} == {
        ("gate", "h264" if "264" in codec else "h265")
    }
    wanted = frames_of(path)
    assert len(wanted) == 40
    assert all(np.array_equal(a, b) for a, b in zip(wanted, decoded(messages), strict=True))
    assert sorted(message.event_ns for message in messages) == [START + n * NS // FPS for n in range(40)]
    assert all(a.log_ns < b.log_ns for a, b in itertools.pairwise(messages))
    kinds = [{unit.kind for unit in head_units(m.data, m.codec)} for m in messages]  # type: ignore[arg-type]
    assert sum(SETS[messages[0].codec] <= kind for kind in kinds) == 4
    pictures = [Coded(m.event_ns, m.codec, m.data) for m in messages]  # type: ignore[arg-type]
    again = list(decode_video(pictures))
    assert [shown.event_ns for shown in again] == [START + n * NS // FPS for n in range(40)]
    assert all(np.array_equal(a, b.frame.to_ndarray(format="rgb24")) for a, b in zip(wanted, again, strict=True))


def test_a_message_is_read_as_it_was_written() -> None:
    """Given a picture, then what is encoded is decoded to the same; cut off, it is refused."""
    picture = Picture(START + 7, "h265", bytes(range(256)) * 300)
    message = encode("gate", picture)
    assert decode(message) == picture
    with pytest.raises(ValueError, match="cut off"):
        decode(message[:-1])


@pytest.mark.parametrize("codec", ["h264", "h265"])
async def test_an_rtsp_camera_is_recorded_from_a_key_frame_on(
    codec: str, rtsp: Serve, tmp_path: Path, yolox: Manifest
) -> None:
    """Given a real RTSP camera, then each frame that was looked at is in the recording under its own time, and what is
    there begins with a key frame and decodes whole.
    """  # noqa: D205 - one thought
    path = film(tmp_path / "a.mp4", f"lib{codec.replace('h', 'x')}", frames=60)
    recorded = Recorded(tmp_path / "recording.mcap")
    cameras = {"gate": Camera(detect=rtsp(path, codec=codec).url, health="off", rate=5)}
    tap = recorded.tap(cameras, video="always")
    async with running(cameras, yolox, video=tap) as (_, door):
        await door.until(lambda: len(door.detections("gate")) > 12)
    messages = recorded.video()
    times = {message.event_ns for message in messages}
    assert {looked.event_ns for looked in door.detections("gate")} <= times
    sent, got = frames_of(path), decoded(messages)
    [begin] = [number for number, frame in enumerate(sent) if np.array_equal(frame, got[0])]  # a server's first second
    assert len(got) == len(messages)
    assert all(np.array_equal(a, b) for a, b in zip(sent[begin:], got, strict=False))


async def test_a_file_that_starts_over_is_recorded_on_and_on(tmp_path: Path, yolox: Manifest) -> None:
    """Given a looped film with B-frames, then every look's frame is in the recording under its time, loop after loop,
    in the order of time once it is decoded.
    """  # noqa: D205 - one thought
    cameras = {"gate": Camera(detect=str(film(tmp_path / "a.mp4", frames=12, b_frames=2)), health="off", loop=True)}
    recorded = Recorded(tmp_path / "recording.mcap")
    tap = recorded.tap(cameras, video="always")
    async with running(cameras, yolox, every_nth=2, start_ns=START, paced=False, video=tap) as (_, door):
        await door.until(lambda: len(door.detections("gate")) > 30)
    pictures = [Coded(m.event_ns, m.codec, m.data) for m in recorded.video()]  # type: ignore[arg-type]
    times = [shown.event_ns for shown in decode_video(pictures)]
    assert times == sorted(times)
    assert len(times) == len(pictures) > 60
    assert {look.event_ns for look in door.detections("gate")} <= set(times)


async def test_nothing_is_recorded_where_it_is_not_asked_for(tmp_path: Path, yolox: Manifest) -> None:
    """Given the default, then no packet is looked at; a camera's own word goes before the gateway's."""
    path = film(tmp_path / "a.mp4")
    recorded = await play(path, tmp_path, yolox, video="off")
    assert not recorded.video()
    tap = recorded.tap({"gate": Camera(detect="a.mp4", video="off"), "river": Camera(detect="b.mp4")}, video="always")
    assert (tap.wants("gate"), tap.wants("river"), tap.wants("none")) == (False, True, False)


async def test_another_codec_is_said_once(tmp_path: Path, yolox: Manifest, caplog: pytest.LogCaptureFixture) -> None:
    """Given MPEG-4, then the log says once that it is not recorded and what to do, and the camera goes on."""
    path = film(tmp_path / "a.avi", "mpeg4")
    with caplog.at_level(logging.WARNING):
        recorded = await play(path, tmp_path, yolox)
    assert not recorded.video()
    [said] = [record.getMessage() for record in caplog.records if "not recorded" in record.getMessage()]
    assert said.startswith("camera gate: its video is mpeg4")


async def test_b_frames_are_said_once(tmp_path: Path, yolox: Manifest, caplog: pytest.LogCaptureFixture) -> None:
    """Given B-frames, then the log says once what does not play them; without, it says nothing."""
    for b_frames in (0, 2):
        with caplog.at_level(logging.WARNING):
            await play(film(tmp_path / f"{b_frames}.mp4", b_frames=b_frames), tmp_path, yolox)
        assert sum("B-frames" in record.getMessage() for record in caplog.records) == b_frames // 2
