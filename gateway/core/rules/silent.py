"""`silent` and `adrift`: things that stopped sending, and things whose clock is not to be believed.

Both are about a thing, not a value, and belong to no configured rule: `every:` at the sensor is what silence is
measured by, in elapsed time while the source was up (SEMANTICS.md §4).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from gateway.config.model import RuleCommon
from gateway.core.arrays import grown
from gateway.core.lines import subject
from gateway.core.machine import Transition
from gateway.core.rule import Moment, Subject
from gateway.ports import NO_TIME

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.core.ingest import Heard
    from gateway.core.plan import Route
    from gateway.core.state import State
    from gateway.core.things import Thing
    from gateway.events import Health

DEAF = 2**61  # since when a source can hear that cannot: no deadline that begins then is ever over
MISSED = 3  # readings in a row that may be missing, and the grace after start and reconnect, in multiples of `every`
ADRIFT_NS = 60 * 10**9  # nothing but impossible stamps for so long: a stray one, told twice or not, is only counted


class Up(msgspec.Struct, frozen=True, array_like=True):
    """Whether a source can hear, and since when: elapsed and UTC."""

    up: bool
    elapsed_ns: int
    admitted_ns: int


class Silent:
    """One subject a thing."""

    name, place, kind, owner = "silent", -2, "silent", ""
    common = RuleCommon(class_="equipment")
    colours, limits, lows = ("blue",), (0.0,), ()

    def __init__(self, routes: Sequence[Route], things: Sequence[Thing], state: State) -> None:
        """`things`: by number, those that are not met yet included; a slot is a thing's number."""
        self._routes = {route.name: route for route in routes}
        self._sources = state.book("silent/sources", Up)
        columns = {"elapsed": (np.int64, NO_TIME), "admitted": (np.int64, NO_TIME), "on": (np.int8, 0)}
        self.table = state.table("silent/things", columns)
        self._things, self._met = things, 0
        self._promises: list[Route] = []  # the routes that say how often their things send
        self._promise = np.full(64, -1, np.int16)  # of each thing, among the routes; −1: it promises nothing

    def meet(self, thing: Thing) -> None:
        """Listen for a new thing; one without `every` is never silent."""
        route, slot = self._routes.get(thing.route), thing.index
        self._met = slot + 1
        self.table.grow(self._met)
        self._promise = grown(self._promise, self._met, -1)
        if route is not None and route.sensor.every and route.makes(thing.tags):
            if route not in self._promises:
                self._promises.append(route)
            self._promise[slot] = self._promises.index(route)

    def abandon(self) -> list[str]:
        """Forget the silence of things of which nothing is promised any more; their subjects."""
        count = self._met
        gone = np.flatnonzero((self.table["on"][:count] > 0) & (self._promise[:count] < 0))
        self.table["on"][gone] = 0
        self.table.touch(gone)
        return [self.subject(slot).text for slot in gone.tolist()]

    def subject(self, slot: int) -> Subject:
        """The thing of a slot."""
        thing = self._things[slot]
        return Subject(thing.subject(), thing=thing, severity="minor")

    def restart(self) -> None:
        """No source is known to be up after a start, until it says so."""
        for name, was in self._sources.items():
            self._sources.put(name, Up(up=False, elapsed_ns=was.elapsed_ns, admitted_ns=was.admitted_ns))

    def health(self, health: Health, moment: Moment) -> None:
        """A source says whether it can hear."""
        kind, _, name = health.component.partition("/")
        was = self._sources.get(name)
        if kind == "source" and health.condition == "connected" and (was is None or was.up != health.ok):
            self._sources.put(name, Up(health.ok, moment.elapsed_ns, moment.admitted_ns))

    def heard(self, heard: Heard) -> list[Transition]:
        """Things gave a sign of life."""
        out: list[Transition] = []
        for row in np.flatnonzero(self.table["on"][heard.thing]).tolist():
            slot = int(heard.thing[row])
            if self.table["on"][slot]:
                self.table["on"][slot] = 0
                n, at = int(heard.n[row]), int(heard.admitted_ns[row])
                out.append(Transition(n, slot, "level", 0, at, int(self.table["admitted"][slot]), np.nan, at))
        self.table["elapsed"][heard.thing] = heard.elapsed_ns  # repeated things: the last one stands
        self.table["admitted"][heard.thing] = heard.admitted_ns
        self.table.touch(heard.thing)
        return out

    def tick(self, moment: Moment) -> list[Transition]:
        """Whose time is over."""
        out: list[Transition] = []
        if not self._promises:
            return out
        sources = [self._sources.get(route.source) for route in self._promises]
        since_of = [up.elapsed_ns if up is not None and up.up else DEAF for up in sources]
        # what was heard last too long ago, by route; the last is of things that promise nothing
        latest = [moment.elapsed_ns - MISSED * int(route.sensor.every or 0) for route in self._promises]
        edge = [last if since < last else NO_TIME for since, last in zip(since_of, latest, strict=True)]
        edges = np.array([*edge, NO_TIME], np.int64)
        count = self._met
        over = (self.table["elapsed"][:count] < edges[self._promise[:count]]) & (self.table["on"][:count] == 0)
        for slot in np.flatnonzero(over).tolist():
            self.table["on"][slot] = 1
            self.table.touch_one(slot)
            promise = int(self._promise[slot])
            grace = MISSED * int(self._promises[promise].sensor.every or 0)
            deadline = max(since_of[promise], int(self.table["elapsed"][slot])) + grace
            at = moment.admitted_ns - (moment.elapsed_ns - deadline)
            heard = int(self.table["admitted"][slot])
            started = at - grace if heard == NO_TIME else heard
            out.append(Transition(moment.n, slot, "level", 1, at, started, np.nan, moment.admitted_ns))
        return out


