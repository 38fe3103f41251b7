"""What a configuration asks of the core."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from gateway.app.plan import make_plan
from gateway.config.load import loads
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
