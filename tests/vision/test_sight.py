"""A camera's sight: what is noticed, how soon, and what must not alarm anybody."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import av
import cv2
import numpy as np
import pytest

from gateway.vision.luma import SMALL, luma_of, sample
from gateway.vision.sight import SIGHT, Sight
from tests.vision.scenes import FPS, HEIGHT, WIDTH, encoded, street, told, watch

if TYPE_CHECKING:
    from pathlib import Path

    from tests.vision.scenes import At, Picture, Told

STREET = street()
YS, XS = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
PAINT = np.linspace(90, 130, WIDTH, dtype=np.float32)[None].repeat(HEIGHT, 0)
FROM_S, TO_S, END_S = 20.0, 65.0, 80.0


def during(bad: Picture) -> At:
    """The street, but for a time in which the camera sees something else."""
    return lambda at_s: bad if FROM_S <= at_s < TO_S else STREET


def sprayed() -> Picture:
    """Paint on three quarters of the glass."""
    picture = STREET.copy()
    picture[:, : WIDTH * 3 // 4] = PAINT[:, : WIDTH * 3 // 4]
    return picture


def with_clock(picture: Picture) -> Picture:
    """What the camera itself writes into it stays sharp and bright."""
    written = picture.astype(np.uint8)
    cv2.putText(written, "2026-11-24 08:15:42 GATE 3", (10, 30), cv2.FONT_HERSHEY_SIMPLEX, 0.8, 235, 2)
    return written.astype(np.float32)


BAD: dict[str, tuple[str, Picture, float]] = {
    "signal lost": ("black", np.full_like(STREET, 16), 5),
    "cap on, clock written": ("black", with_clock(np.full_like(STREET, 20)), 5),
    "exposure stuck": ("overexposed", np.minimum(STREET * 6, 250), 10),
    "painted": ("covered", PAINT, 15),
    "bag over it, clock written": ("covered", with_clock(PAINT), 15),
    "sprayed": ("covered", sprayed(), 15),
    "out of focus": ("blurred", cv2.GaussianBlur(STREET, (0, 0), 6), 20),
    "greased": ("blurred", cv2.GaussianBlur(STREET, (0, 0), 12), 20),
    "nudged": ("moved", np.roll(STREET, 20, 1), 10),
    "turned": ("moved", np.roll(STREET, (-30, 120), (0, 1)), 10),
    "turned away": ("moved", street(seed=9), 30),
    "zoomed": ("moved", cv2.resize(STREET[30:330, 53:587], (WIDTH, HEIGHT)), 30),
}


@pytest.mark.parametrize("what", BAD)
def test_what_happens_to_a_camera_is_told_once_and_over_when_it_is(what: str) -> None:
    """Given 20 s of a street and 45 s of harm, then just that is told when it has held, and its end soon after it."""
    condition, picture, hold_s = BAD[what]
    got = watch(during(picture), END_S)
    assert got.bad() == [condition]
    assert hold_s <= got.at(condition, ok=False) - FROM_S < hold_s + 6
    assert 3 <= got.at(condition, ok=True) - TO_S < 10
    assert min(got.blind_s) >= FROM_S
    assert max(got.blind_s) <= got.at(condition, ok=True)
    assert {got.at(condition, ok=False), TO_S - 1 / FPS} <= set(got.blind_s)


def test_a_picture_that_shows_nothing_is_blind_at_once() -> None:
    """Given black, white or paint, then its very first frame is blind, before anything is told."""
    for what in ("signal lost", "exposure stuck", "painted"):
        assert watch(during(BAD[what][1]), FROM_S + 2).blind_s[0] == FROM_S


@pytest.mark.parametrize("condition", SIGHT[:5])
def test_a_condition_that_nobody_wants_is_not_judged(condition: str) -> None:
    """Given a camera that may be so, when it is, then nothing of it is told and no time is blind."""
    [picture] = [picture for name, picture, _ in list(BAD.values())[::-1] if name == condition][-1:]
    got = watch(during(picture), TO_S, sight=Sight(set(SIGHT) - {condition}))
    assert condition not in [change.condition for _, change in got.changes]
    assert not got.blind_s


# ── what must not alarm ──


def night() -> Picture:
    """Three lamps."""
    picture = 18 + STREET * 0.05
    for x in (100, 300, 520):
        picture += 120 * np.exp(-((XS - x) ** 2 + (YS - 200) ** 2) / 2500) * (STREET / 110)
    return picture


def dusk(at_s: float) -> Picture:
    """Five minutes from day to a night with lamps, as fast as nowhere on earth."""
    dark = np.float32(min(1.0, at_s / 300))
    return (1 - dark) * STREET + dark * NIGHT


NIGHT = night()
GLARE = 900 * np.exp(-((XS - 320) ** 2 + (YS - 220) ** 2) / 30_000)


def headlights(at_s: float) -> Picture:
    """At night a car comes towards the camera every 20 s, and dazzles it for 4."""
    strength = max(0.0, math.sin(math.pi * (at_s % 20) / 4)) if at_s % 20 < 4 else 0.0
    return np.minimum(NIGHT + np.float32(strength) * GLARE, 255)


def rain(at_s: float) -> Picture:
    """Streaks, each frame others, and a veil that comes and goes."""
    rng = np.random.default_rng(round(at_s * 1000))
    picture = STREET * 0.7 + 45 + 8 * math.sin(at_s)
    for x, y in rng.integers(0, (WIDTH, HEIGHT - 40), (150, 2)):
        picture[y : y + 30, x] += 50
    return picture.astype(np.float32)


def wind(at_s: float) -> Picture:
    """A mast that sways by 2 % of the picture."""
    return np.roll(STREET, (round(4 * math.sin(at_s * 3)), round(8 * math.sin(at_s * 2))), (0, 1))


def traffic(at_s: float) -> Picture:
    """Lorries that fill half of the picture, one after another; now and then one stands for 10 s."""
    picture = STREET.copy()
    phase = at_s % 30
    x = round((phase if phase < 5 else 5 if phase < 15 else phase - 10) / 10 * WIDTH * 1.5 - WIDTH / 2)
    picture[60:330, max(0, x) : max(0, x + WIDTH // 2)] = 175
    return picture


def clouds(at_s: float) -> Picture:
    """Exposure that jumps by half every 15 s."""
    return STREET * (1.0, 0.5, 0.8, 1.2)[int(at_s / 15) % 4]


def infrared(at_s: float) -> Picture:
    """After 40 s the filter goes: leaves are bright, skies are dark."""
    return STREET if at_s < 40 else (230 - STREET) * 0.6 + (STREET > 120) * 20


CALM: dict[str, tuple[At, float, float]] = {
    "dusk": (dusk, 330, 3.0),
    "night": (lambda _: NIGHT, 90, 3.0),
    "headlights": (headlights, 120, 3.0),
    "noise": (lambda _: STREET, 60, 12.0),
    "rain": (rain, 60, 4.0),
    "wind": (wind, 90, 2.0),
    "traffic": (traffic, 120, 2.0),
    "clouds": (clouds, 90, 2.0),
    "infrared": (infrared, 120, 3.0),
}


@pytest.mark.parametrize("what", CALM)
def test_weather_and_traffic_alarm_nobody(what: str) -> None:
    """Given what happens on every street, then nothing is told but that all is well, and no time is blind."""
    at, seconds, sigma = CALM[what]
    got = watch(at, seconds, sigma=sigma, fps=2 if seconds > 200 else FPS)
    assert got.bad() == []
    assert {change.condition for _, change in got.changes} <= set(SIGHT)
    assert got.blind_s == []


@pytest.mark.parametrize("video", ["pets2009-s2l1.avi", "highway.avi"])
def test_real_videos_alarm_nobody(shared: Path, video: str) -> None:
    """Given people who fill a square, and a motorway, then all is well with both cameras, all the time."""
    with av.open(str(shared / "data" / "video" / video)) as container:
        frames = [(float(frame.pts * frame.time_base), frame) for frame in container.decode(video=0)]
        got = told(Sight(), frames)
    assert got.bad() == []
    assert {change.condition for _, change in got.changes} == set(SIGHT)
    assert got.blind_s == []


# ── one picture again and again ──


@pytest.mark.parametrize(("coder", "slowest_s"), [({"qp": "28"}, 3), ({"crf": "23"}, 7)])
def test_a_picture_that_repeats_is_told_within_seconds_and_over_when_it_goes_on(
    coder: dict[str, str], slowest_s: float
) -> None:
    """A picture that repeats is told within seconds and over when it goes on.

    Given an encoder that gets one picture for 10 s, then that is told: within 3 s where it codes the same the same way,
    in some more where its rate control goes on hunting; and when the picture goes on, that too.
    """
    frozen = watch_encoded(
        lambda at_s: STREET + 30 * math.sin(min(at_s, 5) if at_s < 15 else at_s), 25, g="10", **coder
    )
    assert frozen.bad() == ["repeated"]
    assert 2.5 <= frozen.at("repeated", ok=False) - 5 <= slowest_s
    assert 18 <= frozen.at("repeated", ok=True) < 20
    assert frozen.at("repeated", ok=False) in frozen.blind_s


def test_a_street_at_night_is_no_picture_that_repeats() -> None:
    """Given a scene in which nothing moves but the sensor's noise, coded so coarsely that most frames are skipped."""
    got = watch_encoded(lambda _: NIGHT, 20, sigma=1.0, g="20", crf="40")
    assert got.bad() == []
    assert got.at("repeated", ok=True) < 5


