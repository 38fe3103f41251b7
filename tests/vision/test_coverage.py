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


@given(st.lists(st.tuples(st.sampled_from(["frame", "look", "passed"]), st.integers(-NS, 5 * NS)), max_size=50))
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
