"""When a picture is worth a look: what moves is, and noise, light and leaves are not."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import av
import cv2
import numpy as np
import pytest

from gateway.config.model import Camera
from gateway.events import Detections, Looked
from gateway.vision.luma import sample
from gateway.vision.motion import Answer, Motion, difference
from tests.vision.running import running
from tests.vision.scenes import HEIGHT, WIDTH, film, noisy, street

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from gateway.config.manifest import Manifest
    from tests.vision.scenes import At, Picture

NS = 1_000_000_000
FPS = 5
EVERY_S = 3
STREET = street()
LEAVES = (40, 30, 200, 150)  # left, top, right, bottom, px


def walker(picture: Picture, x: float, y: float = 200, size: tuple[int, int] = (12, 34)) -> Picture:
    """Somebody, a little darker than what is behind, with the left top there."""
    drawn = picture.copy()
    drawn[round(y) : round(y) + size[1], round(x) : round(x) + size[0]] *= 0.6
    return drawn


def swaying(picture: Picture, at_s: float) -> Picture:
    """The leaves where the wind has them."""
    left, top, right, bottom = LEAVES
    y, x = np.mgrid[top:bottom, left:right].astype(np.float32)
    by = np.float32(5 * math.sin(2 * math.pi * 0.9 * at_s))
    moved = picture.copy()
    moved[top:bottom, left:right] = cv2.remap(picture, x + by, y, cv2.INTER_LINEAR)
    return moved


class Watched:
    """A camera whose engine answers at once, with the boxes that `found` gives for a time."""

    def __init__(self, at: At, found: Callable[[float], list[list[float]]] = lambda _: []) -> None:
        self.motion = Motion(EVERY_S * NS)
        self._at, self._found = at, found
        self._rng = np.random.default_rng(3)
        self.looks: list[float] = []

    def run(self, from_s: float, to_s: float, sigma: float = 2.0) -> list[float]:
        """The times (s) of the looks between two times."""
        looks: list[float] = []
        for number in range(round(from_s * FPS), round(to_s * FPS)):
            at_s = number / FPS
            frame = av.VideoFrame.from_ndarray(noisy(self._at(at_s), sigma, self._rng), "gray")
            taken = sample(frame)
            assert taken is not None
            if self.motion.wants(number, round(at_s * NS), taken.small, taken.size):
                looks.append(at_s)
                boxes = np.array(self._found(at_s), np.float32).reshape(-1, 4)
                self.motion.offered()
                self.motion.given(number)
                self.motion.answered(Answer(number, (WIDTH, HEIGHT), boxes, len(boxes)))
        self.looks += looks
        return looks


def test_a_still_street_is_looked_at_every_3_s() -> None:
    """Given nothing but the sensor's noise, then only the forced looks are left, none more than 3 s after another."""
    looks = Watched(lambda _: STREET).run(0, 30)
    gaps = np.diff(looks)
    assert looks[0] == 0
    assert gaps.max() < EVERY_S + 1e-9
    assert len([gap for gap in gaps if gap < EVERY_S - 0.1]) <= FPS  # the first second knows nothing


@pytest.mark.parametrize("sigma", [1.0, 6.0])
def test_somebody_who_walks_is_looked_at_all_the_time(sigma: float) -> None:
    """Given a street that was still, when somebody walks through it, then each picture is looked at, from the first.

    And a look sees each of the last ones, when they stand.
    """

    def at(at_s: float) -> Picture:
        return walker(STREET, 60 + 40 * min(at_s - 20, 5)) if at_s >= 20 else STREET

    def found(at_s: float) -> list[list[float]]:
        x = 60 + 40 * min(at_s - 20, 5)
        return [[x, 200, x + 12, 234]] if at_s >= 20 else []

    watched = Watched(at, found)
    watched.run(0, 20, sigma)
    assert len(watched.run(20, 25, sigma)) == 5 * FPS
    after = watched.run(25, 40, sigma)
    assert after[: FPS - 1] == [25 + i / FPS for i in range(FPS - 1)]  # for a second, those who stopped are seen
    assert np.diff(after[FPS:]).min() > EVERY_S - 0.3


def test_light_that_drifts_is_not_motion() -> None:
    """Given a brightness that goes up and down by a tenth within 20 s, then there are only the forced looks."""
    watched = Watched(lambda at_s: STREET * np.float32(1 + 0.1 * math.sin(2 * math.pi * at_s / 20)))
    watched.run(0, 10)
    assert np.diff(watched.run(10, 40)).min() > EVERY_S - 0.3


def test_leaves_are_known_after_seconds_and_somebody_beside_them_is_still_seen() -> None:
    """Leaves are known after seconds, and somebody beside them is still seen.

    Given leaves that sway where looks find nothing, then before long only the forced looks are left; somebody who
    comes past them is looked at within half a second; and a wind that is over is forgotten within minutes.
    """

    def at(at_s: float) -> Picture:
        scene = swaying(STREET, at_s)
        return walker(scene, 300 + 40 * (at_s - 60)) if at_s >= 60 else scene

    watched = Watched(at)
    watched.run(0, 20)
    assert len(watched.run(20, 60)) <= 40 / EVERY_S * 1.5
    assert len(watched.run(60, 62)) >= 2 * FPS - 2


def test_what_looks_find_is_never_taken_for_noise() -> None:
    """Given people who walk through one place for a minute and are found each time, then it stays as awake."""

    def at(at_s: float) -> Picture:
        return walker(STREET, 200 + 30 * (at_s % 4))

    def found(at_s: float) -> list[list[float]]:
        x = 200 + 30 * (at_s % 4)
        return [[x, 200, x + 12, 234]]

    watched = Watched(at, found)
    watched.run(0, 60)
    assert len(watched.run(60, 64)) == 4 * FPS


