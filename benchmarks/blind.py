"""What a camera's sight costs and how soon it says what is wrong.

    python benchmarks/blind.py

Cost: CPU microseconds a frame at 25 fps (four a second are looked at, one of them against the past), which share of
a core that is, and what decoding the same H.264 costs: a street in which nothing moves, the least there is to decode.
Time to notice: each harm done to the shared videos at the 20th second, from its first frame to the alert's condition;
"-" where it was not said within 60 s. False alarms: conditions said while the videos run as they are, whole and looped.
Expected: under 0.5 % of a core at 1080p; every harm said, and no false alarm.
"""

from __future__ import annotations

import statistics
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a file

import av
import cv2
import numpy as np

from gateway.vision.luma import luma_of
from gateway.vision.sight import Sight
from tests.conftest import SHARED
from tests.vision.scenes import noisy, street

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Luma = NDArray[np.uint8]

NS = 1_000_000_000
SIZES = {"720p": (1280, 720), "1080p": (1920, 1080), "2160p": (3840, 2160)}
VIDEOS = ("pets2009-s2l1.avi", "highway.avi")
FPS = 25
LEARN_S, COST_S = 12, 4  # enough to have a past; what is measured
WELL_S, HARM_S = 20, 60
FALSE_S = 300  # of each video


def sprayed(picture: Luma) -> Luma:
    """Three quarters of the glass."""
    harmed = picture.copy()
    harmed[:, : picture.shape[1] * 3 // 4] = 120
    return harmed


def shifted(picture: Luma, share: float) -> Luma:
    """Turned to the left by a share of the picture, with something new coming in at the left."""
    by = round(share * picture.shape[1])
    return np.concatenate([picture[:, :by][:, ::-1], picture[:, :-by]], axis=1)


def softened(picture: Luma) -> Luma:
    """Out of focus by 1 % of the width."""
    return cv2.GaussianBlur(picture, (0, 0), picture.shape[1] / 100).astype(np.uint8)


HARMS: dict[str, tuple[str, Callable[[Luma], Luma]]] = {
    "no signal": ("black", lambda picture: np.full_like(picture, 16)),
    "white": ("overexposed", lambda picture: np.maximum(picture, 240)),
    "painted": ("covered", lambda picture: np.full_like(picture, 120)),
    "sprayed 75 %": ("covered", sprayed),
    "out of focus": ("blurred", softened),
    "turned by 5 %": ("moved", lambda picture: shifted(picture, 0.05)),
    "turned by 25 %": ("moved", lambda picture: shifted(picture, 0.25)),
    "turned away": ("moved", lambda picture: cv2.resize(street(3), picture.shape[::-1]).astype(np.uint8)),
}


def passes(video: Path) -> Iterator[tuple[float, av.VideoFrame]]:
    """Frames of a video, looped without end, with their times (s)."""
    begin_s = 0.0
    while True:
        at_s = begin_s
        with av.open(str(video)) as container:
            for frame in container.decode(video=0):
                at_s = begin_s + float((frame.pts or 0) * (frame.time_base or 1))
                yield at_s, frame
        begin_s = at_s + 0.1


def notice(video: Path, condition: str, harm: Callable[[Luma], Luma]) -> tuple[float | None, list[str]]:
    """(seconds from the harm to its condition, whatever else was said)."""
    sight, others = Sight(), list[str]()
    for at_s, frame in passes(video):
        if at_s > WELL_S + HARM_S:
            break
        shown = frame if at_s < WELL_S else av.VideoFrame.from_ndarray(harm(luma_of(frame)), "gray")
        for change in sight.look(shown, round(at_s * NS)).changes:
            if not change.ok and change.condition == condition:
                return at_s - WELL_S, others
            if not change.ok:
                others.append(change.condition)
    return None, others


def false_alarms(video: Path) -> list[str]:
    """What is said while nothing is wrong."""
    sight, said = Sight(), list[str]()
    for at_s, frame in passes(video):
        if at_s > FALSE_S:
            return said
        said += [change.condition for change in sight.look(frame, round(at_s * NS)).changes if not change.ok]
    return said


def cost(width: int, height: int) -> tuple[float, float, float]:
    """CPU µs for a frame's sight, to decode it (means over some seconds), and of the dearest twentieth of the first."""
    encoder = av.CodecContext.create("libx264", "w")
    decoder = av.CodecContext.create("h264", "r")
    assert isinstance(encoder, av.VideoCodecContext)
    assert isinstance(decoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt, encoder.framerate = width, height, "yuv420p", Fraction(FPS)
    encoder.options = {"preset": "ultrafast", "tune": "zerolatency", "crf": "28"}
    encoder.thread_count = decoder.thread_count = 1
    picture = np.asarray(cv2.resize(street(), (width, height)), np.float32)
    rng = np.random.default_rng(0)
    sources = [av.VideoFrame.from_ndarray(noisy(picture, 2, rng), "gray").reformat(format="yuv420p") for _ in range(4)]
    sight, looking, decoding = Sight(), list[float](), list[float]()
    for number in range((LEARN_S + COST_S) * FPS):
        frame = sources[number % 4]
        frame.pts = number
        for packet in encoder.encode(frame):
            began = time.thread_time()
            frames = decoder.decode(packet)
            decoded = time.thread_time()
            for got in frames:
                sight.look(got, number * NS // FPS)
            decoding.append((decoded - began) * 1e6)
            looking.append((time.thread_time() - decoded) * 1e6)
    looking, decoding = looking[-COST_S * FPS :], decoding[-COST_S * FPS :]
    return statistics.mean(looking), statistics.mean(decoding), statistics.quantiles(looking, n=20)[-1]


def main() -> None:
    """Three small tables."""
    cv2.setNumThreads(1)
    print(f"{'size':6} {'µs/frame':>9} {'p95':>6} {'of a core':>10} {'µs to decode':>13}")
    for name, (width, height) in SIZES.items():
        look_us, decode_us, p95_us = cost(width, height)
        print(f"{name:6} {look_us:9.1f} {p95_us:6.0f} {look_us * FPS / 1e6:10.2%} {decode_us:13.0f}", flush=True)
    videos = [path for name in VIDEOS if (path := SHARED / "data/video" / name).exists()]
    print(f"\n{'seconds to notice':18}" + "".join(f" {video.name:>18}" for video in videos))
    for harm, (condition, work) in HARMS.items():
        cells: list[str] = []
        for video in videos:
            took_s, others = notice(video, condition, work)
            cells.append(("-" if took_s is None else f"{took_s:.1f}") + (f" +{','.join(others)}" if others else ""))
        print(f"{harm:18}" + "".join(f" {cell:>18}" for cell in cells), flush=True)
    for video in videos:
        said = false_alarms(video)
        print(f"\nfalse alarms: {video.name}: {len(said)} in {FALSE_S} s, looped {said or ''}".rstrip(), flush=True)


if __name__ == "__main__":
    main()
