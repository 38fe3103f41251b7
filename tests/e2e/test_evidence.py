"""Evidence, whole: a condition begins, its picture is taken, hashed, named by the alert, and comes over the broker."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any, cast

import av
import cv2
import numpy as np
import pytest

from tests.conftest import ROOT
from tests.e2e.centre import Heard, Peer
from tests.servers.gateway import Gateway, until
from tests.sinks.test_asyncapi import DOCUMENT, faults
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
  seen: {{{rule}, for: {hold}}}
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


COUNT = "count: person, in: gate.left, levels: {red: 1}"


def film(
    path: Path,
    cells: Sequence[tuple[int, int]],
    seconds: float = 4,
    begins_s: float = 0.0,
    always: Sequence[tuple[int, int]] = (),
) -> None:
    """A grey street with blocks of red stripes from a moment on: each is a person to the model, and full of detail."""
    rng = np.random.default_rng(3)
    stripes = np.zeros((SIDE, SIDE, 3), np.int16)
    stripes[..., 0] = np.where(np.arange(SIDE)[:, None] // 3 % 2, 255, 130)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"crf": "12"})
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 640, 480, "yuv420p", FPS
        for number in range(round(seconds * FPS)):
            picture = np.full((480, 640, 3), GREY, np.int16)
            for column, row in (*always, *(cells if number >= begins_s * FPS else ())):
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
        text = CONFIG.format(city=city.url, hold=hold, clip=clip, evidence=evidence, camera=camera, rule=COUNT)
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
    recorded = [str(gateway.folder / "state/recording"), "--diff", "--alerts", str(gateway.folder / "again.jsonl")]
    again = subprocess.run(
        [sys.executable, "-m", "gateway", "replay", *recorded], capture_output=True, text=True, check=False, timeout=60
    )
    assert again.returncode == 0, again.stdout + again.stderr
    lines = [json.loads(line) for line in (gateway.folder / "again.jsonl").read_text().splitlines()]
    assert piece["sha256"] in [one["sha256"] for line in lines for one in line["evidence"]]


@pytest.mark.timeout(120)
def test_the_picture_of_who_stays_shows_them_and_not_who_came_to_the_same_zone_later(
    city: Mosquitto, gateway_of: Callable[[str], Gateway]
) -> None:
    """Given two in a zone, when the first has stayed for 6 s and the other for 3, then only the first can be seen."""
    rule = "dwell: person, in: gate, levels: {red: 6 s}"
    text = CONFIG.format(city=city.url, hold="0 s", clip='"off"', evidence="", camera="", rule=rule)
    gateway = gateway_of(text)
    film(gateway.folder / "gate.mp4", [BYSTANDER], seconds=30, begins_s=3, always=[SUBJECT])
    red_yolox(gateway.folder / "model.onnx", classes=80)
    with Witness(city) as centre:
        gateway.start()
        alert = centre.with_evidence(1)
        _, jpeg = until(lambda: centre.files[0] if centre.files else None, 20, "the picture")
        assert gateway.stop() == 0
    assert alert["rule"] == "seen"
    picture = decoded(jpeg)
    assert detail(picture, SUBJECT) > 8
    assert detail(picture, BYSTANDER) < 2


def clips(body: bytes) -> list[NDArray[np.uint8]]:
    """The pictures of a video."""
    with av.open(io.BytesIO(body), "r") as container:
        return [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in container.decode(video=0)]


@pytest.mark.timeout(180)
def test_a_clip_is_blurred_named_later_and_sent_when_it_is_asked_for(
    city: Mosquitto, witness: Callable[..., Gateway]
) -> None:
    """A clip is blurred, named ten seconds later, and sent when it is asked for, in chunks that have its hash."""
    gateway = witness(clip="3 s")
    with Witness(city) as centre:
        gateway.start()
        alert = centre.with_evidence(1, "video/mp4")
        [piece] = [one for one in alert["evidence"] if one["kind"] == "video/mp4"]
        assert alert["evidence"][0]["kind"] == "image/jpeg"
        assert not [topic for topic, _ in centre.files if topic.endswith(f"/{piece['n']}")]
        centre.say(f"{BASE}/request", {"evidence": "clip", "alert": alert["id"], "id": "q1"})
        reply = centre.wait(lambda one: one.topic == f"{BASE}/request/reply", "the answer").body
        assert faults(reply, DOCUMENT["components"]["schemas"]["files"], DOCUMENT, ROOT / "docs") == []
        assert faults(alert, DOCUMENT["components"]["schemas"]["alert"], DOCUMENT, ROOT / "docs") == []
        [file] = reply["evidence"]
        assert (reply["id"], reply["alert"]) == ("q1", alert["id"])
        assert (file["n"], file["kind"], file["sha256"]) == (piece["n"], "video/mp4", piece["sha256"])
        parts = [f"{file['topic']}/{k}" for k in range(1, file["chunks"] + 1)] or [file["topic"]]

        def body() -> bytes | None:
            came = dict(centre.files)
            return b"".join(came[part] for part in parts) if all(part in came for part in parts) else None

        film_ = cast("bytes", until(body, 20, "the clip"))
        assert hashlib.sha256(film_).hexdigest() == piece["sha256"]
        pictures = clips(film_)
        assert len(pictures) >= 3 * FPS
        for cell in (SUBJECT, BYSTANDER):
            assert max(detail(picture, cell) for picture in pictures) < 4
        centre.say(f"{BASE}/request", {"evidence": "clip", "alert": "nobody-1", "id": "q2"})
        refused = centre.wait(lambda one: one.topic.endswith("/reply") and one.body["id"] == "q2", "the refusal").body
        assert refused["result"] == "refused"
        assert gateway.stop() == 0


@pytest.mark.timeout(120)
def test_what_began_but_never_became_an_alert_leaves_nothing(witness: Callable[..., Gateway]) -> None:
    """A picture that was held for an alert that did not come is gone, and nobody was told of it."""
    gateway = witness(hold="10 min")
    held = gateway.folder / "state/evidence/held"
    gateway.start()
    until(lambda: gateway.metric("zhiwang_evidence_held_total") == 1, 30, "the condition to begin")
    assert len(list(held.glob("*.jpg"))) == 1
    assert [alert for alert in gateway.open_alerts() if alert["rule"] == "seen"] == []
    assert gateway.metric("zhiwang_evidence_pictures_total") == 0
    assert gateway.stop() == 0


@pytest.mark.timeout(180)
def test_killed_between_condition_and_broker_the_picture_still_comes(
    city: Mosquitto, witness: Callable[..., Gateway]
) -> None:
    """Killed with the alert's change durable and the broker away, the gateway sends the very picture afterwards.

    Given a broker that is away, when the change that names a picture is durable and the process is killed, then the
    next process publishes the alert and after it the picture with that hash.
    """
    gateway = witness()
    city.stop()
    gateway.start()

    def named() -> list[str]:
        return [p["sha256"] for alert in gateway.open_alerts() if alert["rule"] == "seen" for p in alert["evidence"]]

    [sha256] = until(named, 40, "the change that names the picture")
    gateway.kill()
    city.start()
    with Witness(city) as centre:
        gateway.start()
        topic, jpeg = until(lambda: centre.files[0] if centre.files else None, 40, "the picture")
        assert hashlib.sha256(jpeg).hexdigest() == sha256
        assert centre.order.index(topic) > centre.order.index(f"{BASE}/alert/city/extreme/seen")
        assert gateway.stop() == 0


@pytest.mark.timeout(120)
def test_a_full_evidence_disk_costs_the_clip_and_is_said_but_the_picture_goes_out(
    city: Mosquitto, witness: Callable[..., Gateway]
) -> None:
    """A full evidence folder costs the clip and is an alert, but the picture goes out all the same."""
    gateway = witness(clip="1 s")
    (gateway.folder / "state").mkdir()
    (gateway.folder / "state/evidence").write_text("no folder can be made here")
    with Witness(city) as centre:
        gateway.start()
        centre.with_evidence(1, "image/jpeg")
        until(lambda: centre.files, 20, "the picture")
        said = centre.wait(
            lambda one: one.body.get("subject") == "disk/evidence{condition=room}", "the disk's alert"
        ).body
        assert (said["class"], said["severity"]) == ("equipment", "severe")
        until(lambda: gateway.metric("zhiwang_evidence_not_kept_total") >= 2, 30, "the clip to be refused")
        assert gateway.metric("zhiwang_evidence_clips_total") == 0
        assert gateway.stop() == 0


@pytest.mark.timeout(120)
def test_a_camera_without_a_picture_costs_the_picture_alone(
    city: Mosquitto, gateway_of: Callable[[str], Gateway]
) -> None:
    """An alert of a gauge whose camera cannot be opened is raised as ever, and nothing is claimed to be seen."""
    text = CONFIG.format(city=city.url, hold="0 s", clip='"off"', evidence="", camera="", rule=COUNT).replace(
        "  seen: {count: person, in: gate.left, levels: {red: 1}, for: 0 s}",
        "  flood: {threshold: water.level, levels: {red: 1}, picture: gate}",
    )
    gateway = gateway_of(text + "sensors: {water: {mqtt: city, topic: water/up, json: {level: v}}}\n")
    red_yolox(gateway.folder / "model.onnx", classes=80)
    with Witness(city) as centre:
        gateway.start()
        centre.say("water/up", {"v": 2})
        raised = centre.wait(lambda one: one.body.get("rule") == "flood", "the alert").body
        until(lambda: gateway.metric("zhiwang_evidence_missed_total") == 1, 30, "the camera to be given up")
        assert raised["evidence"] == []
        assert centre.files == []
        assert gateway.stop() == 0
