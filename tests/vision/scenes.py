"""A street that does not exist, as a camera with a noisy sensor sees it, and what may happen to that camera."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, NamedTuple

import av
import cv2
import numpy as np

from gateway.vision.sight import Change, Sight

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    Picture = NDArray[np.float32]  # luma, float32[h, w]
    At = Callable[[float], Picture]  # the picture at a time, s

NS = 1_000_000_000
WIDTH, HEIGHT = 640, 360
FPS = 4


class Told(NamedTuple):
    """What a camera's sight said, and how much of the time it was blind."""

    changes: list[tuple[float, Change]]
    blind_s: list[float]

    def bad(self) -> list[str]:
        """The conditions raised, in order."""
        return [change.condition for _, change in self.changes if not change.ok]

    def at(self, condition: str, *, ok: bool) -> float:
        """When a condition was last said to be so."""
        return [at_s for at_s, change in self.changes if change.condition == condition and change.ok is ok][-1]


def street(seed: int = 0) -> Picture:
    """Houses, windows, kerbs: rectangles of all sizes, 40 to 200 of 255."""
    rng = np.random.default_rng(seed)
    picture = np.full((HEIGHT, WIDTH), 110, np.float32)
    for _ in range(120):
        x, y = rng.integers(0, WIDTH), rng.integers(0, HEIGHT)
        w, h = rng.integers(8, 120), rng.integers(8, 80)
        picture[y : y + h, x : x + w] = rng.uniform(40, 200)
    return cv2.GaussianBlur(picture, (0, 0), 0.8)  # a lens


def noisy(picture: Picture, sigma: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """What the sensor makes of it. The noise is cut out of a larger field at a random place: quicker than anew."""
    height, width = picture.shape
    field = _noise(height + 64, width + 64)
    top, left = rng.integers(0, 64, 2)
    return np.clip(picture + sigma * field[top : top + height, left : left + width], 0, 255).astype(np.uint8)


@functools.cache
def _noise(height: int, width: int) -> Picture:
    return np.random.default_rng(4).standard_normal((height, width), np.float32)


def watch(at: At, seconds: float, *, sigma: float = 2.0, sight: Sight | None = None, fps: float = FPS) -> Told:
    """A camera's sight over some time of it."""
    rng = np.random.default_rng(5)
    times = (number / fps for number in range(round(seconds * fps)))
    return told(
        sight or Sight(),
        ((at_s, av.VideoFrame.from_ndarray(noisy(at(at_s), sigma, rng), "gray")) for at_s in times),
    )


def told(sight: Sight, frames: Iterable[tuple[float, av.VideoFrame]]) -> Told:
    """Show frames with their times (s)."""
    got = Told([], [])
    for at_s, frame in frames:
        verdict = sight.look(frame, round(at_s * NS))
        got.changes.extend((at_s, change) for change in verdict.changes)
        if verdict.blind:
            got.blind_s.append(at_s)
    return got


def encoded(
    at: At, seconds: float, *, sigma: float, fps: int = 10, **options: str
) -> Iterator[tuple[float, av.VideoFrame]]:
    """The same through H.264, as a camera's encoder and our decoder leave it."""
    encoder = av.CodecContext.create("libx264", "w")
    decoder = av.CodecContext.create("h264", "r")
    assert isinstance(encoder, av.VideoCodecContext)
    assert isinstance(decoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt, encoder.framerate = WIDTH, HEIGHT, "yuv420p", fps
    encoder.thread_count = 1
    encoder.options = {"tune": "zerolatency", "preset": "ultrafast", **options}
    rng = np.random.default_rng(6)
    number = 0
    for source in range(round(seconds * fps)):
        picture = noisy(at(source / fps), sigma, rng) if sigma else at(source / fps).astype(np.uint8)
        frame = av.VideoFrame.from_ndarray(picture, "gray").reformat(format="yuv420p")
        frame.pts = source
        for packet in encoder.encode(frame):
            for got in decoder.decode(packet):
                yield number / fps, got
                number += 1


def film(path: Path, at: At, seconds: float, *, sigma: float = 2.0, fps: int = 10) -> Path:
    """The same as a file that a camera may be."""
    rng = np.random.default_rng(7)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"preset": "ultrafast", "qp": "28"})
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = WIDTH, HEIGHT, "yuv420p", fps
        stream.codec_context.thread_count = 1
        for number in range(round(seconds * fps)):
            picture = at(number / fps)
            grey = noisy(picture, sigma, rng) if sigma else picture.astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, "gray").reformat(format="yuv420p")))
        container.mux(stream.encode())
    return path
