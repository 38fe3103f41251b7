"""`vision:`, what looks at the pictures: what it may say."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.box import VisionConfig
from gateway.config.load import loads
from gateway.errors import ConfigError
from tests.config.kinds import REGISTRY


def test_nothing_said_is_onnxruntime_one_picture_at_a_time() -> None:
    """Given no `vision:`, then its defaults; given some keys, then those."""
    assert loads("gateway: a\n", Path(), REGISTRY).vision == VisionConfig()
    written = "gateway: a\nvision: {engine: openvino, precision: bf16, engines: 3, batch: 4}\n"
    assert loads(written, Path(), REGISTRY).vision == VisionConfig(
        engine="openvino", precision="bf16", engines=3, batch=4
    )


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("{engine: tensorflow}", "vision.engine: found the text 'tensorflow'; "),
        ("{engines: 0}", "vision.engines: found 0; threads that look, 1 to 256"),
        ("{batch: 65}", "vision.batch: found 65; pictures that are looked at together, 1 to 64"),
        ("{precision: bf16}", "vision.precision: found bf16 for the engine auto; only openvino computes in it"),
    ],
)
def test_what_cannot_be_is_refused_in_words(written: str, said: str) -> None:
    """Each slip is named with what was found and what is allowed."""
    with pytest.raises(ConfigError) as caught:
        loads(f"gateway: a\nvision: {written}\n", Path(), REGISTRY)
    [finding] = caught.value.findings
    assert said in finding
