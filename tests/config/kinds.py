"""Small kinds of the tests' own, so that reading a configuration is tested apart from the real ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from gateway.config.common import Secret, Struct
from gateway.config.kinds import Kind, Registry
from gateway.config.scalars import Change, Duration, Over, SeriesRef
from gateway.config.topics import TopicPattern

if TYPE_CHECKING:
    from gateway.config.names import Names, Problems

Colour = Literal["blue", "yellow", "orange", "red"]


class Mqtt(Struct, frozen=True):
    """Payloads that come from a broker."""

    mqtt: str
    topic: TopicPattern
    qos: Annotated[int, msgspec.Meta(ge=0, le=1)] = 1

    def check(self, names: Names) -> Problems:
        """What does not fit the rest."""
        return names.broker("mqtt", self.mqtt)

    def tags(self) -> tuple[str, ...]:
        """Its topic's names."""
        return self.topic.names


class Folder(Struct, frozen=True):
    """Payloads that lie in a folder."""

    folder: str
    poll: Duration = Duration(1_000_000_000)


class Json(Struct, frozen=True):
    """JSON by field paths."""

    json: dict[str, str]

    def values(self) -> tuple[str, ...]:
        """What it takes out."""
        return tuple(name for name in self.json if name not in ("time", "zone", "each"))

    def check(self, names: Names) -> Problems:
        """What does not fit the rest."""
        del names
        return [(f"json.{name}", f"no path: {path!r}") for name, path in self.json.items() if ".." in path]


class Plain(Struct, frozen=True):
    """One number, as text."""

    plain: str

    def values(self) -> tuple[str, ...]:
        """What it takes out."""
        return (self.plain,)


class Threshold(Struct, frozen=True):
    """A value beyond its levels."""

    threshold: SeriesRef
    levels: dict[Colour, float] = msgspec.field(default_factory=dict)
    below: dict[Colour, float] = msgspec.field(default_factory=dict)
    outside: dict[Colour, tuple[float, float]] = msgspec.field(default_factory=dict)
    clear_by: float = 0.0
    over: Over | None = None


class Rate(Struct, frozen=True):
    """A value that changes fast."""

    rate: SeriesRef
    levels: dict[Colour, Change] = msgspec.field(default_factory=dict)
    min_dt: Duration = Duration(0)


class Count(Struct, frozen=True):
    """Things of a kind in a zone."""

    count: str | tuple[str, ...]
    in_: str
    levels: dict[Colour, int]
    score: float | None = None

    def check(self, names: Names) -> Problems:
        """What does not fit the rest."""
        return names.zone("in", self.in_)


class InfluxV2(Struct, frozen=True):
    """InfluxDB 2.x."""

    v2: str
    org: str
    bucket: str
    token: Secret


class MqttOut(Struct, frozen=True):
    """Alerts on a broker."""

    mqtt: str

    def check(self, names: Names) -> Problems:
        """What does not fit the rest."""
        return names.broker("mqtt", self.mqtt)


def _kinds(**structs: type[msgspec.Struct]) -> dict[str, Kind]:
    return {key: Kind(key, struct, struct) for key, struct in structs.items()}


REGISTRY = Registry(
    transports=_kinds(mqtt=Mqtt, folder=Folder),
    codecs=_kinds(json=Json, plain=Plain),
    rules=_kinds(threshold=Threshold, rate=Rate, count=Count),
    sinks=_kinds(v2=InfluxV2, mqtt=MqttOut),
)
