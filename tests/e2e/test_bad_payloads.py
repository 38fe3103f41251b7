"""Payloads that cannot be used: counted, explained once a minute, set aside; the flows beside them go on."""

from __future__ import annotations

import itertools
import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.centre import Peer
from tests.servers.gateway import Gateway, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.servers.mosquitto import Mosquitto

MEGABYTE = 1_000_000
CASES: dict[str, tuple[bytes, str]] = {
    "no-json": (b'{"v": 1', "invalid JSON"),
    "other-json": (b'"v"', "expected an object"),
    "wrong-type": (b'{"v": "much"}', "expected a number"),
    "wrong-shape": (b'{"v": [1, 2]}', "expected a number"),
    "missing": (b'{"w": 1}', "v"),
    "nan": (b'{"v": NaN}', "NaN"),
    "huge": (b'{"v": 1e999}', "too large"),
    "digits": (b'{"v": ' + b"9" * 5000 + b"}", "digits"),
    "out-of-range": (b'{"v": 5000}', "5000"),
    "empty": (b"", "empty"),
    "megabyte": (b"\x07" * MEGABYTE, "invalid JSON"),
    "megabyte-text": (json.dumps({"v": "x" * MEGABYTE}).encode(), "expected a number"),
    "deep": (b"[" * 100_000, "deep"),
    "no-utf-8": (b'\xff\xfe{"v": 1}', "not UTF-8"),
}
SENSORS = "".join(
    f'  {name}: {{mqtt: here, topic: "{name}/{{device}}", json: {{v: v}}, valid: {{v: [-100, 2000]}}}}\n'
    for name in CASES
)
CONFIG = f"""
gateway: bad-payloads
brokers: {{{{here: {{{{url: "{{broker}}"}}}}}}}}
sensors:
{SENSORS.replace("{", "{{").replace("}", "}}")}
  fine: {{{{mqtt: here, topic: "fine/{{{{device}}}}", plain: v}}}}
  clock: {{{{mqtt: here, topic: "clock/{{{{device}}}}", json: {{{{time: t, v: v}}}}}}}}
  many: {{{{mqtt: here, topic: "many/{{{{device}}}}", plain: v, series: 20}}}}
rules:
  high: {{{{threshold: fine.v, levels: {{{{red: 100}}}}}}}}
  drifted: {{{{threshold: clock.v, levels: {{{{red: 100}}}}}}}}
"""


