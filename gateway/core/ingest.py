"""Messages to readings: routes, things and series by number, three times, watermarks (SEMANTICS.md §3, §7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gateway.core.exact import mix
from gateway.core.flood import Flood
from gateway.core.known import Known
from gateway.core.lines import RowWriter
from gateway.core.marks import Claims, Marks
from gateway.core.rule import Moment
from gateway.core.sequence import Numbering
from gateway.events import DeadLetter, Message
from gateway.ports import NO_TIME, Decoded

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gateway.core.plan import Route
    from gateway.core.readings import Readings
    from gateway.core.state import State
    from gateway.core.things import Thing

EARLIEST_NS = 1_577_836_800_000_000_000  # 2020-01-01: before it a stamp is a clock that was never set
RESOLUTION_NS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # splitmix64's step: the same value in two fields is two words


class Batch(NamedTuple):
    """Messages that came one after another, the first as number n0; admitted_ns and elapsed_ns int64[m]."""

    n0: int
    messages: Sequence[Message]
    admitted_ns: NDArray[np.int64]
    elapsed_ns: NDArray[np.int64]

    def moment(self, n: int) -> Moment:
        """The stamps of message number n."""
        place = n - self.n0
        return Moment(n, int(self.admitted_ns[place]), int(self.elapsed_ns[place]), 0)


class Lines(NamedTuple):
    """Line protocol, in order of admission: n int64[k] of each line's message."""

    n: NDArray[np.int64]
    text: list[str]


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
    """What a run of messages came to."""

    readings: Readings
    heard: Heard
    lines: Lines
    dead: list[DeadLetter]


class _Rows(NamedTuple):
    """The decoded rows of one route. `alive` bool[r]: not retained; None where all are."""

    n: NDArray[np.int64]
    admitted: NDArray[np.int64]
    elapsed: NDArray[np.int64]
    thing: NDArray[np.intp]
    alive: NDArray[np.bool_] | None
    decoded: Decoded


