"""Restarts from deltas alone, as after a kill -9, with a configuration that was another one in between."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.events import Configured, Health, Message, Restart
from tests.core.build import T0, S, Stamped, at, core_of, run, start

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.core.build import Came

SENSOR = 'sensors: {air: {mqtt: here, topic: "air/{d}", json: {pm: pm}, every: 10 s}}\n'
RULE = "rules: {dust: {threshold: air.pm, levels: {yellow: 100}%s}}\n"
WITH, WITHOUT, OFF, OTHER = (
    SENSOR + RULE % "",
    SENSOR,
    SENSOR + RULE % ", mode: 'off'",
    SENSOR + RULE % ", for: 1 s",
)


def pm(value: float, seconds: float) -> Stamped:
    """A reading without a time of its own."""
    return at(Message("here", "air/a", b'{"pm": %g}' % value), T0 + round(seconds * S))


def begun(seconds: float) -> list[Stamped]:
    """What a restart begins with."""
    now = T0 + round(seconds * S)
    return [
        at(one, now)
        for one in (Restart("", "b3f1", 1), Configured("", ""), Health("source/here", "connected", ok=True))
    ]


class Lives:
    """A gateway that is killed and started again, each time from all deltas of its lives before."""

    def __init__(self) -> None:
        self.deltas: list[bytes] = []
        self.n = 1

    def live(self, text: str, inputs: Sequence[Stamped]) -> Came:
        """One more life."""
        core = core_of(text)
        core.restore(None, self.deltas)
        came = run(core, inputs, [3], n0=self.n)
        self.deltas += [delta for delta in came.deltas if delta]
        self.n += len(inputs)
        return came


@pytest.mark.parametrize("between", [WITHOUT, OFF, OTHER])
def test_a_rule_that_comes_back_does_not_remember_what_it_had_raised(between: str) -> None:
    lives = Lives()
    first = lives.live(WITH, [*start(), pm(500, 1)])
    second = lives.live(between, begun(10))

    third = lives.live(WITH, [*begun(20), pm(500, 21), pm(50, 22)])

    assert first.of("dust") == [("raised", "moderate")]
    assert second.of("dust") == [("closed", "moderate")]
    assert third.of("dust") == [("raised", "moderate"), ("cleared", "moderate")]


def test_nor_what_it_was_waiting_for() -> None:
    """Nothing was raised, and so nothing closed; but a reading of last week is not the beginning of today's."""
    held = SENSOR.replace("every: 10 s", "tier: ground") + RULE % ", for: 60 s"
    lives = Lives()
    lives.live(held, [*start(), pm(500, 1)])
    lives.live(WITHOUT, [*begun(10), pm(5, 11)])

    later = lives.live(held, [*begun(100), pm(500, 101), pm(500, 130)])

    assert later.of("dust") == []


def test_a_restart_from_deltas_is_the_uninterrupted_run() -> None:
    lives = Lives()
    lives.live(WITH, [*start(), pm(500, 1)])
    lives.live(WITHOUT, begun(10))
    core = core_of(WITH)
    core.restore(None, lives.deltas)
    inputs = [*begun(20), pm(500, 21), pm(500, 22)]
    came = run(core, inputs, n0=lives.n)

    again = core_of(WITH)
    again.restore(None, [*lives.deltas, *came.deltas])

    assert again.snapshot() == core.snapshot()
