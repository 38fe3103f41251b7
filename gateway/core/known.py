"""Which thing a topic is of: things become known, up to what each route may make, and topics are remembered."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from gateway.core.arrays import grown
from gateway.core.lines import prefix
from gateway.core.things import VERSION, Family, Things, values_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gateway.core.plan import Route
    from gateway.core.state import State, Table
    from gateway.core.things import Thing
    from gateway.events import Message

TOPICS_KEPT = 100_000  # beside one a thing; beyond it the cache is emptied: it holds nothing that is not found again
HEADS_KEPT = 20_000  # things whose prefix is kept as text; those beyond are put together each time
PLAIN = re.compile(r"[\w.:@+-]*[\w.:@+-]")  # what is written in a line as it is
Hit = int | tuple[int, ...]
"""The thing of a topic that one route reads, else the things, of none or of several routes."""


class Known:
    """The things of all routes."""

    def __init__(self, routes: Sequence[Route], state: State, series: Table) -> None:
        self.things = Things()
        state.own("things", self.things, VERSION, {2: self.things.take_over})
        self.present: list[Thing] = []  # those that a route makes now
        self.place = np.full(64, -1, np.int16)  # of each thing's route; −1: none makes it any more
        self._routes = routes
        self._place_of = {route.name: place for place, route in enumerate(routes)}
        self._fields = [tuple(field.name for field in route.decoder.fields) for route in routes]
        self._series = series
        self._first = np.zeros(64, np.int32)  # series of each thing; −1 − its row of `apart`: they do not follow
        self._apart = np.zeros((0, max(map(len, self._fields), default=0)), np.int32)
        self._heads: list[str] = []  # of the first things, as they are written; "" until one is
        self._plain = bytearray()  # of each thing: nothing in its tags must be escaped
        self._templates = [_template(route) for route in routes]
        self._by_topic: dict[str, dict[str, Hit]] = {route.source: {} for route in routes}
        self._topics = 0
        self._made: Counter[str] = Counter()

    def restored(self) -> None:
        """Rebuild what is derived from the stored things. Call once after restoring."""
        for thing in list(self.things.all):
            place = self._place_of.get(thing.route, -1)
            if place >= 0 and self._routes[place].makes(thing.tags):
                fits = thing.fields == self._fields[place]
                self._add(thing if fits else self._fit(thing, place), place)
            else:
                self._add(thing, -1)

    def intern_fixed(self) -> None:
        """Know the things of routes without wildcards before their first message: they can be silent from the start."""
        for place, route in enumerate(self._routes):
            if not {"+", "#"} & set(route.pattern.filter.split("/")):
                self._intern(place, {})

    def roomy(self) -> list[str]:
        """The sensors that may make another thing's series."""
        return [route.name for place, route in enumerate(self._routes) if self._room(place)]

    def cached(self, messages: Sequence[Message]) -> Sequence[Hit | None]:
        """What is remembered of each message's topic."""
        sources = {message.source for message in messages}
        if len(sources) == 1:
            known = self._by_topic.get(sources.pop(), {})
            return list(map(known.get, [message.topic for message in messages]))
        return [self._by_topic.get(message.source, {}).get(message.topic) for message in messages]

    def resolve(self, source: str, topic: str) -> tuple[Hit, list[Route]]:
        """(the things of a topic, the routes that may make no more)."""
        hits, full = list[int](), list["Route"]()
        for place, route in enumerate(self._routes):
            if route.source == source and (tags := route.pattern.match(topic)) is not None:
                thing = self._intern(place, tags)
                if thing is None:
                    full.append(route)
                else:
                    hits.append(thing.index)
        hit = hits[0] if len(hits) == 1 else tuple(hits)
        if not full:  # a refused thing is tried again: the bound may have been raised
            if self._topics >= TOPICS_KEPT + len(self.things):
                for known in self._by_topic.values():
                    known.clear()
                self._topics = 0
            known = self._by_topic.setdefault(source, {})
            self._topics += topic not in known
            known[topic] = hit
        return hit, full

    def heads(self, place: int, thing: NDArray[np.intp]) -> list[str]:
        """The series prefix of each thing of a route, as points begin with it."""
        known, those = self._heads, thing.tolist()
        try:
            return [known[i] or self._head(i) for i in those]
        except IndexError:
            template, plain, things = self._templates[place], self._plain, self.things.all
            return [template % things[i].values if plain[i] else self._head(i) for i in those]

    def series(self, thing: NDArray[np.intp], fields: Sequence[int]) -> NDArray[np.int32]:
        """The series of these fields of each thing: int32[f, r]."""
        first, wanted = self._first[thing], np.array(fields, np.int32)[:, None]
        if not len(self._apart) or not (first < 0).any():
            return first + wanted
        return np.where(first < 0, self._apart[np.minimum(first, -1) * -1 - 1, wanted], first + wanted)

    def _room(self, place: int) -> bool:
        route = self._routes[place]
        return self._made[route.name] + len(self._fields[place]) <= route.sensor.series

    def _intern(self, place: int, found: dict[str, str]) -> Thing | None:
        route, fields = self._routes[place], self._fields[place]
        tags = route.tags(found)
        thing = self.things.find(route.name, tags)
        if thing is not None or not self._room(place):
            return thing
        family = Family(route.name, fields, tuple(name for name, _ in tags))
        n = self._series.n
        self._series.grow(n + len(fields))
        thing = self.things.make(family, values_of(tags), range(n, n + len(fields)))
        self._add(thing, place)
        return thing

    def _fit(self, thing: Thing, place: int) -> Thing:
        """A thing with the fields that its sensor has now; those that it had keep their series."""
        numbers = dict(zip(thing.fields, thing.series, strict=True))
        for field in self._fields[place]:
            if field not in numbers:
                numbers[field] = self._series.n
                self._series.grow(self._series.n + 1)
        return self.things.change(thing, self._fields[place], [numbers[field] for field in self._fields[place]])

    def _add(self, thing: Thing, place: int) -> None:
        """Have what is derived of a thing; `place`: of the route that makes it, so that it can still be heard of."""
        index = thing.index
        self._first, self.place = grown(self._first, index + 1, 0), grown(self.place, index + 1, -1)
        self.place[index] = place
        values = (thing.values,) if isinstance(thing.values, str) else thing.values
        self._plain.append(all(map(PLAIN.fullmatch, values)))
        if index < HEADS_KEPT:
            self._heads.append("")
        if place < 0:
            return
        self._made[thing.route] += len(thing.fields)
        self.present.append(thing)
        if isinstance(thing.numbers, int):
            self._first[index] = thing.numbers
        else:
            self._first[index] = -1 - len(self._apart)
            row = np.zeros((1, self._apart.shape[1]), np.int32)
            row[0, : len(thing.numbers)] = thing.numbers
            self._apart = np.concatenate([self._apart, row])

    def _head(self, index: int) -> str:
        thing = self.things.all[index]
        head = prefix(thing.route, dict(thing.tags))
        if index < HEADS_KEPT:
            self._heads[index] = head
        return head


def _template(route: Route) -> str:
    """The prefix of a route's things, with a %s for each tag's value."""
    tags = dict.fromkeys(route.tag_names, "\0")
    return prefix(route.name, tags).replace("%", "%%").replace("\0", "%s")
