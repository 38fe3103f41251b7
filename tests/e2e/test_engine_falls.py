"""An engine that cannot be used: cameras see through another, an equipment alert says so, the next start ends it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import onnxruntime as ort
import pytest

from tests.servers.gateway import Gateway, until
from tests.vision.conftest import red_yolox, street

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CONFIG = """
gateway: engine-falls
vision: {engine: ENGINE}
cameras:
  gate: {detect: gate.mp4, loop: true, model: model.onnx, rate: 5, motion: off}
rules:
  seen: {count: person, in: gate, levels: {red: 1}}
sinks:
  kept: {file: kept}
"""


def _video(path: Path) -> None:
    """Six seconds of a street with a red block in it."""
    rng = np.random.default_rng(2)
    seen = street(red=(32, 16, 64, 64)).astype(np.int16)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"  # type: ignore[attr-defined] - a video stream
        for _ in range(60):
            noisy = np.clip(seen + rng.integers(-3, 4, (96, 128, 1)), 0, 255).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(noisy, "rgb24")))  # type: ignore[attr-defined] - as above
        container.mux(stream.encode())  # type: ignore[attr-defined] - as above


@pytest.mark.timeout(90)
@pytest.mark.skipif("CUDAExecutionProvider" in ort.get_available_providers(), reason="this box has CUDA")
def test_a_missing_engine_is_an_alert_until_the_next_start(gateway_of: Callable[[str], Gateway]) -> None:
    """Given an engine that is not here, then cameras see and an alert names it; the next start without it clears it."""
    gateway = gateway_of(CONFIG.replace("ENGINE", "cuda"))
    _video(gateway.folder / "gate.mp4")
    red_yolox(gateway.folder / "model.onnx", classes=80)

    def told() -> list[dict[str, Any]]:
        path = gateway.folder / "kept.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def changes(subject: str) -> list[str]:
        return [alert["change"] for alert in told() if alert["subject"] == subject]

    subject = "engine/0{condition=engine}"
    gateway.start()
    until(lambda: changes("gate") and changes(subject), 40, "what the camera sees, and the engine's alert")
    gateway.stop()
    gateway.config.write_text(gateway.config.read_text().replace("cuda", "onnxruntime"))
    gateway.start()
    until(lambda: changes(subject) == ["raised", "cleared"], 40, "the engine's alert to end")
    raised = next(alert for alert in told() if alert["subject"] == subject)
    assert (raised["class"], raised["severity"]) == ("equipment", "moderate")
    assert "an engine cannot be used; another one runs" in raised["text"]["en"]
    assert "推理引擎用不了,已换用另一种" in raised["text"]["zh"]
    assert "has no CUDAExecutionProvider" in raised["text"]["en"]
