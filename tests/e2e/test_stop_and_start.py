"""Stopping under load; what a start still knows: open, acknowledged and shelved alerts, windows, half-held `for:`."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.centre import Peer
from tests.servers.gateway import Gateway, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers.influx import Influx
    from tests.servers.mosquitto import Mosquitto

LOADED = """
gateway: loaded
brokers: {{here: {{url: "{broker}"}}, gone: {{url: "mqtt://127.0.0.1:9"}}}}
sensors: {{meter: {{mqtt: here, topic: "meter/{{device}}", json: {{value: v}}}}}}
rules: {{high: {{threshold: meter.value, levels: {{red: 5}}}}}}
sinks:
  influx: {{v1: "{influx}", db: {db}, from: oldest}}
  ops: {{mqtt: here}}
  nowhere: {{mqtt: gone}}
"""
REMEMBERED = """
gateway: remembered
brokers: {{here: {{url: "{broker}"}}}}
sensors:
  tank: {{mqtt: here, topic: "tank/{{name}}", json: {{time: t, level: v}}}}
  dust: {{mqtt: here, topic: dust, json: {{time: t, pm: v}}, every: 1 s}}
rules:
  full: {{threshold: tank.level, levels: {{yellow: 5, red: 9}}}}
  slow: {{threshold: tank.level, levels: {{red: 7}}, for: 60 s, where: {{name: slow}}}}
  hazy: {{threshold: dust.pm, levels: {{red: 100}}, over: mean 20 s}}
"""


class Load(threading.Thread):
    """Publishes as fast as the broker takes it, until it is told to stop; every 50th value is an alert's."""

    def __init__(self, peer: Peer) -> None:
        super().__init__(daemon=True)
        self.sent = 0
        self._peer, self._over = peer, threading.Event()

    def run(self) -> None:
        """Until `stop`."""
        while not self._over.wait(0.01):
            for _ in range(20):
                self._peer.say(f"meter/{self.sent % 40:02}", {"v": 9 if self.sent % 50 < 1 else self.sent % 5 / 10})
                self.sent += 1

    def stop(self) -> None:
        """End the thread."""
        self._over.set()
        self.join()


@pytest.mark.parametrize("hanging", [False, True], ids=["influx answers", "influx hangs"])
def test_sigterm_under_load_ends_in_0_within_ten_seconds_and_nothing_is_lost(
    own_mosquitto: Mosquitto, own_influx: Influx, gateway_of: Callable[[str], Gateway], *, hanging: bool
) -> None:
    """Given 2,000 messages a second, and a sink's broker that is not there, SIGTERM ends it; the next start goes on."""
    db = own_influx.database("loaded")
    gateway = gateway_of(LOADED.format(broker=own_mosquitto.url, influx=own_influx.url, db=db))
    gateway.start()
    with Peer(own_mosquitto, "meters") as meters:
        load = Load(meters)
        load.start()
        try:
            until(lambda: gateway.metric("zhiwang_core_messages_total") > 3000, 30, "some load")
            if hanging:
                own_influx.pause()
            assert gateway.stop(10) == 0
        finally:
            load.stop()
            if hanging:
                own_influx.resume()
        until(lambda: not meters.client._out_messages, 30, "the broker to have everything")
    gateway.start()
    until(lambda: _count(own_influx, db) >= load.sent, 60, f"all {load.sent} values")
    assert _count(own_influx, db) == load.sent
    assert "Traceback" not in gateway.log.read_text()


def _count(influx: Influx, db: str) -> int:
    rows = influx.query("SELECT count(value) FROM meter", db)
    return int(str(rows[0]["count"])) if rows else 0


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_restart_forgets_nothing_that_matters(
    own_mosquitto: Mosquitto, gateway_of: Callable[[str], Gateway], how: str
) -> None:
    """Given alerts in every state, a window and a `for:` half through, when it starts again, then all of it goes on."""
    gateway = gateway_of(REMEMBERED.format(broker=own_mosquitto.url))
    gateway.start()
    now = time.time()
    with Peer(own_mosquitto, "tanks") as tanks:
        for name, level in (("open", 6), ("seen", 9.5), ("shelf", 6), ("slow", 8)):
            tanks.say(f"tank/{name}", {"t": now - 100, "v": level})
        for second in range(8):  # not enough of the window's twenty
            tanks.say("dust", {"t": now - 60 + second, "v": 200})
        until(lambda: len(_open(gateway)) == 4, 20, "the alerts")
        before = _open(gateway)
        gateway.ask(command={"target": before["full", "seen"]["id"], "verb": "acknowledge", "who": "chief"})
        gateway.ask(
            command={"target": before["full", "shelf"]["id"], "verb": "shelve", "who": "chief", "note": "works"}
        )
        before = _open(gateway)
        assert set(before) == {("full", name) for name in ("open", "seen", "shelf", "slow")}
        if how == "kill":
            gateway.kill()
        else:
            assert gateway.stop() == 0
        gateway.start()
        assert _open(gateway) == before
        assert before["full", "shelf"]["state"] == "shelved"
        assert before["full", "seen"]["state"] == "active_acknowledged"
        for second in range(8, 12):
            tanks.say("dust", {"t": now - 60 + second, "v": 200})
        tanks.say("tank/slow", {"t": now - 30, "v": 8})
        after = until(lambda: len(found := _open(gateway)) == 6 and found, 20, "the window and the slow one")
        assert after["slow", "slow"]["started"] == before["full", "slow"]["started"]
        assert after["hazy", ""]["value"] == 200
        tanks.say("tank/open", {"t": now - 20, "v": 1})
        tanks.say("tank/seen", {"t": now - 20, "v": 1})
        left = until(lambda: len(found := _open(gateway)) == 5 and found, 20, "the acknowledged one to close")
        assert ("full", "seen") not in left
        assert left["full", "open"]["id"] == before["full", "open"]["id"]
        assert left["full", "open"]["state"] == "cleared_unacknowledged"


def _open(gateway: Gateway) -> dict[tuple[str, str], dict[str, Any]]:
    """The open alerts by rule and the tank's name."""
    return {
        (alert["rule"], alert["subject"].partition("name=")[2].rstrip("}")): alert for alert in gateway.open_alerts()
    }


def test_the_page_answers_where_it_is_wanted(own_mosquitto: Mosquitto, gateway_of: Callable[[str], Gateway]) -> None:
    pytest.importorskip("nicegui")
    gateway = gateway_of(REMEMBERED.format(broker=own_mosquitto.url))
    text = gateway.config.read_text().replace("page: false", "page: true")
    gateway.config.write_text(text)
    gateway.start()
    status, body = gateway.get("/")
    assert status == 200
    assert "remembered" in body
    assert gateway.get("/healthz")[0] == 200
    assert gateway.stop(10) == 0