def test_a_look_that_finds_another_number_in_a_still_picture_is_repeated_twice() -> None:
    """Given a model that misses one who stands there once, then two more looks follow: the middle one counts."""
    here = [[300.0, 200.0, 312.0, 234.0]]
    watched = Watched(lambda _: STREET, lambda at_s: [] if 14.5 < at_s < 17.5 else here)
    looks = watched.run(0, 30)
    missed = next(at_s for at_s in looks if at_s > 14.5)
    assert [round(at_s - missed, 1) for at_s in looks if missed <= at_s < missed + 2] == [0, 0.2, 0.4]


def test_after_a_new_connection_or_another_size_the_next_picture_is_looked_at() -> None:
    """Given a still street, when the connection was lost or the size is another, then the next picture is wanted."""
    motion, taken = Motion(EVERY_S * NS), _small(STREET)
    for number in range(10):
        if motion.wants(number, number * NS // FPS, taken, (WIDTH, HEIGHT)):
            motion.offered()
            motion.given(number)
    assert not motion.wants(10, 2 * NS, taken, (WIDTH, HEIGHT))
    assert motion.wants(11, 2 * NS, taken, (WIDTH // 2, HEIGHT // 2))
    motion.again()
    assert motion.wants(12, 2 * NS + 1, taken, (WIDTH, HEIGHT))


def test_a_lamp_switched_on_over_half_the_picture_leaves_little() -> None:
    """Given half the picture brighter by 20 levels, then the difference is at the edge of the light only."""
    lit = STREET.copy()
    lit[:, WIDTH // 2 :] += 20
    change = difference(_small(np.clip(lit, 0, 255)), _small(STREET))
    assert (change > 10).mean() < 0.2
    assert change[:, :20].max() < 2


def test_what_moves_outside_the_part_that_is_looked_at_is_nothing() -> None:
    """Given regions on the right of the picture, then somebody on the left is not looked at, and on the right is."""

    def at(at_s: float) -> Picture:
        return walker(STREET, (100 if at_s < 20 else 400) + 40 * (at_s % 4))

    watched = Watched(at)
    watched.motion = Motion(EVERY_S * NS, (0.5, 0, 1, 1))
    watched.run(0, 12)
    assert len(watched.run(12, 20)) <= 3
    assert len(watched.run(20, 22)) == 2 * FPS


async def test_still_time_is_told_and_covered_without_gap(tmp_path: Path, yolox: Manifest) -> None:
    """Still time is told and covered without gap.

    Given a file in which nothing moves, then it is looked at every second as asked, each second of still time is told,
    and what is told joins without gap or overlap.
    """
    path = film(tmp_path / "still.mp4", lambda _: STREET, 12)
    camera = Camera(detect=str(path), rate=5, motion=_every(1), health="off")
    async with running({"gate": camera}, yolox, gated=True, every_nth=1, paced=False, start_ns=NS) as (vision, door):
        await door.until(lambda: door.health("camera/gate", "ended") == [True, False])
        counts = vision.camera_stats()["gate"]
    looked = door.looked("gate")
    assert counts["frames"] == 120
    assert counts["analysed"] == len(door.detections("gate")) < 25
    still = [got for got in looked if got.why == "still"]
    assert sum(got.to_ns - got.from_ns for got in still) > 8 * NS
    assert all(a.to_ns == b.from_ns for a, b in itertools.pairwise(looked))
    assert {got.why for got in looked if got.to_ns <= 12 * NS} == {"analysed", "still"}


async def test_a_gated_file_gives_the_same_each_time(tmp_path: Path, yolox: Manifest) -> None:
    """Given a gated file taken as fast as it goes, run twice, then what is found and covered is the same."""
    path = film(tmp_path / "walk.mp4", lambda at_s: walker(STREET, 60 + 40 * max(0.0, at_s - 3)), 8)
    runs: list[list[object]] = []
    for _ in range(2):
        camera = Camera(detect=str(path), rate=10, motion=_every(2), health="off")
        async with running({"gate": camera}, yolox, gated=True, every_nth=1, paced=False, start_ns=NS) as (_, door):
            await door.until(lambda door=door: door.health("camera/gate", "ended") == [True, False])
        runs.append(
            [
                (got.frame, got.event_ns) if isinstance(got, Detections) else (got.from_ns, got.to_ns, got.why)
                for got in door.inputs
                if isinstance(got, Detections) or (isinstance(got, Looked) and got.to_ns <= 8 * NS)
            ]
        )
    assert runs[0] == runs[1]
    frames = [row[0] for row in runs[0] if isinstance(row, tuple) and len(row) == 2]
    assert len(set(range(33, 80)) & set(frames)) > 40  # of the walk, though the model finds nothing in it


def _small(picture: Picture) -> NDArray[np.uint8]:
    taken = sample(av.VideoFrame.from_ndarray(picture.astype(np.uint8), "gray"))
    assert taken is not None
    return taken.small


def _every(seconds: float):  # noqa: ANN202 - Motion of the configuration, whose name is the gate's here
    from gateway.config.model import Motion as Settings  # noqa: PLC0415 - as above
    from gateway.config.scalars import Duration  # noqa: PLC0415 - as above

    return Settings(every=Duration(round(seconds * NS)), sleep=Duration(0))
