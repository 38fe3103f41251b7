"""A gateway without cameras and page pays for neither: what it loads is looked at in its process."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.conftest import ROOT
from tests.e2e.centre import Peer
from tests.servers.gateway import Gateway, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers.mosquitto import Mosquitto

HEAVY = {"cv2", "av", "onnxruntime", "nicegui", "onnx", "scipy", "PIL"}
CONFIG = """
gateway: ground
brokers: {{here: {{url: "{broker}"}}}}
sensors: {{tank: {{mqtt: here, topic: "tank/{{name}}", plain: level, every: 10 s}}}}
rules: {{full: {{threshold: tank.level, levels: {{red: 9}}, for: 100 ms}}}}
sinks: {{ops: {{mqtt: here}}}}
"""


def test_importing_the_package_and_its_wiring_loads_nothing_heavy() -> None:
    for modules in ("gateway", "gateway.cli", "gateway.app, gateway.registry, gateway.cli.run, gateway.console.http"):
        program = f"import sys, {modules}; print(*sys.modules)"
        loaded = subprocess.check_output([sys.executable, "-c", program], text=True, cwd=ROOT).split()
        assert not HEAVY & {module.partition(".")[0] for module in loaded}, modules


def test_a_running_ground_gateway_has_loaded_nothing_heavy(
    own_mosquitto: Mosquitto, gateway_of: Callable[[str], Gateway]
) -> None:
    """Given readings, an alert, its sink and metrics, then its maps and its imports show neither vision nor page."""
    gateway = gateway_of(CONFIG.format(broker=own_mosquitto.url))
    gateway.start(prefix=("env", "PYTHONPROFILEIMPORTTIME=1"))
    with Peer(own_mosquitto, "tanks") as tanks:
        tanks.say("tank/a", "9.5")
        until(gateway.open_alerts, 20, "an alert")
    assert gateway.get("/metrics")[0] == 200
    maps = Path(f"/proc/{gateway.pid}/maps").read_text()
    mapped = {path for path in re.findall(r"(/\S+\.so\S*)", maps) if "site-packages" in path}
    assert mapped, "the maps can be read"
    assert not [path for path in mapped if HEAVY & set(re.findall(r"[a-zA-Z0-9]+", path.split("site-packages")[1]))]
    assert not re.findall(r"libav(codec|format)|opencv|libonnxruntime", maps)
    log = gateway.log.read_text()
    imported = set(re.findall(r"import time:.*\| +(\w+)", log))
    assert "gateway" in imported
    assert not HEAVY & imported
    assert gateway.stop() == 0
