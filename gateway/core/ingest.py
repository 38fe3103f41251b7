"""Messages to readings: routes, things and series by number, three times, watermarks (SEMANTICS.md §3, §7)."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

from gateway.core.exact import mix
from gateway.core.lines import RowWriter, prefix, subject
from gateway.core.plan import Tags
from gateway.core.readings import Readings, before, grouped
from gateway.events import DeadLetter, Message
from gateway.ports import NO_TIME, Decoded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gateway.core.plan import Route
    from gateway.core.state import State

EARLIEST_NS = 1_577_836_800_000_000_000  # 2020-01-01: before it a stamp is a clock that was never set
RESOLUTION_NS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # splitmix64's step: the same value in two fields is two words
TOPICS_KEPT = 100_000  # the topic cache is emptied beyond this; it holds nothing that cannot be found again


class Thing(msgspec.Struct, frozen=True, array_like=True):
    """A device of a route, by its tags; each of its fields is a series"""

    index: int
    series: tuple[int, ...]
    route: str
    fields: tuple[str, ...]
    tags: Tags

    def series_of(self, field: str) -> int:
        """The series of one of its fields."""
        return self.series[self.fields.index(field)]

    def subject(self, field: str = "") -> str:
        """As alerts name it: `air.pm25{device=0017,site=a}`."""
        name = f"{self.route}.{field}" if field else self.route
        return subject(name, self.tags)


class Arrived(NamedTuple):
    """A message with its stamps."""

    n: int
    admitted_ns: int
    elapsed_ns: int
    message: Message


class Heard(NamedTuple):
    """Signs of life, in order of admission: thing intp[r]; n, admitted_ns and elapsed_ns int64[r].

    `adrift` bool[r]: rows whose clock is not to be believed.
    """

    thing: NDArray[np.intp]
    n: NDArray[np.int64]
    admitted_ns: NDArray[np.int64]
    elapsed_ns: NDArray[np.int64]
    adrift: NDArray[np.bool_]


class Taken(NamedTuple):
    """What a run of messages came to. `lines` are (n, line protocol)."""

    readings: Readings
    heard: Heard
    lines: list[tuple[int, str]]
    dead: list[DeadLetter]


class _Rows(NamedTuple):
    """The decoded rows of one route."""

    n: NDArray[np.int64]
    admitted: NDArray[np.int64]
    elapsed: NDArray[np.int64]
    thing: NDArray[np.intp]
    retained: NDArray[np.bool_]
    decoded: Decoded


class Ingest:
    """Routes messages, interns things, decodes, and lets through to the rules what its times allow."""

    def __init__(self, routes: Sequence[Route], state: State, counts: Counter[str]) -> None:
        self.routes = routes
        self.counts = counts
        self.refused: list[tuple[int, str]] = []
        self.things: list[Thing] = []
        self.present: list[Thing] = []  # those that a route makes now
        self._things = state.book("things", Thing, version=2)
        self._ties = state.book("ties", _Ties)
        columns = {"wm": (np.int64, NO_TIME), "value": (np.float64, np.nan), "tied": (np.int8, 0)}
        self.series = state.table("series", columns)
        self._by_topic: dict[tuple[str, str], tuple[tuple[int, int], ...]] = {}
        self._by_tags: dict[tuple[str, Tags], int] = {}
        self._heads: list[str] = []
        self._numbers = np.zeros((64, max((len(route.decoder.fields) for route in routes), default=0)), np.int32)
        self._made: Counter[str] = Counter()
        self._writers = [RowWriter(route.decoder.fields) for route in routes]

    # ── things ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def restored(self) -> None:
        """Rebuild what is derived from the stored things. Call once after restoring."""
        routes = {route.name: route for route in self.routes}
        for _, thing in self._things.items():  # noqa: PERF102 - a Book gives its items by key, and these in order
            route = routes.get(thing.route)
            made = route is not None and route.makes(thing.tags)
            self._add(self._fit(thing, route) if made and route else thing, present=made)

    def intern_fixed(self) -> None:
        """Know the things of routes without wildcards before their first message: they can be silent from the start."""
        for place, route in enumerate(self.routes):
            if not {"+", "#"} & set(route.pattern.filter.split("/")):
                self._intern(place, {})

    def roomy(self) -> list[str]:
        """The sensors that may make another thing's series."""
        return [
            route.name
            for route in self.routes
            if self._made[route.name] + len(route.decoder.fields) <= route.sensor.series
        ]

    def _intern(self, place: int, tags: dict[str, str]) -> Thing | None:
        route = self.routes[place]
        key = (route.name, route.tags(tags))
        index = self._by_tags.get(key)
        if index is not None:
            return self.things[index]
        if self._made[route.name] + len(route.decoder.fields) > route.sensor.series:
            return None
        thing = self._fit(Thing(len(self.things), (), route.name, (), key[1]), route)
        self._add(thing, present=True)
        return thing

    def _fit(self, thing: Thing, route: Route) -> Thing:
        """A thing with the fields that its sensor has now; those that it had keep their series."""
        fields = tuple(field.name for field in route.decoder.fields)
        if thing.fields == fields:
            return thing
        numbers = dict(zip(thing.fields, thing.series, strict=True))
        for field in fields:
            if field not in numbers:
                numbers[field] = self.series.n
                self.series.grow(self.series.n + 1)
        thing = Thing(thing.index, tuple(numbers[field] for field in fields), thing.route, fields, thing.tags)
        self._things.put(f"{thing.index:09}", thing)
        return thing

    def _add(self, thing: Thing, *, present: bool) -> None:
        """Know a thing; `present`: a route makes it now, so that it can still be heard of."""
        if thing.index == len(self._numbers):
            self._numbers = np.concatenate([self._numbers, np.zeros_like(self._numbers)])
        if present:
            self._made[thing.route] += len(thing.fields)
            self._numbers[thing.index, : len(thing.series)] = thing.series
            self.present.append(thing)
        self._by_tags[thing.route, thing.tags] = thing.index
        self._heads.append(prefix(thing.route, dict(thing.tags)))
        self.things.append(thing)

    def _resolve(self, source: str, topic: str) -> tuple[tuple[int, int], ...]:
        hits: list[tuple[int, int]] = []
        refused = False
        for place, route in enumerate(self.routes):
            if route.source == source and (tags := route.pattern.match(topic)) is not None:
                thing = self._intern(place, tags)
                refused = refused or thing is None
                hits.append((place, -1 if thing is None else thing.index))
        if not refused:  # a refused thing is tried again: the bound may have been raised
            if len(self._by_topic) >= TOPICS_KEPT:
                self._by_topic.clear()
            self._by_topic[source, topic] = tuple(hits)
        return tuple(hits)

    # ── a run of messages ────────────────────────────────────────────────────────────────────────────────────────────

    def take(self, run: Sequence[Arrived]) -> Taken:
        """Decode a run of messages, write their points, and give the rules what is accepted and in order."""
        picked: dict[int, list[tuple[Arrived, int]]] = {}
        dead: list[tuple[int, DeadLetter]] = []
        for arrived in run:
            message = arrived.message
            hits = self._by_topic.get((message.source, message.topic))
            if hits is None:
                hits = self._resolve(message.source, message.topic)
            if not hits:
                dead.append((arrived.n, self._letter(arrived, "topics", "no sensor has a topic that matches this one")))
                self.counts["unrouted"] += 1
            for place, thing in hits:
                if thing < 0:
                    name = self.routes[place].name
                    reason = f"sensor {name} already has its {self.routes[place].sensor.series} series"
                    dead.append((arrived.n, self._letter(arrived, name, f"{reason}: raise sensors.{name}.series")))
                    self.refused.append((arrived.n, name))
                    self.counts["refused"] += 1
                else:
                    picked.setdefault(place, []).append((arrived, thing))
        routed = [arrived.n for chosen in picked.values() for arrived, _ in chosen]
        self.counts["messages"] += len(set(routed) if len(picked) > 1 else routed)  # read by two routes, it is one
        lines: list[tuple[int, str]] = []
        heard: list[Heard] = []
        columns: list[
            tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]
        ] = []
        untimed: list[NDArray[np.bool_]] = []
        for place, chosen in sorted(picked.items()):
            rows = self._decode(place, chosen, dead)
            if len(rows.n):
                self._store(place, rows, lines, heard, columns, untimed)
        if len(picked) > 1:
            lines.sort(key=lambda pair: pair[0])
        dead.sort(key=lambda pair: pair[0])
        return Taken(self._order(columns, untimed), _heard(heard), lines, [letter for _, letter in dead])

    def _letter(self, arrived: Arrived, where: str, reason: str) -> DeadLetter:
        return DeadLetter(arrived.admitted_ns, where, arrived.message.topic, reason, arrived.message.body)

    def _decode(self, place: int, chosen: list[tuple[Arrived, int]], dead: list[tuple[int, DeadLetter]]) -> _Rows:
        decoded = self.routes[place].decoder.decode([arrived.message.body for arrived, _ in chosen])
        for bad in decoded.bad:
            arrived = chosen[bad.message][0]
            dead.append((arrived.n, self._letter(arrived, self.routes[place].name, bad.reason)))
        self.counts["undecodable"] += len(decoded.bad)
        whose = decoded.message
        stamps = np.array([(a.n, a.admitted_ns, a.elapsed_ns, thing) for a, thing in chosen], np.int64).T[:, whose]
        retained = np.array([arrived.message.retain for arrived, _ in chosen], bool)[whose]
        given = np.array([NO_TIME if a.message.event_ns is None else a.message.event_ns for a, _ in chosen], np.int64)
        claimed = np.where(decoded.event_ns == NO_TIME, given[whose], decoded.event_ns)
        rows = decoded._replace(event_ns=claimed)
        return _Rows(stamps[0], stamps[1], stamps[2], stamps[3].astype(np.intp), retained, rows)

    def _store(
        self,
        place: int,
        rows: _Rows,
        lines: list[tuple[int, str]],
        heard: list[Heard],
        columns: list[
            tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]
        ],
        untimed: list[NDArray[np.bool_]],
    ) -> None:
        sensor, claimed = self.routes[place].sensor, rows.decoded.event_ns
        none = claimed == NO_TIME
        late = ~none & (claimed >= EARLIEST_NS) & (claimed < rows.admitted - int(sensor.max_late))
        adrift = ~none & ~late & ((claimed < EARLIEST_NS) | (claimed > rows.admitted + int(sensor.max_ahead)))
        stamped = rows.admitted + rows.n % 10_000 * 100 + _ordinal(rows.n) % 100  # two messages at one stamp stay two
        event = np.where(none | adrift, stamped, claimed)
        self.counts["late"] += int(np.count_nonzero(late))
        self.counts["clock_adrift"] += int(np.count_nonzero(adrift))
        at = event
        if sensor.same_time == "distinct" and (within := RESOLUTION_NS[sensor.resolution]) > 1:
            at = np.where(none | adrift, event, event + _hash(rows.decoded.columns, within))
        heads = self._heads
        written = self._writers[place].write([heads[t] for t in rows.thing.tolist()], rows.decoded.columns, at)
        lines.extend((n, line) for n, line in zip(rows.n.tolist(), written, strict=True) if line)
        alive = ~rows.retained
        heard.append(Heard(rows.thing[alive], rows.n[alive], rows.admitted[alive], rows.elapsed[alive], adrift[alive]))
        numeric = [f for f, column in enumerate(rows.decoded.columns) if not isinstance(column, list)]
        if numeric:  # all fields at once: of a small cut most of the price is the number of numpy's calls
            values = np.array([rows.decoded.columns[f] for f in numeric], np.float64)
            present = ~np.isnan(values)
            self.counts["readings"] += int(np.count_nonzero(present))
            keep = present & ~late & ~adrift
            field, row = np.nonzero(keep)
            series = self._numbers[rows.thing[row], np.array(numeric)[field]]
            columns.append((series, rows.n[row], event[row], values[keep], rows.admitted[row]))
            untimed.append(none[row])

    def _order(
        self,
        columns: list[
            tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]
        ],
        untimed: list[NDArray[np.bool_]],
    ) -> Readings:
        """Sort by series, drop what is late or double against the watermarks, and move them."""
        if not columns:
            empty = np.zeros(0, np.int64)
            return grouped(empty.astype(np.int32), empty, empty, empty.astype(np.float64), empty)
        series, n, event, value, admitted = (np.concatenate(parts) for parts in zip(*columns, strict=True))
        order = np.argsort(series, kind="stable")
        readings = grouped(series[order], n[order], event[order], value[order], admitted[order])
        owners = readings.series[readings.start]
        readings = readings._replace(opening=self.series["value"][owners], opening_ns=self.series["wm"][owners])
        previous = before(readings.event_ns, readings, self.series["wm"][owners])
        doubtful = readings.event_ns <= previous
        if doubtful.any():
            readings = self._sift(readings, np.concatenate(untimed)[order], doubtful)
            owners = readings.series[readings.start]
        if len(owners):
            last = readings.start + readings.length - 1
            self.series["wm"][owners] = readings.event_ns[last]
            self.series["value"][owners] = readings.value[last]
            self.series.touch(owners.astype(np.intp))
            for series in owners[self.series["tied"][owners] > 0].tolist():
                self._untie(series)
        return readings

    def _untie(self, series: int) -> None:
        """Forget what was met at an older watermark."""
        ties = self._ties.get(str(series))
        if ties is not None and ties.event_ns != int(self.series["wm"][series]):
            self._ties.drop(str(series))
            self.series["tied"][series] = 0

    def _sift(self, readings: Readings, untimed: NDArray[np.bool_], doubtful: NDArray[np.bool_]) -> Readings:
        """One by one through the series in which a reading is not later than the one before it."""
        keep, event = np.ones(len(doubtful), bool), readings.event_ns.copy()
        touched = np.logical_or.reduceat(doubtful, readings.start)
        for group in np.flatnonzero(touched).tolist():
            first, last = int(readings.start[group]), int(readings.start[group] + readings.length[group])
            series = int(readings.series[first])
            mark, seen = int(self.series["wm"][series]), [float(self.series["value"][series])]
            ties = self._ties.get(str(series))
            if ties is not None and ties.event_ns == mark:
                seen = list(ties.values)
            for row in range(first, last):
                at, value = int(event[row]), float(readings.value[row])
                if at < mark and not untimed[row]:
                    keep[row] = False
                    self.counts["late"] += 1
                elif at > mark:
                    mark, seen = at, [value]
                elif value not in seen:
                    event[row] = mark
                    seen.append(value)
                elif untimed[row]:
                    event[row] = mark
                else:
                    keep[row] = False
                    self.counts["duplicate"] += 1
            if len(seen) > 1:
                self._ties.put(str(series), _Ties(mark, tuple(seen)))
                self.series["tied"][series] = 1
        return readings._replace(event_ns=event).take(keep)


