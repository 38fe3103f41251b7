"""Devices that send oftener than their sensor says: a window that does not hold all its readings says nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core import windows
from gateway.events import Configured, Message, Restart
from tests.core.build import T0, S, Stamped, at, body_of, core_of, run, start, ticks
from tests.core.streams import searching

AIR = """
sensors: {air: {mqtt: here, topic: "air/{d}", json: {pm: pm}, every: 60 s}}
rules: {dust: {threshold: air.pm, levels: {yellow: 10}, over: mean 10 min}}
"""


def pm(value: float, seconds: float, device: str = "a") -> Stamped:
    """A reading without a time of its own."""
    return at(Message("here", f"air/{device}", b'{"pm": %g}' % value), T0 + round(seconds * S))


def test_a_window_of_a_device_that_sends_oftener_holds_all_its_readings() -> None:
    """Ten minutes at 0 and the last half minute at 20 are a mean of 1, though a reading a minute was promised."""
    readings = [pm(20 if s >= 570 else 0, s) for s in range(0, 600, 5)]

    assert run(core_of(AIR), [*start(), *readings]).of("dust") == []


def test_a_window_that_does_not_fit_is_unknown_counted_and_told() -> None:
    core = core_of(AIR)
    often = [pm(50, s) for s in range(1, 400)]

    came = run(core, [*start(), *often], [50])

    assert came.of("dust") == [("raised", "moderate"), ("unknown", "moderate")]
    assert came.of("health") == [("raised", "moderate")]
    told = came.alerts[-2 if came.alerts[-1].rule == "dust" else -1]
    assert told.subject == "rule/dust{condition=crowded}"
    assert "air.pm{d=a} sent more than the 256 that it keeps: say at sensors.air.every" in body_of(told)["text"]["en"]
    assert told.changed_ns == T0 + 257 * S
    assert core.counts["crowded"] == 399 - 256


def test_it_is_told_until_there_is_room_again() -> None:
    core = core_of(AIR)
    often = [pm(5, s) for s in range(1, 301)]
    seldom = [pm(5, s) for s in range(310, 900, 10)]

    came = run(core, [*start(), *often, *seldom, *ticks(T0 + 900 * S, T0 + 901 * S)])

    assert came.of("health") == [("raised", "moderate"), ("cleared", "moderate")]


def test_a_restart_with_the_same_configuration_does_not_tell_again() -> None:
    core = core_of(AIR)
    run(core, [*start(), *(pm(5, s) for s in range(1, 301))])
    again = core_of(AIR)
    again.restore(core.snapshot(), [])

    came = run(
        again, [at(Restart("", "b3f1", 1), T0 + 301 * S), at(Configured("sha", ""), T0 + 301 * S), pm(5, 302)], n0=400
    )

    assert came.alerts == []


def test_a_sensor_that_says_how_often_it_sends_ends_it() -> None:
    core = core_of(AIR)
    run(core, [*start(), *(pm(5, s) for s in range(1, 301))])
    later = core_of(AIR.replace("60 s", "1 s"))
    later.restore(core.snapshot(), [])

    came = run(later, [at(Restart("", "b3f1", 1), T0 + 301 * S), at(Configured("sha", ""), T0 + 301 * S)], n0=400)

    assert came.of("health") == [("cleared", "moderate")]


@searching(30)
@given(
    steps=st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 90), st.integers(0, 30)), min_size=20, max_size=80),
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=4),
)
@pytest.mark.parametrize("how", ["mean", "max", "p95"])
def test_windows_that_do_not_fit_do_not_depend_on_how_readings_come(
    how: str, steps: list[tuple[str, int, int]], sizes: list[int]
) -> None:
    text, now, inputs = AIR.replace("mean", how), 0, start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows, "LEAST", 8)
        patch.setattr(windows, "OFTENER", 1)
        patch.setattr(windows, "room", lambda *_: 6)
        for device, wait, value in steps:
            now += wait
            inputs.append(pm(value, now, device))
        inputs += ticks(T0 + now * S, T0 + (now + 2) * S)
        single, whole, cut = (core_of(text) for _ in range(3))

        one_by_one = run(single, inputs, [1])

        assert run(whole, inputs).alerts == one_by_one.alerts == run(cut, inputs, sizes).alerts
        assert single.snapshot() == whole.snapshot() == cut.snapshot()
        assert single.counts == whole.counts
