"""A camera that shows nothing: told, a gap in what it covered, and nothing counted in it."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from gateway.config.model import Camera, CameraHealth
from tests.vision.running import running
from tests.vision.scenes import film, street

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.config.manifest import Manifest
    from tests.servers.rtsp import Serve
    from tests.vision.scenes import Picture

NS = 1_000_000_000
START = 1_700_000_000 * NS
STREET = street()
BLACK = np.full_like(STREET, 16)


def cap(at_s: float) -> Picture:
    """Somebody puts a cap on the lens for ten seconds, from the eighth on."""
    return BLACK if 8 <= at_s < 18 else STREET


@pytest.fixture(scope="module")
def capped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """26 s of that."""
    return film(tmp_path_factory.mktemp("films") / "capped.mp4", cap, 26)


async def test_a_black_camera_is_told_blind_for_that_time_and_nothing_is_counted_in_it(
    capped: Path, yolox: Manifest
) -> None:
    """A black camera is told, blind for that time, and nothing is counted in it.

    Given ten black seconds, then the time from the first to the last black frame is blind though all came, no frame
    of it is looked at, the alert's condition holds five seconds after the first and ends five after the last.
    """
    camera = Camera(detect=str(capped), rate=5)
    async with running({"gate": camera}, yolox, every_nth=2, paced=False, start_ns=START) as (_, door):
        await door.until(lambda: door.health("camera/gate", "ended") == [True, False])
    assert door.health("camera/gate", "black") == [True, False, True]
    assert door.healths("camera/gate", "black")[1].detail.startswith("nothing brighter than 30 of 255")
    blind = [
        ((got.from_ns - START) / NS, (got.to_ns - START) / NS) for got in door.looked("gate") if got.why == "blind"
    ]
    assert blind[0][0] == pytest.approx(8, abs=0.3)
    inside = [(begin, end) for begin, end in blind if begin < 20]
    assert inside[-1][1] == pytest.approx(18, abs=0.3)
    assert all(a[1] == b[0] for a, b in itertools.pairwise(inside))
    seen = [(got.event_ns - START) / NS for got in door.detections("gate")]
    assert not [at_s for at_s in seen if 8.3 <= at_s < 17.9]
    assert len([at_s for at_s in seen if at_s < 8]) == 40
    others = {"overexposed", "covered", "blurred", "moved", "repeated"}
    assert not [got for condition in others for got in door.healths("camera/gate", condition) if not got.ok]


@pytest.mark.parametrize("health", ["off", CameraHealth(black=False)])
async def test_a_camera_may_be_let_alone(capped: Path, yolox: Manifest, health: CameraHealth) -> None:
    """Given `health: off` or `black: false`, then black frames are looked at like any other, and nothing is told."""
    camera = Camera(detect=str(capped), rate=5, health=health)
    async with running({"gate": camera}, yolox, every_nth=2, paced=False, start_ns=START) as (_, door):
        await door.until(lambda: len(door.detections("gate")) >= 125)
    assert not door.health("camera/gate", "black")
    assert {got.why for got in door.looked("gate") if got.to_ns < START + 25 * NS} == {"analysed"}


async def test_an_rtsp_camera_that_sends_one_picture_again_and_again_is_told(
    rtsp: Serve, yolox: Manifest, tmp_path: Path
) -> None:
    """Given a server that sends a street for 3 s and then its last picture for ever, then that is told, and blind."""
    first = STREET + np.random.default_rng(8).integers(-2, 3, STREET.shape)
    video = film(tmp_path / "stuck.mp4", lambda at_s: STREET + 20 * np.sin(at_s) if at_s < 3 else first, 30, sigma=0)
    async with running({"gate": Camera(detect=rtsp(video).url)}, yolox) as (_, door):
        await door.until(lambda: False in door.health("camera/gate", "repeated"))
        seen = door.detections("gate")[-1].event_ns
        await door.until(lambda: door.looked("gate")[-1].why == "blind")
    begin = next(got.from_ns for got in door.looked("gate") if got.why == "blind" and got.from_ns > seen - NS)
    assert abs(begin - seen) < NS
    assert door.detections("gate")[-1].event_ns <= seen + NS
    assert door.health("camera/gate", "frozen") == [True]


async def test_an_rtsp_camera_that_turns_black_is_told(rtsp: Serve, yolox: Manifest, tmp_path: Path) -> None:
    """Given a server whose picture turns black, then that is told within seconds, blind, and on the page."""
    video = film(tmp_path / "black.mp4", lambda at_s: STREET if at_s < 2 else BLACK, 30)
    async with running({"gate": Camera(detect=rtsp(video).url)}, yolox) as (vision, door):
        await door.until(lambda: False in door.health("camera/gate", "black"))
        await door.until(lambda: door.looked("gate")[-1].why == "blind")
        picture = vision.picture("gate")
    assert picture is not None
    assert cv2.imdecode(np.frombuffer(picture.jpeg, np.uint8), cv2.IMREAD_GRAYSCALE).max() < 40  # the page shows it
    assert not [got for got in door.healths("camera/gate", "repeated") if not got.ok]
