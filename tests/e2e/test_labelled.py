"""What people say of alerts, in a running gateway: from everywhere, over a kill -9, in the recording, in a replay."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from tests.e2e.centre import Peer
from tests.servers.gateway import Gateway, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers.mosquitto import Mosquitto

CONFIG = """
gateway: lg-1
timezone: Asia/Shanghai
brokers: {{here: {{url: "{url}"}}}}
sensors: {{water: {{mqtt: here, topic: "water/{{gauge}}", plain: level}}}}
rules: {{flood: {{threshold: water.level, levels: {{yellow: 3}}}}}}
sinks: {{alerts: {{mqtt: here}}}}
commands: {{mqtt: [chief]}}
"""
BASE = "zhiwang/v1/_/lg-1"
METRIC = 'zhiwang_alerts_labelled_total{rule="flood",verdict="%s"} %d'


def zhiwang(*words: object) -> tuple[int, str]:
    """Run a verb to its end: exit code, output."""
    done = subprocess.run(
        [sys.executable, "-m", "gateway", *map(str, words)], capture_output=True, text=True, check=False, timeout=120
    )
    return done.returncode, done.stdout + done.stderr


def flooded(gateway: Gateway, peer: Peer) -> dict[str, Any]:
    """An alert that comes, is acknowledged and ends; its last open state."""
    peer.say("water/g1", "4")
    until(gateway.open_alerts, what="the flood")
    (alert,) = gateway.open_alerts()
    assert gateway.ask(command={"target": alert["id"], "verb": "acknowledge"})["reply"]["result"] == "ok"
    peer.say("water/g1", "1")
    until(lambda: not gateway.open_alerts(), what="its end")
    return alert


def test_a_judgement_is_kept_told_recorded_and_replayed(
    own_mosquitto: Mosquitto, gateway_of: Callable[[str], Gateway]
) -> None:
    """Given two floods, judged after they closed by `watch` and over MQTT, with a kill -9 between, all are told."""
    gateway = gateway_of(CONFIG.format(url=own_mosquitto.url))
    gateway.start()
    with Peer(own_mosquitto, "sensors") as peer:
        first = flooded(gateway, peer)
        assert zhiwang("watch", gateway.config, "--wrong", first["code"], "--note", "a bird")[0] == 0
        assert gateway.ask(record={"flush": {}})["files"], "what was flushed outlives the process"
        gateway.kill()
        gateway.start()
        second = flooded(gateway, peer)
        assert "本月第 2 次,前 1 次误报。" in second["text"]["zh"]
        with Peer(
            own_mosquitto, "centre", *(f"{BASE}/{topic}" for topic in ("command/+/reply", "alert/#", "open/+"))
        ) as ops:
            ops.say(f"{BASE}/command/{second['id']}", {"id": "c1", "verb": "right", "who": "chief"})
            until(lambda: any(one.body.get("result") == "ok" for one in ops.heard), what="the reply")
            until(lambda: any(one.body.get("change") == "labelled" for one in ops.heard), what="the change")
            assert not [one for one in ops.heard if "/open/" in one.topic and one.body], "it is closed still"
        told = gateway.get("/metrics")[1]
        assert METRIC % ("wrong", 1) in told
        assert METRIC % ("right", 1) in told
    assert gateway.stop() == 0
    recording = gateway.folder / "state" / "recording"
    code, out = zhiwang("labels", recording, "--json")
    assert code == 0, out
    listed = {one["id"]: (one["verdict"], one["note"]) for one in map(json.loads, out.splitlines())}
    assert listed == {first["id"]: ("wrong", "a bird"), second["id"]: ("right", "")}
    code, out = zhiwang("replay", recording, "--out", gateway.folder / "played")
    assert code == 0, out
    lines = (gateway.folder / "played" / "alerts.jsonl").read_text(encoding="utf-8").splitlines()
    replayed = [one for one in map(json.loads, lines) if one["change"] == "labelled"]
    assert [(one["id"], one["label"]["verdict"]) for one in replayed] == [
        (first["id"], "wrong"),
        (second["id"], "right"),
    ]
