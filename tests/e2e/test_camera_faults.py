"""What happens to live cameras: each raises its own equipment alert, leaves a gap, ends by itself; others look on."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest

from tests.servers.camera import BentCamera, film
from tests.servers.gateway import Gateway, until
from tests.vision.conftest import red_yolox, street

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.servers.rtsp import Serve

HEAD = """
gateway: camera-faults
evidence: "off"
sinks: {{kept: {{file: kept}}}}
rules:
  seen: {{count: person, in: good, levels: {{red: 1}}}}
cameras:
  good: {{detect: "{good}", model: model.onnx, loop: true, rate: 5, motion: "off"}}
"""
SERVED = """\
  rebooted: {{detect: "{rebooted}", model: model.onnx, rate: 5, motion: "off"}}
  silent: {{detect: "{silent}", model: model.onnx, rate: 5, motion: "off"}}
  locked: {{detect: "{locked}", model: model.onnx, rate: 5, motion: "off", login: {{user: u, password: {{file: pw}}}}}}
"""
BENT = """\
  recoded: {{detect: "{recoded}", model: model.onnx, rate: 5, motion: "off"}}
  resized: {{detect: "{resized}", model: model.onnx, rate: 5, motion: "off"}}
  lossy: {{detect: "{lossy}", model: model.onnx, rate: 5, motion: "off", transport: udp}}
  noisy: {{detect: "{noisy}", model: model.onnx, rate: 5, motion: "off"}}
  stepping: {{detect: "{stepping}", model: model.onnx, rate: 5, motion: "off"}}
"""
SMALL = street(red=(32, 16, 64, 64))
LARGE = street(256, 192, red=(64, 32, 128, 128))
FPS = 10


class Watched:
    """A gateway, and what it told of its cameras."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    def analysed(self, camera: str) -> float:
        """Looks so far."""
        lines = self.gateway.get("/metrics")[1].splitlines()
        found = [line for line in lines if line.startswith("zhiwang_camera_analysed_total") and f'"{camera}"' in line]
        return float(found[0].rsplit(" ", 1)[1]) if found else 0.0

    def told(self) -> list[dict[str, Any]]:
        """Every change of an alert that the file sink has."""
        path = self.gateway.folder / "kept.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def changes(self, camera: str, condition: str) -> list[str]:
        """Of one equipment alert."""
        subject = f"camera/{camera}{{condition={condition}}}"
        found = [alert for alert in self.told() if alert["subject"] == subject]
        assert {alert["class"] for alert in found} <= {"equipment"}
        return [alert["change"] for alert in found]

    def troubles(self) -> set[tuple[str, str]]:
        """Cameras and conditions that were ever told."""
        found = [re.fullmatch(r"camera/(.*)\{condition=(.*)\}", alert["subject"]) for alert in self.told()]
        return {(match[1], match[2]) for match in found if match}

    def goes_on(self, *cameras: str) -> None:
        """Wait until each was looked at some times more."""
        before = {camera: self.analysed(camera) for camera in cameras}
        for camera in cameras:
            until(lambda camera=camera: self.analysed(camera) > before[camera] + 3, 40, f"more looks at {camera}")

    def coverage(self, camera: str) -> list[float]:
        """Of its minutes that are over."""
        path = self.gateway.folder / "kept.lp"
        lines = path.read_text().splitlines() if path.exists() else []
        mine = [
            line
            for line in lines
            if line.startswith(f"zhiwang_camera,camera={camera} ") or f",camera={camera}," in line
        ]
        return [float(match[1]) for line in mine if (match := re.search(r"coverage=([\d.]+)", line))]


WHOLE = pytest.mark.parametrize(
    "whole", [False, pytest.param(True, marks=pytest.mark.soak)], ids=["what is quick", "with its minutes"]
)
"""The minutes that tell what was watched, and the one without a bad packet that ends it, take their time."""


@pytest.fixture
def bent() -> Iterator[dict[str, BentCamera]]:
    """One of our own cameras for each fault."""
    plain = film(SMALL)
    with (
        BentCamera(plain) as recoded,
        BentCamera(plain) as resized,
        BentCamera(film(LARGE)) as lossy,
        BentCamera(film(LARGE)) as noisy,
        BentCamera(plain) as stepping,
    ):
        yield {"recoded": recoded, "resized": resized, "lossy": lossy, "noisy": noisy, "stepping": stepping}


