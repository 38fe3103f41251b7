"""The measures behind a camera's sight, each by itself."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.vision.exposure import exposure, gradient, sharpness
from gateway.vision.held import NS, Held
from gateway.vision.luma import SMALL, Sample
from gateway.vision.repeats import Repeats
from gateway.vision.scene import correlation, edge_map, find_shift, lost
from tests.vision.scenes import street


def small(seed: int, right: int = 0, down: int = 0) -> np.ndarray:
    """A street's small plane, its content shifted by cells."""
    wide = cv2.resize(street(seed), (SMALL[1] * 2, SMALL[0] * 2), interpolation=cv2.INTER_AREA)
    top, left = SMALL[0] // 2 - down, SMALL[1] // 2 - right
    return wide[top : top + SMALL[0], left : left + SMALL[1]].astype(np.uint8)


def edges(seed: int, right: int = 0, down: int = 0) -> np.ndarray:
    """Its edge map."""
    plane = small(seed, right, down)
    return edge_map(plane, gradient(plane))


def sampled(rows: np.ndarray, *, key: bool = False) -> Sample:
    """A sample of these rows."""
    return Sample(np.full(SMALL, 100, np.uint8), rows, key, (rows.shape[1], 360))


# ── held ──


def test_what_holds_is_said_after_its_time_and_taken_back_after_its_own() -> None:
    """Given 5 s to say and 2 s to take back, then it is well at 2, bad 5 s after it begins, well 2 s after its end."""
    held = Held(5, 2)
    said = [(at_s, held.bad) for at_s in range(40) if held.update(10 <= at_s < 20, at_s * NS)]
    assert said == [(2, False), (15, True), (22, False)]


def test_what_was_not_looked_at_has_not_held() -> None:
    """Given two bad moments 4 s apart, then nothing is known of the time between, and it must hold again."""
    held = Held(5, 5)
    assert [held.update(bad=True, at_ns=at_s * NS) for at_s in (0, 2, 6, 8, 10, 11)] == [False] * 5 + [True]


@given(
    st.lists(st.tuples(st.sampled_from([True, False, None]), st.integers(0, 4 * NS)), max_size=100),
    st.floats(0, 10),
    st.floats(0, 10),
)
def test_nothing_is_said_that_has_not_held_without_a_gap(
    moments: list[tuple[bool | None, int]], raise_s: float, clear_s: float
) -> None:
    """Given any moments, then what is said has been so at each for as long as it takes, none over 3 s from the next."""
    held, past, at_ns = Held(raise_s, clear_s), [], 0
    for bad, step_ns in moments:
        at_ns += step_ns
        past.append((at_ns, bad))
        before = held.bad
        if not held.update(bad, at_ns):
            assert held.bad is before
            continue
        assert held.bad is bad is not before
        began_ns = at_ns
        for (earlier_ns, was), (later_ns, _) in zip(past[-2::-1], past[:0:-1], strict=True):
            if was is not bad or later_ns - earlier_ns > 3 * NS:
                break
            began_ns = earlier_ns
        assert at_ns - began_ns >= round((raise_s if bad else clear_s) * NS)


# ── one picture ──


