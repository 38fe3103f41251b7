"""Cameras and models that cannot be used: each is told once, as an equipment alert; the others look on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import av
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.e2e.centre import Peer
from tests.servers.gateway import Gateway, until
from tests.vision.conftest import red_yolox, street
from tests.vision.graphs import known

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.servers.mosquitto import Mosquitto

CONFIG = """
gateway: bad-cameras
brokers: {{here: {{url: "{broker}"}}}}
sensors: {{tank: {{mqtt: here, topic: "tank/{{name}}", plain: level}}}}
cameras:
  good: {{detect: good.mp4, model: model.onnx, loop: true, rate: 5}}
  cut: {{detect: cut.mp4, model: model.onnx}}
  torn: {{detect: torn.ts, model: model.onnx, loop: true}}
  noise: {{detect: noise.mp4, model: model.onnx}}
  absent: {{detect: absent.mp4, model: model.onnx}}
  text-model: {{detect: good.mp4, model: text.onnx, loop: true}}
  shape-model: {{detect: good.mp4, model: shape.onnx, loop: true}}
  no-model: {{detect: good.mp4, model: nowhere.onnx, loop: true}}
  nan-model: {{detect: good.mp4, model: nan.onnx, loop: true}}
  many-boxes: {{detect: good.mp4, model: many.onnx, loop: true}}
rules:
  full: {{threshold: tank.level, levels: {{red: 9}}}}
  seen: {{count: person, in: good, levels: {{red: 1}}}}
  unseen: {{count: person, in: text-model, levels: {{red: 1}}}}
"""
TOLD = {
    "cut": "connected",
    "noise": "connected",
    "absent": "connected",
    "text-model": "model",
    "shape-model": "model",
    "no-model": "model",
}


def _video(path: Path) -> None:
    """Two seconds of a grey street with a red block in it, and a sensor's noise: without, it would be one picture."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"  # type: ignore[attr-defined] - a video stream
        picture = street(red=(32, 16, 64, 64))
        rng = np.random.default_rng(1)
        for _ in range(20):
            noisy = np.where(picture < 250, picture + rng.integers(0, 6, (96, 128, 1), np.uint8), picture)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(noisy, "rgb24")))  # type: ignore[attr-defined] - as above
        container.mux(stream.encode())  # type: ignore[attr-defined] - as above


def _material(folder: Path) -> None:
    for name in ("good.mp4", "whole.ts"):
        _video(folder / name)
    whole = (folder / "good.mp4").read_bytes()
    (folder / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    torn = bytearray((folder / "whole.ts").read_bytes())
    torn[len(torn) // 3 : len(torn) // 3 + 400] = b"\xa5" * 400
    (folder / "torn.ts").write_bytes(torn[: len(torn) * 9 // 10])
    (folder / "noise.mp4").write_bytes(b"no video at all " * 1000)
    red_yolox(folder / "model.onnx", classes=80)
    known(folder / "nan.onnx", {"output": np.full((1, 126, 85), np.nan, np.float32)})
    certain = np.full((1, 10_000, 80), -9, np.float32)
    certain[..., 0] = 9
    boxes = np.full((1, 10_000, 4), 0.5, np.float32)
    known(folder / "many.onnx", {"logits": certain, "pred_boxes": boxes})
    (folder / "text.onnx").write_text("a model, honestly\n")
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 7])
    output = helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 7])
    graph = helper.make_graph([helper.make_node("Identity", ["images"], ["output"])], "other", [images], [output])
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), folder / "shape.onnx"
    )


def _is_of_nan(alert: dict[str, Any]) -> bool:
    """Whichever engine looked first says it."""
    engine = alert["subject"].startswith("engine/") and alert["subject"].endswith("{condition=model}")
    return engine and "NaN" in alert["text"]["en"] and alert["class"] == "equipment"


def _analysed(gateway: Gateway, camera: str) -> float:
    lines = gateway.get("/metrics")[1].splitlines()
    found = [line for line in lines if line.startswith("zhiwang_camera_analysed_total") and f'"{camera}"' in line]
    return float(found[0].rsplit(" ", 1)[1]) if found else 0.0


@pytest.mark.timeout(120)
def test_unusable_cameras_and_models_are_told_and_the_others_look_on(
    own_mosquitto: Mosquitto, gateway_of: Callable[[str], Gateway]
) -> None:
    """Given eight that are broken each in its way, then seven alerts say how; a good camera and a sensor raise theirs.

    What a model computes is known to the engine, whose alert names the model. One that finds 10,000 boxes in every
    picture holds nobody up.
    """
    gateway = gateway_of(CONFIG.format(broker=own_mosquitto.url))
    _material(gateway.folder)
    gateway.start()
    broken = {f"camera/{name}{{condition={condition}}}" for name, condition in TOLD.items()}

    def told() -> set[str]:
        return {alert["subject"] for alert in gateway.open_alerts()} & broken

    until(lambda: told() == broken, 30, f"an alert for each of {broken}; there are {told()}")
    alerts = {alert["subject"]: alert for alert in gateway.open_alerts()}
    until(lambda: any(_is_of_nan(alert) for alert in gateway.open_alerts()), 30, "the model whose outputs are NaN")
    assert {alerts[subject]["class"] for subject in broken} == {"equipment"}
    assert "text.onnx" in alerts["camera/text-model{condition=model}"]["text"]["en"]
    assert "absent.mp4" in alerts["camera/absent{condition=connected}"]["text"]["en"]
    log = gateway.log.read_text()
    for name, condition in TOLD.items():
        assert log.count(f"component=camera/{name} condition={condition}") == 1, name
    assert "Traceback" not in log
    until(lambda: any(alert["rule"] == "seen" for alert in gateway.open_alerts()), 20, "what the good camera sees")
    until(lambda: _analysed(gateway, "torn") > 2, 20, "the torn video's sound part")
    until(lambda: _analysed(gateway, "many-boxes") > 2, 20, "what has 10,000 boxes")
    assert _analysed(gateway, "nan-model") == 0
    before = _analysed(gateway, "good")
    until(lambda: _analysed(gateway, "good") > before + 3, 20, "the good camera to look on")
    with Peer(own_mosquitto, "tanks") as tanks:
        tanks.say("tank/a", "9.5")
        until(lambda: any(alert["rule"] == "full" for alert in gateway.open_alerts()), 20, "the sensor's alert")
    assert gateway.get("/readyz")[0] == 200
    assert gateway.stop(10) == 0
