"""Devices by number: which there are, and where the state of their fields is. There may be hundreds of thousands.

A thing is kept as little as it can be: what those of one route share is said once, its fields are series that follow
one another, and of its tags only the values are its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from gateway.core.lines import subject
from gateway.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.core.plan import Tags

VERSION = 3
Values = str | tuple[str, ...]
"""Of a thing's tags, in the order of their names; of a single one the value itself."""
Numbers = int | tuple[int, ...]
"""The series of a thing's fields: the first one where they follow one another, else all of them."""


class Family(msgspec.Struct, frozen=True, array_like=True):
    """What things have in common. `names`: of their tags, sorted."""

    route: str
    fields: tuple[str, ...]
    names: tuple[str, ...]


class Thing(msgspec.Struct, frozen=True, gc=False):
    """A device of a route, by its tags; each of its fields is a series."""

    index: int
    numbers: Numbers
    family: Family
    values: Values

    @property
    def route(self) -> str:
        """The name of its route."""
        return self.family.route

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of its fields."""
        return self.family.fields

    @property
    def tags(self) -> Tags:
        """Its tags, by name."""
        names, values = self.family.names, self.values
        return ((names[0], values),) if isinstance(values, str) else tuple(zip(names, values, strict=True))

    @property
    def series(self) -> Sequence[int]:
        """The series of its fields."""
        if isinstance(self.numbers, int):
            return range(self.numbers, self.numbers + len(self.family.fields))
        return self.numbers

    def series_of(self, field: str) -> int:
        """The series of one of its fields."""
        place = self.family.fields.index(field)
        return self.numbers + place if isinstance(self.numbers, int) else self.numbers[place]

    def subject(self, field: str = "") -> str:
        """As alerts name it: `air.pm25{device=0017,site=a}`."""
        name = f"{self.route}.{field}" if field else self.route
        return subject(name, self.tags)


class Before(msgspec.Struct, frozen=True, array_like=True):
    """A thing as version 2 stored it."""

    index: int
    series: tuple[int, ...]
    route: str
    fields: tuple[str, ...]
    tags: tuple[tuple[str, str], ...]


def values_of(tags: Tags) -> Values:
    """The values of tags that are in the order of their names."""
    return tags[0][1] if len(tags) == 1 else tuple(value for _, value in tags)


class Things:
    """Every thing that was ever known, a part of the state. `all[i].index == i`."""

    def __init__(self) -> None:
        self.all: list[Thing] = []
        self._families: list[Family] = []
        self._family_of: dict[Family, int] = {}
        self._by: dict[tuple[str, tuple[str, ...]], dict[Values, Thing]] = {}
        self._changed: set[int] = set()  # of those that were told
        self._told = self._told_families = 0

    def __len__(self) -> int:
        return len(self.all)

    def find(self, route: str, tags: Tags) -> Thing | None:
        """The thing with these tags."""
        known = self._by.get((route, tuple(name for name, _ in tags)))
        return known.get(values_of(tags)) if known else None

    def make(self, family: Family, values: Values, numbers: Sequence[int]) -> Thing:
        """Know a new thing."""
        return self._put(len(self.all), family, values, numbers)

    def change(self, thing: Thing, fields: tuple[str, ...], numbers: Sequence[int]) -> Thing:
        """Give a thing other fields."""
        if thing.index < self._told:
            self._changed.add(thing.index)
        return self._put(thing.index, Family(thing.route, fields, thing.family.names), thing.values, numbers)

    def _put(self, index: int, family: Family, values: Values, numbers: Sequence[int]) -> Thing:
        """Set thing `index`, at most one more than there are."""
        family = self._families[self._family(family)]
        first = numbers[0] if numbers else 0
        follow = tuple(numbers) == tuple(range(first, first + len(numbers)))
        thing = Thing(index, first if follow else tuple(numbers), family, values)
        self._set(thing)
        return thing

    def _set(self, thing: Thing) -> None:
        if thing.index == len(self.all):
            self.all.append(thing)
        else:
            self.all[thing.index] = thing
        self._by.setdefault((thing.route, thing.family.names), {})[thing.values] = thing

    def _family(self, family: Family) -> int:
        place = self._family_of.get(family)
        if place is None:
            place = self._family_of[family] = len(self._families)
            self._families.append(family)
        return place

    # ── as a part of the state ───────────────────────────────────────────────────────────────────────────────────────

    def delta(self) -> list[Any] | None:
        """The things that are new or changed since the last call."""
        if not self._changed and self._told == len(self.all):
            return None
        index = [*sorted(self._changed), *range(self._told, len(self.all))]
        told = self._stored(index, self._told_families)
        self._changed.clear()
        self._told, self._told_families = len(self.all), len(self._families)
        return told

    def whole(self) -> list[Any]:
        """All of them."""
        return self._stored(range(len(self.all)), 0)

    def _stored(self, index: Sequence[int], since: int) -> list[Any]:
        """[first new family, families, numbers int32, families uint16, first series int32, values, series apart]."""
        some = [self.all[i] for i in index]
        apart = [thing for thing in some if not isinstance(thing.numbers, int)]
        return [
            since,
            self._families[since:],
            np.array(index, np.int32).tobytes(),
            np.array([self._family_of[thing.family] for thing in some], np.uint16).tobytes(),
            np.array([thing.numbers if isinstance(thing.numbers, int) else -1 for thing in some], np.int32).tobytes(),
            [thing.values for thing in some],
            [[thing.index, thing.numbers] for thing in apart],
        ]

    def apply(self, delta: list[Any]) -> None:
        """Take back what was told."""
        for family in msgspec.convert(delta[1], list[Family])[max(0, len(self._families) - int(delta[0])) :]:
            self._family(family)
        index, family, first = (
            np.frombuffer(delta[at], dtype).tolist() for at, dtype in ((2, np.int32), (3, np.uint16), (4, np.int32))
        )
        apart = dict(delta[6])
        for i, f, number, values in zip(index, family, first, delta[5], strict=True):
            own = values if isinstance(values, str) else tuple(values)
            self._set(Thing(i, number if number >= 0 else tuple(apart[i]), self._families[f], own))
        self._told, self._told_families = len(self.all), len(self._families)

    def take_over(self, delta: list[Any]) -> None:
        """Take back what version 2 told: a book of records by their number."""
        for _, body in delta:
            old = msgspec.msgpack.decode(body, type=Before)
            family = Family(old.route, old.fields, tuple(name for name, _ in old.tags))
            self._put(old.index, family, values_of(old.tags), old.series)
        self._told, self._told_families = len(self.all), len(self._families)

    def void(self) -> None:
        """Know nothing, and nothing is to be told of it."""
        self.all.clear()
        self._families.clear()
        self._family_of.clear()
        self._by.clear()
        self._changed.clear()
        self._told = self._told_families = 0

    def clear(self) -> None:
        """Nobody does: the numbers of series outlive every rule."""
        raise StateError("things are never forgotten")
