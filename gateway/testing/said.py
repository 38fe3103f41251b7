"""What a rule is told in a test: messages written shortly, with the ticks of a gateway between them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple, cast

import msgspec

from gateway.events import Configured, Detections, Health, Input, Looked, Message, Restart, Tick

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

S = 10**9
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
BEGIN_NS = int(BEGIN.timestamp()) * S
MOST_TICKS = 60  # between two messages: where they are hours apart, a tick stands for many
EPOCH = "7e57"  # of the alerts' ids


class Step(NamedTuple):
    """An input with the door's stamps, ns."""

    item: Input
    admitted_ns: int
    elapsed_ns: int


Written = tuple[str, object] | tuple[str, object, float]
Say = Input | Step | Written
"""An input, (topic, payload), (topic, payload, seconds since the beginning), or what `recorded` gives."""


def time_of(seconds: float) -> str:
    """The time that long after the beginning of every test (2026-01-01), as ISO 8601: for payloads that state one."""
    return (BEGIN + timedelta(seconds=seconds)).isoformat(timespec="milliseconds")


def opening(brokers: Sequence[str], steps: Sequence[Step]) -> list[Step]:
    """What every gateway begins with, at the time of its first step; its brokers are connected."""
    items: list[Input] = [Restart("", EPOCH, 1), Configured("", "")]
    items += [Health(f"source/{name}", "connected", ok=True) for name in brokers]
    first = steps[0] if steps else _at(Tick(), 0)
    return [first._replace(item=item) for item in items]


def steps_of(said: Iterable[Say], source: str, settle_s: float) -> list[Step]:
    """Inputs with ticks between them, and for `settle_s` after them.

    `source`: the broker that messages come from. What states no time is admitted a second after what is before it;
    detections and looks when they were taken. What was recorded stays as it came, with its own ticks. Raises ValueError
    for what cannot be read.
    """
    given = list(said)
    steps = [one for one in given if isinstance(one, Step)]
    if steps and len(steps) == len(given):
        return steps
    if steps:
        raise ValueError("found messages among what was recorded; give either")
    now_ns = 0
    for number, one in enumerate(given, 1):
        item, at_ns = _input(cast("Input | Written", one), number, source, now_ns)
        if at_ns < now_ns:
            raise ValueError(
                f"message {number}: found {at_ns / S:g} s after {now_ns / S:g} s; they are in order of arrival"
            )
        steps += _ticks(now_ns, at_ns)
        steps.append(_at(item, at_ns))
        now_ns = at_ns
    return steps + _ticks(now_ns, now_ns + round(settle_s * S) + 1)


def _input(one: Input | Written, number: int, source: str, now_ns: int) -> tuple[Input, int]:
    """(the input, when it is admitted, ns since the beginning)."""
    if isinstance(one, Detections):
        return one, max(now_ns, one.event_ns - BEGIN_NS)
    if isinstance(one, Looked):
        return one, max(now_ns, one.to_ns - BEGIN_NS)
    if not isinstance(one, tuple):
        return one, now_ns + S
    if len(one) not in {2, 3}:
        raise ValueError(f"message {number}: found {one!r}; write (topic, payload) or (topic, payload, seconds)")
    at_ns = round(one[2] * S) if len(one) == 3 else now_ns + S
    return Message(source, one[0], _body(one[1])), at_ns


def _body(payload: object) -> bytes:
    if isinstance(payload, bytes):
        return payload
    return payload.encode() if isinstance(payload, str) else msgspec.json.encode(payload)


def _ticks(from_ns: int, to_ns: int) -> list[Step]:
    """One a second, or so many that they are no burden."""
    every = max(S, (to_ns - from_ns) // MOST_TICKS // S * S)
    return [_at(Tick(), at) for at in range((from_ns // S + 1) * S, to_ns, every)]


def _at(item: Input, at_ns: int) -> Step:
    return Step(item, BEGIN_NS + at_ns, at_ns)


def shown(step: Step) -> str:
    """One line for people: when, what."""
    at, item = f"{step.elapsed_ns / S:9.3f} s  ", step.item
    if isinstance(item, Message):
        return f"{at}{item.topic}  {item.body[:80].decode('utf-8', 'replace')}"
    if isinstance(item, Detections):
        return f"{at}frame {item.frame} of {item.camera}: {len(item.score)} boxes"
    if isinstance(item, Looked):
        return f"{at}{item.camera} {item.why} {(item.to_ns - item.from_ns) / S:g} s"
    return f"{at}{type(item).__name__.lower()}"
