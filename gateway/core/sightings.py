"""Who is seen by a camera, from beginning to end, as requests `track` for sinks that tell it on (Frigate's events).

    Look ─▶ believed visitors ─▶ new, update, end ─▶ RequestRow `track`: as it was told before, as it is, and the counts

Told are: a visitor once it is believed; a change of its zones or of whether it stands, a clearly better look, and every
ten seconds that it is there, at most once a second each and MOST a second a camera; its end, when it was not seen for
five seconds of the camera's time, or the camera for thirty seconds. Cameras of which nobody wants it pay nothing.
"""

from __future__ import annotations

from collections import Counter
from hashlib import sha256
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

import msgspec
import numpy as np

from gateway.config.scalars import NS
from gateway.core.rules.making import fingerprint
from gateway.events import RequestRow

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.core.looks import Look, Tracks
    from gateway.core.plan import CameraPlan, Plan
    from gateway.core.rule import Moment
    from gateway.core.state import State

KIND = "track"
LOST_NS = 5 * NS  # by the frames' own time
BLIND_NS = 30 * NS  # by elapsed time: nobody is seen by a camera that shows nothing
STILL, STILL_NS = 0.25, 10 * NS
"""Who moved less than a quarter of its height in ten seconds stands."""
SOON_NS, LATE_NS = NS, 10 * NS
BETTER = 0.05
MOST = 20
EXPIRES_NS = 3600 * NS
CLOCK = {"elapsed": (np.int64, 0), "looks": (np.int64, 0), "second": (np.int64, 0), "told": (np.int32, 0)}


@runtime_checkable
class WantsSightings(Protocol):
    """A sink kind's struct whose sink tells sightings on."""

    def sightings(self) -> tuple[str, ...]:
        """The cameras; none: all."""
        ...


class Seen(msgspec.Struct, frozen=True):
    """A visitor as it is told. Times are UTC ns; box px of a picture of `size`; motionless: looks since it moved."""

    id: str
    camera: str
    label: str
    start_ns: int
    frame_ns: int
    end_ns: int | None
    score: float
    top_score: float
    box: tuple[int, int, int, int]
    size: tuple[int, int]
    zones: tuple[str, ...]
    entered: tuple[str, ...]
    stationary: bool
    motionless: int
    moves: int


class Told(msgspec.Struct, frozen=True):
    """The body of a request `track`. Counts: by camera or zone, then label, those of `after` also where they are 0."""

    type: Literal["new", "update", "end"]
    before: Seen | None
    after: Seen
    cameras: dict[str, dict[str, int]]
    zones: dict[str, dict[str, int]]
    active: dict[str, dict[str, int]]


class Sightings:
    """The sightings of all cameras that are wanted."""

    def __init__(self, plan: Plan, state: State) -> None:
        self._eyes = {c.name: _Eye(c, state) for c in plan.cameras if c.name in plan.sightings}

    def take(self, look: Look, moment: Moment) -> list[RequestRow]:
        """What a look changed."""
        eye = self._eyes.get(look.seen.camera)
        if eye is None or look.tracks is None:
            return []
        return [self._row(*told, moment) for told in eye.take(look, look.tracks, moment)]

    def tick(self, moment: Moment) -> list[RequestRow]:
        """The ends of what cameras that show nothing had seen."""
        return [self._row(*told, moment) for eye in self._eyes.values() for told in eye.tick(moment)]

    def _row(self, before: Seen | None, after: Seen, moment: Moment) -> RequestRow:
        cameras, zones, active = dict[str, Counter[str]](), dict[str, Counter[str]](), dict[str, Counter[str]]()
        for seen in (one for eye in self._eyes.values() for one in eye.told()):
            cameras.setdefault(seen.camera, Counter())[seen.label] += 1
            active.setdefault(seen.camera, Counter())[seen.label] += not seen.stationary
            for zone in seen.zones:
                zones.setdefault(zone, Counter())[seen.label] += 1
        places = {*after.entered, *(before.zones if before else ())}
        labels = {after.label, before.label if before else after.label}
        body = Told(
            type="end" if after.end_ns is not None else "update" if before else "new",
            before=before,
            after=after,
            cameras=_counts(cameras, [after.camera], labels),
            zones=_counts(zones, places, labels),
            active=_counts(active, [after.camera], labels),
        )
        id_ = f"{after.id}/{after.frame_ns}/{body.type}"
        target = f"camera/{after.camera}"
        return RequestRow(id_, KIND, target, moment.admitted_ns + EXPIRES_NS, msgspec.json.encode(body))


