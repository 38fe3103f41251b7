"""10,000 topics, and payloads of 100 kB: every one is stored."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.e2e.centre import Peer
from tests.faults.streams import held_for
from tests.servers.gateway import Gateway, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers.influx import Influx
    from tests.servers.mosquitto import Mosquitto

THINGS, LARGE, LARGE_BYTES = 10_000, 100, 100_000
CONFIG = """
gateway: many
brokers: {{here: {{url: "{broker}"}}}}
sensors:
  {name}: {{mqtt: here, topic: "{name}/{{device}}", json: {{value: v, time: t}}}}
outbox: {{linger: 100 ms}}
sinks: {{influx: {{v1: "{influx}", db: {name}, from: oldest}}}}
"""


def test_ten_thousand_topics_are_ten_thousand_things(
    own_mosquitto: Mosquitto, influx: Influx, gateway_of: Callable[[str], Gateway]
) -> None:
    """Given one message on each, each is a series of its own with one value; a restart knows them all."""
    name = influx.database("many")
    gateway = gateway_of(CONFIG.format(name=name, broker=own_mosquitto.url, influx=influx.url))
    gateway.start()
    for again in range(2):
        with Peer(own_mosquitto, "things") as things:
            for n in range(THINGS):
                things.say(f"{name}/t{n}", b'{"v": %d, "t": %d}' % (n, 1_790_000_000 + again))
            until(lambda: not things.client._out_messages, 60, "the broker to have everything")
        wanted = THINGS * (again + 1)
        until(lambda wanted=wanted: _count(influx, name) >= wanted, 60, f"{wanted} values")
        assert _count(influx, name) == wanted
        assert gateway.stop() == 0
        gateway.start()
    rows = influx.query(f"SELECT sum(value) FROM {name} GROUP BY device", name)  # noqa: S608 - a name of ours
    assert {row["device"]: row["sum"] for row in rows} == {f"t{n}": 2 * n for n in range(THINGS)}
    assert gateway.metric("zhiwang_core_refused_total") == gateway.metric("zhiwang_outbox_dead_bytes") == 0
    assert gateway.stop() == 0
    assert held_for(own_mosquitto.port, "many") == 0, "not acknowledged"


def test_payloads_of_100_kb_are_taken_one_after_another(
    own_mosquitto: Mosquitto, influx: Influx, gateway_of: Callable[[str], Gateway]
) -> None:
    """Given 10 MB of them, more than the door holds at once, then each value is stored and acknowledged."""
    name = influx.database("large")
    gateway = gateway_of(CONFIG.format(name=name, broker=own_mosquitto.url, influx=influx.url))
    gateway.start()
    with Peer(own_mosquitto, "things") as things:
        for n in range(LARGE):
            body = json.dumps({"v": n, "t": 1_790_000_000 + n, "rest": "x" * LARGE_BYTES})
            things.say(f"{name}/t", body)
        until(lambda: _count(influx, name) >= LARGE, 60, f"{LARGE} values")
    rows = influx.query(f"SELECT value FROM {name}", name)  # noqa: S608 - a name of ours
    assert [row["value"] for row in rows] == list(range(LARGE))
    assert gateway.metric("zhiwang_door_dead_total") == 0
    assert gateway.metric("zhiwang_source_reconnects_total") == 0
    until(lambda: not gateway.metric("zhiwang_source_unacknowledged"), what="everything to be acknowledged")
    assert gateway.stop() == 0
    assert held_for(own_mosquitto.port, "many") == 0, "not acknowledged"


def _count(influx: Influx, name: str) -> int:
    rows = influx.query(f"SELECT count(value) FROM {name}", name)  # noqa: S608 - a name of ours
    return int(str(rows[0]["count"])) if rows else 0
