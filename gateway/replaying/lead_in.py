"""How much of before an alert a test needs, so that the rule judges as it did, also where it was changed since.

The state that a recording begins with holds the rules' windows; a changed rule starts empty, and fills them from what
is replayed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gateway.clock import NS
from gateway.config.scalars import Duration, Over

if TYPE_CHECKING:
    from gateway.config.model import Config, Rule

LEAST_NS = 10 * NS  # a reading before the one that crossed its line
MOST_NS = 3_600 * NS  # a recording as a test stays small
PROMISES = 3  # so many readings may be missing before a gap is one


def needed_ns(config: Config, rule: str, subject: str) -> int:
    """The longest window of the rule, of those that gate it, and of the sensor that the subject belongs to."""
    sensor = config.sensors.get(subject.partition(".")[0].partition("{")[0])
    lengths = [_lengths(rule, config, set())]
    if sensor is not None:
        common = sensor.common
        lengths.append(int(common.max_gap or PROMISES * (common.every or 0)))
        if rule == "stuck":
            lengths.append(int(common.stuck or 0))
    return min(MOST_NS, max(LEAST_NS, sum(lengths)))


def _lengths(name: str, config: Config, seen: set[str]) -> int:
    rule = config.rules.get(name)
    if rule is None or name in seen:
        return 0
    seen.add(name)
    gates = [gate.rule for gate in (rule.common.unless, rule.common.only_while) if gate and gate.rule]
    return _own(rule) + max((_lengths(gate, config, seen) for gate in gates), default=0)


def _own(rule: Rule) -> int:
    """All lengths of time that its configuration names, one after another."""
    values = [getattr(rule.kind, field.name) for field in msgspec.structs.fields(rule.kind)]
    windows = sum(value.window_ns for value in values if isinstance(value, Over))
    return int(rule.common.for_) + windows + sum(int(value) for value in values if isinstance(value, Duration))
