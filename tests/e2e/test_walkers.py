"""Walkers of a real video, through a whole gateway: who comes, stays and crosses a line is told once each."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.servers.gateway import Gateway, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CONFIG = """
gateway: walkers
evidence: "off"
cameras:
  square:
    detect: {clip}
    model: {model}
    rate: 5
    zones: {{right: [[0.5, 0], [1, 0], [1, 1], [0.5, 1]]}}
    lines: {{middle: [[0.5, 1], [0.5, 0]]}}
rules:
  came: {{enter: person, in: square.right, appearing: false}}
  stays: {{dwell: person, in: square.right, levels: {{yellow: 3 s}}}}
  over: {{cross: person, over: square.middle, direction: in, levels: {{blue: 1}}}}
sinks:
  kept: {{file: kept}}
"""


@pytest.mark.timeout(120)
def test_who_walks_over_a_line_and_stays_is_told_once_each(gateway_of: Callable[[str], Gateway], shared: Path) -> None:
    """Given people who walk over a square, then each rule has one alert, with its number and words."""
    clip, model = shared / "data/video/pets2009-s2l1.avi", shared / "models/yolox_nano.onnx"
    if not clip.exists() or not model.exists():
        pytest.skip("the clip and the model are not here")
    gateway = gateway_of(CONFIG.format(clip=clip, model=model))
    gateway.start()

    def told() -> list[dict[str, Any]]:
        path = gateway.folder / "kept.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def raised() -> dict[str, dict[str, Any]]:
        return {alert["rule"]: alert for alert in told() if alert["change"] == "raised"}

    until(lambda: {"came", "stays", "over"} <= set(raised()), 90, "people to come, to stay and to cross")
    alerts = raised()
    assert (alerts["stays"]["subject"], alerts["stays"]["unit"]) == ("square.right", "s")
    assert alerts["stays"]["value"] >= 3
    assert (alerts["over"]["subject"], alerts["over"]["value"] >= 1) == ("square.middle", True)
    assert "停留达到" in alerts["stays"]["text"]["zh"]
    assert len({alert["id"] for alert in told() if alert["class"] == "city"}) == 3
