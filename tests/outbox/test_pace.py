"""How much a sink is given at a time follows what its server answers, and how fast."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.pace import (
    FAST_S,
    FIRST_BYTES,
    LEAST_BYTES,
    LEAST_SLOW_BYTES,
    MOST_BYTES,
    MOST_ROWS,
    SLOW_S,
    STEP_BYTES,
    Pace,
)


def full(pace: Pace, took_s: float, times: int = 1) -> None:
    """So many deliveries that hold as much as they may."""
    for _ in range(times):
        pace.answered(took_s, pace.rows, pace.bytes)


def test_a_fast_server_gets_a_little_more_each_time_up_to_the_most() -> None:
    """Given answers within half a second, when deliveries are full, then the next one holds a step more."""
    pace = Pace()
    full(pace, FAST_S / 2)
    assert pace.bytes == FIRST_BYTES + STEP_BYTES
    full(pace, FAST_S / 2, 100)
    assert (pace.bytes, pace.rows) == (MOST_BYTES, MOST_ROWS)


def test_a_slow_server_gets_half_but_never_crumbs() -> None:
    """Given answers that take long, when deliveries are full, then they halve down to a bound; between, all stays."""
    pace = Pace()
    full(pace, 2 * SLOW_S)
    assert pace.bytes == FIRST_BYTES // 2
    full(pace, (FAST_S + SLOW_S) / 2, 5)
    assert pace.bytes == FIRST_BYTES // 2
    full(pace, 2 * SLOW_S, 50)
    assert pace.bytes == LEAST_SLOW_BYTES


def test_a_long_way_shrinks_no_delivery_that_was_small_anyway() -> None:
    """Given a link by satellite, when a few rows take seconds, then that says nothing about the bounds."""
    pace = Pace()
    for _ in range(20):
        pace.answered(2 * SLOW_S, 1, 500)
    assert (pace.bytes, round(pace.latency_s, 3)) == (FIRST_BYTES, 2 * SLOW_S)


def test_a_failing_server_is_asked_for_little_and_then_for_more_again() -> None:
    """Given failures, when they end, then deliveries grow step by step."""
    pace = Pace()
    for _ in range(20):
        pace.failed()
    assert (pace.rows, pace.bytes) == (1, LEAST_BYTES)
    full(pace, 0.0)
    assert (pace.rows, pace.bytes) == (101, LEAST_BYTES + STEP_BYTES)


@given(
    most=st.integers(1, 10**9),
    steps=st.lists(
        st.one_of(
            st.tuples(st.floats(0, 100), st.integers(0, 5000), st.integers(0, 10**7)),
            st.integers(1, 5000),
            st.none(),
        )
    ),
)
def test_the_bounds_hold_whatever_happens(most: int, steps: list[tuple[float, int, int] | int | None]) -> None:
    """Given any answers, refusals and failures, then a delivery holds at least a row and never more than it may."""
    pace = Pace(most)
    for step in steps:
        if step is None:
            pace.failed()
        elif isinstance(step, int):
            pace.refused(step)
        else:
            pace.answered(*step)
        assert 1 <= pace.rows <= 5000
        assert 1 <= pace.bytes <= min(most, MOST_BYTES)
        assert 0 <= pace.latency_s <= 100