@pytest.mark.parametrize(
    ("plane", "expected"),
    [
        (np.full(SMALL, 16, np.uint8), "black"),
        (np.full(SMALL, 0, np.uint8), "black"),
        (np.full(SMALL, 235, np.uint8), "overexposed"),
        (np.full(SMALL, 128, np.uint8), "flat"),
        (np.linspace(60, 180, SMALL[1], dtype=np.uint8)[None].repeat(SMALL[0], 0), "flat"),
        (small(0), ""),
        (small(0) // 6 + 16, ""),
    ],
)
def test_a_picture_by_itself_is_one_thing_at_most(plane: np.ndarray, expected: str) -> None:
    """Given black, white, even grey, a soft slope, a street by day and by night, then each is what it is."""
    got = exposure(plane, gradient(plane))
    assert [name for name in ("black", "overexposed", "flat") if getattr(got, name)] == ([expected] if expected else [])
    assert got.blind is bool(expected)


def test_sharpness_is_of_the_edges_and_not_of_their_contrast_or_the_noise() -> None:
    """Given steps, then it is an eighth, at any contrast and with noise beside; blurred, under a quarter of it."""
    rng = np.random.default_rng(0)
    steps = np.repeat(np.tile([60.0, 160.0], 10), 64)[None].repeat(24, 0)
    faint = 100 + (steps - 100) * 0.4
    soft = cv2.GaussianBlur(steps, (0, 0), 8)

    def of(rows: np.ndarray, sigma: float) -> float:
        got = sharpness(sampled(np.clip(rows + rng.normal(0, sigma, rows.shape), 0, 255).astype(np.uint8)))
        assert got is not None
        return got

    assert of(steps, 0) == pytest.approx(1 / 8, rel=0.02)
    assert of(faint, 2) == pytest.approx(1 / 8, rel=0.1)
    assert of(steps, 6) == pytest.approx(1 / 8, rel=0.1)
    assert of(soft, 0) < 1 / 40
    assert of(soft, 6) < 1 / 30


def test_sharpness_of_a_picture_without_edges_is_not_known() -> None:
    """Given an even picture, or one that is too narrow, then nothing is said of its lens."""
    assert sharpness(sampled(np.full((24, 640), 90, np.uint8))) is None
    assert sharpness(sampled(np.full((24, 40), 90, np.uint8))) is None


# ── two pictures ──


@settings(deadline=None)  # a loaded machine is slow, and that is no fault of it
@given(st.integers(-40, 40), st.integers(-30, 30))
def test_a_shift_is_found_to_the_cell(right: int, down: int) -> None:
    """Given a street and the same turned by up to a third, then the shift is found; below three cells there is none."""
    past, now = edges(0), edges(0, right, down)
    got = find_shift(now, past, correlation(now, past))
    if max(abs(right), abs(down)) < 3:
        assert got is None
    else:
        assert got is None or got == (right, down)
        assert got is not None or max(abs(right), abs(down)) > 30 or correlation(now, past) > 0.3


def test_another_street_is_no_shift_of_this_one() -> None:
    """Given ten other streets, then none is like it, and none is it from elsewhere."""
    past = edges(0)
    for seed in range(1, 11):
        now = edges(seed)
        assert correlation(now, past) < 0.3
        assert find_shift(now, past, correlation(now, past)) is None
        assert lost(now, past) < 0.6
    assert correlation(past, past) == pytest.approx(1)


def test_a_repeat_needs_a_frame_coded_by_itself() -> None:
    """Given the same rows, then they are a repeat after 2.5 s once such a frame was among them, else after a minute."""
    rows = np.random.default_rng(0).integers(0, 255, (24, 64), np.uint8)

    def since(keys: set[int]) -> list[int]:
        repeats = Repeats()
        return [at_s for at_s in range(70) if repeats.update(sampled(rows, key=at_s in keys), at_s * NS) is not None]

    assert since({0, 2})[0] == 3
    assert since({0, 5})[0] == 5
    assert since({0})[0] == 60


def test_a_repeat_is_over_with_the_sensors_noise_though_nothing_moves() -> None:
    """Given a repeat, then a camera that lives again before the same scene, then that is seen at its next key frame."""
    repeats, rng = Repeats(), np.random.default_rng(1)
    rows = rng.integers(90, 93, (24, 64)).astype(np.uint8)
    for at_s in range(10):
        repeats.update(sampled(rows, key=True), at_s * NS)
    assert repeats.update(sampled(rows), 10 * NS) == 0
    lively = [sampled(rng.integers(90, 93, (24, 64)).astype(np.uint8), key=at_s % 2 == 0) for at_s in range(11, 90)]
    later = [repeats.update(taken, (11 + i) * NS) for i, taken in enumerate(lively)]
    assert later[1:] == [None] * 78


def test_a_frame_coded_by_itself_that_differs_begins_anew() -> None:
    """Given a difference of one level in one pixel at each such frame, as noise makes it, then nothing ever repeats."""
    repeats = Repeats()
    for at_s in range(100):
        rows = np.full((24, 64), 90, np.uint8)
        rows[3, 5] += at_s // 2 % 7
        assert repeats.update(sampled(rows, key=at_s % 2 == 0), at_s * NS) is None
