"""From a configuration to what the core is made of, and the models its cameras need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

from gateway.config.topics import TopicPattern
from gateway.core.plan import CameraPlan, Plan, Route
from gateway.core.sightings import WantsSightings
from gateway.errors import ModelError
from gateway.events import Health
from gateway.sources.mqtt import Mqtt

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.config.kinds import Registry
    from gateway.config.manifest import Manifest
    from gateway.config.model import Camera, Config


OWN = ("source/ticks", "source/local", "source/vision", "sink/history", "sink/evidence", "disk/evidence")
"""What speaks of its health without standing in the configuration."""


class Model(Protocol):
    """What the core has to know of a camera's model: a manifest's, or as a recording keeps it."""

    @property
    def labels(self) -> tuple[str, ...]:
        """By index, as detections refer to them."""
        ...

    @property
    def score(self) -> float:
        """From which on a detection counts, where the rule does not say."""
        ...

    @property
    def sha256(self) -> str:
        """Of the weights."""
        ...


def make_plan(config: Config, registry: Registry, models: Mapping[str, Model]) -> Plan:
    """The core's plan; `models` by camera."""
    routes: list[Route] = []
    for sensor in config.sensors.values():
        decoder = registry.codecs[sensor.codec_key].build(sensor.codec, sensor.common, config.timezone)
        if isinstance(sensor.transport, Mqtt):
            pattern = TopicPattern.parse(sensor.transport.topic)
            routes.append(Route(sensor.name, sensor.transport.mqtt, pattern, sensor.common, decoder))
    wanted = [sink.kind.sightings() for sink in config.sinks.values() if isinstance(sink.kind, WantsSightings)]
    told = frozenset(name for cameras in wanted for name in cameras or config.cameras)
    cameras = tuple(
        CameraPlan(name, _tracking(camera) if name in told else camera, model.labels, model.score, model.sha256)
        for name, camera in config.cameras.items()
        if (model := models.get(name))
    )
    known = {camera.name for camera in cameras}
    recorder = () if config.recording == "off" else ("recorder/ring",)
    rules = tuple(rule for rule in config.rules.values() if _camera_of(rule.kind) in {*known, None})
    return Plan(
        gateway=config.gateway,
        timezone=config.timezone,
        config_sha=config.sha,
        community=config.community,
        place=config.place,
        commands=config.commands,
        routes=tuple(routes),
        cameras=cameras,
        rules=rules,
        evidence=config.evidence,
        sightings=told,
        others=frozenset({*OWN, *recorder, *(f"sink/{name}" for name in config.sinks)}),
    )


def _tracking(camera: Camera) -> Camera:
    """A camera that tracks also where no rule wants it."""
    return msgspec.structs.replace(camera, tracks=True)


def _camera_of(kind: object) -> str | None:
    """The camera that a rule looks through, if it does."""
    where = getattr(kind, "in_", None)
    return where.split(".")[0] if isinstance(where, str) else None


def find_models(config: Config) -> tuple[dict[str, Manifest], list[Health]]:
    """The manifest of each camera's model, and what to say of those that cannot be had: their cameras stay blind."""
    if not config.cameras:
        return {}, []
    from gateway import models  # noqa: PLC0415 - a ground-only gateway needs none
    from gateway.vision.detector import manifest_of  # noqa: PLC0415 - as above

    found: dict[str, Manifest] = {}
    notices: list[Health] = []
    for name, camera in config.cameras.items():
        wanted = camera.model or config.model
        try:
            path = config.base / wanted
            found[name] = models.beside(path) or manifest_of(path) if wanted.endswith(".onnx") else models.find(wanted)
        except ModelError as error:
            notices.append(Health(f"camera/{name}", "model", ok=False, detail=str(error)))
        else:
            notices.append(Health(f"camera/{name}", "model", ok=True))
    return found, notices
