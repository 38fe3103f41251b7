"""Who is in which zone since when, and who has crossed which line: one camera's visitors, from look to look.

A visitor is a track, or several one after another where a new one begins where a lost one stood. Where it stands is
the bottom centre of its box; where the box has become flatter than it usually is, its feet are hidden (behind a car, a
sign), and stand below its head by what it usually measures. A visitor is in a zone once it stands there, and has left
it once it stands outside by more than the *margin*; it has crossed a line once it stood clear of it by that margin on
both sides. The margin is two standard deviations of a measured place, so that what sways on an edge is counted once.
Places change with what is seen, never with a prediction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gateway.core import kalman
from gateway.core.outline import Outline, Polyline
from gateway.core.rules.making import fingerprint
from gateway.core.track import groups_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gateway.config.model import Zone
    from gateway.core.plan import CameraPlan
    from gateway.core.state import State
    from gateway.core.track import Standing
    from gateway.events import Detections

MARGIN = 2.0 * kalman.PLACE_NOISE
"""In heights of the visitor."""
LEAST_MARGIN = 1 / 75
"""In widths of the picture: five pixels of a network that sees it 416 wide, which it cannot tell apart better."""
HIDDEN = 1.0 - kalman.SIDE_NOISE
"""A box less high than this share of what is usual is not a side measured badly: its lower end is hidden."""
TALLER_S, FLATTER_S = 0.3, 3.0
"""How fast what is usual follows: what is seen again is there, what is gone may be hidden."""
FAR, FAR_NS = 3.0, 750_000_000
"""A track that was as sure as the model's own bar and went so many of its heights, in no less time, is somebody, though
it is never surer: what flickers on a wall goes nowhere, and what drives by is gone before it is surer."""
REMEMBERED_NS = 60 * 10**9
NEAR, ALIKE = 0.5, 1.4
"""A new track is a lost visitor that stood within half its height and is as high, within 40 %."""
EDGE = 1e-6  # a zone that reaches the picture's edge holds what stands on it
OUT, IN = 1, 2  # 0: not known yet
ENTERED, APPEARED = 1, 2


class Visits(NamedTuple):
    """One zone as of a look; the rows are the tracks'.

    here: bool[k]: believed, large and sure enough for the zone, and in it. stay_ns: int64[k], watched time since it
    came; came: int8[k] ENTERED (over the edge) or APPEARED (first seen inside); new: bool[k], with this look.
    left: who left with this look, over the edge: (label, stay_ns). lost: who was lost from sight in it and is not
    expected back: the same.
    """

    here: NDArray[np.bool_]
    stay_ns: NDArray[np.int64]
    came: NDArray[np.int8]
    new: NDArray[np.bool_]
    left: list[tuple[int, int]]
    lost: list[tuple[int, int]]


class Crossing(NamedTuple):
    """A visitor crossed a line. way: 1 in, −1 out; thing: the visitor."""

    thing: int
    label: int
    way: int


class Stood(NamedTuple):
    """What a look came to: each track's visitor, ground point and usual height (px), and who went where."""

    thing: NDArray[np.int64]
    believed: NDArray[np.bool_]
    ground: NDArray[np.float64]
    height: NDArray[np.float64]
    zones: dict[str, Visits]
    lines: dict[str, list[Crossing]]


