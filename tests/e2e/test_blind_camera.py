"""A camera that turns black: an equipment alert that ends by itself, and what it had seen before stands meanwhile."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest

from tests.servers.gateway import Gateway, until
from tests.vision.conftest import red_yolox, street

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CONFIG = """
gateway: blind-camera
evidence: "off"
cameras:
  gate: {detect: gate.mp4, model: model.onnx, rate: 5}
rules:
  seen: {count: person, in: gate, levels: {red: 1}, for: 1 s}
sinks:
  kept: {file: kept}
"""
FPS = 10


def _video(path: Path) -> None:
    """Four seconds of a street with a red block in it, eight of black, and the street again."""
    rng = np.random.default_rng(2)
    seen = street(red=(32, 16, 64, 64)).astype(np.int16)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"  # type: ignore[attr-defined] - a video stream
        for number in range(30 * FPS):
            shown = np.zeros_like(seen) if 4 * FPS <= number < 12 * FPS else seen
            noisy = np.clip(shown + rng.integers(-3, 4, (96, 128, 1)), 0, 255).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(noisy, "rgb24")))  # type: ignore[attr-defined] - as above
        container.mux(stream.encode())  # type: ignore[attr-defined] - as above


@pytest.mark.timeout(90)
def test_a_black_camera_is_an_alert_and_ends_no_other(gateway_of: Callable[[str], Gateway]) -> None:
    """A black camera is an alert and ends no other.

    Given an open alert of what a camera sees, when its picture is black for eight seconds, then that raises an
    equipment alert with words and clears it, and the first alert goes on as if nothing had been.
    """
    gateway = gateway_of(CONFIG)
    _video(gateway.folder / "gate.mp4")
    red_yolox(gateway.folder / "model.onnx", classes=80)
    gateway.start()
    black = "camera/gate{condition=black}"

    def told() -> list[dict[str, Any]]:
        path = gateway.folder / "kept.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def changes(subject: str) -> list[str]:
        return [alert["change"] for alert in told() if alert["subject"] == subject]

    until(lambda: changes(black) == ["raised", "cleared"], 40, "the black picture's alert to come and go")
    assert changes("gate") == ["raised"]
    [raised, _] = [alert for alert in told() if alert["subject"] == black]
    assert raised["class"] == "equipment"
    assert "画面全黑" in raised["text"]["zh"]
    assert "the picture is black" in raised["text"]["en"]
    assert "nothing brighter than" in raised["text"]["en"]