@WHOLE
@pytest.mark.timeout(240)
def test_a_camera_that_reboots_one_that_is_silent_and_one_that_refuses_us(
    rtsp: Serve, tmp_path: Path, gateway_of: Callable[[str], Gateway], *, whole: bool
) -> None:
    """Reboot, silence and a refused login are three alerts, and over by themselves.

    Given cameras of which one is killed and started again, one frozen for some seconds and one's password wrong until
    its file is mended, then each raises just its own equipment alert, with words; it clears when the camera is back;
    their minutes say how much was not watched, and the good camera's that all of it was.
    """
    long = _video(tmp_path / "long.mp4", frames=240 * FPS)
    rebooted, silent, locked = rtsp(long), rtsp(long), rtsp(long, user="u", password="right")
    good = _video(tmp_path / "good.mp4")
    text = (HEAD + SERVED).format(good=good, rebooted=rebooted.url, silent=silent.url, locked=locked.url)
    watched = _started(gateway_of(text))
    until(lambda: watched.changes("locked", "login") == ["raised"], 30, "the refused login")
    watched.goes_on("rebooted", "silent")
    silent.freeze()
    rebooted.stop()
    until(lambda: watched.changes("silent", "frozen") == ["raised"], 20, "the silence")
    until(lambda: watched.changes("rebooted", "connected") == ["raised"], 20, "the reboot")
    watched.goes_on("good")
    (watched.gateway.folder / "pw").write_text("right\n")
    silent.thaw()
    rebooted.start()
    for camera, condition in (("silent", "frozen"), ("rebooted", "connected"), ("locked", "login")):
        until(lambda c=camera, o=condition: watched.changes(c, o) == ["raised", "cleared"], 60, f"{camera}'s end")
    watched.goes_on("rebooted", "silent", "locked", "good")
    if whole:
        _gaps(watched, "rebooted", "silent", "locked")
    assert watched.troubles() == {("silent", "frozen"), ("rebooted", "connected"), ("locked", "login")}
    words = {alert["subject"]: alert["text"]["en"] for alert in watched.told() if alert["change"] == "raised"}
    assert "although connected" in words["camera/silent{condition=frozen}"]
    assert "401" in words["camera/locked{condition=login}"]
    log = watched.gateway.log.read_text()
    assert "Traceback" not in log
    assert "right" not in log


@WHOLE
@pytest.mark.timeout(240)
def test_a_camera_that_changes_its_film_loses_packets_or_sends_noise(
    bent: dict[str, BentCamera], tmp_path: Path, gateway_of: Callable[[str], Gateway], *, whole: bool
) -> None:
    """A change of codec, loss and noise are alerts that end by themselves; another size and a step back are none.

    Given live cameras, when mid-stream one changes its codec, one the size of its picture, one's UDP packets are lost,
    one sends random bytes between them, and one's time stamps go back 5 s, then what cannot be looked at is told and
    looked at again when it is well; the other two are looked at on, on the connection they had.
    """
    good = _video(tmp_path / "good.mp4")
    text = (HEAD + BENT).format(good=good, **{name: one.url for name, one in bent.items()})
    watched = _started(gateway_of(text))
    watched.goes_on(*bent)
    bent["recoded"].film = film(SMALL, codec="h265")
    bent["resized"].film = film(LARGE)
    bent["lossy"].lost = bent["noisy"].noise = 0.2
    bent["stepping"].back_s = 5.0
    until(lambda: watched.changes("recoded", "connected")[:1] == ["raised"], 30, "the codec's change")
    for camera in ("lossy", "noisy"):
        until(lambda camera=camera: watched.changes(camera, "corrupt") == ["raised"], 30, f"what {camera} sends")
    bent["lossy"].lost = bent["noisy"].noise = 0.0
    until(lambda: watched.changes("recoded", "connected") == ["raised", "cleared"], 40, "the new codec")
    watched.goes_on("good", *bent)
    for camera in ("lossy", "noisy") if whole else ():
        until(lambda camera=camera: watched.changes(camera, "corrupt") == ["raised", "cleared"], 90, f"{camera}'s end")
    if whole:
        _gaps(watched, "recoded")
    assert {camera for camera, _ in watched.troubles()} == {"recoded", "lossy", "noisy"}
    assert (bent["resized"].connections, bent["stepping"].connections) == (1, 1)
    assert "Traceback" not in watched.gateway.log.read_text()


def _video(path: Path, frames: int = 50) -> Path:
    rng = np.random.default_rng(6)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 128, 96, "yuv420p", FPS  # type: ignore[attr-defined] - a video stream
        for _ in range(frames):
            noisy = np.clip(SMALL.astype(np.int16) + rng.integers(-3, 4, (96, 128, 1)), 0, 255).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(noisy, "rgb24")))  # type: ignore[attr-defined] - as above
        container.mux(stream.encode())  # type: ignore[attr-defined] - as above
    return path


def _started(gateway: Gateway) -> Watched:
    red_yolox(gateway.folder / "model.onnx", classes=80)
    (gateway.folder / "pw").write_text("wrong\n")
    gateway.start()
    watched = Watched(gateway)
    until(lambda: watched.analysed("good") > 3, 30, "the good camera")
    return watched


def _gaps(watched: Watched, *cameras: str) -> None:
    """Wait until minutes are over; all of the good camera's time was watched in some, and not of the others."""
    until(lambda: max(watched.coverage("good"), default=0) > 0.97, 100, "a whole minute of the good camera")
    good = watched.coverage("good")
    for camera in cameras:
        until(lambda camera=camera: len(watched.coverage(camera)) >= len(good), 20, f"the minutes of {camera}")
        assert sum(watched.coverage(camera)[: len(good)]) < sum(good) - 0.02, camera
