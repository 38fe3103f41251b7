"""SORT as published (Bewley et al. 2016), a track at a time: what a plain loop costs and reaches. Not ours to use."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linear_sum_assignment

from parts.mot import overlap

MAX_AGE, MIN_HITS, LEAST_IOU = 1, 3, 0.3  # the authors' own
F = np.eye(7) + np.eye(7, k=4)  # x, y, area, ratio and the velocities of the first three
H = np.eye(4, 7)
R = np.diag([1.0, 1, 10, 10])
Q = np.diag([1.0, 1, 1, 1, 0.01, 0.01, 0.0001])
P0 = np.diag([10.0, 10, 10, 10, 10_000, 10_000, 10_000])


@dataclass
class Track:
    """One filter."""

    id: int
    x: np.ndarray
    p: np.ndarray = field(default_factory=P0.copy)
    since: int = 0
    streak: int = 0

    def predict(self) -> np.ndarray:
        """(left, top, width, height) of the next frame."""
        if self.x[2] + self.x[6] <= 0:
            self.x[6] = 0
        self.x, self.p = F @ self.x, F @ self.p @ F.T + Q
        self.streak, self.since = self.streak if self.since == 0 else 0, self.since + 1
        width = np.sqrt(self.x[2] * self.x[3])
        height = self.x[2] / width
        return np.array([self.x[0] - width / 2, self.x[1] - height / 2, width, height])

    def update(self, z: np.ndarray) -> None:
        """Seen."""
        gain = self.p @ H.T @ np.linalg.inv(H @ self.p @ H.T + R)
        self.x, self.p = self.x + gain @ (z - H @ self.x), (np.eye(7) - gain @ H) @ self.p
        self.since, self.streak = 0, self.streak + 1


class Sort:
    """Takes the boxes of a frame (left, top, width, height), gives (box, id) of those it reports."""

    def __init__(self) -> None:
        self._tracks: list[Track] = []
        self._last = self._frames = 0

    def step(self, xywh: np.ndarray) -> list[tuple[int, int]]:
        """The next frame."""
        self._frames += 1
        expected = np.array([track.predict() for track in self._tracks]).reshape(-1, 4)
        good = np.isfinite(expected).all(axis=1)
        self._tracks = [track for track, fine in zip(self._tracks, good, strict=True) if fine]
        iou = overlap(expected[good], xywh)
        pairs = [(i, j) for i, j in zip(*linear_sum_assignment(-iou), strict=True) if iou[i, j] >= LEAST_IOU]
        z = np.column_stack([xywh[:, :2] + xywh[:, 2:] / 2, xywh[:, 2] * xywh[:, 3], xywh[:, 2] / xywh[:, 3]])
        out: list[tuple[int, int]] = []
        for i, j in pairs:
            self._tracks[i].update(z[j])
            if self._tracks[i].streak >= MIN_HITS or self._frames <= MIN_HITS:
                out.append((int(j), self._tracks[i].id))
        for j in sorted(set(range(len(xywh))) - {j for _, j in pairs}):
            self._last += 1
            self._tracks.append(Track(self._last, np.concatenate([z[j], np.zeros(3)])))
            if self._frames <= MIN_HITS:
                out.append((j, self._last))
        self._tracks = [track for track in self._tracks if track.since <= MAX_AGE]
        return out
