"""What zones and lines came to, minute by minute, and how far that can be believed.

Numbers are what was counted, never scaled up. Beside each stand `coverage`, the share of the minute that the camera
really watched, `rate`, the looks a second in that time, and `uncertainty`: the share of what happened that may have
been missed or counted wrongly,

    uncertainty = 1 − reliable × (1 − MISCOUNTED)

where `reliable` is the share of the minute between looks that were near enough for tracks to hold, or in which nothing
moved. It is a bound on how wrong the counting may be, not on how wrong the detector is: who is never found is in none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from gateway.core.lines import number, point, prefix
from gateway.core.visitors import ENTERED

if TYPE_CHECKING:
    from gateway.core.looks import Look
    from gateway.core.plan import CameraPlan
    from gateway.core.state import State
    from gateway.events import Why

MINUTE_NS = 60 * 10**9
SETTLE_NS = 2 * 10**9  # what ends in a minute may be told this much after it
RELIABLE_NS = 750_000_000
"""Looks farther apart are too few to follow a walker by: measured at 2 looks a second, half a second apart, and half as
much again for what comes late."""
MISCOUNTED = 0.05
"""Share of crossings that are counted wrongly at 2 to 10 looks a second: benchmarks/lines.py on PETS2009-S2L1."""


class ZoneFigures(msgspec.Struct, frozen=True, array_like=True):
    """One zone's minute of one label.

    count_ns: visitors × watched time; there: those who are now; stay_ns: of those who left, `left` many.
    """

    count_ns: int = 0
    most: int = 0
    there: int = 0
    entered: int = 0
    appeared: int = 0
    left: int = 0
    lost: int = 0
    stay_ns: int = 0


class Minute(msgspec.Struct, frozen=True, array_like=True):
    """One camera's minute; zones and lines by name and label, lines' counts (in, out)."""

    minute: int
    watched_ns: int
    reliable_ns: int
    looks: int
    zones: dict[str, dict[str, ZoneFigures]]
    lines: dict[str, dict[str, tuple[int, int]]]


class Minutes:
    """The minutes of one camera, in the book `minutes/<camera>`; several are open where told time lags behind looks."""

    def __init__(self, camera: CameraPlan, state: State) -> None:
        self._camera, self._labels = camera.name, camera.labels
        self._wanted = {name: zone.labels for name in camera.camera.zones if (zone := camera.camera.zone(name))}
        self._names = [*camera.camera.zones], [*camera.camera.lines]
        self._book = state.book(f"minutes/{camera.name}", Minute)
        self._last = state.table(f"minutes/{camera.name}/last", {"watched": (np.int64, -1), "minute": (np.int64, -1)})
        self._last.grow(1)

    def take(self, look: Look) -> None:
        """A look: who came, went and crossed; who was there since the look before, for the time watched since."""
        at, last = look.seen.event_ns // MINUTE_NS, self._last.rows[0]
        before = self._minute(int(last["minute"])) if last["minute"] >= 0 else None
        minute = self._minute(at)
        if before is not None:
            passed = look.watched_ns - int(last["watched"])
            carried = _lengthened(before.zones, passed)
            if before.minute == at:
                minute = msgspec.structs.replace(minute, zones=carried)
            else:
                self._put(msgspec.structs.replace(before, zones=carried))
                minute = msgspec.structs.replace(
                    minute, zones=_carried(carried, minute.zones), lines=_known(before, minute)
                )
        last["watched"], last["minute"] = look.watched_ns, at
        self._last.touch_one(0)
        zones = {name: self._zone(name, minute.zones.get(name, {}), look) for name in self._names[0]}
        lines = {name: self._line(name, minute.lines.get(name, {}), look) for name in self._names[1]}
        self._put(msgspec.structs.replace(minute, looks=minute.looks + 1, zones=zones, lines=lines))

    def looked(self, begin: int, end: int, why: Why) -> None:
        """Time that was covered."""
        if why not in {"analysed", "still"}:
            return
        near = why == "still" or end - begin <= RELIABLE_NS
        while begin < end:
            minute = self._minute(begin // MINUTE_NS)
            until = min(end, (minute.minute + 1) * MINUTE_NS)
            watched, reliable = minute.watched_ns + until - begin, minute.reliable_ns + (until - begin) * near
            self._put(msgspec.structs.replace(minute, watched_ns=watched, reliable_ns=reliable))
            begin = until

    def tick(self, admitted_ns: int) -> list[str]:
        """The points of the minutes that are over."""
        over, last = (admitted_ns - SETTLE_NS) // MINUTE_NS, int(self._last["minute"][0])
        out: list[str] = []
        for key, minute in self._book.items():
            if minute.minute < over:
                out += self._points(minute)
                if minute.minute != last:
                    self._book.drop(key)
                else:  # who is there now is carried on
                    self._go_on(minute, over)
                    self._book.drop(key)
        return out

    def _go_on(self, minute: Minute, over: int) -> None:
        """No look has come since: who was there is carried into the minute that is open."""
        begun = self._minute(over)
        zones = _carried(minute.zones, begun.zones)
        self._put(msgspec.structs.replace(begun, zones=zones, lines=_known(minute, begun)))
        self._last.rows[0]["minute"] = over
        self._last.touch_one(0)

    def _minute(self, minute: int) -> Minute:
        return self._book.get(str(minute)) or Minute(minute, 0, 0, 0, {}, {})

    def _put(self, minute: Minute) -> None:
        self._book.put(str(minute.minute), minute)

    def _zone(self, name: str, before: dict[str, ZoneFigures], look: Look) -> dict[str, ZoneFigures]:
        """A zone's figures with a look."""
        visits, tracks = look.zones[name], look.tracks
        assert tracks is not None  # noqa: S101 - the look of a camera that tracks
        found: dict[str, list[int]] = {label: [0] * 6 for label in (*before, *self._wanted[name])}
        for row in np.flatnonzero(visits.here).tolist():
            tally = self._of(found, int(tracks.label[row]))
            tally[0] += 1
            if visits.new[row]:
                tally[1 if visits.came[row] == ENTERED else 2] += 1
        for label, stay in visits.left:
            tally = self._of(found, label)
            tally[3], tally[5] = tally[3] + 1, tally[5] + stay
        for label, _ in visits.lost:
            self._of(found, label)[4] += 1
        if wanted := self._wanted[name]:
            found = {label: tally for label, tally in found.items() if label in wanted}
        return {label: _added(before.get(label) or ZoneFigures(), tally) for label, tally in found.items()}

    def _line(self, name: str, before: dict[str, tuple[int, int]], look: Look) -> dict[str, tuple[int, int]]:
        out = dict(before)
        for crossing in look.lines[name]:
            label = self._labels[crossing.label]
            in_, outward = out.get(label, (0, 0))
            out[label] = (in_ + (crossing.way > 0), outward + (crossing.way < 0))
        return out

    def _of(self, found: dict[str, list[int]], label: int) -> list[int]:
        return found.setdefault(self._labels[label], [0] * 6)

    def _points(self, minute: Minute) -> list[str]:
        """The lines of a minute that is over."""
        coverage, reliable = minute.watched_ns / MINUTE_NS, minute.reliable_ns / MINUTE_NS
        rate = minute.looks * 1e9 / minute.watched_ns if minute.watched_ns else 0.0
        sure = {
            "coverage": number(round(coverage, 4)),
            "rate": number(round(rate, 3)),
            "uncertainty": number(round(1.0 - reliable * (1.0 - MISCOUNTED), 4)),
        }
        at, out, camera = minute.minute * MINUTE_NS, list[str](), self._camera
        for name, labels in sorted(minute.zones.items()):
            for label, one in sorted(labels.items()):
                head = prefix("zhiwang_zone", {"camera": camera, "zone": name, "label": label})
                out.append(point(head, _written(one, minute.watched_ns) | sure, at))
        for name, ways in sorted(minute.lines.items()):
            for label, both in sorted(ways.items()):
                for way, count in zip(("in", "out"), both, strict=True):
                    tags = {"camera": camera, "line": name, "label": label, "direction": way}
                    out.append(point(prefix("zhiwang_line", tags), {"count": f"{count}i"} | sure, at))
        return out