def _counts(found: dict[str, Counter[str]], places: Iterable[str], labels: set[str]) -> dict[str, dict[str, int]]:
    return {
        place: {label: found.get(place, Counter())[label] for label in sorted(labels | set(found.get(place, ())))}
        for place in sorted(places)
    }


class _Eye:
    """One camera's: what moves in the table `sightings/<camera>`, what was told in the book `…/told`."""

    def __init__(self, camera: CameraPlan, state: State) -> None:
        self._camera, self._labels = camera.name, camera.labels
        self._zones = [*camera.camera.zones]
        owner = fingerprint([camera.labels, camera.score, self._zones])
        zoned = (max(1, len(self._zones)),)
        columns = {
            "thing": (np.int64, 0),  # 0: the row is free
            "start": (np.int64, 0),
            "seen": (np.int64, 0),
            "told": (np.int64, 0),
            "label": (np.int16, 0),
            "score": (np.float32, 0.0),
            "top": (np.float32, 0.0),
            "box": (np.float32, 0.0, (4,)),
            "size": (np.int32, 0, (2,)),
            "anchor": (np.float64, 0.0, (2,)),  # px, where it stood when it moved last
            "since": (np.int64, 0),
            "looks": (np.int64, 0),
            "moves": (np.int32, 0),
            "here": (np.bool_, False, zoned),
            "entered": (np.bool_, False, zoned),
        }
        self._table = state.table(f"sightings/{camera.name}", columns, owner)
        self._clock = state.table(f"sightings/{camera.name}/clock", CLOCK)
        self._clock.grow(1)
        self._told = state.book(f"sightings/{camera.name}/told", Seen)

    def told(self) -> list[Seen]:
        """Those who were told and have not ended."""
        return [seen for _, seen in self._told.items()]

    def take(self, look: Look, tracks: Tracks, moment: Moment) -> list[tuple[Seen | None, Seen]]:
        """(as it was told before, as it is) of those who are told now."""
        clock, at_ns = self._clock.rows[0], look.seen.event_ns
        clock["elapsed"] = moment.elapsed_ns
        clock["looks"] += 1
        if clock["second"] != moment.elapsed_ns // NS:
            clock["second"], clock["told"] = moment.elapsed_ns // NS, 0
        slots = self._slots()
        out = [self._end(key, seen, seen.frame_ns) for key, seen in self._told.items() if int(key) not in slots]
        there = np.flatnonzero(tracks.believed & (tracks.box >= 0))
        for thing, track in zip(tracks.thing[there].tolist(), there.tolist(), strict=True):
            slots[thing] = self._see(slots.get(thing), look, tracks, track)
        for thing, slot in sorted(slots.items()):
            row, before = self._table.rows[slot], self._told.get(str(thing))
            if at_ns - int(row["seen"]) >= LOST_NS:
                if before is not None:
                    out.append(self._end(str(thing), self._of(slot), int(row["seen"])))
                row["thing"] = 0
            elif int(row["seen"]) == at_ns and self._is_news(row, before, at_ns):
                after = self._of(slot)
                row["told"] = at_ns
                clock["told"] += 1
                self._told.put(str(thing), after)
                out.append((before, after))
            self._table.touch_one(slot)
        self._clock.touch_one(0)
        return out

    def tick(self, moment: Moment) -> list[tuple[Seen | None, Seen]]:
        """The ends, where there was no look for long."""
        if not len(self._told) or moment.elapsed_ns - int(self._clock.rows[0]["elapsed"]) < BLIND_NS:
            return []
        slots = self._slots()
        out: list[tuple[Seen | None, Seen]] = []
        for key, seen in self._told.items():
            slot = slots.pop(int(key), None)
            last = seen if slot is None else self._of(slot)
            out.append(self._end(key, last, last.frame_ns))
            if slot is not None:
                self._table.rows[slot]["thing"] = 0
                self._table.touch_one(slot)
        return out

    def _slots(self) -> dict[int, int]:
        """The row of each visitor."""
        thing = self._table["thing"][: self._table.n]
        return {int(thing[slot]): int(slot) for slot in np.flatnonzero(thing)}

    def _see(self, slot: int | None, look: Look, tracks: Tracks, track: int) -> int:
        """A visitor is seen; returns its row."""
        seen, table = look.seen, self._table
        ground = tracks.ground[track] * (seen.width_px, seen.height_px)
        if slot is None:
            free = np.flatnonzero(table["thing"][: table.n] == 0)
            slot = int(free[0]) if len(free) else table.n
            table.grow(max(table.n, slot + 1))
            table.rows[slot] = np.zeros(1, table.dtype)[0]
            row = table.rows[slot]
            row["thing"], row["start"] = tracks.thing[track], tracks.born_ns[track]
            row["anchor"], row["since"], row["looks"] = ground, seen.event_ns, self._clock.rows[0]["looks"]
        row = table.rows[slot]
        off, far = ground - row["anchor"], STILL * tracks.height[track]
        if off[0] * off[0] + off[1] * off[1] > far * far:
            row["moves"] += seen.event_ns - row["since"] >= STILL_NS
            row["anchor"], row["since"], row["looks"] = ground, seen.event_ns, self._clock.rows[0]["looks"]
        row["seen"], row["label"] = seen.event_ns, tracks.label[track]
        row["score"], row["top"] = seen.score[tracks.box[track]], max(row["top"], tracks.score[track])
        row["box"], row["size"] = seen.xyxy[tracks.box[track]], (seen.width_px, seen.height_px)
        for place, zone in enumerate(self._zones):
            visits = look.zones.get(zone)
            row["here"][place] = visits is not None and visits.here[track]
        row["entered"] |= row["here"]
        return slot

    def _is_news(self, row: np.void, before: Seen | None, at_ns: int) -> bool:
        """Whether it is to be told now."""
        if self._clock.rows[0]["told"] >= MOST:
            return False
        if before is None:
            return True
        passed = at_ns - int(row["told"])
        if passed < SOON_NS:
            return False
        stands = at_ns - int(row["since"]) >= STILL_NS
        here = self._names(row["here"])
        better = float(row["top"]) >= before.top_score + BETTER
        return passed >= LATE_NS or here != before.zones or stands != before.stationary or better

    def _names(self, which: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> tuple[str, ...]:
        return tuple(zone for zone, there in zip(self._zones, which.tolist(), strict=False) if there)

    def _of(self, slot: int) -> Seen:
        row = self._table.rows[slot]
        start_ns, seen_ns, size = int(row["start"]), int(row["seen"]), row["size"].tolist()
        mark = sha256(f"{self._camera} {int(row['thing'])} {start_ns}".encode()).hexdigest()[:6]
        box = [min(max(round(edge), 0), size[place % 2]) for place, edge in enumerate(row["box"].tolist())]
        return Seen(
            id=f"{start_ns // NS}.{start_ns % NS // 1000:06d}-{mark}",
            camera=self._camera,
            label=self._labels[int(row["label"])],
            start_ns=start_ns,
            frame_ns=seen_ns,
            end_ns=None,
            score=round(float(row["score"]), 4),
            top_score=round(float(row["top"]), 4),
            box=(box[0], box[1], box[2], box[3]),
            size=(size[0], size[1]),
            zones=self._names(row["here"]),
            entered=self._names(row["entered"]),
            stationary=seen_ns - int(row["since"]) >= STILL_NS,
            motionless=int(self._clock.rows[0]["looks"] - row["looks"]),
            moves=int(row["moves"]),
        )

    def _end(self, key: str, last: Seen, end_ns: int) -> tuple[Seen | None, Seen]:
        before = self._told.get(key)
        self._told.drop(key)
        return before, msgspec.structs.replace(last, end_ns=end_ns, zones=())
