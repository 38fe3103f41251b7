"""A whole gateway whose camera is recorded: what Foxglove finds in the files, and the detector again over them."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import TYPE_CHECKING

import msgspec
import pytest

from gateway.app import Options, run
from gateway.app.recording import FOLDER
from gateway.clock import WallClock
from gateway.config.load import load, text_of
from gateway.recording import video
from gateway.recording.reader import Recording
from gateway.registry import registry
from gateway.replaying.outcome import Memory
from gateway.replaying.play import play
from gateway.replaying.reinfer import reinferred
from tests.recording.films import film
from tests.vision.conftest import red_yolox

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.app import Running

CONFIG = """
gateway: corner
place: {zh: 路口, wgs84: [120.55, 27.57]}
cameras:
  gate: {detect: gate.mp4, model: coco.onnx, rate: 5, health: off, place: {wgs84: [120.56, 27.58]}}
rules:
  crowd: {count: person, in: gate, levels: {red: 1}, for: 1 s}
recording: {video: VIDEO, around: 1 s}
"""


async def ran(folder: Path, wanted: str, frames: int = 60) -> Recording:
    """What a gateway recorded until its camera's film had ended."""
    path = folder / "gateway.yaml"
    path.write_text(CONFIG.replace("VIDEO", wanted) + f"state: {folder / 'state'}\n")
    film(folder / "gate.mp4", frames=frames)
    red_yolox(folder / "coco.onnx", classes=80)
    stop = asyncio.Event()

    async def until_ended(running: Running) -> None:
        while not any(one.condition == "ended" for one in running.components()):  # noqa: ASYNC110 - has no event
            await asyncio.sleep(0.02)
        stop.set()

    options = Options(text=text_of(path), every_nth=2, services=(("end", until_ended),))
    config = load(path, registry())
    async with asyncio.timeout(40):
        await run(config, registry(), WallClock(), stop, options)
    return Recording.open([folder / "state" / FOLDER])


@pytest.mark.timeout(60)
async def test_a_recorded_camera_is_looked_at_again_to_the_same_alerts(tmp_path: Path) -> None:
    """Given a gateway that records its camera, then its files hold video, boxes, maps and a logbook; the recording
    replayed on what the same model sees in that video comes to the alerts and series of the recording itself.
    """  # noqa: D205 - one thought
    recording = await ran(tmp_path, "always")
    boxes = list(recording.messages("/camera/gate/boxes"))
    assert {one["text"].split()[0] for _, message in boxes for one in json.loads(message)["texts"]} == {"person"}
    assert "crowd" in [json.loads(message)["name"] for _, message in recording.messages("/log")]
    assert len(list(recording.messages("/sites"))) == 1
    assert list(recording.messages("/alerts/map"))
    pictures = [video.decode(message) for _, message in recording.messages(video.topic("gate"))]
    assert len(pictures) == 60
    assert {picture.codec for picture in pictures} == {"h264"}
    plain, again = Memory(), Memory()
    was = await asyncio.to_thread(play, recording, plain)
    pieces = reinferred(recording, str(tmp_path / "coco.onnx"))
    now = await asyncio.to_thread(play, recording, again, pieces=pieces)
    assert pieces.coverage["gate"].again == pieces.coverage["gate"].looks == 30
    assert [msgspec.to_builtins(row) for row in now.alerts] == [msgspec.to_builtins(row) for row in was.alerts]
    assert "crowd" in [row.rule for row in was.alerts]
    assert b"".join(plain.series) == b"".join(again.series)
    assert now.state_sha == was.state_sha
    command = [sys.executable, "-m", "gateway", "replay", str(tmp_path / "state" / FOLDER), "--reinfer", "coco.onnx"]
    done = await asyncio.to_thread(subprocess.run, command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "looked again: gate 30 of 30 looks (100 %)" in done.stderr
    assert done.returncode == 0, done.stderr


@pytest.mark.timeout(60)
async def test_around_an_alert_its_cameras_seconds_are_recorded(tmp_path: Path) -> None:
    """Given `alerts` and a second around them, then what is recorded is a second before and after the alert of what the
    camera sees, and one before its film ended, which is an alert of it too; nothing of the time between.
    """  # noqa: D205 - one thought
    recording = await ran(tmp_path, "alerts", frames=80)
    logged = [(log_ns, json.loads(message)["name"]) for log_ns, message in recording.messages("/log")]
    raised_ns = next(log_ns for log_ns, name in logged if name == "crowd")
    came = [log_ns for log_ns, _ in recording.messages(video.topic("gate"))]
    first = [log_ns for log_ns in came if log_ns < raised_ns + 2 * 10**9]
    assert first[0] < raised_ns - 8 * 10**8
    assert 4 * 10**8 < first[-1] - raised_ns <= 10**9
    rest = came[len(first) :]
    assert 8 <= len(rest) <= 21
    assert rest[0] - first[-1] > 2 * 10**9
