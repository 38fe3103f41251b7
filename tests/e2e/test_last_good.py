"""A configuration with errors: exit 2 with file and line, or the last good one where there is one; one at a time."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.conftest import ROOT
from tests.e2e.centre import Peer
from tests.servers.gateway import Gateway, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers.mosquitto import Mosquitto

CONFIG = """
gateway: good
brokers: {{here: {{url: "{broker}"}}}}
sensors: {{tank: {{mqtt: here, topic: "tank/{{name}}", plain: level}}}}
rules: {{full: {{threshold: tank.level, levels: {{red: 9}}}}}}
"""


def _zhiwang(gateway: Gateway, *words: str) -> subprocess.CompletedProcess[str]:
    """A command beside the gateway, in its environment."""
    environment = {**os.environ, "STATE_DIRECTORY": str(gateway.folder / "home"), "LANG": "C.UTF-8"}
    command = [sys.executable, "-m", "gateway", *words]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("gateway: bad\nrules: {full: {treshold: tank.level}}\n", "gateway.yaml:2"),
        ("gateway: bad\ngateway: again\n", "gateway.yaml:2"),
        ("gateway: [\n", "gateway.yaml:"),
        ("sensors: {a: {mqtt: nowhere, topic: x, plain: v}}\ngateway: bad\n", "gateway.yaml:1"),
        (
            (
                "gateway: bad\nbrokers: {b: {url: mqtt://h}}\nsensors: {t: {mqtt: b, topic: x, plain: v}}\n"
                "rules: {r: {threshold: t.v, levels: {yellow: 3, red: 2}}}\n"
            ),
            "rules.r.levels.red",
        ),
    ],
    ids=["unknown key", "duplicate key", "no YAML", "unknown broker", "contradictory"],
)
def test_an_unusable_configuration_ends_in_2_with_its_line(
    gateway_of: Callable[[str], Gateway], text: str, told: str
) -> None:
    gateway = gateway_of("")
    gateway.config.write_text(text)
    ended = _zhiwang(gateway, "run", str(gateway.config))
    assert ended.returncode == 2
    assert told in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_configuration_that_cannot_be_read_ends_in_2(gateway_of: Callable[[str], Gateway]) -> None:
    gateway = gateway_of("")
    gateway.config.unlink()
    ended = _zhiwang(gateway, "run", str(gateway.config))
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "cannot be read" in ended.stderr
    gateway.config.write_bytes("gateway: 河\n".encode("gbk"))
    assert "not UTF-8" in _zhiwang(gateway, "run", str(gateway.config)).stderr


def test_where_the_file_has_errors_the_last_good_one_runs_and_says_so(
    own_mosquitto: Mosquitto, gateway_of: Callable[[str], Gateway]
) -> None:
    """Given a gateway that ran, when its file is spoilt, it starts with what it ran with; mended, the alert clears."""
    gateway = gateway_of(CONFIG.format(broker=own_mosquitto.url))
    gateway.start()
    kept = gateway.folder / "state/last-good.yaml"
    until(kept.exists, 10, "the configuration to be kept")
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert gateway.stop() == 0
    good = gateway.config.read_text()
    gateway.config.write_text(good.replace("threshold", "treshold"))
    gateway.start()
    with Peer(own_mosquitto, "tanks") as tanks:
        tanks.say("tank/a", "9.5")
        until(lambda: len(gateway.open_alerts()) == 2, 20, "the old rule's alert beside the file's")
    about_file, about_tank = sorted(gateway.open_alerts(), key=lambda alert: alert["class"], reverse=True)
    assert (about_file["subject"], about_file["class"]) == ("config/file{condition=valid}", "equipment")
    assert "gateway.yaml" in about_file["text"]["en"]
    assert "treshold" in about_file["text"]["en"]
    assert about_tank["rule"] == "full"
    assert "treshold" in gateway.log.read_text()
    assert gateway.stop() == 0
    gateway.config.write_text(good)
    gateway.start()
    states = {alert["subject"]: alert["state"] for alert in gateway.open_alerts()}
    assert states["config/file{condition=valid}"] == "cleared_unacknowledged"


def test_a_second_gateway_on_the_same_state_ends_with_1(
    own_mosquitto: Mosquitto, gateway_of: Callable[[str], Gateway]
) -> None:
    gateway = gateway_of(CONFIG.format(broker=own_mosquitto.url))
    gateway.start()
    second = _zhiwang(gateway, "run", str(gateway.config))
    assert second.returncode == 1
    assert f"process {gateway.pid} uses" in second.stderr
    assert "Traceback" not in second.stderr
    third = _zhiwang(gateway, "run", "--memory", str(gateway.config))
    assert third.returncode == 1
    assert "already running" in third.stderr
    assert "Traceback" not in third.stderr
    assert gateway.metric("zhiwang_source_reconnects_total") == 0, "nobody took its session"


def test_the_store_and_the_alerts_can_be_looked_at_beside_the_running_gateway(
    own_mosquitto: Mosquitto, gateway_of: Callable[[str], Gateway]
) -> None:
    """`outbox stat` and `watch`, whose output goes into a pipe here; afterwards without a gateway."""
    gateway = gateway_of(CONFIG.format(broker=own_mosquitto.url))
    gateway.start()
    with Peer(own_mosquitto, "tanks") as tanks:
        tanks.say("tank/a", "9.5")
        tanks.say("tank/a", "much")
        until(gateway.open_alerts, 20, "an alert")
        until(lambda: gateway.metric("zhiwang_core_undecodable_total") == 1, 20, "a bad one")
    watched = _zhiwang(gateway, "watch", str(gateway.config), "--once")
    assert watched.returncode == 0
    assert "tank.level{name=a}" in watched.stdout
    assert "\x1b" not in watched.stdout
    code = gateway.open_alerts()[0]["code"]
    acknowledged = _zhiwang(gateway, "watch", str(gateway.config), "--ack", code, "--who", "chief")
    assert acknowledged.returncode == 0
    assert gateway.open_alerts()[0]["state"] == "active_acknowledged"
    lines = _zhiwang(gateway, "watch", str(gateway.config), "--once", "--json").stdout.splitlines()
    assert [json.loads(line)["code"] for line in lines] == [code]
    told = _zhiwang(gateway, "outbox", "stat", str(gateway.config))
    assert told.returncode == 0
    rejected = _zhiwang(gateway, "outbox", "rejected", str(gateway.config))
    assert (rejected.returncode, "much" in rejected.stdout) == (0, True)
    assert gateway.stop() == 0
    gone = _zhiwang(gateway, "watch", str(gateway.config), "--once")
    assert gone.returncode == 1
    assert "no gateway answers" in gone.stderr
    assert _zhiwang(gateway, "outbox", "stat", str(gateway.config)).returncode == 0


def test_a_secret_that_is_missing_is_its_sink_s_alert_and_all_else_runs(
    own_mosquitto: Mosquitto, gateway_of: Callable[[str], Gateway]
) -> None:
    sink = 'sinks: {{db: {{v2: "http://127.0.0.1:9", bucket: b, token: {{file: secrets/none}}, from: oldest}}}}\n'
    gateway = gateway_of((CONFIG + sink).format(broker=own_mosquitto.url))
    gateway.start()
    with Peer(own_mosquitto, "tanks") as tanks:
        tanks.say("tank/a", "9.5")
        alerts = until(lambda: len(found := gateway.open_alerts()) == 2 and found, 20, "the sink's and the tank's")
    about_sink, about_tank = sorted(alerts, key=lambda alert: alert["class"], reverse=True)
    assert "secrets/none" in about_sink["text"]["en"]
    assert about_sink["subject"].startswith("sink/db{")
    assert about_tank["rule"] == "full"
    assert gateway.metric("zhiwang_sink_lag_rows") > 0, "what it should deliver waits"
    assert gateway.stop(10) == 0
