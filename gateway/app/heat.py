"""Where things stood in the last hour, camera by camera: a coarse grid of ground points, for the page alone.

Kept in memory by buckets of five minutes, so that an hour rolls off by itself; a restart begins anew.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import numpy as np

from gateway.ports import Heat

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from gateway.events import Detections
    from gateway.ports import Clock

COLUMNS, ROWS = 48, 27
BUCKET_NS = 300 * 10**9
BUCKETS = 12  # an hour; 130 kB a camera


class _Bucket:
    """Five minutes of one camera."""

    __slots__ = ("cells", "looks", "number", "since_ns")

    def __init__(self, number: int, since_ns: int) -> None:
        self.number, self.since_ns, self.looks = number, since_ns, 0
        self.cells: NDArray[np.int64] = np.zeros(ROWS * COLUMNS, np.int64)


class HeatMaps:
    """The grids of all cameras. `scores`: from which on a box of each counts; boxes of other cameras are left out."""

    def __init__(self, clock: Clock, scores: Mapping[str, float]) -> None:
        self._clock, self._scores = clock, scores
        self._buckets: dict[str, deque[_Bucket]] = {}

    def take(self, seen: Detections) -> None:
        """A look: where its boxes stand. In each cell at most one thing counts a look."""
        score = self._scores.get(seen.camera)
        if score is None or seen.width_px < 1 or seen.height_px < 1:
            return
        bucket = self._bucket(seen.camera)
        bucket.looks += 1
        boxes = seen.xyxy[seen.score >= np.float32(score)].astype(np.float64)
        x = (boxes[:, 0] + boxes[:, 2]) * (0.5 * COLUMNS / seen.width_px)
        y = boxes[:, 3] * (ROWS / seen.height_px)
        there = np.isfinite(x) & np.isfinite(y)
        column = np.clip(x[there], 0, COLUMNS - 1).astype(np.intp)
        row = np.clip(y[there], 0, ROWS - 1).astype(np.intp)
        bucket.cells[np.unique(row * COLUMNS + column)] += 1

    def of(self, camera: str) -> Heat | None:
        """The last hour, to five minutes; None where there was no look in it."""
        now = self._clock.monotonic_ns() // BUCKET_NS
        live = [one for one in self._buckets.get(camera, ()) if now - one.number < BUCKETS]
        if not live:
            return None
        cells: NDArray[np.int64] = np.sum([one.cells for one in live], axis=0)
        return Heat(cells.reshape(ROWS, COLUMNS), sum(one.looks for one in live), live[0].since_ns)

    def _bucket(self, camera: str) -> _Bucket:
        number = self._clock.monotonic_ns() // BUCKET_NS
        buckets = self._buckets.setdefault(camera, deque(maxlen=BUCKETS))
        if not buckets or buckets[-1].number != number:
            buckets.append(_Bucket(number, self._clock.now_ns()))
        return buckets[-1]