def _written(one: ZoneFigures, watched_ns: int) -> dict[str, str]:
    """A zone's fields; those of nobody are left out."""
    out = {key: f"{getattr(one, key)}i" for key in ("most", "entered", "appeared", "left", "lost")}
    if watched_ns:
        out["mean"] = number(round(one.count_ns / watched_ns, 4))
    if one.left:
        out["stay"] = number(round(one.stay_ns / 1e9 / one.left, 3))
    return out


def _added(was: ZoneFigures, tally: list[int]) -> ZoneFigures:
    now, entered, appeared, left, lost, stay = tally
    return ZoneFigures(
        was.count_ns,
        max(was.most, now),
        now,
        was.entered + entered,
        was.appeared + appeared,
        was.left + left,
        was.lost + lost,
        was.stay_ns + stay,
    )


def _lengthened(zones: dict[str, dict[str, ZoneFigures]], ns: int) -> dict[str, dict[str, ZoneFigures]]:
    """Those who were there were so for that much longer."""
    return {
        name: {
            label: msgspec.structs.replace(one, count_ns=one.count_ns + one.there * ns) for label, one in labels.items()
        }
        for name, labels in zones.items()
    }


def _carried(
    zones: dict[str, dict[str, ZoneFigures]], open_: dict[str, dict[str, ZoneFigures]]
) -> dict[str, dict[str, ZoneFigures]]:
    """A new minute begins with who is there; labels that were met go on at 0."""
    begun = {
        name: {label: ZoneFigures(most=one.there, there=one.there) for label, one in labels.items()}
        for name, labels in zones.items()
    }
    return {name: labels | open_.get(name, {}) for name, labels in begun.items()}


def _known(before: Minute, minute: Minute) -> dict[str, dict[str, tuple[int, int]]]:
    """Labels that crossed a line before go on at 0."""
    return {name: dict.fromkeys(labels, (0, 0)) | minute.lines.get(name, {}) for name, labels in before.lines.items()}
