"""What a configuration asks of the core."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from gateway.app.plan import make_plan
from gateway.config.load import loads
from gateway.errors import ConfigError
from gateway.registry import registry

CONFIG = """
gateway: lg-1
brokers: {city: {url: "mqtt://127.0.0.1:1"}}
cameras: {street: {detect: street.mp4}, yard: {detect: yard.mp4}}
sinks: {seen: {frigate: city%s}}
"""
KNOWN = registry()


class Model(NamedTuple):
    """What the core has to know of a model."""

    labels: tuple[str, ...] = ("person",)
    score: float = 0.4
    sha256: str = "5ba1"


def wanted(more: str) -> tuple[frozenset[str], list[str]]:
    """The cameras whose sightings are told, and those that track."""
    plan = make_plan(loads(CONFIG % more, Path("/"), KNOWN), KNOWN, {"street": Model(), "yard": Model()})
    return plan.sightings, [camera.name for camera in plan.cameras if camera.camera.tracks]


def test_a_sink_for_sightings_makes_its_cameras_track() -> None:
    """Given a sink without cameras, then all are told; given one camera, then that one alone pays for it."""
    assert wanted("") == ({"street", "yard"}, ["street", "yard"])
    assert wanted(", cameras: [street]") == ({"street"}, ["street"])


def test_slips_of_such_a_sink_are_told() -> None:
    """Given a broker and a camera that are not there, and wildcards, then each is said with what is near."""
    with pytest.raises(ConfigError) as told:
        loads(CONFIG.replace("frigate: city", "frigate: citty") % ", cameras: [yrd], prefix: a/+", Path("/"), KNOWN)
    said = "\n".join(told.value.findings)
    assert "sinks.seen.prefix: found 'a/+'" in said
    with pytest.raises(ConfigError) as told:
        loads(CONFIG.replace("frigate: city", "frigate: citty") % ", cameras: [yrd]", Path("/"), KNOWN)
    said = "\n".join(told.value.findings)
    assert "no broker citty; did you mean city?" in said
    assert "no camera yrd; did you mean yard?" in said
