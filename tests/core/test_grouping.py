"""Cutting does not matter, nor telling twice, nor dying anywhere (SEMANTICS.md §2, §6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.kinds import Kind
from gateway.core.lens import Lens, Plain
from gateway.core.rules.threshold import THRESHOLD, Threshold
from gateway.events import Message
from tests.core.build import RULES, T0, core_of, cuts_of, run, stamped, start, together
from tests.core.cases import CASES, COUNTS, TRACKS
from tests.core.digest import seeded
from tests.core.streams import jiggle, looks, searching, streams, walks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from gateway.core.lens import Asked, Seen
    from gateway.core.rules.making import Making
    from gateway.core.rules.series import SeriesRule
    from tests.core.build import Came, Stamped
    from tests.core.streams import Step

TEXTS = {**{name: case.text for name, case in CASES.items()}, **COUNTS, **TRACKS}


def inputs(name: str) -> st.SearchStrategy[list[Step]]:
    """The inputs that a case's devices or camera make."""
    if name in TRACKS:
        return walks()
    return streams(CASES[name]) if name in CASES else looks()


def compared(came: Came) -> tuple[object, ...]:
    """What must be equal however inputs were cut."""
    return came.series, came.alerts, came.requests, came.dead


def kill_and_go_on(
    text: str, steps: Sequence[Stamped], at: int, sizes: Sequence[int], rules: Mapping[str, Kind] = RULES
) -> tuple[Came, bytes]:
    """Step up to `at`, take snapshot and deltas somewhere on the way, go on in a new core from these alone."""
    core, done, snapshot, deltas = core_of(text, rules), 0, None, list[bytes]()
    endless = (size for _ in iter(int, 1) for size in sizes)
    first = []
    for place, cut in enumerate(cuts_of(steps[:at], endless)):
        if place == 3:  # a snapshot now and then, deltas after it
            snapshot, deltas = core.snapshot(), []
        first.append(core.step(cut))
        deltas.append(first[-1].delta)
        done += len(cut.inputs)
    again = core_of(text, rules)
    again.restore(snapshot, deltas)
    rest = [again.step(cut) for cut in cuts_of(steps[at:], endless, at + 1)]
    return together([*first, *rest]), again.snapshot()


@pytest.mark.parametrize("name", TEXTS)
@searching(25)
@given(data=st.data())
def test_any_cut_gives_the_same_bytes_and_the_same_state(name: str, data: st.DataObject) -> None:
    steps, sizes = [step.stamped for step in data.draw(inputs(name))], data.draw(jiggle())
    one_by_one, whole, cut = (core_of(TEXTS[name]) for _ in range(3))

    single = run(one_by_one, steps, [1])

    assert compared(run(whole, steps)) == compared(single)
    assert whole.snapshot() == one_by_one.snapshot()
    assert compared(run(cut, steps, sizes)) == compared(single)
    assert cut.snapshot() == one_by_one.snapshot()


@pytest.mark.parametrize("name", TEXTS)
@searching(25)
@given(data=st.data())
def test_a_core_killed_anywhere_goes_on_with_the_same_bytes(name: str, data: st.DataObject) -> None:
    steps, sizes = [step.stamped for step in data.draw(inputs(name))], data.draw(jiggle())
    at = data.draw(st.integers(0, len(steps)))
    never = core_of(TEXTS[name])
    uninterrupted = run(never, steps, sizes)

    came, state = kill_and_go_on(TEXTS[name], steps, at, sizes)

    assert compared(came) == compared(uninterrupted)
    assert state == never.snapshot()


@pytest.mark.parametrize("name", [name for name in TEXTS if "stuck" not in name])
@searching(25)
@given(data=st.data())
def test_everything_told_twice_changes_no_alert(name: str, data: st.DataObject) -> None:
    """What states no time of its own is left out: told twice, it is two readings."""
    steps = [step.stamped for step in data.draw(inputs(name)) if getattr(step.words, "claimed_ns", 0) is not None]
    doubled = [
        double
        for step in steps
        for double in ((step, step) if isinstance(step.item, Message) or name not in CASES else (step,))
    ]

    once, again = run(core_of(TEXTS[name]), steps), run(core_of(TEXTS[name]), doubled)

    def brief(came: Came) -> list[tuple[object, ...]]:
        return [(row.id, row.rule, row.subject, row.change, row.changed_ns, row.state) for row in came.alerts]

    assert brief(again) == brief(once)


class Forgetful:
    """A lens's glass with one attribute that it did not declare: the largest value it has met, which it shows."""

    def __init__(self) -> None:
        self._largest = 0.0

    def meet(self, series: NDArray[np.int32]) -> None:
        """It keeps nothing of one."""

    def show(self, asked: Asked) -> Seen:
        """The largest value."""
        readings = asked.readings
        self._largest = max(self._largest, float(readings.value.max()))
        return Plain().show(asked._replace(readings=readings._replace(value=np.full(len(readings.n), self._largest))))


def forgetful(making: Making) -> SeriesRule:
    """A threshold with that lens."""
    making.lenses["value"] = Lens(Forgetful())
    return THRESHOLD.build(making)


def test_a_rule_with_an_undeclared_attribute_is_found_by_killing() -> None:
    """The test of the test above: what is not in declared state does not survive, and the bytes differ."""
    name, rules = "plain levels", {"threshold": Kind("threshold", Threshold, forgetful)}
    found = 0
    for seed in range(20):
        steps = seeded(name, seed)
        at = len(steps) // 2
        uninterrupted = run(core_of(TEXTS[name], rules), steps, [1])
        came, _ = kill_and_go_on(TEXTS[name], steps, at, [1], rules)
        found += compared(came) != compared(uninterrupted)
        assert compared(kill_and_go_on(TEXTS[name], steps, at, [1])[0]) == compared(
            run(core_of(TEXTS[name]), steps, [1])
        )

    assert found


def test_devices_that_come_together_leave_the_state_that_they_leave_one_by_one() -> None:
    """Given rules that look at two values through one window, when devices are new in one cut or in several, the state
    is the same: which ring a series has does not depend on it.
    """  # noqa: D205 - one sentence
    text = (
        "sensors: {air: {mqtt: here, topic: 'air/{device}', json: {pm: p, rh: h}, every: 1 min}}\n"
        "rules:\n"
        "  dust: {threshold: air.pm, over: mean 10 min, levels: {yellow: 50}}\n"
        "  damp: {threshold: air.rh, over: mean 10 min, levels: {yellow: 50}}\n"
    )
    messages = stamped((Message("here", f"air/{i}", b'{"p": 60, "h": 70}') for i in range(5)), T0)
    together, apart = core_of(text), core_of(text)
    run(together, [*start(), *messages])
    run(apart, [*start(), *messages], [1])
    assert together.snapshot() == apart.snapshot()
