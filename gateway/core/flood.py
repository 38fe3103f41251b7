"""A fair limit for each device: what one sends beyond `at_most` is set aside, so that the others are not starved.

Elapsed time is cut into windows of ten seconds. In each a thing may send what `at_most` allows, and what it has not
sent before, ten minutes' worth at most: what waited while nothing could come (an outage, a restart, a broker's queue)
is nobody's flood. What is beyond is not decoded: it is counted and dropped, but for the first of a window, which is a
dead letter, and an equipment alert names the thing until it has kept to the limit for a minute.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

from gateway.config.model import RuleCommon
from gateway.core.lines import subject
from gateway.core.machine import Transition
from gateway.core.readings import lengths_of, starts_of
from gateway.core.rule import Moment, Subject

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gateway.core.plan import Route
    from gateway.core.state import State
    from gateway.core.things import Thing

WINDOW_NS = 10 * 10**9  # what `at_most` is told for
SAVED = 60  # windows whose allowance a thing may have left; one that is new has them all
NONE, TOLD = 0, -1  # left: nothing, and nothing with the dead letter of this window written
NEW = -2
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
        columns = {"window": (np.int32, 0), "left": (np.int64, NEW)}
        self._left = state.table("flood/left", columns, version=2)
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
        self._left.grow(len(self._things))
        at_most = int(self._routes[place].sensor.at_most)
        parts: list[tuple[int, NDArray[np.bool_], NDArray[np.intp]]] = []
        begin = 0
        while begin < len(n):
            window = int(elapsed_ns[begin]) // WINDOW_NS
            over = (window + 1) * WINDOW_NS
            end = len(n) if elapsed_ns[-1] < over else int(np.searchsorted(elapsed_ns, over))
            found = self._count(thing[begin:end], window, at_most)
            if found is not None:
                parts.append((begin, *found))
                rows = begin + np.flatnonzero(found[0])
                self._tell(thing[rows], n[rows], admitted_ns[rows], elapsed_ns[rows])
            begin = end
        if not parts:
            return None
        beyond = np.zeros(len(n), bool)
        for start, rows, _ in parts:
            beyond[start : start + len(rows)] = rows
        return Beyond(beyond, np.concatenate([start + first for start, _, first in parts]))

    def _count(
        self, thing: NDArray[np.intp], window: int, at_most: int
    ) -> tuple[NDArray[np.bool_], NDArray[np.intp]] | None:
        """(rows that are too many, the first of each thing of which this window had none), all in one window."""
        order = np.argsort(thing, kind="stable")
        mine = thing[order]
        start = starts_of(mine)
        those, length = mine[start], lengths_of(start, len(mine))
        most = SAVED * at_most
        was = self._left["left"][those]
        windows = np.minimum(window - self._left["window"][those], SAVED)  # that begun since it was heard of
        left = np.where(windows > 0, np.minimum(np.maximum(was, NONE) + windows * at_most, most), was)
        left = np.where(was == NEW, most, left)
        self._left["window"][those] = window
        self._left["left"][those] = np.where(length > left, TOLD, left - length)
        self._left.touch(those)
        if (length <= left).all():
            return None
        rank = np.empty(len(mine), np.int64)
        rank[order] = np.arange(len(mine)) - np.repeat(start, length)
        may = np.empty(len(mine), np.int64)
        may[order] = np.repeat(left, length)
        return rank >= may, np.flatnonzero(rank == may)

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
