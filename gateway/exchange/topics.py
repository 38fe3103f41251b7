"""Which broker and sensor a topic belongs to, and which topic a thing has: from the configuration's patterns."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from gateway.config.names import listed, nearest
from gateway.config.topics import TopicPattern
from gateway.errors import GatewayError
from gateway.sources.mqtt import Mqtt

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.config.model import Config, Sensor

TOPICS_KEPT = 100_000  # remembered; beyond it they are found again


class Heard(NamedTuple):
    """The source that a topic's messages come from; the sensors that read it, none where nobody does."""

    source: str
    sensors: tuple[str, ...]


class Wanted(NamedTuple):
    """A sensor as an importer sees it."""

    sensor: Sensor
    source: str
    pattern: TopicPattern

    def topic(self, tags: Mapping[str, str]) -> str:
        """The topic of the thing with these tags. Wildcards without a name stand for nothing that is kept.

        Raises ValueError where a tag cannot be a level of a topic.
        """
        levels: list[str] = []
        for level in _unshared(self.pattern.text).split("/"):
            if level.startswith("{"):
                levels.append(_level(level[1:-1], tags[level[1:-1]]))
            elif level != "#":
                levels.append("imported" if level == "+" else level)
        return "/".join(levels)

    def several(self) -> bool:
        """Whether its topic is of more than one thing, none of which is known before it is heard."""
        return not {"+", "#"}.isdisjoint(self.pattern.filter.split("/"))


class Topics:
    """The configuration's topics. `source`: whose messages those are that no sensor reads; and all, where it is given.

    Raises GatewayError where the configuration has no sensor of a broker, or no broker of that name.
    """

    def __init__(self, config: Config, source: str | None = None) -> None:
        self.wanted = {
            sensor.name: Wanted(sensor, sensor.transport.mqtt, TopicPattern.parse(sensor.transport.topic))
            for sensor in config.sensors.values()
            if isinstance(sensor.transport, Mqtt)
        }
        if not self.wanted:
            raise GatewayError("found no sensor that a broker's messages belong to; the configuration needs sensors:")
        if source is not None and source not in config.brokers:
            there = nearest(source, config.brokers) or f"; allowed: {listed(config.brokers)}"
            raise GatewayError(f"--source: found {source!r}{there}")
        self._source = source
        self._known: dict[str, Heard] = {}

    @property
    def sources(self) -> frozenset[str]:
        """The brokers that messages may come from."""
        return frozenset({self._source} if self._source else {one.source for one in self.wanted.values()})

    def heard(self, topic: str) -> Heard:
        """Whose this topic is."""
        found = self._known.get(topic)
        if found is None:
            if len(self._known) >= TOPICS_KEPT:
                self._known.clear()
            found = self._known[topic] = self._find(topic)
        return found

    def named(self, name: str | None, asked: str) -> Wanted:
        """A sensor by its name; without a name the only one. `asked`: how to name it. Raises GatewayError."""
        if name is None:
            if len(self.wanted) == 1:
                return next(iter(self.wanted.values()))
            raise GatewayError(f"found {len(self.wanted)} sensors; {asked}: {listed(self.wanted)}")
        if name not in self.wanted:
            there = nearest(name, self.wanted) or f"; allowed: {listed(self.wanted)}"
            raise GatewayError(f"--sensor: found {name!r}{there}")
        return self.wanted[name]

    def _find(self, topic: str) -> Heard:
        fits = [(name, one) for name, one in self.wanted.items() if one.pattern.match(topic) is not None]
        mine = [(name, one) for name, one in fits if self._source in {None, one.source}]
        source = self._source or (mine[0][1].source if mine else next(iter(self.wanted.values())).source)
        return Heard(source, tuple(name for name, one in mine if one.source == source))


def _level(name: str, value: str) -> str:
    if not value or any(sign in value for sign in "/+#\0"):
        raise ValueError(f"found {value!r} for {name}; a tag is a level of a topic: not empty, without / + and #")
    return value


def _unshared(text: str) -> str:
    return text.split("/", 2)[2] if text.startswith("$share/") else text
