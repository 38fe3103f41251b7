"""What stands still at a place, for `stopped` and `abandoned`: cases that outlive the tracks that made them.

A thing in the zone has an anchor, where it is; it has moved once it is farther from it than a metre (on a ground), a
tenth of its height, or twice what its place may be off by: then the anchor moves with it, and its time begins anew. The
case is the place's: where its track is lost, a new one that stands on the anchor goes on with it. It ends when the
thing has moved away, or when the place was seen empty for `hold`: no box, however unsure, on a third of where it stood.
While something else stands before it, or the camera is blind, nothing is known and nothing ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gateway.core.rules.several import Said

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gateway.core.looks import Look
    from gateway.core.moves import Motion
    from gateway.core.rules.several import Cases

    Array = NDArray[np.float64]

MOVED_M, MOVED = 1.0, 0.1
"""Metres, and of its height: less is sway."""
SURE = 2.0
ADOPTS = 0.5
"""A new track goes on with a case whose anchor is within half its height, as visitors are recognised."""
COVERED = 0.3
"""A box on that share of where it stood may be it, or before it."""
COLUMNS = {
    "thing": (np.int64, 0),  # the visitor whose case it is, or was last
    "anchor": (np.float64, 0.0, (2,)),
    "box": (np.float64, 0.0, (4,)),  # px, where it was seen last
    "height": (np.float64, 0.0),  # in the lengths of moves
    "since": (np.int64, 0),  # watched time at which it stood there, and was alone
    "looked": (np.int64, 0),  # watched time of the last look
    "empty": (np.int64, 0),  # watched time for which its place was seen empty
}


class Still(NamedTuple):
    """levels: seconds, mildest first; hold_ns: how long a place must be seen empty; away: of a person, None: whoever.

    `away_metres`: whether that is metres, else heights of the person.
    """

    levels: tuple[float, ...]
    hold_ns: int
    away: float | None = None
    away_metres: bool = True


class Standers:
    """The judge: see the module."""

    def __init__(
        self, cases: Cases, zone: str, labels: NDArray[np.int16], persons: NDArray[np.int16], how: Still
    ) -> None:
        self._cases, self._zone, self._labels, self._persons, self._how = cases, zone, labels, persons, how

    def take(self, look: Look) -> list[Said]:
        """Who stands, where and for how long."""
        tracks, moves = look.tracks, look.moves
        assert tracks is not None  # noqa: S101 - the rule gives looks that have tracks
        assert moves is not None  # noqa: S101 - its kind wants moves
        out: list[Said] = []
        mine = np.isin(tracks.label, self._labels) & ~np.isnan(moves.place[:, 0]) & (tracks.box >= 0)
        here = look.zones[self._zone].here & mine
        rows = self._cases.rows.tolist()
        owned = {int(self._cases.table["thing"][row]): row for row in rows}
        lost = [row for row in rows if not np.any(tracks.thing == self._cases.table["thing"][row])]
        unseen = set(rows)
        ended: set[int] = set()
        for place in np.flatnonzero(mine).tolist():
            row = owned.get(int(tracks.thing[place]))
            if row is None and here[place]:
                row = self._adopted(lost, moves, place)
                if row is not None:
                    lost.remove(row)
            unseen.discard(-1 if row is None else row)
            out += self._seen(row, place, look, ended, inside=bool(here[place]))
        for row in sorted(unseen):
            out += self._unseen(row, look)
        return out

    def _adopted(self, lost: list[int], moves: Motion, place: int) -> int | None:
        """The case without a track where this one stands, the nearest."""
        table, best, nearest = self._cases.table, None, np.inf
        for row in lost:
            off = table["anchor"][row] - moves.place[place]
            reach = max(ADOPTS * min(float(table["height"][row]), float(moves.height[place])), self._far(moves, place))
            square = float(off[0] * off[0] + off[1] * off[1])
            if square <= reach * reach and square < nearest:
                best, nearest = row, square
        return best

    def _far(self, moves: Motion, place: int) -> float:
        """How far off its anchor is moved."""
        own = max(MOVED * float(moves.height[place]), SURE * float(moves.place_off[place]))
        return max(own, MOVED_M) if moves.metres else own

    def _seen(self, row: int | None, place: int, look: Look, ended: set[int], *, inside: bool) -> list[Said]:
        """One that has a box."""
        tracks, moves, table, out = look.tracks, look.moves, self._cases.table, list[Said]()
        assert tracks is not None  # noqa: S101 - as above
        assert moves is not None  # noqa: S101 - as above
        if row is not None:
            off = table["anchor"][row] - moves.place[place]
            far = self._far(moves, place)
            if not inside or off[0] * off[0] + off[1] * off[1] > far * far:
                if table["on"][row] or not inside:
                    out.append(self._over(row, look))
                    ended.add(row)
                    row = None
                else:
                    self._anchor(row, place, look)
        if row is None:
            if not inside:
                return out
            row = self._cases.begin(ended)
            self._anchor(row, place, look)
        if table["on"][row] == 0 and self._accompanied(look, place):
            table["since"][row], table["began_ns"][row] = look.watched_ns, look.seen.event_ns
        table["thing"][row], table["height"][row] = tracks.thing[place], moves.height[place]
        table["box"][row], table["empty"][row] = look.seen.xyxy[tracks.box[place]], 0
        table["looked"][row] = look.watched_ns
        table.touch_one(row)
        return [*out, self._judged(row, look)]

    def _anchor(self, row: int, place: int, look: Look) -> None:
        """It stands here from now on."""
        assert look.moves is not None  # noqa: S101 - as above
        table = self._cases.table
        table["anchor"][row] = look.moves.place[place]
        table["since"][row], table["began_ns"][row] = look.watched_ns, look.seen.event_ns

    def _judged(self, row: int, look: Look) -> Said:
        stay = (look.watched_ns - int(self._cases.table["since"][row])) / 1e9
        level = len([limit for limit in self._how.levels if stay >= limit])
        return Said(row, stay, max(level, int(self._cases.table["on"][row])))

    def _over(self, row: int, look: Look) -> Said:
        """The case has ended."""
        stay = (look.watched_ns - int(self._cases.table["since"][row])) / 1e9
        self._cases.end(row)
        return Said(row, stay, 0)

    def _unseen(self, row: int, look: Look) -> list[Said]:
        """One that has none: is its place empty, or hidden?"""
        table = self._cases.table
        passed = look.watched_ns - int(table["looked"][row])
        table["looked"][row] = look.watched_ns
        if not _covered(table["box"][row], look):
            table["empty"][row] += passed
        table.touch_one(row)
        if int(table["empty"][row]) >= self._how.hold_ns:
            return [self._over(row, look)]
        return [self._judged(row, look)] if table["on"][row] else []

    def _accompanied(self, look: Look, place: int) -> bool:
        """Whether a person is near, where that matters."""
        tracks, moves, how = look.tracks, look.moves, self._how
        if how.away is None or tracks is None or moves is None:
            return False
        person = np.isin(tracks.label, self._persons) & tracks.believed
        off = moves.spot - moves.place[place]
        square = off[:, 0] * off[:, 0] + off[:, 1] * off[:, 1]
        reach = np.full(len(square), how.away) if how.away_metres else how.away * moves.height
        return bool(np.any(person & (square <= reach * reach)))


def _covered(box: Array, look: Look) -> bool:
    """Whether some box lies on where it stood."""
    other = look.seen.xyxy.astype(np.float64)
    if not len(other):
        return False
    low, high = np.maximum(other[:, :2], box[:2]), np.minimum(other[:, 2:], box[2:])
    common = np.maximum(high - low, 0.0)
    area = (box[2] - box[0]) * (box[3] - box[1])
    return bool(np.any(common[:, 0] * common[:, 1] >= COVERED * area))