@pytest.fixture(scope="module")
def gateway(mosquitto: Mosquitto, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One gateway for all of them: they must not disturb each other either."""
    made = Gateway(tmp_path_factory.mktemp("bad-payloads"), CONFIG.format(broker=mosquitto.url))
    made.start()
    yield made
    made.kill()


@pytest.fixture(scope="module")
def devices(mosquitto: Mosquitto, gateway: Gateway) -> Iterator[Peer]:
    """Who sends them."""
    assert gateway.pid
    with Peer(mosquitto, "devices") as peer:
        yield peer


def _told(gateway: Gateway, where: str) -> list[str]:
    """The log's lines about a sensor."""
    return [line for line in gateway.log.read_text().splitlines() if f"where={where} " in line]


_names = itertools.count()


def _neighbour_goes_on(gateway: Gateway, devices: Peer) -> None:
    """A reading of another sensor, sent after the bad ones, raises its alert."""
    name = f"n{next(_names)}"
    devices.say(f"fine/{name}", "200")
    until(lambda: any(name in alert["subject"] for alert in gateway.open_alerts()), 20, "the neighbour's alert")


@pytest.mark.parametrize("case", CASES)
def test_a_payload_that_cannot_be_used(gateway: Gateway, devices: Peer, case: str) -> None:
    """Given five of a kind, then each is counted and a dead letter, one line explains them, and a good one is taken."""
    payload, reason = CASES[case]
    before = gateway.metric("zhiwang_core_undecodable_total")
    letters, readings = gateway.metric("zhiwang_door_dead_total"), gateway.metric("zhiwang_core_readings_total")
    for _ in range(5):
        devices.say(f"{case}/d", payload)
    devices.say(f"{case}/d", b'{"v": 1.5}')
    _neighbour_goes_on(gateway, devices)
    until(lambda: gateway.metric("zhiwang_core_undecodable_total") == before + 5, 20, "five to be counted")
    assert gateway.metric("zhiwang_door_dead_total") == letters + 5
    assert gateway.metric("zhiwang_core_readings_total") == readings + 2
    (line,) = until(lambda: _told(gateway, case), 10, "the line about them")
    assert reason in line
    assert f"topic={case}/d" in line
    assert len(line) < 1500
    assert gateway.metric("zhiwang_source_unacknowledged") == 0
    assert gateway.metric("zhiwang_source_reconnects_total") == 0


@pytest.mark.parametrize(("stamp", "year"), [(0.5, 1970), (4_102_444_800.0, 2100)], ids=["1970", "2100"])
def test_impossible_stamps_are_counted_and_told_and_the_series_still_alarms(
    gateway: Gateway, devices: Peer, stamp: float, year: int
) -> None:
    """Given a device whose clock is off and then right, when its value is high, then it alarms like any other."""
    before, device = gateway.metric("zhiwang_core_clock_adrift_total"), f"y{year}"
    for _ in range(4):
        devices.say(f"clock/{device}", {"t": stamp, "v": 500})
    _neighbour_goes_on(gateway, devices)
    until(lambda: gateway.metric("zhiwang_core_clock_adrift_total") == before + 4, 20, "four to be counted")
    assert _about(gateway, device) == [], "no rule sees such a value"
    assert gateway.log.read_text().count('msg="stamps not believed"') == 1, "once a minute"
    devices.say(f"clock/{device}", {"t": time.time(), "v": 500})
    (alarm,) = until(lambda: _about(gateway, device), 20, "its alarm")
    assert (alarm["rule"], alarm["value"]) == ("drifted", 500)


def _about(gateway: Gateway, device: str) -> list[dict[str, Any]]:
    return [alert for alert in gateway.open_alerts() if f"device={device}" in alert["subject"]]


def test_a_device_that_makes_endless_topics_gets_so_many_series_and_no_more(gateway: Gateway, devices: Peer) -> None:
    """Given 300 devices where 20 are allowed, then 280 are refused, one alert and one line say so, the 20 go on."""
    for i in range(300):
        devices.say(f"many/m{i}", "1")
    _neighbour_goes_on(gateway, devices)
    until(lambda: gateway.metric("zhiwang_core_refused_total") == 280, 20, "280 to be refused")
    alerts = [alert for alert in gateway.open_alerts() if alert["subject"].startswith("sensor/many")]
    assert [alert["subject"] for alert in alerts] == ["sensor/many{condition=series}"]
    (line,) = until(lambda: _told(gateway, "many"), 10, "the line about them")
    assert "sensors.many.series" in line
    before = gateway.metric("zhiwang_core_readings_total")
    for i in range(20):
        devices.say(f"many/m{i}", "2")
    until(lambda: gateway.metric("zhiwang_core_readings_total") == before + 20, 20, "the known ones")


def test_what_comes_on_a_topic_that_nobody_reads_any_more_is_set_aside(
    own_mosquitto: Mosquitto, gateway_of: Callable[[str], Gateway]
) -> None:
    """Given messages that waited for a sensor which the configuration has no more, they are told as nobody's."""
    gone = '\n  gone: {{mqtt: here, topic: "gone/{{x}}", plain: v}}'
    kept = '\n  kept: {{mqtt: here, topic: "kept/{{x}}", plain: v}}\n'
    text = 'gateway: unknown\nbrokers: {{here: {{url: "{broker}"}}}}\nsensors:'
    gateway = gateway_of((text + gone + kept).format(broker=own_mosquitto.url))
    gateway.start()
    assert gateway.stop() == 0
    with Peer(own_mosquitto, "devices") as devices:
        for _ in range(5):
            devices.say("gone/a", "1").wait_for_publish(10)
        devices.say("kept/a", "1").wait_for_publish(10)
        gateway.write((text + kept).format(broker=own_mosquitto.url))
        gateway.start()
        until(lambda: gateway.metric("zhiwang_core_unrouted_total") == 5, 20, "five to be counted")
        until(lambda: gateway.metric("zhiwang_core_readings_total") == 1, 20, "the one beside them")
        (line,) = until(lambda: _told(gateway, "topics"), 10, "the line about them")
        assert "topic=gone/a" in line
        devices.say("gone/a", "1").wait_for_publish(10)
        devices.say("kept/a", "1").wait_for_publish(10)
        until(lambda: gateway.metric("zhiwang_core_readings_total") == 2, 20, "the next one")
        assert gateway.metric("zhiwang_core_unrouted_total") == 5, "the subscription is gone"
