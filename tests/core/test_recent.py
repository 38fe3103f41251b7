"""The past that an alert's text tells of: small, and yet what came."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.readings import Readings, grouped
from gateway.core.recent import HOUR_NS, SPAN_NS, SPANS, STEP_NS, STEPS, Recent
from gateway.core.state import State
from tests.core.build import T0, S
from tests.core.streams import searching


class Reading(NamedTuple):
    """One accepted reading."""

    n: int
    series: int
    event_ns: int
    value: float


def readings_of(run: list[Reading]) -> Readings:
    """As the core has them."""
    rows = sorted(run, key=lambda one: (one.series, one.n))
    n, series, event, value = (
        list(column) for column in zip(*[(r.n, r.series, r.event_ns, r.value) for r in rows], strict=True)
    )
    at = np.array(event, np.int64)
    return grouped(np.array(series, np.int32), np.array(n, np.int64), at, np.array(value, np.float64), at)


def noted(runs: list[list[Reading]], watched: int = 3) -> tuple[State, Recent]:
    """A past that has taken these runs."""
    state = State()
    recent = Recent(state)
    for series in range(watched):
        recent.watch([series])
    for run in runs:
        if run:
            recent.begin(readings_of(run))
            recent.finish()
    return state, recent


def values_by_hand(came: list[Reading], at_ns: int) -> list[float | None]:
    """The last value of each half minute, where the ring still holds it."""
    newest, step = max((r.event_ns // STEP_NS for r in came), default=0), at_ns // STEP_NS
    out: list[float | None] = []
    for wanted in range(step - STEPS + 1, step + 1):
        within = [r.value for r in came if r.event_ns // STEP_NS == wanted and newest - wanted < STEPS]
        out.append(within[-1] if within else None)
    return out


def readings_by_hand(came: list[Reading], at_ns: int) -> float:
    """The readings of the last hour: those of its first five minutes by the part that lies in it."""
    newest, last = max((r.event_ns // SPAN_NS for r in came), default=0), at_ns // SPAN_NS
    total = 0.0
    for wanted in range(last - SPANS + 1, last + 1):
        count = sum(1 for r in came if r.event_ns // SPAN_NS == wanted and newest - wanted < SPANS)
        inside = min(SPAN_NS, (wanted + 1) * SPAN_NS - (at_ns - HOUR_NS))
        total += count * (inside / SPAN_NS)
    return total


@st.composite
def histories(draw: st.DrawFn) -> list[Reading]:
    """Readings of three series, with gaps from none to hours."""
    out, now = list[Reading](), [T0, T0, T0]
    for n in range(draw(st.integers(1, 40))):
        series = draw(st.integers(0, 2))
        now[series] += draw(st.sampled_from([0, 1, 7, 29, 30, 31, 90, 299, 300, 720, 3000, 3600, 9000])) * S
        out.append(Reading(n + 1, series, now[series], float(draw(st.integers(-999, 999)))))
    return out


@searching(80)
@given(came=histories(), data=st.data())
def test_the_past_is_what_came_however_it_was_cut(came: list[Reading], data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(came)), max_size=5)))
    runs = [came[a:b] for a, b in zip([0, *cuts], [*cuts, len(came)], strict=True)]

    state, recent = noted(runs)

    assert state.snapshot() == noted([[one] for one in came])[0].snapshot()
    at_ns = came[-1].event_ns + data.draw(st.sampled_from([0, 1, 45, 400])) * S
    for series in range(3):
        mine = [one for one in came if one.series == series]
        past = recent.past(series, at_ns)
        assert past.values == values_by_hand(mine, at_ns)
        assert past.readings == readings_by_hand(mine, at_ns)
        known = bool(mine) and mine[0].event_ns <= at_ns - HOUR_NS
        assert recent.hour_known(series, at_ns) == known


@searching(80)
@given(came=histories(), data=st.data())
def test_an_alert_in_the_middle_of_a_cut_sees_what_came_before_it(came: list[Reading], data: st.DataObject) -> None:
    state, recent = noted([])
    asked = sorted(data.draw(st.sets(st.sampled_from([one.n for one in came]), max_size=4)))
    recent.begin(readings_of(came))

    for n in asked:
        recent.at(n)
        for series in range(3):
            before = [one for one in came if one.series == series and one.n <= n]
            assert recent.past(series, came[n - 1].event_ns).values == values_by_hand(before, came[n - 1].event_ns)
    recent.finish()

    assert state.snapshot() == noted([came])[0].snapshot()


@searching(300)
@given(digits=st.integers(-9_999_999, 9_999_999), places=st.integers(0, 6))
def test_a_value_of_seven_digits_is_told_as_it_came(digits: int, places: int) -> None:
    value = float(f"{digits}e-{places}")
    _, recent = noted([[Reading(1, 0, T0, value)]])

    told = recent.past(0, T0).values[-1]

    assert told is not None
    assert round(told, 6) == round(value, 6)


@pytest.mark.parametrize("value", [1.797e308, -1.797e308, 5e-324, 123456789.125])
def test_a_value_beyond_that_is_told_nearly(value: float) -> None:
    _, recent = noted([[Reading(1, 0, T0, value)]])

    told = recent.past(0, T0).values[-1]

    assert told is not None
    assert math.isfinite(told)
    assert abs(told - value) <= abs(value) * 1e-7 or abs(value) > 3e38 or abs(value) < 1e-40


@pytest.mark.parametrize("every_s", [1, 10, 60, 300])
@pytest.mark.parametrize("phase_s", [0, 17, 155, 299])
def test_a_sensor_that_kept_its_promise_has_its_whole_hour(every_s: int, phase_s: int) -> None:
    at_ns = T0 + phase_s * S
    came = [Reading(i + 1, 0, at_ns - (7200 // every_s - i) * every_s * S, 1.0) for i in range(7200 // every_s + 1)]
    _, recent = noted([came])

    assert recent.past(0, at_ns).readings == pytest.approx(3600 / every_s, abs=1.01)


def test_more_readings_than_a_cell_counts_are_as_many_as_it_does() -> None:
    came = [Reading(i + 1, 0, T0, 1.0) for i in range(70_000)]

    _, recent = noted([came[:65_000], came[65_000:]])

    assert recent.past(0, T0).readings == 65_535


def test_the_past_of_a_series_is_small_and_so_is_what_a_reading_changes() -> None:
    _, recent = noted([])
    tables = (recent._values, recent._counts, recent._head)

    assert sum(t.dtype.itemsize * k for t, k in zip(tables, (STEPS, SPANS, 1), strict=True)) <= 140
    assert sum(t.dtype.itemsize + 4 for t in tables) <= 40