class _Came:
    """What a batch has come to so far."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.dead: list[tuple[int, DeadLetter]] = []
        self.lines: list[Lines] = []
        self.heard: list[Heard] = []
        self.claims: list[Claims] = []

    def refuse(self, at: int, where: str, reason: str) -> None:
        """Set a message of the batch aside."""
        message = self.batch.messages[at]
        letter = DeadLetter(int(self.batch.admitted_ns[at]), where, message.topic, reason, message.body)
        self.dead.append((self.batch.n0 + at, letter))


class Ingest:
    """Routes messages, decodes, writes points, and lets through to the rules what its times allow."""

    def __init__(self, routes: Sequence[Route], state: State, counts: Counter[str]) -> None:
        self.routes = routes
        self.counts = counts
        self.refused: list[tuple[int, str]] = []
        columns = {"wm": (np.int64, NO_TIME), "value": (np.float64, np.nan), "tied": (np.int8, 0)}
        self.series = state.table("series", columns)
        self._known = Known(routes, state, self.series)
        self.flood = Flood(routes, self._known.things.all, state)
        self._marks = Marks(self.series, state, counts)
        self._numbering = Numbering(routes, state, counts)
        self._writers = [RowWriter(route.decoder.fields) for route in routes]

    @property
    def things(self) -> Sequence[Thing]:
        """All things that were ever known, by number."""
        return self._known.things.all

    @property
    def present(self) -> Sequence[Thing]:
        """Those that a route makes now."""
        return self._known.present

    def restored(self) -> None:
        """Rebuild what is derived from the stored things. Call once after restoring."""
        self._known.restored()

    def intern_fixed(self) -> None:
        """Know the things of routes without wildcards before their first message: they can be silent from the start."""
        self._known.intern_fixed()

    def roomy(self) -> list[str]:
        """The sensors that may make another thing's series."""
        return self._known.roomy()

    def take(self, batch: Batch) -> Taken:
        """Decode messages, write their points, and give the rules what is accepted and in order."""
        came = _Came(batch)
        at, thing = self._routed(came)
        if len(at):
            places = self._known.place[thing]
            if (places == places[0]).all():
                self._route(int(places[0]), at, thing, came)
            else:
                for place in np.unique(places).tolist():
                    mine = places == place
                    self._route(place, at[mine], thing[mine], came)
        came.dead.sort(key=lambda pair: pair[0])
        letters = [letter for _, letter in came.dead]
        return Taken(self._marks.order(came.claims), _heard(came.heard), _lines(came.lines), letters)

    def _routed(self, came: _Came) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """(place in the batch, thing) of each message that a route reads: one read by two is there twice."""
        messages = came.batch.messages
        found = self._known.cached(messages)
        try:
            thing = np.fromiter(found, np.intp, len(found))
        except TypeError:  # a topic that is new, or that not exactly one route reads
            return self._one_by_one(came, found)
        self.counts["messages"] += len(found)
        return np.arange(len(found)), thing

    def _one_by_one(
        self, came: _Came, found: Sequence[int | tuple[int, ...] | None]
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        at, things = list[int](), list[int]()
        for place, hit in enumerate(found):
            hits, full = hit, ()
            if hits is None:
                message = came.batch.messages[place]
                hits, full = self._known.resolve(message.source, message.topic)
            if isinstance(hits, int):
                hits = (hits,)
            if not hits and not full:
                came.refuse(place, "topics", "no sensor has a topic that matches this one")
                self.counts["unrouted"] += 1
            for route in full:
                reason = f"sensor {route.name} already has its {route.sensor.series} series"
                came.refuse(place, route.name, f"{reason}: raise sensors.{route.name}.series")
                self.refused.append((came.batch.n0 + place, route.name))
                self.counts["refused"] += 1
            self.counts["messages"] += bool(hits)
            at += [place] * len(hits)
            things += hits
        return np.array(at, np.intp), np.array(things, np.intp)

    def _route(self, place: int, at: NDArray[np.intp], thing: NDArray[np.intp], came: _Came) -> None:
        """What a route's messages come to."""
        batch, route = came.batch, self.routes[place]
        beyond = self.flood.beyond(place, thing, batch.n0 + at, batch.admitted_ns[at], batch.elapsed_ns[at])
        if beyond is not None:
            for row in beyond.first.tolist():
                whose = self._known.things.all[int(thing[row])].subject()
                more = "what more came until its next window is counted, not kept"
                came.refuse(int(at[row]), route.name, f"{whose} sent more than at_most: {route.sensor.at_most}; {more}")
            self.counts[f"thing_flooding/{route.name}"] += int(np.count_nonzero(beyond.rows))
            at, thing = at[~beyond.rows], thing[~beyond.rows]
        if not len(at):
            return
        rows = self._decode(place, at, thing, came)
        if len(rows.n):
            self._store(place, rows, came)

    def _decode(self, place: int, at: NDArray[np.intp], thing: NDArray[np.intp], came: _Came) -> _Rows:
        batch, name = came.batch, self.routes[place].name
        messages = batch.messages
        if len(at) != len(messages):
            messages = [messages[i] for i in at.tolist()]
        decoded = self.routes[place].decoder.decode([message.body for message in messages])
        for bad in decoded.bad:
            came.refuse(int(at[bad.message]), name, bad.reason)
        self.counts["undecodable"] += len(decoded.bad)
        whose, numbered = decoded.message, decoded.numbered
        retained = [message.retain for message in messages]
        if numbered is not None:  # what is retained came long ago
            new = ~np.array(retained, bool)[numbered.message]
            self._numbering.take(place, thing[numbered.message[new]], numbered.number[new])
        if any(given := [message.event_ns for message in messages]):
            stamps = np.array([NO_TIME if stamp is None else stamp for stamp in given], np.int64)[whose]
            decoded = decoded._replace(event_ns=np.where(decoded.event_ns == NO_TIME, stamps, decoded.event_ns))
        alive = ~np.array(retained, bool)[whose] if True in retained else None
        at = at[whose]
        return _Rows(batch.n0 + at, batch.admitted_ns[at], batch.elapsed_ns[at], thing[whose], alive, decoded)

    def _store(self, place: int, rows: _Rows, came: _Came) -> None:
        """Judge the rows' times, write their points, and claim for the rules what is believed."""
        claimed, sensor, columns = rows.decoded.event_ns, self.routes[place].sensor, rows.decoded.columns
        oldest = np.maximum(rows.admitted - int(sensor.max_late), EARLIEST_NS)
        sure = (claimed >= oldest) & (claimed <= rows.admitted + int(sensor.max_ahead))
        if sure.all():
            event, believed, untimed, adrift = claimed, None, None, ~sure
        else:
            untimed = claimed == NO_TIME
            late = ~untimed & (claimed >= EARLIEST_NS) & (claimed < oldest)
            adrift = ~(sure | untimed | late)
            # two messages at one stamp stay two
            stamped = rows.admitted + rows.n % 10_000 * 100 + _ordinal(rows.n) % 100
            event, believed = np.where(untimed | adrift, stamped, claimed), sure | untimed
            self.counts["late"] += int(np.count_nonzero(late))
            self.counts["clock_adrift"] += int(np.count_nonzero(adrift))
        at = event
        if sensor.same_time == "distinct" and (within := RESOLUTION_NS[sensor.resolution]) > 1:
            at = event + _hash(columns, within)
            if untimed is not None:
                at = np.where(untimed | adrift, event, at)
        written = self._writers[place].write(self._known.heads(place, rows.thing), columns, at)
        came.lines.append(Lines(rows.n, written))
        heard = Heard(rows.thing, rows.n, rows.admitted, rows.elapsed, adrift)
        came.heard.append(heard if rows.alive is None else _rows_of(heard, rows.alive))
        numeric = [f for f, column in enumerate(columns) if not isinstance(column, list)]
        if numeric:  # all fields at once: of a small cut most of the price is the number of numpy's calls
            values = np.array([columns[f] for f in numeric], np.float64)
            series = self._known.series(rows.thing, numeric)
            came.claims.append(Claims(series, rows.n, event, values, rows.admitted, believed, untimed))


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


def _lines(parts: list[Lines]) -> Lines:
    """The lines of all routes, in order of admission. A row without a value is none."""
    if not parts:
        return Lines(np.zeros(0, np.int64), [])
    lines = parts[0]
    if len(parts) > 1:
        n, text = np.concatenate([part.n for part in parts]), [line for part in parts for line in part.text]
        order = np.argsort(n, kind="stable")
        lines = Lines(n[order], [text[i] for i in order.tolist()])
    if "" in lines.text:
        there = [i for i, line in enumerate(lines.text) if line]
        lines = Lines(lines.n[there], [lines.text[i] for i in there])
    return lines


def _heard(parts: list[Heard]) -> Heard:
    """Signs of life of all routes, in order of admission."""
    if not parts:
        none = np.zeros(0, np.int64)
        return Heard(none.astype(np.intp), none, none, none, none.astype(bool))
    if len(parts) == 1:
        return parts[0]
    order = np.argsort(np.concatenate([part.n for part in parts]), kind="stable")
    together = Heard(
        np.concatenate([part.thing for part in parts]),
        np.concatenate([part.n for part in parts]),
        np.concatenate([part.admitted_ns for part in parts]),
        np.concatenate([part.elapsed_ns for part in parts]),
        np.concatenate([part.adrift for part in parts]),
    )
    return _rows_of(together, order)


def _rows_of(heard: Heard, rows: NDArray[np.bool_] | NDArray[np.intp]) -> Heard:
    return Heard(heard.thing[rows], heard.n[rows], heard.admitted_ns[rows], heard.elapsed_ns[rows], heard.adrift[rows])
