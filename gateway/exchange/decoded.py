"""Messages of a recording to readings: as the core decodes and dates them, route by route, as columns."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gateway.app.plan import make_plan
from gateway.config.load import load, loads
from gateway.core.ingest import EARLIEST_NS
from gateway.errors import ConfigError
from gateway.events import Message
from gateway.exchange.spans import unusable
from gateway.ports import NO_TIME
from gateway.registry import registry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gateway.config.model import SensorCommon
    from gateway.core.plan import Route, Tags
    from gateway.events import Cut
    from gateway.recording.parts import About

TIMES = ("accepted", "late", "untimed", "clock_adrift")
"""How a reading's time was taken, by number: accepted; too old for rules; none stated or not believed: admitted."""
TOPICS_KEPT = 200_000


class Rows(NamedTuple):
    """Readings of one route: columns of equal length r.

    thing int32[r] (index into Decoding.things of the route), time_ns, admitted_ns int64[r], taken int8[r] (index into
    TIMES), columns[f] as in ports.Decoded.
    """

    thing: NDArray[np.int32]
    time_ns: NDArray[np.int64]
    admitted_ns: NDArray[np.int64]
    taken: NDArray[np.int8]
    columns: Sequence[NDArray[np.float64] | list[str | None]]


class Decoding:
    """One configuration's routes. `things[route]`: the tags of each thing, by number; `bad`: payloads refused."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = routes
        self.things: list[list[Tags]] = [[] for _ in routes]
        self.bad = 0
        self.unrouted = 0
        self._numbers: list[dict[Tags, int]] = [{} for _ in routes]
        self._known: dict[tuple[str, str], tuple[tuple[int, int], ...]] = {}

    def rows(self, cut: Cut) -> list[tuple[int, Rows]]:
        """(place of the route, its readings) of a cut's messages. A retained message is a reading, too."""
        bodies: list[list[bytes]] = [[] for _ in self.routes]
        things: list[list[int]] = [[] for _ in self.routes]
        places: list[list[int]] = [[] for _ in self.routes]
        given: list[list[int]] = [[] for _ in self.routes]
        for place, one in enumerate(cut.inputs):
            if type(one) is not Message:
                continue
            hits = self._hits(one.source, one.topic)
            self.unrouted += not hits
            for route, thing in hits:
                bodies[route].append(one.body)
                things[route].append(thing)
                places[route].append(place)
                given[route].append(NO_TIME if one.event_ns is None else one.event_ns)
        return [
            (route, self._decode(route, bodies[route], cut, (things[route], places[route], given[route])))
            for route in range(len(self.routes))
            if bodies[route]
        ]

    def _decode(
        self, route: int, bodies: list[bytes], cut: Cut, columns: tuple[list[int], list[int], list[int]]
    ) -> Rows:
        things, places, given = (np.array(column, np.int64) for column in columns)
        decoded = self.routes[route].decoder.decode(bodies)
        self.bad += len(decoded.bad)
        whose = decoded.message
        claimed = np.where(decoded.event_ns == NO_TIME, given[whose], decoded.event_ns)
        admitted = cut.admitted_ns[places[whose]]
        time_ns, taken = dated(claimed, admitted, self.routes[route].sensor)
        return Rows(things[whose].astype(np.int32), time_ns, admitted, taken, decoded.columns)

    def _hits(self, source: str, topic: str) -> tuple[tuple[int, int], ...]:
        """(place of the route, number of the thing) of each route that reads the topic."""
        known = self._known.get((source, topic))
        if known is None:
            if len(self._known) >= TOPICS_KEPT:
                self._known.clear()
            hits: list[tuple[int, int]] = []
            for place, route in enumerate(self.routes):
                found = route.pattern.match(topic) if route.source == source else None
                if found is not None:
                    hits.append((place, self._number(place, route.tags(found))))
            known = self._known[source, topic] = tuple(hits)
        return known

    def _number(self, place: int, tags: Tags) -> int:
        number = self._numbers[place].setdefault(tags, len(self.things[place]))
        if number == len(self.things[place]):
            self.things[place].append(tags)
        return number


def dated(
    claimed: NDArray[np.int64], admitted: NDArray[np.int64], sensor: SensorCommon
) -> tuple[NDArray[np.int64], NDArray[np.int8]]:
    """(time, index into TIMES) of readings, as core.ingest takes them: SEMANTICS.md §3."""
    oldest = np.maximum(admitted - int(sensor.max_late), EARLIEST_NS)
    sure = (claimed >= oldest) & (claimed <= admitted + int(sensor.max_ahead))
    untimed = claimed == NO_TIME
    late = ~untimed & (claimed >= EARLIEST_NS) & (claimed < oldest)
    taken = np.select([sure, late, untimed], [0, 1, 2], 3).astype(np.int8)
    return np.where(taken >= 2, admitted, claimed), taken


def decoding_of(about: About, config: Path | None) -> Decoding:
    """The routes that a file was recorded with, or those of another configuration.

    Raises RecordingError where the recorded one cannot be used, ConfigError where the other one cannot.
    """
    if config is not None:
        return Decoding(make_plan(load(config, registry()), registry(), {}).routes)
    try:
        recorded = loads(about.config, Path(), registry(), name="recorded.yaml")
    except ConfigError as error:
        raise unusable(about, error) from error
    return Decoding(make_plan(recorded, registry(), {}).routes)
