"""Time order: what comes a little out of order is put right, what comes far out of it is said."""

from __future__ import annotations

import heapq
from datetime import datetime, time, timedelta
from itertools import count, groupby
from typing import TYPE_CHECKING

from gateway.exchange.given import Given

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import tzinfo

    from gateway.exchange.given import Findings

NS = 1_000_000_000
WINDOW_NS = 10 * NS
"""Several writers of one log are seconds apart at most; what runs back by more is a clock that was set."""
MOST = 100_000  # held back at once: a log of one busy second must not fill the memory
FORWARD = "times run forward: it and what follows were taken to come right after the lines above"


def in_order(
    items: Iterable[tuple[Given, int]],
    where: Callable[[int], str],
    findings: Findings,
    window_ns: int = WINDOW_NS,
) -> Iterator[Given]:
    """The items, each with its line, sorted as far as `window_ns` reaches; `where` writes a line's place.

    What is before something already given is a clock that was set: a recording's time never runs back, so it follows
    what came before, and what comes after it keeps its distance to it, until the file's times are ahead again. It is
    said once a step and counted as `shifted`. One time far ahead of all others moves none of them. Equal times keep
    their order.
    """
    heap: list[tuple[int, int, Given]] = []
    number, newest, given_until, offset = count(), -(2**63), -(2**63), 0
    for item, line in items:
        at_ns = item.admitted_ns
        if at_ns >= given_until:
            offset = 0
        elif at_ns + offset < given_until:
            findings.bad(where(line), f"a time {span((newest - at_ns) / NS)} before one above it", FORWARD)
            offset = newest - at_ns
        if offset:
            findings.counts["shifted"] += 1
            at_ns += offset
        newest = max(newest, at_ns)
        heapq.heappush(heap, (at_ns, next(number), item))
        while heap and (heap[0][0] <= newest - window_ns or len(heap) > MOST):
            given_until, _, first = heapq.heappop(heap)
            yield Given(given_until, first.input)
    while heap:
        at_ns, _, first = heapq.heappop(heap)
        yield Given(at_ns, first.input)


def merged(streams: Iterable[Iterator[Given]]) -> Iterator[Given]:
    """Several streams that are each in order, as one; of equal times the earlier stream's goes first."""
    return heapq.merge(*streams, key=lambda given: given.admitted_ns)


def by_day(given: Iterable[Given], zone: tzinfo) -> Iterator[tuple[str, Iterator[Given]]]:
    """The parts of each day of a zone, with its date; each part is to be taken whole before the next."""
    until_ns, date = -(2**63), ""

    def day_of(one: Given) -> str:
        nonlocal until_ns, date
        if one.admitted_ns >= until_ns:
            moment = datetime.fromtimestamp(one.admitted_ns // NS, zone)
            date = moment.date().isoformat()
            midnight = datetime.combine(moment.date() + timedelta(days=1), time(), zone)
            until_ns = round(midnight.timestamp()) * NS
        return date

    return groupby(given, day_of)


def within(given: Iterable[Given], from_ns: int | None, to_ns: int | None) -> Iterator[Given]:
    """Those of [from_ns, to_ns)."""
    for one in given:
        if to_ns is not None and one.admitted_ns >= to_ns:
            return
        if from_ns is None or one.admitted_ns >= from_ns:
            yield one


def span(seconds: float) -> str:
    """A length of time for people: `3.0 h`, `12.5 s`."""
    for name, unit in (("d", 86_400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.1f} {name}"
    return f"{seconds:.3g} s"
