"""Where a camera's tracks stand and how fast they go: in metres on its ground, or in pixels where it has none.

A place is where the bottom centre of the measured box was, of each of the last two seconds' looks; a velocity is a
robust line through these places, never the difference of two. Both carry what they may be off by:

    v = the median of all slopes between two places ≥ 0.3 s apart, east and north (Theil 1950, Sen 1968)
    σ = 1.48 × the median distance of n places from that line × √(n ÷ (n − 2)), at least a quarter of a box's noise
    the speed's standard deviation = 1.1 × σ / √Σ(t − t̄)²; a place's = 1.25 × σ / √n

A velocity is known from three places on that span a second or more. Of a box that the picture's edge cuts off it is
not: what is seen of it does not move as it does.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gateway.core import kalman
from gateway.core.ground import plane_of
from gateway.core.rules.making import fingerprint
from gateway.core.visitors import HIDDEN

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gateway.core.looks import Tracks
    from gateway.core.plan import CameraPlan
    from gateway.core.state import State
    from gateway.events import Detections

    Array = NDArray[np.float64]

PLACES = 12
EVERY_NS = 180_000_000
"""Looks nearer to the last kept place than this are left out: twelve places are two seconds."""
WINDOW_NS = 2_250_000_000
LEAST_NS = 1_000_000_000
LEAST_PLACES = 3
SELDOM_NS = 10_000_000_000
"""The last three places count for so long: where nothing moves, a camera is looked at every few seconds."""
APART_NS = 300_000_000
EDGE_PX = 2.0
"""A box that comes so near to the picture's left, right or lower edge is cut off by it."""
SPREAD = 1.4826
"""Standard deviation of what is normal ÷ the median of its distances."""
LEAST_NOISE = 0.25
"""Of a box's usual noise (kalman.PLACE_NOISE): a few places may lie on a line by chance."""
_FIRST = np.array([i for i, _ in combinations(range(PLACES), 2)])
_SECOND = np.array([j for _, j in combinations(range(PLACES), 2)])


class Motion(NamedTuple):
    """The tracks' places and velocities as of a look; rows as in Tracks. Lengths are metres, or px where not `metres`.

    place: float64[k, 2], the median of its last places, NaN where it has none; place_off: its standard deviation. Feet
    that are hidden stand below the head by the usual height; velocities are of what is seen, for the usual height of
    what quickly gets smaller lags behind.
    velocity: float64[k, 2] a second; speed, speed_off: its length and that one's standard deviation; known: bool[k].
    spot: where the line has it now. width, height: of the box, upright where it stands; NaN beyond the horizon.
    """

    metres: bool
    place: Array
    place_off: Array
    velocity: Array
    speed: Array
    speed_off: Array
    known: NDArray[np.bool_]
    spot: Array
    width: Array
    height: Array


