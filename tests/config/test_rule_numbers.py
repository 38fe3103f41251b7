"""Numbers of a rule that cannot mean what they say: `check` refuses them, with the kinds that run."""

from __future__ import annotations

import pytest

from tests.config.test_cannot_work import told

HEAD = """\
gateway: a
brokers: {here: {url: "mqtt://h"}}
sensors:
  water: {mqtt: here, topic: "water/{site}", json: {level: level, flow: flow}, units: {level: m}, every: 1 s}
"""


def rule(text: str) -> str:
    """The rule `r` beside a gauge in metres."""
    return f"{HEAD}rules:\n  r: {{{text}}}\n"


@pytest.mark.parametrize(
    ("lines", "key"),
    [
        ("levels: {yellow: 50 cm/min}", "levels.yellow"),
        ("below: {red: -50 cm/min}", "below.red"),
        ("levels: {yellow: 0.5 m/min}, clear_by: 1 cm/min", "clear_by"),
        ("levels: {yellow: 0.5 /min}", "levels.yellow"),
    ],
)
def test_a_rate_is_written_in_the_unit_of_its_series(lines: str, key: str) -> None:
    """0.5 m a minute and 50 cm a minute are the same; 50 is not 0.5."""
    (problem,) = told(rule(f"rate: water.level, {lines}"))
    assert problem.startswith(f"rules.r.{key}: found ")
    assert problem.endswith("; water.level is in m (sensors.water.units): write it in m, such as 0.5 m/min")


def test_rates_of_a_series_without_a_unit_agree_among_themselves() -> None:
    (problem,) = told(rule("rate: water.flow, levels: {yellow: 1 l/s, red: 1 m3/s}"))
    assert problem.startswith("rules.r.levels.red: found 1 m3/s, and 1 l/s for yellow")
    assert told(rule("rate: water.flow, levels: {yellow: 1 l/s, red: 30 l/min}, clear_by: 1 l/min")) == [
        "rules.r.levels.red: found 0.5; it must be above yellow's 1, for red is worse"
    ]
    assert told(rule("rate: water.flow, levels: {yellow: 1 l/s, red: 2 l/s}, clear_by: 1 l/min")) == []


def test_a_distance_is_not_negative() -> None:
    (problem,) = told(rule("rate: water.level, levels: {yellow: 1 m/min}, clear_by: -1 m/min"))
    assert problem == "rules.r.clear_by: found -1 m/min; write it as a distance, 0 or more"


def test_a_window_longer_than_what_is_kept_is_refused() -> None:
    """30 h of a reading a second are 108,000: it would be unknown for ever."""
    (problem,) = told(rule("threshold: water.level, levels: {yellow: 10}, over: mean 30 h"))
    assert problem == (
        "rules.r.over: found mean 30 h, which holds 108000 readings of water (every 1 s); 65536 are kept: "
        "write 18 h or less"
    )
    assert told(rule("threshold: water.level, levels: {yellow: 10}, over: mean 18 h, coverage: 1")) == []
