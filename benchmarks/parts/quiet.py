"""A quiet street made of a busy clip: four fifths of its time stand still, as a real sensor sees stillness.

In each of five turns the clip runs for a fifth of the time, then its last frame stands: with the sensor's noise anew in
each picture, brightness that drifts by a few percent, and a region that sways as leaves do. All of it is encoded again,
as a camera would send it. Where the clip goes on, it has gone on meanwhile: what is there then appears at once.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import av
import cv2
import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

TURNS = 5
MOVES = 0.2  # share of a turn
NOISE = 2.0  # σ, levels: a camera by day
DRIFT, DRIFT_S = 0.06, 23.0  # share of the brightness, and the seconds it takes there and back
SWAY_PX, SWAY_HZ = 4.0, (0.8, 1.3)
SWAYS = (0.05, 0.05, 0.25, 0.35)  # where: left, top, right, bottom, as shares of the picture


def shown(count: int) -> list[int]:
    """Which frame of the clip each frame of the quiet one shows: the frame itself while the clip runs."""
    turn = math.ceil(count / TURNS)
    runs = round(turn * MOVES)
    return [at - at % turn + min(at % turn, runs - 1) for at in range(count)]


def quiet(clip: Path, to: Path, fps: int = 10) -> list[int]:
    """Write the quiet clip (H.264, a key frame every 2 s, no B-frames); returns as `shown`."""
    with av.open(str(clip)) as container:
        frames = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    order = shown(len(frames))
    rng = np.random.default_rng(1)
    height, width = frames[0].shape[:2]
    with av.open(str(to), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"preset": "veryfast", "crf": "27", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = width, height, "yuv420p", 2 * fps
        stream.codec_context.thread_count = 1
        for at, source in enumerate(order):
            picture = swayed(frames[source], at / fps)
            light = 1 + DRIFT * math.sin(2 * math.pi * at / fps / DRIFT_S)
            noise = rng.normal(0, NOISE if source != at else 0.0, (height, width, 1)).astype(np.float32)
            made = np.clip(picture.astype(np.float32) * np.float32(light) + noise, 0, 255).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(made, "bgr24")))
        container.mux(stream.encode())
    return order


def swayed(picture: NDArray[np.uint8], at_s: float) -> NDArray[np.uint8]:
    """The picture with its leaves where the wind has them: moved sideways, most in the middle of their region."""
    height, width = picture.shape[:2]
    left, top, right, bottom = (round(share * size) for share, size in zip(SWAYS, (width, height) * 2, strict=True))
    y, x = np.mgrid[top:bottom, left:right].astype(np.float32)
    window = np.sin(np.pi * (x - left) / (right - left)) * np.sin(np.pi * (y - top) / (bottom - top))
    wind = sum(math.sin(2 * math.pi * hz * at_s + k) for k, hz in enumerate(SWAY_HZ)) / len(SWAY_HZ)
    moved = picture.copy()
    by = np.float32(SWAY_PX * wind) * window.astype(np.float32)
    moved[top:bottom, left:right] = cv2.remap(picture, x + by, y, cv2.INTER_LINEAR)
    return moved
