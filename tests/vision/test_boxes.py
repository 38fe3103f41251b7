"""Letterbox, stretch and NMS."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.vision.boxes import fit_into, nms, to_picture


def scalar_nms(xyxy: np.ndarray, score: np.ndarray, label: np.ndarray, iou: float, most: int) -> list[int]:
    """Greedy suppression as it is told: best first, and each one kept removes what overlaps it."""
    kept: list[int] = []
    for i in sorted(range(len(score)), key=lambda i: (-score[i], i)):
        a = xyxy[i]
        for j in kept:
            b = xyxy[j]
            if label[i] != label[j]:
                continue
            width = max(min(a[2], b[2]) - max(a[0], b[0]), 0)
            height = max(min(a[3], b[3]) - max(a[1], b[1]), 0)
            shared = width * height
            union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
            if union > 0 and shared / union > iou:
                break
        else:
            kept.append(i)
    return kept[:most]


@st.composite
def boxes(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Up to 25 boxes with whole coordinates, few scores (ties) and few labels."""
    rows = draw(
        st.lists(
            st.tuples(*[st.integers(0, 12)] * 4, st.integers(1, 5), st.integers(0, 2)),
            max_size=25,
        )
    )
    table = np.array(rows, np.float32).reshape(-1, 6)
    xyxy = np.stack([table[:, 0], table[:, 1], table[:, 0] + table[:, 2], table[:, 1] + table[:, 3]], axis=1)
    return xyxy, table[:, 4] / 5, table[:, 5].astype(np.int16)


@given(boxes(), st.sampled_from([0.3, 0.5, 0.7]), st.integers(1, 30))
def test_nms_keeps_what_the_greedy_loop_keeps(
    case: tuple[np.ndarray, np.ndarray, np.ndarray], iou: float, most: int
) -> None:
    """The matrix form against one box at a time, with ties, empty boxes and chains."""
    xyxy, score, label = case
    assert nms(xyxy, score, label, iou=iou, most=most).tolist() == scalar_nms(xyxy, score, label, iou, most)


def test_a_suppressed_box_suppresses_nobody() -> None:
    """Given a chain in which each overlaps only the next, then every second one stays."""
    x = np.arange(6, dtype=np.float32) * 2
    xyxy = np.stack([x, x * 0, x + 10, x * 0 + 10], axis=1)
    score = np.linspace(0.9, 0.4, 6, dtype=np.float32)
    assert nms(xyxy, score, np.zeros(6, np.int16), iou=0.6, most=300).tolist() == [0, 2, 4]


@given(st.integers(8, 300), st.integers(8, 300), st.booleans())
def test_a_box_goes_into_the_input_and_comes_back(width: int, height: int, letterbox: bool) -> None:
    """Given a picture of any shape, when its outline is mapped back from the input, then it is the picture's."""
    slot = np.zeros((64, 96, 3), np.uint8)
    fit = fit_into(np.zeros((height, width, 3), np.uint8), slot, letterbox=letterbox, pad=114)
    whole = np.array([[0, 0, width * fit.scale_x, height * fit.scale_y]], np.float32)
    np.testing.assert_allclose(to_picture(whole, fit), [[0, 0, width, height]], rtol=1e-5)
    assert width * fit.scale_x <= 96.001
    assert height * fit.scale_y <= 64.001


@given(st.integers(1, 300), st.integers(1, 300))
def test_a_centred_picture_comes_back_from_where_it_lies(width: int, height: int) -> None:
    """Given a picture of any shape, then it lies between two bars (found in the pixels) whose widths differ by a px."""
    slot = np.full((64, 96, 3), 7, np.uint8)
    fit = fit_into(np.full((height, width, 3), 255, np.uint8), slot, letterbox=True, pad=114, centred=True)
    rows, columns = (np.flatnonzero((slot[:, :, 0] == 255).any(axis=axis)) for axis in (1, 0))
    assert (fit.left_px, fit.top_px) == (columns[0], rows[0])
    assert 0 <= 96 - 1 - columns[-1] - columns[0] <= 1
    assert 0 <= 64 - 1 - rows[-1] - rows[0] <= 1
    assert set(np.unique(slot).tolist()) <= {114, 255}
    inside = np.array([[columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]], np.float32)
    np.testing.assert_allclose(to_picture(inside, fit), [[0, 0, width, height]], rtol=1e-5)


@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize(("width", "height"), [(1, 1), (7680, 4320), (4000, 1), (1, 4000)])
def test_pictures_of_extreme_shapes_fit(width: int, height: int, centred: bool) -> None:
    """Given a picture of one px, of 8K, or a line, then it lies in the input and a box around all comes back as it."""
    slot = np.zeros((64, 96, 3), np.uint8)
    fit = fit_into(np.full((height, width, 3), 9, np.uint8), slot, letterbox=True, pad=114, centred=centred)
    assert (slot == 9).any()
    [[left, top, right, bottom]] = to_picture(np.array([[0, 0, 96, 64]], np.float32), fit).tolist()
    assert (left, top) == (0, 0)
    assert (right, bottom) == pytest.approx((width, height), rel=1e-6)


def test_letterbox_fills_the_rest_even_after_another_picture() -> None:
    """Given a slot that held a wide picture, when a tall one follows, then nothing of the first is left."""
    slot = np.zeros((64, 64, 3), np.uint8)
    fit_into(np.full((32, 64, 3), 200, np.uint8), slot, letterbox=True, pad=114)
    fit_into(np.full((64, 32, 3), 10, np.uint8), slot, letterbox=True, pad=114)
    assert (slot[:, :32] == 10).all()
    assert (slot[:, 32:] == 114).all()


def test_boxes_are_clipped_to_the_picture() -> None:
    """A box that reaches into the padding ends at the picture's edge."""
    fit = fit_into(np.zeros((30, 60, 3), np.uint8), np.zeros((60, 60, 3), np.uint8), letterbox=True, pad=114)
    assert to_picture(np.array([[-5, 10, 50, 55]], np.float32), fit).tolist() == [[0, 10, 50, 30]]


@pytest.mark.parametrize("count", [0, 1])
def test_nms_of_none_and_one(count: int) -> None:
    """Nothing to suppress."""
    xyxy = np.zeros((count, 4), np.float32)
    assert len(nms(xyxy, np.ones(count, np.float32), np.zeros(count, np.int16), iou=0.7, most=300)) == count
