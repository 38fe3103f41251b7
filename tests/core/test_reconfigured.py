"""A restart with another configuration: what stays, what ends, what begins anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.events import Configured, Health, Message, Restart
from tests.core.build import T0, S, at, core_of, run, start

if TYPE_CHECKING:
    from gateway.core.core import Core
    from tests.core.build import Stamped

AIR = """
sensors: {air: {mqtt: here, topic: "air/{d}", json: {pm: pm}, every: 10 s}}
rules: {dust: {threshold: air.pm, levels: {yellow: 100}, mode: live}}
"""


def air(pm: float, seconds: float, device: str = "a") -> Stamped:
    """A reading without a time of its own."""
    return at(Message("here", f"air/{device}", b'{"pm": %g, "rh": 3}' % pm), T0 + round(seconds * S))


def begun(seconds: float) -> list[Stamped]:
    """What a restart begins with; the broker is back at once."""
    now = T0 + round(seconds * S)
    inputs = (Restart("", "b3f1", 1), Configured("", ""), Health("source/here", "connected", ok=True))
    return [at(one, now) for one in inputs]


def after(core: Core, text: str) -> Core:
    """The core of another configuration, brought back from the state of this one."""
    again = core_of(text)
    again.restore(core.snapshot(), [])
    return again


@pytest.mark.parametrize(("was", "now"), [("shadow", "live"), ("live", "shadow")])
def test_a_rule_that_leaves_the_shadow_over_its_line_wakes_somebody(was: str, now: str) -> None:
    core = core_of(AIR.replace("live", was))
    run(core, [*start(), air(500, 1)])
    later = after(core, AIR.replace("live", now))

    came = run(later, [*begun(10), air(500, 11), air(500, 12)], n0=10)

    assert [(row.change, row.shadow) for row in came.alerts] == [
        ("closed", was == "shadow"),
        ("raised", now == "shadow"),
    ]
