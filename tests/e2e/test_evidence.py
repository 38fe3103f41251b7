"""Evidence, whole: a condition begins, its picture is taken, hashed, named by the alert, and comes over the broker."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, cast

import av
import cv2
import numpy as np
import pytest

from tests.e2e.centre import Heard, Peer
from tests.servers.gateway import Gateway, until
from tests.vision.conftest import GREY, red_yolox

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import paho.mqtt.client as mqtt
    from numpy.typing import NDArray

    from tests.servers.mosquitto import Mosquitto

CONFIG = """
gateway: witness
brokers: {{city: {{url: "{city}"}}}}
cameras:
  gate: {{detect: gate.mp4, model: model.onnx, rate: 5, loop: true, health: "off", motion: "off",
    zones: {{left: [[0, 0], [0.45, 0], [0.45, 1], [0, 1]]}}{camera}}}
rules:
  seen: {{count: person, in: gate.left, levels: {{red: 1}}, for: {hold}}}
commands: {{mqtt: [chief]}}
evidence: {{clip: {clip}{evidence}}}
sinks: {{centre: {{mqtt: city, picture: 60 kB}}}}
"""
FPS = 10
SIDE = 80  # px of the picture that one cell of the model is
SUBJECT, BYSTANDER = (1, 2), (5, 2)  # cells, (column, row)
BASE = "zhiwang/v1/_/witness"


class Witness(Peer):
    """Subscribed to everything of the gateway; pictures as their bytes, under `files`."""

    def __init__(self, broker: Mosquitto, name: str = "centre") -> None:
        super().__init__(broker, name, f"{BASE}/#")
        self.files: list[tuple[str, bytes]] = []
        self.order: list[str] = []

    def _came(self, _client: object, _userdata: object, message: mqtt.MQTTMessage) -> None:
        self.order.append(message.topic)
        if message.topic.startswith(f"{BASE}/evidence/"):
            self.files.append((message.topic, bytes(message.payload)))
        else:
            self.heard.append(Heard(message.topic, json.loads(message.payload or b"{}"), message.retain))

    def with_evidence(self, pieces: int, kind: str = "") -> dict[str, Any]:
        """The first change that names so many pieces, waiting for it."""

        def named() -> dict[str, Any] | None:
            for one in list(self.heard):
                found = [p for p in one.body.get("evidence", []) if not kind or p["kind"] == kind]
                if "/alert/" in one.topic and len(found) >= pieces:
                    return one.body
            return None

        return cast("dict[str, Any]", until(named, 40, f"{pieces} pieces of evidence"))


def film(path: Path, cells: Sequence[tuple[int, int]], seconds: float = 4, begins_s: float = 0.0) -> None:
    """A grey street with blocks of red stripes from a moment on: each is a person to the model, and full of detail."""
    rng = np.random.default_rng(3)
    stripes = np.zeros((SIDE, SIDE, 3), np.int16)
    stripes[..., 0] = np.where(np.arange(SIDE)[:, None] // 3 % 2, 255, 130)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"crf": "12"})
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 640, 480, "yuv420p", FPS
        for number in range(round(seconds * FPS)):
            picture = np.full((480, 640, 3), GREY, np.int16)
            for column, row in cells if number >= begins_s * FPS else ():
                picture[row * SIDE : (row + 1) * SIDE, column * SIDE : (column + 1) * SIDE] = stripes
            noisy = np.clip(picture + rng.integers(-3, 4, (480, 640, 1)), 0, 255).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(noisy, "rgb24")))
        container.mux(stream.encode())


def detail(picture: NDArray[np.uint8], cell: tuple[int, int]) -> float:
    """How much neighbouring rows differ in the middle of a cell, of 255."""
    scale = picture.shape[1] / 640
    x, y = (round((place * SIDE + 16) * scale) for place in cell)
    part = picture[y : y + round(48 * scale), x : x + round(48 * scale)].astype(np.float64)
    return float(np.abs(np.diff(part, axis=0)).mean())


def decoded(jpeg: bytes) -> NDArray[np.uint8]:
    """uint8[h, w, 3]."""
    return np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), np.uint8)


@pytest.fixture
def witness(city: Mosquitto, gateway_of: Callable[[str], Gateway]) -> Callable[..., Gateway]:
    """Makes a gateway with a file camera that shows a subject and a bystander."""

    def make(
        *, hold: str = "1 s", clip: str = '"off"', evidence: str = "", camera: str = "", begins_s: float = 0.0
    ) -> Gateway:
        text = CONFIG.format(city=city.url, hold=hold, clip=clip, evidence=evidence, camera=camera)
        gateway = gateway_of(text)
        film(gateway.folder / "gate.mp4", [SUBJECT, BYSTANDER], begins_s=begins_s)
        red_yolox(gateway.folder / "model.onnx", classes=80)
        return gateway

    return make


@pytest.mark.timeout(120)
def test_an_alerts_picture_comes_after_it_with_its_hash_and_shows_nobody_else(
    city: Mosquitto, witness: Callable[..., Gateway]
) -> None:
    """An alert's picture comes after it, is what its hash says, and shows nobody else.

    Given a person in the zone and one beside it, when the condition begins, then the alert is updated with a hash, the
    picture follows on its own topic, small enough, with the subject in full detail and the bystander in blocks.
    """
    gateway = witness()
    with Witness(city) as centre:
        gateway.start()
        alert = centre.with_evidence(1)
        [piece] = alert["evidence"]
        topic, jpeg = until(lambda: centre.files[0] if centre.files else None, 20, "the picture")
        assert alert["change"] == "updated"
        assert (piece["n"], piece["kind"], piece["topic"]) == (1, "image/jpeg", topic)
        assert topic == f"{BASE}/evidence/{alert['id']}/1"
        assert len(jpeg) <= 60_000
        kept = gateway.folder / "state/evidence" / alert["id"] / f"{piece['sha256']}.jpg"
        assert hashlib.sha256(kept.read_bytes()).hexdigest() == piece["sha256"] == hashlib.sha256(jpeg).hexdigest()
        assert centre.order.index(topic) > centre.order.index(f"{BASE}/alert/city/extreme/seen")
        picture = decoded(jpeg)
        assert detail(picture, SUBJECT) > 8
        assert detail(picture, BYSTANDER) < 2
        assert gateway.stop() == 0
