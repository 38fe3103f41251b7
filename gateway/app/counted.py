"""What a camera's zones and lines came to in some time, added up from the minutes that the history has."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from gateway.ports import Counted

if TYPE_CHECKING:
    from gateway.sinks.history import History

MINUTE_NS = 60 * 10**9
MOST = 48  # zones, lines and labels of one camera: more are a table that nobody reads
COUNTS = {"zone": ("entered", "appeared", "left"), "line": ("count",)}
BESIDE = {"zone": ("coverage", "uncertainty", "mean", "most"), "line": ("coverage", "uncertainty")}
_SUBJECT = re.compile(r"zhiwang_(zone|line)\.count\{(.*)\}|zhiwang_(zone|line)\.entered\{(.*)\}")


class _Place(NamedTuple):
    """One zone or line of one label."""

    kind: str
    name: str
    label: str


async def counted(history: History, camera: str, from_ns: int, to_ns: int) -> list[Counted]:
    """By zone, line and label. Raises Unreachable where the history cannot be read."""
    places: dict[_Place, list[tuple[str, str]]] = defaultdict(list)  # (way, the tags as written)
    for last in await history.latest():
        match = _SUBJECT.fullmatch(last.subject)
        if match and last.event_ns >= from_ns - MINUTE_NS:
            kind, written = str(match[1] or match[3]), str(match[2] or match[4])
            tags = {name: value for name, _, value in (pair.partition("=") for pair in written.split(","))}
            if tags.get("camera") == camera and len(places) < MOST:
                place = _Place(kind, tags.get(kind, ""), tags.get("label", ""))
                places[place].append((tags.get("direction", ""), written))
    return [await _of(history, place, ways, from_ns, to_ns) for place, ways in sorted(places.items())]


async def _of(history: History, place: _Place, ways: list[tuple[str, str]], from_ns: int, to_ns: int) -> Counted:
    minutes = max(1, -(-(to_ns - from_ns) // MINUTE_NS))

    async def read(field: str, written: str) -> dict[int, float]:
        subject = f"zhiwang_{place.kind}.{field}{{{written}}}"
        return dict(zip(*await history.chart(subject, from_ns, to_ns, 2 * minutes), strict=True))

    counts, unsure = dict[str, int](), dict[str, int]()
    beside = {field: await read(field, ways[0][1]) for field in BESIDE[place.kind]}
    for way, written in ways:
        for field in COUNTS[place.kind]:
            each = await read(field, written)
            wrong = sum(value * beside["uncertainty"].get(at, 1.0) for at, value in each.items())
            counts[way or field] = round(sum(each.values()))
            unsure[way or field] = math.ceil(round(wrong, 6))
    coverage = sum(beside["coverage"].values()) / minutes
    mean = beside.get("mean", {})
    watched = sum(beside["coverage"].get(at, 0.0) for at in mean)
    weighed = sum(value * beside["coverage"].get(at, 0.0) for at, value in mean.items())
    return Counted(
        kind=f"{place.kind}s",
        name=place.name,
        label=place.label,
        counts=counts,
        unsure=unsure,
        mean=weighed / watched if watched else 0.0,
        most=round(max(beside.get("most", {}).values(), default=0.0)),
        coverage=min(1.0, coverage),
    )
