"""A disk of its own for evidence, and full: alerts and their pictures go on, nothing kept is lost, and it recovers."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any, cast

import pytest

from tests.conftest import ROOT
from tests.e2e.test_evidence import BASE, BYSTANDER, SUBJECT, Witness, film
from tests.outbox.mounted import fill, mounted
from tests.servers.gateway import Gateway, until
from tests.vision.conftest import red_yolox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.servers.mosquitto import Mosquitto

CONFIG = """
gateway: witness
brokers: {{city: {{url: "{city}"}}}}
sensors: {{tank: {{mqtt: city, topic: "tank/{{name}}", plain: level}}}}
cameras: {{gate: {{detect: gate.mp4, model: model.onnx, rate: 5, loop: true, health: "off", motion: "off"}}}}
rules: {{full: {{threshold: tank.level, levels: {{red: 5}}, picture: gate}}}}
evidence: {{clip: "off"}}
sinks: {{centre: {{mqtt: city}}}}
"""


@pytest.fixture
def gateway(city: Mosquitto, gateway_of: Callable[[str], Gateway]) -> Iterator[Gateway]:
    """A gateway whose evidence has a disk of 32 MB."""
    made = gateway_of(CONFIG.format(city=city.url))
    film(made.folder / "gate.mp4", [SUBJECT, BYSTANDER])
    red_yolox(made.folder / "model.onnx", classes=80)
    (made.folder / "state").mkdir()
    with mounted(made.folder / "state/evidence", "-t", "tmpfs", "-o", "size=32M", "tmpfs"):
        yield made
        made.kill()


def of(centre: Witness, name: str, true: Callable[[dict[str, Any]], object], what: str) -> dict[str, Any]:
    """The first change of this tank's alert of which `true` holds."""

    def found() -> dict[str, Any] | None:
        for one in list(centre.heard):
            if "/alert/" in one.topic and f"name={name}" in one.body.get("subject", "") and true(one.body):
                return one.body
        return None

    return cast("dict[str, Any]", until(found, 40, what))


def disk(centre: Witness, change: str) -> dict[str, Any]:
    """Such a change of what is said of the evidence's disk."""
    subject = "disk/evidence{condition=room}"
    one = centre.wait(lambda one: one.body.get("subject") == subject and one.body.get("change") == change, change, 40)
    return one.body


@pytest.mark.timeout(180)
def test_on_a_full_evidence_disk_alerts_and_pictures_go_on_and_nothing_that_is_kept_is_lost(
    city: Mosquitto, gateway: Gateway
) -> None:
    """Given pictures of an open, a pinned and a closed alert, when the disk is full, then a new alert has its picture.

    It is said that there is no room, and nothing goes; when there is room the new picture is stored, and that is said.
    """
    folder = gateway.folder / "state/evidence"
    with Witness(city) as centre:
        gateway.start()
        pictures: list[Path] = []
        for name in ("open", "pinned", "closed"):
            centre.say(f"tank/{name}", "9")
            alert = of(centre, name, lambda body: body["evidence"], f"the picture of {name}")
            pictures.append(folder / alert["id"] / f"{alert['evidence'][0]['sha256']}.jpg")
            if name == "pinned":
                command = ("evidence", "pin", str(gateway.folder / "gateway.yaml"), alert["id"])
                subprocess.run([sys.executable, "-m", "gateway", *command], check=True, cwd=ROOT, timeout=60)
            if name != "open":
                centre.say(f"tank/{name}", "1")
                of(centre, name, lambda body: body["change"] == "cleared", f"the end of {name}")
        other = fill(folder)

        centre.say("tank/late", "9")
        raised = of(centre, "late", lambda body: body["change"] == "raised", "the alert")
        [piece] = of(centre, "late", lambda body: body["evidence"], "its picture")["evidence"]
        until(lambda: piece["topic"] in dict(centre.files), 20, "the picture's bytes")
        told = disk(centre, "raised")
        assert "free some room on it" in str(told["text"]) + str(told.get("detail"))
        assert all(path.is_file() for path in pictures)
        late = folder / raised["id"] / f"{piece['sha256']}.jpg"
        assert not late.exists()

        other.unlink()
        disk(centre, "cleared")
        assert late.read_bytes() == dict(centre.files)[piece["topic"]]
        assert all(path.is_file() for path in pictures)
        assert f"{BASE}/evidence/{raised['id']}/1" == piece["topic"]
        assert gateway.stop() == 0
