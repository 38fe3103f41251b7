"""For people's own rules, configurations and recordings: is a rule pure, does a day say what it said.

from gateway.testing import check_rule

def test_my_rule_is_pure() -> None:
    check_rule(CONFIG, [("air/1", {"ts": time_of(0), "pm": 80}), ("air/1", {"ts": time_of(1), "pm": 120})])

def test_a_day(replay) -> None:          # a fixture that comes with the package
    assert replay("day.mcap", config="gateway.yaml").as_expected("day.alerts.jsonl")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.testing.of_recordings import recorded
    from gateway.testing.replayed import Replay, Replayed
    from gateway.testing.rules import Checked, ImpureRule, check_rule
    from gateway.testing.said import time_of

__all__ = ["Checked", "ImpureRule", "Replay", "Replayed", "check_rule", "recorded", "time_of"]
HOME = {
    "Checked": "rules",
    "ImpureRule": "rules",
    "check_rule": "rules",
    "recorded": "of_recordings",
    "time_of": "said",
    "Replay": "replayed",
    "Replayed": "replayed",
}
"""Loaded when first asked for: pytest imports this package in every project that has zhiwang installed."""


def __getattr__(name: str) -> object:
    if name not in HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{HOME[name]}"), name)
