"""Node-RED with its MQTT-in node and `node-red-contrib-influxdb`, as somebody would wire them: each message a write.

Installed once, by npm, into a cache of the user's ($XDG_CACHE_HOME/zhiwang-benchmarks); flows and settings are written
here. The function node between the two makes of a JSON object what the InfluxDB node wants: [fields, tags].
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from stage import until

if TYPE_CHECKING:
    from contextlib import ExitStack

PACKAGES = ("node-red@4.1.15", "node-red-contrib-influxdb@0.7.0")
INSTALL_S = 300
SETTINGS = 'module.exports = {flowFile: "flows.json", credentialSecret: false, uiHost: "127.0.0.1"}\n'
SHAPE = """const p = msg.payload;
msg.payload = [{time: p.ts, pm25: p.pm25, pm10: p.pm10, rh: p.rh, temp: p.temp, noise: p.noise},
               {device: msg.topic.split("/")[1]}];
return msg;"""


class NotThereError(Exception):
    """Why Node-RED cannot be measured here."""


def install() -> Path:
    """Where Node-RED is installed, after installing it if need be."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise NotThereError("node or npm is not installed (apt-get install nodejs npm)")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    at = cache / "zhiwang-benchmarks" / "-".join(PACKAGES)
    red = at / "node_modules" / "node-red" / "red.js"
    if not (red.is_file() and (at / "done").is_file()):
        at.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--no-audit", "--no-fund", "--omit=dev", "--prefix", str(at), *PACKAGES]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_S, check=False)
        except subprocess.TimeoutExpired:
            raise NotThereError(f"npm install took more than {INSTALL_S} s") from None
        if done.returncode:
            raise NotThereError(f"npm install failed: {(done.stderr.strip() or done.stdout).splitlines()[0]}")
        (at / "done").touch()
    return at


def _flows(broker: int, url: str, topic: str, measurement: str) -> list[dict[str, object]]:
    return [
        {"id": "tab", "type": "tab", "label": "bench"},
        {
            "id": "broker",
            "type": "mqtt-broker",
            "broker": "127.0.0.1",
            "port": str(broker),
            "clientid": "node-red",
            "autoConnect": True,
            "protocolVersion": "4",
            "keepalive": "600",
            "cleansession": False,
        },
        {"id": "db", "type": "influxdb", "influxdbVersion": "2.0", "url": url, "timeout": "10"},
        {
            "id": "in",
            "type": "mqtt in",
            "z": "tab",
            "topic": topic,
            "qos": "1",
            "datatype": "json",
            "broker": "broker",
            "inputs": 0,
            "wires": [["shape"]],
        },
        {"id": "shape", "type": "function", "z": "tab", "func": SHAPE, "outputs": 1, "wires": [["out"]]},
        {
            "id": "out",
            "type": "influxdb out",
            "z": "tab",
            "influxdb": "db",
            "measurement": measurement,
            "org": "bench",
            "bucket": "bench",
            "precisionV18FluxV20": "ms",
            "wires": [],
        },
    ]


def start(stack: ExitStack, at: Path, port: int, broker: int, url: str, topic: str, measurement: str) -> int:
    """Run it in a folder of its own until the stack ends; its process, once it is connected."""
    home = install()
    at.mkdir()
    (at / "settings.js").write_text(SETTINGS, encoding="utf-8")
    (at / "flows.json").write_text(json.dumps(_flows(broker, url, topic, measurement)), encoding="utf-8")
    (at / "flows_cred.json").write_text(json.dumps({"db": {"token": "bench"}}), encoding="utf-8")
    (at / "package.json").write_text(json.dumps({"name": "bench", "dependencies": {PACKAGES[1].split("@")[0]: "*"}}))
    (at / "node_modules").symlink_to(home / "node_modules")
    log = at / "log"
    with log.open("wb") as out:
        command = ["node", str(home / "node_modules/node-red/red.js"), "--port", str(port), "--userDir", str(at)]
        process = stack.enter_context(subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL))
    stack.callback(process.kill)
    until(lambda: process.poll() is not None or b"Connected to broker" in log.read_bytes(), 60, "Node-RED")
    if process.poll() is not None:
        raise NotThereError(f"node-red ended: {log.read_text(encoding='utf-8', errors='replace')[-500:]}")
    return process.pid