def test_frames_that_are_coded_from_others_prove_nothing_for_a_minute() -> None:
    """Given one picture without noise and no frame coded by itself after the first, then it is told after a minute."""
    got = watch_encoded(lambda _: STREET, 65, sigma=0.0, g="9999", fps=4, qp="28")
    assert got.bad() == ["repeated"]
    assert 60 <= got.at("repeated", ok=False) < 62


def watch_encoded(at: At, seconds: float, *, sigma: float = 0.0, fps: int = 10, **options: str) -> Told:
    """A camera's sight of what its encoder made of it."""
    return told(Sight(), encoded(at, seconds, sigma=sigma, fps=fps, **options))


# ── what is read of a frame ──


@pytest.mark.parametrize(
    "pixels", ["yuv420p", "yuvj420p", "yuv422p", "nv12", "gray", "yuyv422", "uyvy422", "yuv420p10le"]
)
@pytest.mark.parametrize("size", [(640, 360), (322, 242), (1918, 1078)])
def test_luma_is_the_same_in_every_pixel_format(pixels: str, size: tuple[int, int]) -> None:
    """Given a frame in any format that cameras send, then its luma is the decoder's, whatever its lines' padding."""
    grey = av.VideoFrame.from_ndarray(cv2.resize(STREET, size).astype(np.uint8), "gray")
    frame = grey.reformat(format="yuv420p").reformat(format=pixels)
    expected = luma_of(frame.reformat(format="yuv420p")).astype(int)
    got = luma_of(frame).astype(int)
    assert got.shape == size[::-1]
    assert np.abs(got - expected).max() <= (25 if pixels in {"gray", "yuvj420p"} else 1)  # these two have another range
    taken = sample(frame)
    assert taken is not None
    assert taken.small.shape == SMALL
    assert taken.rows.shape == (24, size[0])


def test_a_picture_of_a_few_pixels_is_not_judged() -> None:
    """Given frames of 1 × 1, then nothing is told of them."""
    frame = av.VideoFrame(1, 1, "yuv420p")
    assert sample(frame) is None
    assert told(Sight(), [(at_s, frame) for at_s in range(100)]).changes == []
