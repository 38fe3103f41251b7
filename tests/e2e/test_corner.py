"""The street corner of configs/, whole: a flood that rises and falls before the ops centre, a broker that goes away."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import jsonschema
import pytest

from tests.conftest import ROOT
from tests.e2e.centre import Centre, Peer
from tests.servers.gateway import Gateway, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers.influx import Victoria
    from tests.servers.mosquitto import Mosquitto

BASE = "zhiwang/v1/330383017/lg-017-02"
OURS = """
brokers:
  here: {{url: "{here}"}}
  city: {{url: "{city}", password: {{file: secrets/city-mqtt}}}}
sinks: {{influx: {{v2: "{victoria}"}}}}
commands: {{mqtt: [chief]}}
state: {state}
"""


class Gauge(threading.Thread):
    """A water gauge, and a box that measures the air beside it: they send again and again until they are stopped."""

    def __init__(self, peer: Peer, every_s: float) -> None:
        super().__init__(daemon=True)
        self.level = 2.0
        self._peer, self._every_s, self._over = peer, every_s, threading.Event()

    def run(self) -> None:
        """Until `stop`."""
        while not self._over.wait(self._every_s):
            self._peer.say("water/g1/level", str(self.level))
            now = datetime.now(ZoneInfo("Asia/Shanghai")).replace(tzinfo=None).isoformat()  # as a box without zones
            self._peer.say("air/a/0017/up", {"ts": now, "data": {"pm2_5": 20, "hum": 50}})

    def stop(self) -> None:
        """End the thread."""
        self._over.set()
        self.join()


def _corner(gateway: Gateway, here: Mosquitto, city: Mosquitto, victoria: Victoria, *, short: bool) -> None:
    """Write the shipped example with its city.yaml; what differs is local.yaml's, and in the short form two times."""
    text = (ROOT / "configs/street-corner.yaml").read_text(encoding="utf-8")
    for shipped, shortened in (("for: 30 s", "for: 1 s"), ("every: 10 s", "every: 1 s")) if short else ():
        assert shipped in text
        text = text.replace(shipped, shortened)
    gateway.write(text)
    shutil.copytree(ROOT / "configs/include", gateway.folder / "include")
    (gateway.folder / "secrets").mkdir()
    for name in ("city-mqtt", "influx"):
        (gateway.folder / "secrets" / name).write_text("s3cret\n")
    local = OURS.format(here=here.url, city=city.url, victoria=victoria.url, state=gateway.folder / "state")
    (gateway.folder / "local.yaml").write_text(local)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("short", [True, pytest.param(False, marks=pytest.mark.soak)], ids=["short", "full"])
def test_the_corner_sees_a_flood_rise_and_fall_and_its_broker_go_away(
    own_mosquitto: Mosquitto,
    city: Mosquitto,
    victoria: Victoria,
    gateway_of: Callable[[str], Gateway],
    *,
    short: bool,
) -> None:
    """One alert rises, is acknowledged, falls and clears; a broker that is away is one alert, and no silence."""
    gateway = gateway_of("")
    _corner(gateway, own_mosquitto, city, victoria, short=short)
    patience = 20.0 if short else 90.0
    with Centre(city, BASE) as centre, Peer(own_mosquitto, "sensors") as sensors:
        gauge = Gauge(sensors, 0.2 if short else 5.0)
        gauge.start()
        try:
            gateway.start()
            flood = _a_flood(gateway, centre, gauge, patience)
            _a_broker_away(own_mosquitto, centre, gateway, 4.0 if short else 35.0)
            gauge.level = 3.0
            assert centre.change("flood", "lowered_level", patience)["severity"] == "moderate"
            gauge.level = 2.5
            assert centre.change("flood", "cleared", patience)["state"] == "normal"
        finally:
            gauge.stop()
        centre.wait(lambda one: one.topic == f"{BASE}/open/{flood}" and not one.body, "the open alert to be emptied")
        assert {one.body["id"] for one in centre.changes("flood")} == {flood}
        _well_formed(centre)
        _topics_as_designed(centre)
        assert not [one for one in centre.changes() if one.body["rule"] == "silent"]
        surge = set() if short else {"surge"}  # such a rise within 30 s is one too; nobody has acknowledged it
        assert {alert["rule"] for alert in gateway.open_alerts()} == surge
        assert gateway.stop() == 0
        offline = centre.wait(lambda one: one.topic == f"{BASE}/status" and one.body["status"] == "offline", "goodbye")
        assert offline.body["gateway"] == "lg-017-02"
    until(lambda: _levels(victoria) >= {2.9, 3.4, 3.0, 2.5}, 10, "the levels in VictoriaMetrics")


