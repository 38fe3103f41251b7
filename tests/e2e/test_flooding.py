"""One device floods, another's messages never arrive: both are counted at /metrics by sensor, and the flood is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.events import Health, Message, Tick
from tests.e2e.played import Step, played

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = """
gateway: flooding
brokers: {here: {url: "mqtt://127.0.0.1:1"}}
outbox: {linger: 1 ms}
sensors:
  water: {mqtt: here, topic: "water/{gauge}", json: {level: v, seq: n}, at_most: 30/min}
state: state
"""


async def test_what_a_flood_cost_and_what_never_came_is_counted(tmp_path: Path) -> None:
    """Given 590 messages of one gauge in a second, where ten minutes' worth is 300, and a steady one with a gap."""
    steps = [Step(0, [Health("source/here", "connected", ok=True)])]
    steps.append(Step(1, [Message("here", "water/bad", b'{"v": 2, "n": %d}' % n) for n in range(590)]))
    for second in range(2, 100):
        number = second + (3 if second > 50 else 0)
        steps.append(Step(second, [Message("here", "water/steady", b'{"v": 2, "n": %d}' % number), Tick()]))
    ran = await played(tmp_path, CONFIG, steps)

    counted = {(name, labels.get("sensor")): value for name, labels, value in ran.metrics()}
    assert counted["zhiwang_thing_flooding_total", "water"] == 290
    assert counted["zhiwang_sequence_gaps_total", "water"] == 3
    assert counted["zhiwang_core_readings_total", None] == 300 + 98
    assert counted["zhiwang_alerts_raised_total", None] == 1
