"""Hours of event time for sinks that are away, twice and out of order: each point and each change once."""

from __future__ import annotations

import json
import random
import time
from typing import TYPE_CHECKING

import pytest

from tests.e2e.centre import Centre, Peer
from tests.faults.streams import held_for
from tests.servers.gateway import Gateway, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers.influx import Influx
    from tests.servers.mosquitto import Mosquitto

DEVICES = 5
HIGH_MINUTES = 30  # a gauge is half an hour above its line and half an hour below it
CONFIG = """
gateway: late
brokers: {{here: {{url: "{broker}"}}, city: {{url: "{city}"}}}}
sensors:
  gauge: {{mqtt: here, topic: "gauge/{{device}}", json: {{time: t, level: v}}, max_late: 72 h}}
rules: {{flood: {{threshold: gauge.level, levels: {{red: 5}}}}}}
outbox: {{linger: 100 ms}}
sinks:
  influx: {{v1: "{influx}", db: late, from: oldest}}
  ops: {{mqtt: city, from: oldest}}
"""


@pytest.mark.parametrize("hours", [3, pytest.param(48, marks=[pytest.mark.soak, pytest.mark.timeout(900)])])
def test_hours_of_readings_twice_and_out_of_order_while_the_sinks_are_away(
    own_mosquitto: Mosquitto, sound: Mosquitto, own_influx: Influx, gateway_of: Callable[[str], Gateway], hours: int
) -> None:
    """Given old readings, each twice and some an hour late, when the sinks are back, all is there once."""
    own_influx.database("late")
    gateway = gateway_of(CONFIG.format(broker=own_mosquitto.url, city=sound.url, influx=own_influx.url))
    gateway.start()
    own_influx.stop()
    sound.stop()
    begin_s, minutes, chance = int(time.time()) - hours * 3600, hours * 60, random.Random(hours)
    late: list[tuple[int, str, bytes]] = []  # (minute at which it comes, topic, body)
    with Peer(own_mosquitto, "gauges") as gauges:
        for minute in range(minutes):
            for device in range(DEVICES):
                topic, level = f"gauge/{device}", 9 if minute // HIGH_MINUTES % 2 else 1
                body = json.dumps({"t": begin_s + minute * 60, "v": level}).encode()
                gauges.say(topic, body)
                gauges.say(topic, body)
                if chance.random() < 0.2:  # on the wrong side of the line, an hour late
                    odd = json.dumps({"t": begin_s + minute * 60 + 1, "v": 10 - level}).encode()
                    late.append((minute + 60, topic, odd))
            for _, topic, body in (one for one in late if one[0] == minute):
                gauges.say(topic, body)
                gauges.say(topic, body)
        came = sum(1 for due, _, _ in late if due < minutes)
        until(lambda: not gauges.client._out_messages, 60, "the broker to have everything")
    points = minutes * DEVICES + came
    until(lambda: gateway.metric("zhiwang_core_readings_total") >= 2 * points, 60, "the gateway to have everything")
    assert gateway.metric("zhiwang_core_readings_total") == 2 * points
    with_sinks = DEVICES * (minutes // HIGH_MINUTES - 1)
    sound.start()
    with Centre(sound, "zhiwang/v1/_/late") as centre:  # at once: what is published before it listens, it misses
        own_influx.start()
        until(lambda: _points(own_influx) >= points, 90, f"{points} points")
        until(lambda: len({one.body["seq"] for one in centre.changes("flood")}) >= with_sinks, 120, "every change")
        until(lambda: not gateway.metric("zhiwang_sink_lag_rows"), 60, "nothing to wait")
        changes = {one.body["seq"]: one.body for one in centre.changes("flood")}
    assert _points(own_influx) == points
    assert len(changes) == with_sinks
    for device in range(DEVICES):
        mine = [changes[seq] for seq in sorted(changes) if changes[seq]["subject"] == f"gauge.level{{device={device}}}"]
        turns = minutes // HIGH_MINUTES - 1
        assert [one["change"] for one in mine] == ["raised", *["cleared", "returned"] * turns][:turns]
        assert len({one["id"] for one in mine}) == 1, "open until somebody acknowledges it"
    assert gateway.metric("zhiwang_sink_rejected_total") == gateway.metric("zhiwang_door_dead_total") == 0
    assert gateway.stop() == 0
    assert held_for(own_mosquitto.port, "late") == 0, "not acknowledged"


def _points(influx: Influx) -> int:
    rows = influx.query("SELECT count(level) FROM gauge", "late")
    return int(str(rows[0]["count"])) if rows else 0