class Moves:
    """The last places of one camera's tracks, in the table `moves/<camera>`."""

    def __init__(self, camera: CameraPlan, state: State) -> None:
        self.plane = plane_of(camera.camera.ground)
        columns = {
            "track": (np.int64, 0),  # 0: the row is free
            "next": (np.int16, 0),
            "last": (np.int64, 0),
            "at": (np.int64, 0, (PLACES,)),  # 0: no place
            "spot": (np.float32, 0.0, (PLACES, 2)),  # fractions of the picture
            "foot": (np.float32, 0.0, (PLACES,)),  # y of its foot where its usual height reaches, if it is hidden
            "cut": (np.bool_, False, (PLACES,)),
        }
        owner = fingerprint([camera.labels, camera.score])
        self._table = state.table(f"moves/{camera.name}", columns, owner)

    def step(self, seen: Detections, tracks: Tracks) -> Motion:
        """Take a look."""
        slots = self._slots(tracks.id)
        self._add(slots, seen, tracks)
        return self._motion(self._table.rows[slots], seen, tracks)

    def _slots(self, ids: NDArray[np.int64]) -> NDArray[np.intp]:
        """The row of each track; those of tracks that ended become free."""
        table = self._table
        track = table["track"][: table.n]
        gone = np.flatnonzero((track != 0) & ~np.isin(track, ids))
        if len(gone):
            table.rows[gone] = np.zeros(1, table.dtype)
            table.touch(gone)
        live = np.flatnonzero(table["track"][: table.n])
        live = live[np.argsort(table["track"][live], kind="stable")]
        slots = np.full(len(ids), -1, np.intp)
        slots[np.searchsorted(ids, table["track"][live])] = live
        new = np.flatnonzero(slots < 0)
        if len(new):
            free = np.flatnonzero(table["track"][: table.n] == 0)
            if len(free) < len(new):
                more = np.arange(table.n, table.n + len(new) - len(free))
                table.grow(table.n + len(more))
                free = np.concatenate([free, more])
            slots[new] = free[: len(new)]
            table["track"][slots[new]] = ids[new]
        return slots

    def _add(self, slots: NDArray[np.intp], seen: Detections, tracks: Tracks) -> None:
        """Keep the places of those that were seen."""
        table, at_ns = self._table, seen.event_ns
        there = np.flatnonzero((tracks.box >= 0) & (at_ns - table["last"][slots] >= EVERY_NS))
        if not len(there):
            return
        box = seen.xyxy[tracks.box[there]].astype(np.float64)
        foot = np.maximum(box[:, 3], box[:, 1] + HIDDEN * tracks.height[there])
        size = np.array([max(seen.width_px, 1), max(seen.height_px, 1)], np.float64)
        cut = (box[:, 0] < EDGE_PX) | (box[:, 2] > size[0] - EDGE_PX) | (box[:, 3] > size[1] - EDGE_PX)
        row = table.rows[slots[there]]
        place = row["next"].astype(np.intp)
        each = np.arange(len(there))
        row["at"][each, place], row["last"] = at_ns, at_ns
        row["spot"][each, place] = np.stack([(box[:, 0] + box[:, 2]) * 0.5, box[:, 3]], axis=1) / size
        row["foot"][each, place] = foot / size[1]
        row["cut"][each, place] = cut
        row["next"] = (place + 1) % PLACES
        table.rows[slots[there]] = row
        table.touch(slots[there])

    def _motion(self, row: NDArray[np.void], seen: Detections, tracks: Tracks) -> Motion:
        """Places and velocities of these rows."""
        size = np.array([max(seen.width_px, 1), max(seen.height_px, 1)], np.float64)
        spot = row["spot"].astype(np.float64)
        points = spot * size if self.plane is None else self.plane.metres(spot)
        used = (row["at"] != 0) & _recent(row, seen.event_ns) & ~np.isnan(points[..., 0])
        count = _count(used)
        t = np.where(used, (row["at"] - seen.event_ns) / 1e9, 0.0)
        upright = spot.copy()
        upright[..., 1] = row["foot"]
        place = middle(upright * size if self.plane is None else self.plane.metres(upright), used)
        velocity, sloped = _slopes(points, t, used)
        line = middle(points - velocity[:, None, :] * t[..., None], used)
        off = points - line[:, None, :] - velocity[:, None, :] * t[..., None]
        far = np.sqrt(off[..., 0] * off[..., 0] + off[..., 1] * off[..., 1])
        scale = np.ones((len(row), 2)) if self.plane is None else self.plane.scales(tracks.ground) / size
        width = (tracks.xyxy[:, 2] - tracks.xyxy[:, 0]) * scale[:, 0]
        usual = kalman.PLACE_NOISE * tracks.height * np.maximum(scale[:, 0], scale[:, 1])
        some = np.maximum(count, 1)
        few = np.sqrt(some / np.maximum(count - 2, 1))
        noise = np.maximum(few * SPREAD * middle(far[..., None], used)[:, 0], LEAST_NOISE * usual)
        span = np.where(used, t, -np.inf).max(axis=1) - np.where(used, t, np.inf).min(axis=1)
        known = sloped & (count >= LEAST_PLACES) & (span >= LEAST_NS / 1e9) & ~(row["cut"] & used).any(axis=1)
        speed = np.sqrt(velocity[:, 0] * velocity[:, 0] + velocity[:, 1] * velocity[:, 1])
        return Motion(
            self.plane is not None,
            place,
            1.25 * noise / np.sqrt(some),
            velocity,
            speed,
            1.1 * noise / np.sqrt(np.maximum(_scatter(t, used, some), 1e-9)),
            known & ~np.isnan(speed),
            line,
            width,
            tracks.height * (scale[:, 0] if self.plane is not None else 1.0),
        )


def _recent(row: NDArray[np.void], now_ns: int) -> NDArray[np.bool_]:
    """Which places count: those of the window; of a picture that is looked at less often the last few."""
    since = (row["next"].astype(np.int64)[:, None] - 1 - np.arange(PLACES)) % PLACES
    age = now_ns - row["at"]
    return (age < WINDOW_NS) | ((since < LEAST_PLACES) & (age < SELDOM_NS))


def _count(used: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How many of each row, int64[k]."""
    return np.count_nonzero(used, axis=1).astype(np.int64)


def middle(values: Array, used: NDArray[np.bool_]) -> Array:
    """The median over axis 1 of what is used, float64[k, d] of float64[k, m, d]; NaN where nothing is."""
    if not len(values):
        return np.zeros((0, values.shape[2]))
    ordered = np.sort(np.where(used[..., None], values, np.inf), axis=1, kind="stable")
    count, each = _count(used), np.arange(len(values))
    low, high = np.maximum(count - 1, 0) // 2, count // 2
    high = np.minimum(high, values.shape[1] - 1)
    out = ordered[each, low] * 0.5 + ordered[each, high] * 0.5
    return np.where((count > 0)[:, None], out, np.nan)


def _slopes(points: Array, t: Array, used: NDArray[np.bool_]) -> tuple[Array, NDArray[np.bool_]]:
    """The median slope of each row, float64[k, 2], 0 where there is none; and where there is one."""
    apart = t[:, _SECOND] - t[:, _FIRST]
    both = used[:, _FIRST] & used[:, _SECOND] & (np.abs(apart) >= APART_NS / 1e9)
    steps = (points[:, _SECOND] - points[:, _FIRST]) / np.where(both, apart, 1.0)[..., None]
    found = _count(both) > 0
    return np.where(found[:, None], middle(steps, both), 0.0), found


def _scatter(t: Array, used: NDArray[np.bool_], count: NDArray[np.int64]) -> Array:
    """Σ(t − t̄)² of each row, added place by place."""
    mean, out = np.zeros(len(t)), np.zeros(len(t))
    for place in range(PLACES):
        mean += np.where(used[:, place], t[:, place], 0.0)
    mean /= count
    for place in range(PLACES):
        off = np.where(used[:, place], t[:, place] - mean, 0.0)
        out += off * off
    return out
