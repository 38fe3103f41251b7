"""Clips to measure with, as a camera sends them: H.264, a key frame every two seconds."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

import av
import cv2
import numpy as np

from gateway.errors import CameraError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

STREAM_FPS = 25
SIZES = {"360p": (640, 360), "720p": (1280, 720), "1080p": (1920, 1080), "2160p": (3840, 2160)}
_GOP_S = 2
_BITS_PX = 0.08  # a pixel of a street camera's stream: 4 Mbit/s at 1080p and 25 fps


def made_video(
    folder: Path,
    size: tuple[int, int],
    seconds: float,
    source: Path | None = None,
    *,
    busy: float = 1.0,
    name: str = "camera.mp4",
) -> Path:
    """A clip as a camera sends it, H.264 at 25 fps: a street, or what is in `source`, at that size.

    busy: the share of its time in which something crosses the street, at its beginning. Raises CameraError where the
    source cannot be read.
    """
    path = folder / name
    width, height = size
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=STREAM_FPS)
        assert isinstance(stream, av.VideoStream)  # noqa: S101 - libx264 makes video
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = width, height, "yuv420p", STREAM_FPS * _GOP_S
        stream.bit_rate = round(width * height * STREAM_FPS * _BITS_PX)
        stream.codec_context.options = {"preset": "superfast", "tune": "zerolatency"}
        count = round(seconds * STREAM_FPS)
        frames = _scaled(source, size) if source else _street(size, round(count * busy))
        for number, picture in zip(range(count), frames, strict=False):
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, STREAM_FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def rotated(path: Path) -> list[Path]:
    """The same clip beginning at each of its key frames, so that cameras are not all busy at one time."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        packets = [(bytes(packet), packet.is_keyframe) for packet in container.demux(stream) if packet.size]
        begins = [at for at, (_, is_key) in enumerate(packets) if is_key]
        made = [path]
        for number, (_, begin) in enumerate(pairwise(begins)):
            made.append(path.with_name(f"{path.stem}-{number + 1}{path.suffix}"))
            with av.open(str(made[-1]), "w") as out:
                copy = out.add_stream_from_template(stream)
                for at, (body, is_key) in enumerate((*packets[begin:], *packets[:begin])):
                    packet = av.Packet(body)
                    packet.stream, packet.time_base, packet.is_keyframe = copy, Fraction(1, STREAM_FPS), is_key
                    packet.pts = packet.dts = at
                    out.mux(packet)
    return made


def _scaled(source: Path, size: tuple[int, int]) -> Iterator[NDArray[np.uint8]]:
    from gateway.vision.offline import Item, read  # noqa: PLC0415 - only here

    seen = False
    for item in read([source]):
        if isinstance(item, Item):
            seen = True
            yield np.asarray(cv2.resize(item.picture, size, interpolation=cv2.INTER_AREA), np.uint8)
        elif not seen:
            raise CameraError(f"{item.path}: {item.reason}")


def _street(size: tuple[int, int], busy: int) -> Iterator[NDArray[np.uint8]]:
    """A still scene with edges and a sensor's noise, and three things that cross it in its first `busy` frames."""
    width, height = size
    rng = np.random.default_rng(0)
    scene = cv2.resize(rng.integers(40, 200, (18, 32, 3), np.uint8), size, interpolation=cv2.INTER_NEAREST)
    noise = [rng.integers(0, 12, (height, width, 1), np.uint8) for _ in range(4)]
    number = 0
    while True:
        picture = scene.copy()
        for thing in range(3 if number < busy else 0):
            x = (number * (4 + 2 * thing) + thing * width // 3) % width
            picture[height // 2 + thing * height // 8 :][: height // 6, x : x + width // 20] = (200, 60, 30 * thing)
        yield np.asarray(cv2.add(picture, np.repeat(noise[number % 4], 3, axis=2)), np.uint8)
        number += 1


def rate_of(path: Path) -> float:
    """Frames a second of a video. Raises CameraError where it has none."""
    try:
        with av.open(str(path)) as container:
            rate = container.streams.video[0].average_rate
    except (OSError, IndexError) as error:  # PyAV's errors are OSErrors too
        raise CameraError(f"{path}: not a video that can be opened ({error})") from error
    return float(rate or STREAM_FPS)
