"""A frame's planes scaled by themselves, against the whole frame converted and then scaled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import av
import cv2
import numpy as np
import pytest

from gateway.vision.planes import Part, Scaler, planes_of, whole

if TYPE_CHECKING:
    from numpy.typing import NDArray


def picture(width: int, height: int) -> NDArray[np.uint8]:
    """Soft patches of all colours."""
    patches = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    return np.asarray(cv2.resize(patches, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


@pytest.mark.parametrize("pixels", ["yuv420p", "yuvj420p", "yuv422p", "yuv444p", "nv12", "bgr24", "gray"])
@pytest.mark.parametrize("size", [(640, 480), (641, 359)])
@pytest.mark.parametrize("area", [None, (100, 61, 399, 260)])
def test_scaled_planes_are_the_scaled_picture(
    pixels: str, size: tuple[int, int], area: tuple[int, int, int, int] | None
) -> None:
    """Given a frame of any format, odd sizes too, then the small RGB is that of libswscale's, but for rounding."""
    frame = av.VideoFrame.from_ndarray(picture(*size), "rgb24").reformat(format=pixels)
    rgb = frame.to_ndarray(format="rgb24")
    left, top, right, bottom = area or (0, 0, *size)
    ours = np.zeros((96, 128, 3), np.uint8)
    Scaler().draw(Part(planes_of(frame), left, top, right, bottom), ours)
    theirs = cv2.resize(rgb[top:bottom, left:right], (128, 96), interpolation=cv2.INTER_LINEAR)
    off = np.abs(ours.astype(int) - theirs)
    assert off.mean() < 2.5
    assert np.percentile(off, 99) < 12  # chroma is interpolated here and repeated there


@pytest.mark.parametrize(("colorspace", "name"), [(1, "itu709"), (5, "itu601")])
@pytest.mark.parametrize("full", [False, True])
def test_colours_are_by_the_frames_own_matrix_and_range(colorspace: int, name: str, full: bool) -> None:
    """Given a frame that says BT.709 or BT.601, full range or not, then its colours come back."""
    rgb = picture(320, 240)
    ranges = {"dst_color_range": "JPEG"} if full else {}
    frame = av.VideoFrame.from_ndarray(rgb, "rgb24").reformat(format="yuv444p", dst_colorspace=name, **ranges)
    frame.colorspace, frame.color_range = colorspace, 2 if full else 1
    ours = np.zeros((240, 320, 3), np.uint8)
    Scaler().draw(whole(planes_of(frame)), ours)
    assert np.abs(ours.astype(int) - rgb).mean() < 1.5


@pytest.mark.parametrize("size", [(1, 1), (1, 700), (700, 1), (7680, 4320)])
@pytest.mark.parametrize("pixels", ["yuv420p", "nv12"])
def test_frames_of_extreme_shapes_are_drawn(size: tuple[int, int], pixels: str) -> None:
    """Given one px, a line or 8K, all of one grey, then the small picture is of that grey."""
    frame = av.VideoFrame(*size, pixels)
    for plane in frame.planes:
        plane.update(np.full(plane.buffer_size, 128, np.uint8).tobytes())
    ours = np.zeros((64, 96, 3), np.uint8)
    Scaler().draw(whole(planes_of(frame)), ours)
    assert set(np.unique(ours).tolist()) == {130}  # 255 / 219 × (128 − 16)


def test_a_scaler_draws_small_after_large() -> None:
    """Its buffers are those of the largest; what is drawn is the size that is asked for."""
    frame = av.VideoFrame.from_ndarray(picture(320, 240), "rgb24").reformat(format="yuv420p")
    scaler, planes = Scaler(), planes_of(frame)
    for side in (200, 20, 100):
        ours, fresh = np.zeros((side, side, 3), np.uint8), np.zeros((side, side, 3), np.uint8)
        scaler.draw(whole(planes), ours)
        Scaler().draw(whole(planes), fresh)
        assert (ours == fresh).all()


def test_a_plain_picture_is_one_plane() -> None:
    """uint8[h, w, 3] RGB, as files give it."""
    assert whole(picture(30, 20))[1:] == (0, 0, 30, 20)