class Visitors:
    """The visitors of one camera, in the table `visitors/<camera>`. `zones`: those to watch; "": the whole picture."""

    def __init__(self, camera: CameraPlan, zones: Sequence[str], state: State) -> None:
        self._zones: dict[str, Zone | None] = {name: camera.camera.zone(name) for name in zones}
        self._lines, self._score = camera.camera.lines, np.float32(camera.score)
        self._group = groups_of(camera.labels)
        owner = fingerprint([camera.labels, camera.score, [*self._zones.items()], self._lines])
        zoned, lined = (max(1, len(zones)),), (max(1, len(self._lines)),)
        columns = {
            "thing": (np.int64, 0),  # 0: the row is free
            "track": (np.int64, 0),  # 0: it is lost
            "label": (np.int16, 0),
            "believed": (np.bool_, False),
            "seen_ns": (np.int64, 0),
            "born": (np.int64, 0),  # by the watched time, as `lost` and `since`
            "lost": (np.int64, 0),
            "height": (np.float64, 0.0),
            "origin": (np.float64, 0.0, (2,)),  # px, where it was seen first
            "place": (np.float64, 0.0, (2,)),  # and last
            "fit": (np.bool_, False, zoned),
            "state": (np.int8, 0, zoned),
            "here": (np.bool_, False, zoned),
            "came": (np.int8, 0, zoned),
            "since": (np.int64, 0, zoned),
            "sure": (np.bool_, False, lined),
            "net": (np.int8, 0, lined),
            "owed": (np.int8, 0, (*lined, 2)),  # crossings before it was believed: in, out
        }
        self._table = state.table(f"visitors/{camera.name}", columns, owner)

    def step(self, seen: Detections, now: Standing, box: NDArray[np.intp], clock: int) -> Stood:
        """Take a look. `now`: the tracks; `box`: the place of each one's box, −1: none; `clock`: time watched."""
        slots = self._slots(seen, now, box, clock)
        row = self._table.rows[slots]
        there = np.flatnonzero(box >= 0)
        self._measure(row, seen, box, there)
        ground = _feet(now.xyxy, row["height"])
        believed = row["believed"] | now.believed | self._went(row, ground, now, box, seen.event_ns)
        fresh = believed & ~row["believed"]
        row["believed"], row["label"] = believed, now.label
        row["thing"][fresh] *= -1
        if fresh.any():
            self._recognise(row, ground, np.flatnonzero(fresh))
        margin = np.maximum(MARGIN * row["height"], LEAST_MARGIN * seen.width_px)
        zones = self._visits(row, ground, margin, seen, now.score, box >= 0, clock)
        lines = self._crossings(row, ground, margin, seen, there)
        row["place"][there], row["seen_ns"][there] = ground[there], seen.event_ns
        self._table.rows[slots] = row
        self._table.touch(slots)
        self._forget(clock, zones)
        return Stood(np.abs(row["thing"]), believed, ground, row["height"], zones, lines)

    # ── rows ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _slots(self, seen: Detections, now: Standing, box: NDArray[np.intp], clock: int) -> NDArray[np.intp]:
        """The row of each track: those that ended are lost, new ones begin."""
        table = self._table
        track = table["track"][: table.n]
        live = np.flatnonzero(track)
        live = live[np.argsort(track[live], kind="stable")]
        there = np.isin(track[live], now.id)
        self._lose(live[~there], clock)
        live = live[there]
        slots = np.full(len(now.id), -1, np.intp)
        slots[np.searchsorted(now.id, track[live])] = live
        new = np.flatnonzero(slots < 0)
        if len(new):
            slots[new] = self._free(len(new))
            row = table.rows[slots[new]]
            row["track"], row["born"], row["seen_ns"] = now.id[new], clock, seen.event_ns
            row["thing"] = -now.id[new]  # until it is believed
            high = seen.xyxy[box[new]].astype(np.float64)
            row["height"] = np.maximum(high[:, 3] - high[:, 1], 1.0)
            row["place"] = row["origin"] = _feet(now.xyxy[new], row["height"])
            table.rows[slots[new]] = row
        return slots

    def _free(self, count: int) -> NDArray[np.intp]:
        """Rows that are not in use."""
        table = self._table
        free = np.flatnonzero(table["thing"][: table.n] == 0)
        if len(free) < count:
            more = np.arange(table.n, table.n + count - len(free))
            table.grow(table.n + len(more))
            free = np.concatenate([free, more])
        return free[:count]

    def _lose(self, slots: NDArray[np.intp], clock: int) -> None:
        """These tracks ended: who was believed is remembered for a while."""
        if not len(slots):
            return
        row = self._table.rows[slots]
        row["track"], row["lost"] = 0, clock
        self._table.rows[slots] = row
        self._table.touch(slots)
        self._drop(slots[~row["believed"]])

    def _drop(self, slots: NDArray[np.intp]) -> None:
        if len(slots):
            self._table.rows[slots] = np.zeros(1, self._table.dtype)
            self._table.touch(slots)

    def _forget(self, clock: int, zones: dict[str, Visits]) -> None:
        """Who was lost for as long as it had been there, at most a minute, is not expected back."""
        table = self._table
        gone = np.flatnonzero((table["thing"][: table.n] > 0) & (table["track"][: table.n] == 0))
        if not len(gone):
            return
        row = table.rows[gone]
        gone = gone[clock - row["lost"] >= np.minimum(row["lost"] - row["born"], REMEMBERED_NS)]
        for place, visits in enumerate(zones.values()):
            for slot in gone[table["here"][gone, place]].tolist():
                one = table.rows[slot]
                visits.lost.append((int(one["label"]), int(one["lost"] - one["since"][place])))
        self._drop(gone)

    def _measure(self, row: NDArray[np.void], seen: Detections, box: NDArray[np.intp], there: NDArray[np.intp]) -> None:
        """What is usual of each one's height follows what is seen."""
        if not len(there):
            return
        found = seen.xyxy[box[there]].astype(np.float64)
        usual, high = row["height"][there], found[:, 3] - found[:, 1]
        dt = (seen.event_ns - row["seen_ns"][there]) / 1e9
        share = dt / (dt + np.where(high > usual, TALLER_S, FLATTER_S))
        row["height"][there] = np.maximum(usual + (high - usual) * share, 1.0)

    def _went(
        self, row: NDArray[np.void], ground: NDArray[np.float64], now: Standing, box: NDArray[np.intp], at_ns: int
    ) -> NDArray[np.bool_]:
        """Who went far enough to be somebody."""
        way, far = ground - row["origin"], FAR * row["height"]
        went = way[:, 0] * way[:, 0] + way[:, 1] * way[:, 1] >= far * far
        return went & (box >= 0) & (now.score >= self._score) & (at_ns - now.born_ns >= FAR_NS)

    def _recognise(self, row: NDArray[np.void], ground: NDArray[np.float64], fresh: NDArray[np.intp]) -> None:
        """Those who are believed from now on: are they visitors that were lost where they stand?"""
        table = self._table
        lost = np.flatnonzero((table["thing"][: table.n] > 0) & (table["track"][: table.n] == 0))
        lost = lost[np.argsort(table["thing"][lost], kind="stable")]
        for place in fresh.tolist() if len(lost) else ():
            old, high = table.rows[lost], float(row["height"][place])
            off = old["place"] - ground[place]
            reach = NEAR * np.minimum(old["height"], high)
            square = off[:, 0] * off[:, 0] + off[:, 1] * off[:, 1]
            same = self._group[old["label"]] == self._group[int(row["label"][place])]
            same &= (old["height"] < ALIKE * high) & (high < ALIKE * old["height"])
            fits = np.flatnonzero(same & (square < reach * reach) & (old["track"] == 0) & (old["thing"] > 0))
            if len(fits):
                one = int(fits[np.argmin(square[fits])])
                for column in ("thing", "born", "fit", "state", "here", "came", "since"):
                    row[column][place] = old[column][one]
                self._drop(lost[one : one + 1])

    # ── places ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _visits(
        self,
        row: NDArray[np.void],
        ground: NDArray[np.float64],
        margin: NDArray[np.float64],
        seen: Detections,
        score: NDArray[np.float32],
        there: NDArray[np.bool_],
        clock: int,
    ) -> dict[str, Visits]:
        """Who is where, and what changed."""
        out: dict[str, Visits] = {}
        size = np.array([seen.width_px, seen.height_px], np.float64)
        spot = np.clip(ground, EDGE * size, (1.0 - EDGE) * size)
        for place, (name, zone) in enumerate(self._zones.items()):
            was = row["state"][:, place]
            inside = np.ones(len(row), np.bool_)
            if zone is not None:
                outline = Outline(zone.outline, seen.width_px, seen.height_px)
                inside = outline.holds(spot)
                inside |= (was == IN) & (outline.square(spot) < margin * margin)
                fit = (row["height"] >= zone.least) & (score >= np.float32(zone.score or 0.0))
                row["fit"][:, place] |= row["believed"] & fit
            else:
                row["fit"][:, place] |= row["believed"]
            state = np.where(there, np.where(inside, IN, OUT), was).astype(np.int8)
            came = (state == IN) & (was != IN)
            row["since"][came, place] = clock
            row["came"][came, place] = np.where(was[came] == OUT, ENTERED, APPEARED)
            row["state"][:, place] = state
            here = (state == IN) & row["fit"][:, place]
            before = row["here"][:, place].copy()
            gone = np.flatnonzero(before & ~here).tolist()
            left = [(int(row["label"][i]), clock - int(row["since"][i, place])) for i in gone]
            row["here"][:, place] = here
            stay = np.where(here, clock - row["since"][:, place], 0)
            out[name] = Visits(here, stay, row["came"][:, place].copy(), here & ~before, left, [])
        return out

    def _crossings(
        self,
        row: NDArray[np.void],
        ground: NDArray[np.float64],
        margin: NDArray[np.float64],
        seen: Detections,
        there: NDArray[np.intp],
    ) -> dict[str, list[Crossing]]:
        """Who is clear of a line again, on its other side."""
        out: dict[str, list[Crossing]] = {}
        before, after = row["place"][there], ground[there]
        for place, (name, points) in enumerate(self._lines.items()):
            line = Polyline(points, seen.width_px, seen.height_px)
            net = row["net"][there, place] + line.crossed(before, after)
            clear = line.square(after) >= margin[there] * margin[there]
            done = clear & row["sure"][there, place]
            owed = row["owed"][there, place]
            owed[:, 0] += done & (net > 0)
            owed[:, 1] += done & (net < 0)
            row["net"][there, place] = np.where(clear, 0, np.clip(net, -100, 100))
            row["sure"][there, place] |= clear
            told = row["believed"][there]
            out[name] = [
                Crossing(abs(int(row["thing"][i])), int(row["label"][i]), way)
                for i, both in zip(there[told].tolist(), owed[told].tolist(), strict=True)
                for way, times in zip((1, -1), both, strict=True)
                for _ in range(times)
            ]
            owed[told] = 0
            row["owed"][there, place] = owed
        return out


def _feet(xyxy: NDArray[np.float64], height: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where they stand, px float64[k, 2]."""
    return np.stack([(xyxy[:, 0] + xyxy[:, 2]) * 0.5, np.maximum(xyxy[:, 3], xyxy[:, 1] + HIDDEN * height)], axis=1)
