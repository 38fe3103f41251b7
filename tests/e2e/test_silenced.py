"""How often each device fell silent is counted by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.app import running as app_running
from gateway.events import Health, Message, Tick
from tests.e2e.played import Step, played

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

CONFIG = """
gateway: silenced
brokers: {here: {url: "mqtt://127.0.0.1:1"}}
outbox: {linger: 1 ms}
sensors:
  water: {mqtt: here, topic: "water/{gauge}", plain: level, every: 5 s}
state: state
"""
DEVICES = ("g1", "g2", "g3", "steady")


async def test_each_silence_of_a_device_is_counted_under_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given g1 silent twice, g2 and g3 once, and room for two names: theirs, and the rest together."""
    monkeypatch.setattr(app_running, "THINGS_TOLD", 2)
    pauses = {"g1": [(60, 120), (200, 260)], "g2": [(70, 120)], "g3": [(80, 120)], "steady": []}
    steps = [Step(0, [Health("source/here", "connected", ok=True)])]
    for second in range(1, 300):
        sending = [one for one in DEVICES if not any(begin <= second < end for begin, end in pauses[one])]
        said = [Message("here", f"water/{one}", b"2.0") for one in sending] if second % 5 == 0 else []
        steps.append(Step(second, [*said, Tick()]))
    ran = await played(tmp_path, CONFIG, steps)
    counted = {
        labels["thing"]: value for name, labels, value in ran.metrics() if name == "zhiwang_thing_silenced_total"
    }
    assert counted == {"water{gauge=g1}": 2, "water{gauge=g2}": 1, "others": 1}
