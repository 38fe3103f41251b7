"""A decoded frame's planes, and how a part of them becomes a small RGB picture without ever being a large one.

Luma and chroma are scaled each by themselves, so that only the pixels that a model is shown change their colours: a
fifth of the time of converting a full HD frame and scaling that, and with the chroma interpolated, not repeated.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, cast

import cv2
import numpy as np

if TYPE_CHECKING:
    import av
    from av.video.plane import VideoPlane
    from numpy.typing import NDArray

    Plane = NDArray[np.uint8]

# Kr and Kb by AVColorSpace, ITU-T H.273 table 4; what is not named is BT.601, as swscale takes it.
_WEIGHTS = {1: (0.2126, 0.0722), 4: (0.30, 0.11), 7: (0.212, 0.087), 9: (0.2627, 0.0593), 10: (0.2627, 0.0593)}
_BT601 = (0.299, 0.114)
_FULL = 2  # AVCOL_RANGE_JPEG
_PLANAR = {"yuv420p", "yuv422p", "yuv444p", "yuvj420p", "yuvj422p", "yuvj444p", "nv12"}


class Planes(NamedTuple):
    """A picture: one plane uint8[h, w, 3] RGB; or luma [h, w] and chroma, [., .] twice or [., ., 2], with `to_rgb`.

    to_rgb: float32[3, 4], what takes (Y, U, V, 1) to RGB. The planes are views: they hold while the frame does.
    """

    parts: tuple[Plane, ...]
    to_rgb: NDArray[np.float32] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in px."""
        height, width = self.parts[0].shape[:2]
        return width, height


class Part(NamedTuple):
    """What of a picture is to be looked at: from (left, top) to before (right, bottom), px."""

    planes: Planes
    left: int
    top: int
    right: int
    bottom: int


class Scaler:
    """Draws parts of pictures at another size, for one thread: its buffers grow to the largest drawn, and stay."""

    def __init__(self) -> None:
        self._room = np.empty(0, np.uint8)

    def draw(self, part: Part, onto: Plane) -> None:
        """Fill uint8[h, w, 3] with the part, RGB, bilinear."""
        luma, *chroma = part.planes.parts
        size = (onto.shape[1], onto.shape[0])
        here = luma[part.top : part.bottom, part.left : part.right]
        if part.planes.to_rgb is None:
            cv2.resize(here, size, dst=onto, interpolation=cv2.INTER_LINEAR)
            return
        planes, joined = self._buffers(*size)
        cv2.resize(here, size, dst=planes[0], interpolation=cv2.INTER_LINEAR)
        if len(chroma) == 1:  # U and V by turns
            both = cv2.resize(_under(part, luma, chroma[0]), size, interpolation=cv2.INTER_LINEAR)
            cv2.split(both, list(planes[1:]))
        else:
            for plane, into in zip(chroma, planes[1:], strict=True):
                cv2.resize(_under(part, luma, plane), size, dst=into, interpolation=cv2.INTER_LINEAR)
        cv2.merge(planes, joined)
        cv2.transform(joined, part.planes.to_rgb, dst=onto)

    def _buffers(self, width: int, height: int) -> tuple[list[Plane], Plane]:
        """Three planes and a picture of that size."""
        pixels = width * height
        if len(self._room) < 6 * pixels:
            self._room = np.empty(6 * pixels, np.uint8)
        planes = self._room[: 3 * pixels].reshape(3, height, width)
        return list(planes), self._room[3 * pixels : 6 * pixels].reshape(height, width, 3)


def planes_of(frame: av.VideoFrame) -> Planes:
    """A frame's planes as they are where its format is a usual one, else as RGB."""
    name = frame.format.name
    if name not in _PLANAR:
        return Planes((cast("Plane", frame.to_ndarray(format="rgb24")),))
    full = name.startswith("yuvj") or frame.color_range == _FULL
    wide = 2 if name == "nv12" else 1
    parts = tuple(_view(plane, wide if at else 1) for at, plane in enumerate(frame.planes))
    return Planes(parts, _to_rgb(int(frame.colorspace), full))


def whole(picture: Planes | Plane) -> Part:
    """All of a picture, which may be uint8[h, w, 3] RGB."""
    planes = picture if isinstance(picture, Planes) else Planes((picture,))
    return Part(planes, 0, 0, *planes.size)


def _view(plane: VideoPlane, channels: int) -> Plane:
    pixels = np.frombuffer(plane, np.uint8)  # pyright: ignore[reportArgumentType, reportCallIssue] - PyAV's planes are buffers
    lines = pixels[: plane.line_size * plane.height].reshape(plane.height, plane.line_size)
    if channels == 1:
        return lines[:, : plane.width]
    return lines[:, : plane.width * channels].reshape(plane.height, plane.width, channels)


def _under(part: Part, luma: Plane, chroma: Plane) -> Plane:
    """The chroma of a part: its planes have a half or all of the luma's rows and columns."""
    down, across = (-(-many // few) for many, few in zip(luma.shape, chroma.shape[:2], strict=True))
    rows = slice(part.top // down, -(-part.bottom // down))
    return chroma[rows, part.left // across : -(-part.right // across)]


@lru_cache(maxsize=16)
def _to_rgb(colorspace: int, full: bool) -> NDArray[np.float32]:
    """ITU-T H.273: equations 41 to 43 backwards, with the ranges of 8 bits."""
    red, blue = _WEIGHTS.get(colorspace, _BT601)
    green = 1 - red - blue
    bright, colour, black = (1.0, 1.0, 0.0) if full else (255 / 219, 255 / 224, 16.0)
    from_v, from_u = 2 * (1 - red) * colour, 2 * (1 - blue) * colour
    rows = np.array([[bright, 0, from_v], [bright, -from_u * blue / green, -from_v * red / green], [bright, from_u, 0]])
    return np.concatenate([rows, -rows @ [[black], [128.0], [128.0]]], axis=1).astype(np.float32)