class Adrift:
    """Things that stamp their readings with impossible times: stored at their admitted time, seen by no rule."""

    name, place, kind, owner = "health", -1, "adrift", ""
    common = RuleCommon(class_="equipment")
    colours, limits, lows = ("blue",), (0.0,), ()

    def __init__(self, things: Sequence[Thing], state: State) -> None:
        """`things`: as for `Silent`."""
        columns = {"on": (np.int8, 0), "since": (np.int64, NO_TIME), "elapsed": (np.int64, NO_TIME)}
        self.table = state.table("adrift/things", columns)
        self._things, self._met = things, 0

    def meet(self, thing: Thing) -> None:
        """Watch a new thing's clock."""
        self._met = thing.index + 1
        self.table.grow(self._met)

    def subject(self, slot: int) -> Subject:
        """The thing of a slot."""
        thing = self._things[slot]
        text = subject(thing.route, (("condition", "clock_adrift"), *thing.tags))
        return Subject(text, thing=thing, severity="minor", detail="clock_adrift")

    def heard(self, heard: Heard) -> list[Transition]:
        """Note since when no stamp could be believed."""
        out: list[Transition] = []
        doubtful = heard.adrift | (self.table["since"][heard.thing] != NO_TIME)
        if not doubtful.any():
            return out
        for row in np.flatnonzero(np.isin(heard.thing, heard.thing[doubtful])).tolist():
            slot, at = int(heard.thing[row]), int(heard.admitted_ns[row])
            record = self.table.rows[slot]
            was, since = int(record["on"]), int(record["since"])
            if not heard.adrift[row]:
                record["on"], record["since"], record["elapsed"] = 0, NO_TIME, NO_TIME
            elif since == NO_TIME:
                since = record["since"] = at
                record["elapsed"] = heard.elapsed_ns[row]
            elif heard.elapsed_ns[row] - record["elapsed"] >= ADRIFT_NS:
                record["on"] = 1
            self.table.touch_one(slot)
            if record["on"] != was:
                out.append(Transition(int(heard.n[row]), slot, "level", int(record["on"]), at, since, np.nan, at))
        return out

    def abandon(self, routes: Sequence[Route]) -> list[str]:
        """Forget the clocks of things that no sensor makes any more; the subjects that were told of."""
        made = {route.name: route for route in routes}
        told = [(slot, self._things[slot]) for slot in np.flatnonzero(self.table["on"][: self._met]).tolist()]
        left = [slot for slot, thing in told if thing.route not in made or not made[thing.route].makes(thing.tags)]
        gone = np.array(left, np.intp)
        for column in ("on", "since", "elapsed"):
            self.table[column][gone] = 0 if column == "on" else NO_TIME
        self.table.touch(gone)
        return [self.subject(slot).text for slot in gone.tolist()]
