"""What a core is made of: the routes, the rules and the place it speaks for. `app` builds it from the configuration."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

from gateway.config.box import Commands, EvidenceConfig
from gateway.config.model import TIER, Camera, Community, Place, Rule, SensorCommon

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.config.topics import TopicPattern
    from gateway.ports import Decoder


Tags = tuple[tuple[str, str], ...]
"""Sorted by name."""


@dataclass(frozen=True)
class Route:
    """How a sensor's messages are found and read: topics of `source` that match `pattern`, through `decoder`."""

    name: str
    source: str
    pattern: TopicPattern
    sensor: SensorCommon
    decoder: Decoder

    def tags(self, found: Mapping[str, str]) -> Tags:
        """The tags of a thing that the pattern found: the ground is not said."""
        tier = self.sensor.tier
        return tuple(sorted((found if tier == "ground" else {**found, TIER: tier}).items()))

    def makes(self, tags: Tags) -> bool:
        """Whether a thing can have these tags: not if it is from before the topic or the tier was changed."""
        tier = self.sensor.tier
        return tuple([name for name, _ in tags]) == self.tag_names and (tier == "ground" or (TIER, tier) in tags)

    @cached_property
    def tag_names(self) -> tuple[str, ...]:
        """The names of its things' tags, sorted."""
        return tuple(name for name, _ in self.tags(dict.fromkeys(self.pattern.names, "")))

    def field(self, value: str) -> int | None:
        """The place of a value among the decoder's fields."""
        return next((i for i, field in enumerate(self.decoder.fields) if field.name == value), None)


class CameraPlan(NamedTuple):
    """What the rules must know of a camera: its settings, and its model's labels and score limit."""

    name: str
    camera: Camera
    labels: tuple[str, ...]
    score: float
    model_sha: str


class Plan(msgspec.Struct, frozen=True):
    """A gateway as its core sees it. `community` is a topic level: `_` without one.

    `others`: components that speak of their health and are neither a broker of a route nor a camera: `sink/influx`.
    `sightings`: the cameras of which it is told who was seen.
    """

    gateway: str
    timezone: str
    config_sha: str
    community: Community | None
    place: Place | None
    commands: Commands
    routes: tuple[Route, ...]
    cameras: tuple[CameraPlan, ...]
    rules: tuple[Rule, ...]
    others: frozenset[str] = frozenset()
    evidence: EvidenceConfig | Literal["off"] = EvidenceConfig()
    sightings: frozenset[str] = frozenset()

    def components(self) -> frozenset[str]:
        """Every source, camera, sensor and sink that there is."""
        parts = {f"camera/{camera.name}" for camera in self.cameras}
        parts |= {part for route in self.routes for part in (f"sensor/{route.name}", f"source/{route.source}")}
        return self.others | parts