def _levels(victoria: Victoria) -> set[float]:
    series: list[dict[str, Any]] = victoria.export('{__name__="water_level"}')
    return {value for one in series for value in one["values"]}


def _a_flood(gateway: Gateway, centre: Centre, gauge: Gauge, patience: float) -> str:
    """Yellow, then orange, then somebody acknowledges; gives the alert's id."""
    gauge.level = 2.9
    raised = centre.change("flood", "raised", patience)
    assert (raised["severity"], raised["colour"], raised["state"]) == ("moderate", "yellow", "active_unacknowledged")
    assert raised["subject"] == "water.level{gauge=g1}"
    assert raised["place"]["wgs84"] == [120.5491, 27.5815]
    gauge.level = 3.4
    risen = centre.change("flood", "raised_level", patience)
    assert (risen["severity"], risen["value"], risen["limit"], risen["id"]) == ("severe", 3.4, 3.3, raised["id"])
    assert risen["text"]["zh"].startswith("【橙色 ↑】河道水位 g1 3.4 m · 江口社区\n")
    retained = centre.wait(lambda one: one.topic == f"{BASE}/open/{raised['id']}" and one.body != {}, "the open alert")
    assert retained.body["id"] == raised["id"]
    reply = gateway.ask(command={"target": raised["code"], "verb": "acknowledge", "who": "值班员"})["reply"]
    assert reply["result"] == "ok"
    acknowledged = centre.change("flood", "acknowledged")
    assert (acknowledged["state"], acknowledged["seq"]) == ("active_acknowledged", reply["seq"])
    return str(raised["id"])


def _a_broker_away(here: Mosquitto, centre: Centre, gateway: Gateway, away_s: float) -> None:
    """Longer than a reading may be missing; the cause is one alert, which is acknowledged over MQTT."""
    here.stop()
    down = centre.change("health", "raised")
    assert (down["class"], down["severity"], down["subject"]) == (
        "equipment",
        "moderate",
        "source/here{condition=connected}",
    )
    assert gateway.metric("zhiwang_source_connected") == 0
    gone_s = gateway.ask(status={})["status"]["uptime_s"]
    topic = f"{BASE}/command/{down['id']}"
    for who, result in (("somebody", "refused"), ("chief", "ok")):
        centre.say(topic, {"id": f"by-{who}", "verb": "acknowledge", "who": who})
        replied = centre.wait(
            lambda one, who=who: one.topic == f"{topic}/reply" and one.body["id"] == f"by-{who}", "a reply"
        )
        assert replied.body["result"] == result
    centre.change("health", "acknowledged")
    until(lambda: gateway.ask(status={})["status"]["uptime_s"] > gone_s + away_s, away_s + 10)
    here.start()
    centre.change("health", "cleared")


def _well_formed(centre: Centre) -> None:
    """Every payload is what `zhiwang schema alert` says."""
    printed = subprocess.run(
        [sys.executable, "-m", "gateway", "schema", "alert"], stdout=subprocess.PIPE, check=True, cwd=ROOT
    )
    check = jsonschema.Draft202012Validator(json.loads(printed.stdout))
    for one in centre.changes():
        check.validate(one.body)


def _topics_as_designed(centre: Centre) -> None:
    """A topic has the highest severity so far; the end goes to all of them; each class and severity has its chain."""
    ends: dict[int, list[str]] = {}
    last: dict[str, int] = {}
    for topic, alert, _ in centre.changes():
        _, class_, severity, rule = topic.removeprefix(f"{BASE}/").split("/")
        assert (class_, rule) == (alert["class"], alert["rule"])
        if alert["state"] == "normal":
            ends.setdefault(alert["seq"], []).append(severity)
        else:
            assert severity == alert["severity_max"]
        key = f"{class_}/{severity}"
        if key in last:
            assert alert["prev"] == last[key], topic
        last[key] = alert["seq"]
    flood = [one for one in centre.changes("flood") if one.body["state"] == "normal"]
    assert sorted(ends[flood[0].body["seq"]]) == ["moderate", "severe"]
