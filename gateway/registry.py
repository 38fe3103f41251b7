"""Every kind of transport, codec, rule and sink: one line each, and what installed packages add by entry points.

What `build` takes: a codec's (struct, sensor's common keys, timezone) → Decoder; a rule's (Making) → Rule; a sink's
(name, struct, Surroundings) → Built. A transport's routes are gathered by source, so `app` makes those itself.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points
from typing import Any

from gateway.codecs import csv_, json_, plain
from gateway.config.kinds import Kind, Registry
from gateway.core.rules.abandoned import ABANDONED
from gateway.core.rules.count import COUNT
from gateway.core.rules.cross import CROSS
from gateway.core.rules.crowd import CROWD
from gateway.core.rules.dwell import DWELL
from gateway.core.rules.enter import ENTER
from gateway.core.rules.leave import LEAVE
from gateway.core.rules.near_miss import NEAR_MISS
from gateway.core.rules.rate import RATE
from gateway.core.rules.speed import SPEED
from gateway.core.rules.stopped import STOPPED
from gateway.core.rules.threshold import THRESHOLD
from gateway.core.rules.wrong_way import WRONG_WAY
from gateway.sinks.kinds import SINKS
from gateway.sources import mqtt

GROUPS = ("zhiwang.transports", "zhiwang.codecs", "zhiwang.rules", "zhiwang.sinks")


def _no_build(*_: Any) -> None:
    """A transport's routes are gathered by source."""


TRANSPORTS = (Kind("mqtt", mqtt.Mqtt, _no_build),)
CODECS = (
    Kind("json", json_.Json, json_.build),
    Kind("plain", plain.Plain, plain.build),
    Kind("csv", csv_.Csv, csv_.build),
)
SEEN = (ENTER, LEAVE, DWELL, CROWD, CROSS, SPEED, WRONG_WAY, STOPPED, ABANDONED, NEAR_MISS)
RULES = (THRESHOLD, RATE, COUNT, *SEEN)


@cache
def registry() -> Registry:
    """All kinds, by key. An installed kind may not take the key of another."""
    groups: list[dict[str, Kind]] = []
    for own, group in zip((TRANSPORTS, CODECS, RULES, SINKS.values()), GROUPS, strict=True):
        kinds = {kind.key: kind for kind in own}
        for entry in entry_points(group=group):
            kind: Kind = entry.load()
            if kind.key in kinds:
                raise ValueError(f"{entry.value} brings a second kind {kind.key!r} to {group}: uninstall one of them")
            kinds[kind.key] = kind
        groups.append(kinds)
    return Registry(*groups, models=_shipped_models)


def _shipped_models() -> dict[str, tuple[str, ...]]:
    """The labels of each shipped model."""
    from gateway.models import manifest  # noqa: PLC0415 - a ground-only gateway needs none

    read = {name: manifest.read(name) for name in manifest.names()}
    return {name: entry.labels for name, entry in read.items() if isinstance(entry, manifest.Detector)}
