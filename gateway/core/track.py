"""Tracks: who is who from look to look, for one camera. Association in two stages as in ByteTrack (Zhang et al. 2022).

      boxes ≥ 0.1 ──▶ distinct ──▶ sure ones ───▶ paired with all tracks ──▶ seen again, or a new track
                               └─▶ unsure ones ─▶ paired with the tracks left ──▶ seen again, or nothing

Where a track should be is a Kalman filter's matter (kalman.py), by the frames' own times: rates may vary and frames be
skipped. A pair's cost is its likelihood, so that what was lost for long does not take what another is nearer to. A
track is *believed* once it was seen for a while and was sure enough on the whole: until then it may be a flicker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

from gateway.core import kalman
from gateway.core.track_pairs import MOST_TRACKS, benefits, distinct, paired, solver
from gateway.ports import NO_TIME

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gateway.core.state import State
    from gateway.events import Detections

ALIKE = (("car", "bus", "truck"), ("bicycle", "motorcycle"))
"""Labels that models take for one another: a track may go from one to the other."""
LOOKS_REMEMBERED = 10.0  # how many looks the mean of a track's scores is over
FARTHEST_PX = 1e6
"""No picture is as large: a box out there, or that is not finite, is none."""
COLUMNS = {
    "id": (np.int64, 0),  # 0: the row is free
    "belief": (np.float32, 0.0, (kalman.NUMBERS,)),
    "seen_ns": (np.int64, 0),
    "born_ns": (np.int64, 0),
    "hits": (np.int32, 0),
    "score": (np.float32, 0.0),
    "label": (np.int16, 0),
    "votes": (np.int32, 0),
    "believed": (np.bool_, False),
}
CLOCK = {"at_ns": (np.int64, NO_TIME), "last_id": (np.int64, 0), "size_px": (np.int32, 0, (2,))}


class Tracking(msgspec.Struct, frozen=True):
    """How a camera tracks. Scores are the model's, times are seconds of the frames' own time.

    `score`: where the model is believed (its manifest's); boxes from there on begin tracks. `floor`: the least score
    that continues one. `believe`: the mean score from which a track is believed; by default a third of the way from
    `score` to 1, which is ByteTrack's 0.6 for a model believed from 0.4. `believe_s`: for how long it must have been
    seen. A track ends when it was not seen for as long as it had been before, at least `young_s` and at most `lost_s`
    (ByteTrack's 30 frames at 30 a second); all end after `blind_s` without a look.
    """

    score: float = 0.4
    floor: float = 0.1
    believe: float | None = None
    believe_s: float = 0.3
    young_s: float = 0.5
    lost_s: float = 1.0
    blind_s: float = 10.0

    @property
    def bar(self) -> float:
        """The mean score from which a track is believed."""
        return self.score + (1.0 - self.score) / 3.0 if self.believe is None else self.believe


class Tracked(NamedTuple):
    """What one look came to: for each of its boxes the track's id (int64[n], 0: none) and whether it is believed.

    `ended`: ids of the tracks that ended with it, int64[k].
    """

    id: NDArray[np.int64]
    believed: NDArray[np.bool_]
    ended: NDArray[np.int64]


class Standing(NamedTuple):
    """The tracks there are, by id; n rows. Boxes float64[n, 4] px are where they should be at the time asked for.

    belief: float64[14, n], kalman.py's.
    """

    id: NDArray[np.int64]
    label: NDArray[np.int16]
    believed: NDArray[np.bool_]
    score: NDArray[np.float32]
    born_ns: NDArray[np.int64]
    seen_ns: NDArray[np.int64]
    xyxy: NDArray[np.float64]
    belief: NDArray[np.float64]


class Tracker:
    """The tracks of one camera, in the tables `track/<camera>` and `track/<camera>/clock`. Loads SciPy.

    Ids count from 1 and are never given twice.
    """

    def __init__(
        self, camera: str, labels: Sequence[str], state: State, owner: str = "", how: Tracking | None = None
    ) -> None:
        """`labels`: the model's, by index. `owner`: hash of the owner's configuration."""
        self.how = how or Tracking()
        self._solve = solver()
        self._table = state.table(f"track/{camera}", COLUMNS, owner)
        self._clock = state.table(f"track/{camera}/clock", CLOCK, owner)
        self._clock.grow(1)
        self._group = groups_of(labels)
        self.refused = 0
        """How many tracks were not begun because there were MOST_TRACKS."""

    def late(self, at_ns: int) -> bool:
        """Whether a look of that time is not later than the one before."""
        return at_ns <= int(self._clock.rows[0]["at_ns"])

    def step(self, seen: Detections) -> Tracked:
        """Take a look's boxes. A look that is not later than the one before is left out: nobody is in it."""
        clock, at_ns = self._clock.rows[0], seen.event_ns
        ids = np.zeros(len(seen.score), np.int64)
        before_ns = int(clock["at_ns"])
        if at_ns <= before_ns:
            return Tracked(ids, np.zeros(len(ids), np.bool_), np.zeros(0, np.int64))
        ended = self._lasting(seen, before_ns)
        clock["at_ns"] = at_ns
        clock["size_px"] = seen.width_px, seen.height_px
        self._clock.touch_one(0)
        boxes = self._boxes(seen)
        z = kalman.measured(seen.xyxy[boxes])
        slots = self._live()
        believed, free = np.zeros(len(ids), np.bool_), boxes
        if len(slots):
            tracks, found, belief = self._associated(slots, boxes, z, seen)
            if len(found):
                row = self._see(slots[tracks], boxes[found], kalman.updated(belief[:, tracks], z[:, found]), seen)
                ids[boxes[found]], believed[boxes[found]] = row["id"], row["believed"]
                free = boxes[ids[boxes] == 0]
            ended = np.concatenate([ended, self._end(slots, at_ns)])
        new = free[seen.score[free] >= np.float32(self.how.score)]
        if len(new):
            new = self._begin(new, seen)
            ids[new] = np.arange(int(clock["last_id"]) - len(new) + 1, int(clock["last_id"]) + 1)
        return Tracked(ids, believed, ended)

    def standing(self, at_ns: int) -> Standing:
        """The tracks, where they should be at that time."""
        slots = self._live()
        rows = self._table.rows[slots]
        dt = (at_ns - rows["seen_ns"]) / 1e9
        belief = kalman.predicted(rows["belief"].astype(np.float64).T, dt)
        return Standing(
            rows["id"],
            rows["label"],
            rows["believed"],
            rows["score"],
            rows["born_ns"],
            rows["seen_ns"],
            kalman.boxes_of(belief),
            belief,
        )

    def _live(self) -> NDArray[np.intp]:
        """The rows in use, by id."""
        ids = self._table["id"][: self._table.n]
        slots = np.flatnonzero(ids)
        return slots[np.argsort(ids[slots], kind="stable")]

    def _boxes(self, seen: Detections) -> NDArray[np.intp]:
        """The boxes to look at, surest first."""
        floor = np.float32(self.how.floor)
        order = np.argsort(-seen.score, kind="stable")
        if len(order) and not (seen.score[order[-1]] >= floor and np.abs(seen.xyxy).max() < FARTHEST_PX):
            sane = (seen.score >= floor) & (np.abs(seen.xyxy) < FARTHEST_PX).all(axis=1)
            order = order[sane[order]]
        return distinct(seen.xyxy, self._group[seen.label], order) if len(order) > 1 else order

    def _associated(
        self, slots: NDArray[np.intp], boxes: NDArray[np.intp], z: NDArray[np.float64], seen: Detections
    ) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
        """(place in `slots`, place in `boxes`) of the pairs, and where the tracks should be by now.

        First the sure boxes, then the others with the tracks that are left.
        """
        row = self._table.rows[slots]
        belief = row["belief"].T.astype(np.float64)
        belief = kalman.predicted(belief, (seen.event_ns - row["seen_ns"]) / 1e9)
        same = self._group[row["label"]][:, None] == self._group[seen.label[boxes]]
        worth = benefits(belief, z, same)
        sure = int(np.count_nonzero(seen.score[boxes] >= np.float32(self.how.score)))
        tracks, found = paired(worth[:, :sure], self._solve)
        if sure < len(boxes) and len(tracks) < len(slots):
            left = np.ones(len(slots), np.bool_)
            left[tracks] = False
            others = np.flatnonzero(left)
            again, unsure = paired(worth[others, sure:], self._solve)
            tracks, found = np.concatenate([tracks, others[again]]), np.concatenate([found, unsure + sure])
        return tracks, found, belief

    def _see(
        self, slots: NDArray[np.intp], found: NDArray[np.intp], belief: NDArray[np.float64], seen: Detections
    ) -> NDArray[np.void]:
        """These tracks were seen as these boxes: their rows."""
        how = self.how
        row = self._table.rows[slots]
        row["belief"] = belief.T
        row["seen_ns"] = seen.event_ns
        row["hits"] += 1
        mean = row["score"].astype(np.float64)
        mean += (seen.score[found] - mean) / np.minimum(row["hits"], LOOKS_REMEMBERED)
        row["score"] = mean
        old_enough = seen.event_ns - row["born_ns"] >= int(how.believe_s * 1e9)
        row["believed"] |= old_enough & (mean >= how.bar)
        _vote(row, seen.label[found])
        self._table.rows[slots] = row
        self._table.touch(slots)
        return row

    def _begin(self, new: NDArray[np.intp], seen: Detections) -> NDArray[np.intp]:
        """Begin tracks with these boxes, surest first, as long as there is room; returns those begun with."""
        table, clock = self._table, self._clock.rows[0]
        slots = np.flatnonzero(table["id"][: table.n] == 0)
        if len(slots) < len(new):
            fresh = min(table.n + len(new) - len(slots), MOST_TRACKS) - table.n
            slots = np.concatenate([slots, np.arange(table.n, table.n + fresh)])
            table.grow(table.n + fresh)
            self.refused += max(0, len(new) - len(slots))
        slots, new = slots[: len(new)], new[: len(slots)]
        row = table.rows[slots]
        last = int(clock["last_id"])
        row["id"] = np.arange(last + 1, last + 1 + len(new))
        row["belief"] = kalman.begun(kalman.measured(seen.xyxy[new])).T
        row["seen_ns"] = row["born_ns"] = seen.event_ns
        row["hits"] = row["votes"] = 1
        row["score"], row["label"] = seen.score[new], seen.label[new]
        table.rows[slots] = row
        table.touch(slots)
        clock["last_id"] = last + len(new)
        return new

    def _end(self, slots: NDArray[np.intp], at_ns: int) -> NDArray[np.int64]:
        """End the tracks that were not seen for too long: their ids."""
        rows, how = self._table.rows, self.how
        seen_ns = rows["seen_ns"][slots]
        kept_ns = np.maximum(seen_ns - rows["born_ns"][slots], int(how.young_s * 1e9))
        return self._drop(slots[at_ns - seen_ns > np.minimum(kept_ns, int(how.lost_s * 1e9))])

    def _lasting(self, seen: Detections, before_ns: int) -> NDArray[np.int64]:
        """End all tracks where they cannot be carried over from the look before: blind since, or another picture."""
        size = self._clock.rows[0]["size_px"]
        blind = seen.event_ns - before_ns > int(self.how.blind_s * 1e9)
        other = (int(size[0]), int(size[1])) != (seen.width_px, seen.height_px)
        return self._drop(self._live()) if before_ns != NO_TIME and (blind or other) else np.zeros(0, np.int64)

    def _drop(self, slots: NDArray[np.intp]) -> NDArray[np.int64]:
        ids = self._table["id"][slots]
        if len(slots):
            self._table.rows[slots] = np.zeros(1, self._table.dtype)
            self._table.touch(slots)
        return ids


def groups_of(labels: Sequence[str]) -> NDArray[np.int16]:
    """For each label's index the first of those it may be taken for; for an index beyond, itself."""
    group = np.arange(2**15, dtype=np.int16)
    for alike in ALIKE:
        members = [index for index, label in enumerate(labels) if label in alike]
        group[members] = members[:1]
    return group


def _vote(row: NDArray[np.void], label: NDArray[np.int16]) -> None:
    """A track's label is what it was seen as most of the time (Boyer and Moore's vote)."""
    other = row["label"] != label
    row["votes"] += np.where(other, -1, 1)
    lost = row["votes"] < 0
    if lost.any():
        row["label"] = np.where(lost, label, row["label"])
        row["votes"] = np.where(lost, 1, row["votes"])
