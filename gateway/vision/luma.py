"""The little of a decoded frame that its health is judged by: a small luma plane and some rows of the whole one.

Read from the decoder's own plane: nothing is converted, and nothing of the frame is kept but this.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, cast

import cv2
import numpy as np

if TYPE_CHECKING:
    import av
    from numpy.typing import NDArray

SMALL = (96, 128)  # rows, columns: coarse enough that noise averages out, fine enough for a shift of 1 %
LEAST_PX = 32  # a picture smaller than this in a direction is not judged
_ROWS = 24  # rows kept whole, for what only the full resolution shows: sharpness, and whether two pictures are one
_WIDEST_PX = 1920  # of such a row; of a wider picture its middle
_WHOLE_PX = 1024  # from this width on what is left over is under an eighth
_MARGIN = 0.12  # of the height, above and below: there cameras write their clock and name
_LOW_BYTE_FIRST = ("10le", "12le", "16le")


class Sample(NamedTuple):
    """What is kept of a frame.

    small: uint8[96, 128], luma of the whole picture; rows: uint8[24, w], rows of it at full resolution; key: whether
    the frame was coded by itself; size: (width, height), px.
    """

    small: NDArray[np.uint8]
    rows: NDArray[np.uint8]
    key: bool
    size: tuple[int, int]


class Taken:
    """A frame's sample for all who want it: taken once, and only if one asks."""

    def __init__(self, frame: av.VideoFrame) -> None:
        self._frame = frame

    @cached_property
    def sample(self) -> Sample | None:
        """As `sample` gives it."""
        return sample(self._frame)


def sample(frame: av.VideoFrame) -> Sample | None:
    """A frame's sample; None of a picture that is too small to say anything."""
    if frame.width < LEAST_PX or frame.height < LEAST_PX:
        return None
    luma = luma_of(frame)
    height, width = luma.shape
    tall, wide = SMALL
    thin = luma[np.linspace(0, height - 1, 2 * tall).astype(np.intp)]  # two rows a cell are enough
    if width >= _WHOLE_PX:
        thin = thin[:, : width // wide * wide]  # whole pixels a cell: a seventh of the time
    small = cast("NDArray[np.uint8]", cv2.resize(thin, (wide, tall), interpolation=cv2.INTER_AREA))
    at = np.linspace(_MARGIN * height, (1 - _MARGIN) * height - 1, _ROWS).astype(np.intp)
    left = max(0, (width - _WIDEST_PX) // 2)
    return Sample(small, luma[at, left : left + _WIDEST_PX], bool(frame.key_frame), (width, height))


def luma_of(frame: av.VideoFrame) -> NDArray[np.uint8]:
    """A frame's luma, uint8[height, width]: a view of the decoder's plane where its format allows."""
    name = frame.format.name
    if name.startswith(("yuv4", "yuvj4", "nv12", "nv21", "nv16", "gray")) and frame.format.components[0].bits == 8:
        return _plane(frame)[:, : frame.width]
    if name in {"yuyv422", "uyvy422"}:
        return np.ascontiguousarray(_plane(frame)[:, name == "uyvy422" : 2 * frame.width : 2])
    if name.startswith("yuv4") and name.endswith(_LOW_BYTE_FIRST):
        deep = _plane(frame).view(np.uint16)[:, : frame.width]
        return (deep >> (frame.format.components[0].bits - 8)).astype(np.uint8)
    return cast("NDArray[np.uint8]", frame.reformat(format="gray").to_ndarray())


def _plane(frame: av.VideoFrame) -> NDArray[np.uint8]:
    """The first plane's bytes, uint8[height, bytes a line]."""
    plane = frame.planes[0]
    pixels = np.frombuffer(plane, np.uint8)  # pyright: ignore[reportArgumentType, reportCallIssue] - PyAV's planes are buffers
    return pixels[: plane.line_size * frame.height].reshape(frame.height, plane.line_size)
