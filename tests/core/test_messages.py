"""Messages on their way to things and series: how they are counted, and what they are called."""

from __future__ import annotations

from gateway.events import Message
from gateway.sinks import lineprotocol
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


def test_tags_that_look_like_several_are_subjects_of_their_own() -> None:
    """`x,b=y` beside `z`, and `x` beside `y,b=z`, would read the same."""
    core = core_of(f"sensors: {{{AIR}}}{DUST}")

    came = run(core, [*start(), sent("air/x,b=y/z", 1), sent("air/x/y,b=z", 2), sent("air/{%}/气 象", 3)])

    subjects = ["air.pm{a=x%2Cb%3Dy,b=z}", "air.pm{a=x,b=y%2Cb%3Dz}", "air.pm{a=%7B%25%7D,b=气 象}"]
    assert [(row.subject, row.change) for row in came.alerts] == [(subject, "raised") for subject in subjects]
    assert len({row.id for row in came.alerts}) == 3
    assert [latest.subject for latest in core.latest()] == subjects
    stored = [line for body in (came.series,) for line in lineprotocol.points(body) if line.head.startswith(b"air")]
    assert [lineprotocol.subject(line.head, line.numbers[0][0]) for line in stored] == subjects, "the history's too"
