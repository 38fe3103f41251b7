"""What time a camera covered."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from gateway.vision.coverage import NS, Coverage

if TYPE_CHECKING:
    from gateway.events import Looked


def seconds(parts: list[Looked]) -> dict[str, float]:
    """How long each was."""
    total: Counter[str] = Counter()
    for part in parts:
        total[part.why] += part.to_ns - part.from_ns
    return {why: ns / NS for why, ns in total.items()}


@given(
    st.lists(st.tuples(st.sampled_from(["frame", "look", "passed", "blind"]), st.integers(-NS, 5 * NS)), max_size=50)
)
def test_the_intervals_join(calls: list[tuple[str, int]]) -> None:
    """The intervals join.

    Given any order of frames, looks and passing time, even back in time, then one interval ends where the next
    begins, and none is empty.
    """
    coverage = Coverage("gate", NS, 0)
    now, parts = 0, []
    for what, step in calls:
        now += step
        parts += getattr(coverage, what)(now)
    assert all(part.to_ns > part.from_ns for part in parts)
    assert all(a.to_ns == b.from_ns for a, b in itertools.pairwise(parts))
    assert not parts or parts[0].from_ns == 0


def test_looks_in_time_are_one_run_of_analysed_time() -> None:
    """Five looks a second for ten seconds."""
    coverage = Coverage("gate", NS, 0)
    parts = []
    for i in range(51):
        parts += coverage.frame(i * NS // 5) + coverage.look(i * NS // 5) + coverage.passed(i * NS // 5)
    assert seconds(parts) == {"analysed": 10.0}


def test_a_camera_paused_for_40_s_was_blind_for_all_but_the_bound() -> None:
    """Given 10 s of looks, 40 s without a frame, 10 s of looks, then a third of the minute was covered."""
    coverage = Coverage("gate", NS, 0)
    parts = []
    for tick in range(601):
        at = tick * NS // 10
        if tick <= 100 or tick >= 500:
            parts += coverage.frame(at) + coverage.look(at)
        if tick % 10 == 5:
            parts += coverage.passed(at)
    got = seconds(parts)
    assert got.keys() == {"analysed", "blind"}
    assert abs(got["analysed"] / 60 - 0.33) < 0.05
    assert sum(got.values()) == 60


def test_frames_without_looks_are_overload() -> None:
    """Given frames at 10 a second and a look every 5 s, then the time between is overloaded, and none is blind."""
    coverage = Coverage("gate", NS, 0)
    parts = []
    for tick in range(201):
        at = tick * NS // 10
        parts += coverage.frame(at)
        if tick % 50 == 0:
            parts += coverage.look(at)
    assert seconds(parts) == {"analysed": 4.0, "overloaded": 16.0}


def test_frames_that_show_nothing_are_blind_time_from_the_first_to_the_last() -> None:
    """Given ten seconds of looks, ten of black frames, ten of looks, then just the ten are blind, told each second."""
    coverage = Coverage("gate", NS, 0)
    parts = []
    for tick in range(301):
        at = tick * NS // 10
        parts += coverage.blind(at) if 100 <= tick < 200 else coverage.frame(at) + coverage.look(at)
    assert seconds(parts) == {"analysed": 20.0, "blind": 10.0}
    assert [(got.from_ns / NS, got.to_ns / NS) for got in parts if got.why == "blind"] == [
        (at, at + 1) for at in range(10, 20)
    ]


def test_a_look_that_comes_back_after_the_camera_went_blind_covers_none_of_that() -> None:
    """Given a frame taken before, whose look is done after black frames came, then these stay blind."""
    coverage = Coverage("gate", NS, 0)
    parts = coverage.frame(0) + coverage.look(0) + coverage.frame(NS // 2) + coverage.blind(6 * NS // 10)
    parts += coverage.look(NS // 2) + coverage.passed(2 * NS)
    assert seconds(parts) == {"analysed": 0.6, "blind": 1.4}
