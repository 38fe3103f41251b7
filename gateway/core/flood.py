"""A fair limit for each device: what one sends beyond `at_most` is set aside, so that the others are not starved.

A sensor's time is cut into windows of ten seconds of elapsed time. In each a thing may send what `at_most` allows. What
is beyond it is not decoded: it is counted and dropped, but for the first of a window, which is a dead letter, and an
equipment alert names the thing until it has kept to the limit for a minute.

What waited while nothing could come (an outage, a restart, a door that had stopped) is nobody's flood: where a sensor
was quiet for longer than a window, the next one is as long as that (an hour at most), and allows for that time as well.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

from gateway.config.model import RuleCommon
from gateway.core.lines import subject
from gateway.core.machine import Transition
from gateway.core.readings import lengths_of
from gateway.core.rule import Moment, Subject
from gateway.ports import NO_TIME

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gateway.core.plan import Route
    from gateway.core.state import State
    from gateway.core.things import Thing

WINDOW_NS = 10 * 10**9  # what `at_most` is told for
LONGEST_NS = 3600 * 10**9
CALM_NS = 60 * 10**9  # without a message too many: it has stopped


class Told(msgspec.Struct, frozen=True, array_like=True):
    """A thing that floods: since when (UTC), and when the last message was too many (elapsed)."""

    thing: int
    since_ns: int
    last_ns: int


class Beyond(NamedTuple):
    """Messages that are too many: bool[m]; `first` intp[k]: those that are the first of their thing in a window."""

    rows: NDArray[np.bool_]
    first: NDArray[np.intp]


class Flood:
    """Counts, and speaks of the things that send too much. A slot is a thing's number."""

    name, place, kind, owner = "health", -1, "health", ""
    common = RuleCommon(class_="equipment")
    colours, limits, lows = ("blue",), (0.0,), ()

    def __init__(self, routes: Sequence[Route], things: Sequence[Thing], state: State) -> None:
        """`things`: by number, those that come to be known included."""
        self._routes = routes
        self._things = things
        owner = sha256("/".join(route.name for route in routes).encode()).hexdigest()[:16]
        # heard: when a message came last; most: how many a thing may send in this window
        columns = {
            "window": (np.int32, 0),
            "end": (np.int64, NO_TIME),
            "most": (np.int64, 0),
            "heard": (np.int64, NO_TIME),
        }
        self._windows = state.table("flood/sensors", columns, owner)
        self._windows.grow(len(routes))
        self._counts = state.table("flood/things", {"window": (np.int32, 0), "count": (np.int32, 0)}, owner)
        self._told = state.book("flood/told", Told)
        self._said: list[Transition] = []

    def beyond(
        self,
        place: int,
        thing: NDArray[np.intp],
        n: NDArray[np.int64],
        admitted_ns: NDArray[np.int64],
        elapsed_ns: NDArray[np.int64],
    ) -> Beyond | None:
        """Count the messages of one route, in the order in which they came; None where none is too many."""
        self._counts.grow(len(self._things))
        parts: list[tuple[int, NDArray[np.bool_], NDArray[np.intp]]] = []
        begin = 0
        while begin < len(n):
            end = self._window(place, elapsed_ns, begin)
            part = slice(begin, end)
            over = self._count(place, thing[part])
            if over is not None:
                parts.append((begin, *over))
                rows = begin + np.flatnonzero(over[0])
                self._tell(thing[rows], n[rows], admitted_ns[rows], elapsed_ns[rows])
            begin = end
        if not parts:
            return None
        beyond = np.zeros(len(n), bool)
        for start, rows, _ in parts:
            beyond[start : start + len(rows)] = rows
        return Beyond(beyond, np.concatenate([start + first for start, _, first in parts]))

    def _window(self, place: int, elapsed_ns: NDArray[np.int64], begin: int) -> int:
        """Be in the window of message `begin`; where its messages end."""
        window, now = self._windows.rows[place], int(elapsed_ns[begin])
        if now >= int(window["end"]):
            heard = int(window["heard"])
            quiet = now - heard if heard != NO_TIME and now - heard > WINDOW_NS else 0
            length = max(WINDOW_NS, min(quiet, LONGEST_NS))
            window["window"] += 1
            window["end"] = now + length
            window["most"] = self._routes[place].sensor.at_most * (length + quiet) // WINDOW_NS
        last = int(elapsed_ns[-1])
        end = len(elapsed_ns) if last < window["end"] else int(np.searchsorted(elapsed_ns, window["end"]))
        window["heard"] = elapsed_ns[end - 1]
        self._windows.touch_one(place)
        return end

    def _count(self, place: int, thing: NDArray[np.intp]) -> tuple[NDArray[np.bool_], NDArray[np.intp]] | None:
        """(rows that are too many in this window, the first of each thing)."""
        order = np.argsort(thing, kind="stable")
        mine = thing[order]
        edge = np.ones(len(mine), bool)
        np.not_equal(mine[1:], mine[:-1], out=edge[1:])
        start = np.flatnonzero(edge)
        those, length = mine[start], lengths_of(start, len(mine))
        window, most = self._windows.rows[place]["window"], int(self._windows.rows[place]["most"])
        had = np.where(self._counts["window"][those] == window, self._counts["count"][those], 0).astype(np.int64)
        count = had + length
        self._counts["window"][those] = window
        self._counts["count"][those] = np.minimum(count, np.iinfo(np.int32).max)
        self._counts.touch(those)
        if (count <= most).all():
            return None
        rank = np.empty(len(mine), np.int64)
        rank[order] = np.arange(len(mine)) + np.repeat(had - start, length)
        return rank >= most, np.flatnonzero(rank == most)

    def _tell(
        self,
        thing: NDArray[np.intp],
        n: NDArray[np.int64],
        admitted_ns: NDArray[np.int64],
        elapsed_ns: NDArray[np.int64],
    ) -> None:
        """Note who sent too much, and say so of those of whom it was not said."""
        which, first = np.unique(thing, return_index=True)
        last = len(thing) - 1 - np.unique(thing[::-1], return_index=True)[1]
        for slot, begun, ended in zip(which.tolist(), first.tolist(), last.tolist(), strict=True):
            was, at = self._told.get(str(slot)), int(admitted_ns[begun])
            if was is None:
                self._said.append(Transition(int(n[begun]), slot, "level", 1, at, at, np.nan, at))
            self._told.put(str(slot), Told(slot, was.since_ns if was else at, int(elapsed_ns[ended])))

    def said(self) -> list[Transition]:
        """What is to be said since the last call."""
        said, self._said = self._said, []
        return said

    def subject(self, slot: int) -> Subject:
        """The thing."""
        thing = self._things[slot]
        text = subject(thing.route, (("condition", "flooding"), *thing.tags))
        return Subject(text, thing=thing, severity="minor", detail="flooding")

    def tick(self, moment: Moment) -> list[Transition]:
        """Who has kept to the limit for a minute."""
        if not len(self._told):
            return []
        calm = [told for _, told in self._told.items() if moment.elapsed_ns - told.last_ns >= CALM_NS]
        for told in calm:
            self._told.drop(str(told.thing))
        at = moment.admitted_ns
        return [Transition(moment.n, told.thing, "level", 0, at, told.since_ns, np.nan, at) for told in calm]

    def abandon(self) -> list[str]:
        """Forget things that no sensor makes any more; the subjects that were told of."""
        made = {route.name: route for route in self._routes}
        told = [(key, self._things[one.thing]) for key, one in self._told.items()]
        left = [(k, thing) for k, thing in told if thing.route not in made or not made[thing.route].makes(thing.tags)]
        for key, _ in left:
            self._told.drop(key)
        return [self.subject(thing.index).text for _, thing in left]
