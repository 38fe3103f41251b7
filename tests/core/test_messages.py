"""Messages on their way to things and series: how they are counted, and what they are called."""

from __future__ import annotations

from gateway.events import Message
from tests.core.build import T0, S, Stamped, at, core_of, run, start

AIR = 'air: {mqtt: here, topic: "air/{a}/{b}", json: {pm: pm}}'
ALL = 'all: {mqtt: here, topic: "air/#", json: {pm: pm}}'
DUST = "\nrules: {dust: {threshold: air.pm, levels: {yellow: 10}}}\n"


def sent(topic: str, seconds: float, pm: float = 50.0) -> Stamped:
    """A message without a time of its own."""
    return at(Message("here", topic, b'{"pm": %g}' % pm), T0 + round(seconds * S))


def test_a_message_that_two_sensors_read_is_counted_once() -> None:
    core = core_of(f"sensors: {{{AIR}, {ALL}}}")

    came = run(core, [*start(), sent("air/x/y", 1), sent("air/x/z", 2), sent("elsewhere", 3)])

    assert core.counts["messages"] == 2
    assert core.counts["unrouted"] == 1
    assert core.counts["readings"] == 4
    assert came.series.count(b"\n") == 4