class _Ties(msgspec.Struct, frozen=True, array_like=True):
    """The values met at a series' watermark, where there were several."""

    event_ns: int
    values: tuple[float, ...]


def _ordinal(n: NDArray[np.int64]) -> NDArray[np.int64]:
    """The place of each row among those of its message; `n` never decreases."""
    rows = np.arange(len(n))
    first = np.ones(len(n), bool)
    first[1:] = n[1:] != n[:-1]
    return rows - np.maximum.accumulate(np.where(first, rows, 0))


def _hash(columns: Sequence[NDArray[np.float64] | list[str | None]], within: int) -> NDArray[np.int64]:
    """A number in [0, within) from each row's values: a repeat lands on the same key, and two readings on two."""
    words = np.empty((len(columns), len(columns[0])), np.uint64)
    for place, column in enumerate(columns):
        if isinstance(column, list):
            words[place] = [int.from_bytes((v or "").encode()[:64], "little") % 2**64 for v in column]
        else:
            words[place] = np.where(np.isnan(column), 0.0, column).view(np.uint64)
    salt = np.arange(1, len(columns) + 1, dtype=np.uint64)[:, None] * GOLDEN
    state = mix(np.bitwise_xor.reduce(mix(words + salt), axis=0))
    return (state % np.uint64(within)).astype(np.int64)


def _heard(parts: list[Heard]) -> Heard:
    """Signs of life of all routes, in order of admission."""
    if not parts:
        none = np.zeros(0, np.int64)
        return Heard(none.astype(np.intp), none, none, none, none.astype(bool))
    if len(parts) == 1:
        return parts[0]
    order = np.argsort(np.concatenate([part.n for part in parts]), kind="stable")
    return Heard(
        np.concatenate([part.thing for part in parts])[order],
        np.concatenate([part.n for part in parts])[order],
        np.concatenate([part.admitted_ns for part in parts])[order],
        np.concatenate([part.elapsed_ns for part in parts])[order],
        np.concatenate([part.adrift for part in parts])[order],
    )
