"""A count of what the camera's model does not know must not look like a count of nothing."""

from __future__ import annotations

from gateway.events import Configured, Restart, Tick
from tests.core.build import T0, S, at, body_of, core_of, run, start
from tests.core.cases import CAMERA

BOLLARDS = CAMERA + "  closed: {count: [bollard, car], in: crossing.zebra, levels: {yellow: 1}}\n"


def test_a_count_of_what_the_model_does_not_know_is_told() -> None:
    core = core_of(BOLLARDS)

    came = run(core, [*start(), at(Tick(), T0 + S)], [1])

    assert came.brief() == [("health", "rule/closed{condition=labels}", "raised", "moderate")]
    text = body_of(came.alerts[0])["text"]
    assert "its camera's model does not know what it counts" in text["en"]
    assert "bollard; it knows car, person" in text["en"]


def test_it_is_told_once_and_ends_with_a_rule_that_counts_what_is_known() -> None:
    core = core_of(BOLLARDS)
    run(core, start())
    begun = [at(Restart("", "b3f1", 1), T0 + 9 * S), at(Configured("", ""), T0 + 9 * S)]
    again = core_of(BOLLARDS)
    again.restore(core.snapshot(), [])
    right = core_of(BOLLARDS.replace("bollard", "person"))
    right.restore(core.snapshot(), [])

    assert run(again, begun, n0=9).alerts == []
    assert run(right, begun, n0=9).brief() == [("health", "rule/closed{condition=labels}", "cleared", "moderate")]
