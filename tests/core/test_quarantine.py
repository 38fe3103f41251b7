"""A rule that raises (SEMANTICS.md §6): found alone, set aside alone, and given another chance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.config.kinds import Kind
from gateway.core.rules.threshold import THRESHOLD, Threshold
from gateway.events import Configured, Tick
from tests.core.build import RULES, T0, S, at, body_of, core_of, cut_of, run, start
from tests.core.cases import LEVELS, WATER_SENSOR
from tests.core.reference.gateway import Sent
from tests.core.streams import message_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gateway.core.rules.making import Making
    from gateway.core.rules.series import Lines, SeriesRule
    from tests.core.build import Stamped

TEXT = f"""sensors:{WATER_SENSOR}
rules:
  fragile: {{threshold: water.level, {LEVELS}}}
  sound: {{threshold: water.level, {LEVELS}}}
"""
POISON = 13.0


class Fragile:
    """Lines with a bug."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self.low, self.high = lines.low, lines.high

    def code(self, value: NDArray[np.float64]) -> NDArray[np.int16]:
        """Cannot bear one number."""
        if (value == POISON).any():
            raise ZeroDivisionError("13 is not for dividing")
        return self._lines.code(value)


def build(making: Making) -> SeriesRule:
    """The rule named fragile has those lines."""
    rule = THRESHOLD.build(making)
    if making.config.name == "fragile":
        rule._lines = Fragile(rule._lines)
    return rule


KINDS = {**RULES, "threshold": Kind("threshold", Threshold, build)}


def level(value: float, seconds: float) -> Stamped:
    """A reading of the gauge."""
    now = T0 + round(seconds * S)
    return at(message_of(Sent("water", (), {"level": value}, now)), now)


def test_a_rule_that_raises_is_set_aside_and_the_others_go_on() -> None:
    core = core_of(TEXT, KINDS)

    came = run(core, [*start(), level(3.0, 1), level(POISON, 2), level(2.0, 3), level(3.0, 4)], [1])

    assert came.of("sound") == [
        ("raised", "moderate"),
        ("raised_level", "extreme"),
        ("cleared", "extreme"),
        ("returned", "moderate"),
    ]
    assert came.of("fragile") == [("raised", "moderate"), ("unknown", "moderate")]
    (alert,) = [row for row in came.alerts if row.rule == "health"]
    assert alert.subject == "rule/fragile{condition=failed}"
    assert "ZeroDivisionError: 13 is not for dividing" in body_of(alert)["text"]["en"]
    (letter,) = came.dead
    assert letter.where == "rule/fragile"
    assert came.series.count(b"water level=") == 4


def test_in_a_longer_cut_it_raises_so_that_the_door_can_find_the_input() -> None:
    core = core_of(TEXT, KINDS)
    run(core, start())

    with pytest.raises(ZeroDivisionError):
        core.step(cut_of(4, [level(3.0, 1), level(POISON, 2)]))


def test_the_next_configuration_gives_it_another_chance_with_nothing_remembered() -> None:
    core = core_of(TEXT, KINDS)
    run(core, [*start(), level(3.0, 1), level(POISON, 2)], [1])

    came = run(core, [at(Configured("sha", ""), T0 + 3 * S), level(3.0, 4), level(2.0, 5)], [1], n0=6)

    assert came.of("fragile") == [("closed", "moderate"), ("raised", "moderate"), ("cleared", "moderate")]
    assert came.of("health") == [("cleared", "moderate")]


def test_quarantine_survives_a_restart() -> None:
    core = core_of(TEXT, KINDS)
    first = run(core, [*start(), level(3.0, 1), level(POISON, 2)], [1])
    again = core_of(TEXT, KINDS)
    again.restore(None, first.deltas)
    assert again.snapshot() == core.snapshot()

    came = run(again, [level(2.0, 3), at(Tick(), T0 + 4 * S)], n0=6)

    assert came.of("fragile") == []
    assert came.of("sound") == [("cleared", "extreme")]
