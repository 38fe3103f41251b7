"""Tracks one box and one track at a time, in plain numbers: the scalar reference of gateway/core/track.py."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from gateway.core import kalman

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.core.track import Tracking
    from gateway.events import Detections

NOISE = (kalman.PLACE_NOISE * kalman.PLACE_NOISE, kalman.SIDE_NOISE * kalman.SIDE_NOISE)
WANDER = (kalman.PLACE_WANDER, kalman.SIDE_WANDER)
SPEED = (kalman.PLACE_SPEED * kalman.PLACE_SPEED, kalman.SIDE_SPEED * kalman.SIDE_SPEED)
Numbers = list[float]


def stored(numbers: Numbers) -> Numbers:
    """As a state table keeps them."""
    return [float(np.float32(number)) for number in numbers]


def square_of(belief: Numbers) -> float:
    """The longer side, squared."""
    size = max(belief[2], belief[3], 1.0)
    return size * size


def measured(box: Sequence[float]) -> Numbers:
    """Centre and sides."""
    x1, y1, x2, y2 = box
    return [(x1 + x2) * 0.5, (y1 + y2) * 0.5, max(x2 - x1, 1.0), max(y2 - y1, 1.0)]


def begun(z: Numbers) -> Numbers:
    """A first sight."""
    square = square_of(z)
    return [*z, *[0.0] * 4, NOISE[0] * square, NOISE[1] * square, 0.0, 0.0, SPEED[0] * square, SPEED[1] * square]


def predicted(belief: Numbers, dt: float) -> Numbers:
    """Later."""
    square, out = square_of(belief), list(belief)
    for i in range(4):
        out[i] = belief[i] + belief[4 + i] * dt
    for k in range(2):
        value, both, velocity = belief[8 + k], belief[10 + k], belief[12 + k]
        gained = WANDER[k] * square * dt
        out[8 + k] = value + dt * (both + both + dt * (velocity + gained * (1 / 3)))
        out[10 + k] = both + dt * (velocity + gained * 0.5)
        out[12 + k] = velocity + gained
    return out


def updated(belief: Numbers, z: Numbers) -> Numbers:
    """Seen."""
    square, out = square_of(belief), list(belief)
    for k in range(2):
        noise = NOISE[k] * square
        whole = belief[8 + k] + noise
        gain, gain_speed = belief[8 + k] / whole, belief[10 + k] / whole
        for i in (2 * k, 2 * k + 1):
            off = z[i] - belief[i]
            out[i] = belief[i] + gain * off
            out[4 + i] = belief[4 + i] + gain_speed * off
        out[8 + k], out[10 + k] = gain * noise, gain_speed * noise
        out[12 + k] = belief[12 + k] - gain_speed * belief[10 + k]
    return out


def worth(belief: Numbers, z: Numbers) -> int:
    """What the pair is worth, in 1/1024; 0: it may not be one."""
    square = square_of(belief)
    place, side = (belief[8 + k] + NOISE[k] * square for k in range(2))
    squared = [(z[i] - belief[i]) * (z[i] - belief[i]) for i in range(4)]
    distance = (squared[0] + squared[1]) / place + (squared[2] + squared[3]) / side
    spread = 2.0 * math.log((place / square) * (side / square))
    value = round(((8.0 - spread) - distance) * 1024.0)
    return value if distance < 13.28 and value > 0 else 0


def best(
    worths: Mapping[tuple[int, int], int],
    tracks: Sequence[int],
    boxes: Sequence[int],
    ties: Mapping[tuple[int, int], int],
) -> list[tuple[int, int]]:
    """The pairing worth most; of equals the one whose ties sum to most."""

    @cache
    def of(row: int, left: frozenset[int]) -> tuple[int, int, tuple[tuple[int, int], ...]]:
        if row == len(tracks):
            return 0, 0, ()
        choices = [of(row + 1, left)]
        for column in left:
            value = worths.get((tracks[row], boxes[column]), 0)
            if value:
                most, tie, pairs = of(row + 1, left - {column})
                tie += ties[tracks[row], boxes[column]]
                choices.append((most + value, tie, ((tracks[row], boxes[column]), *pairs)))
        return max(choices, key=lambda choice: choice[:2])

    return list(of(0, frozenset(range(len(boxes))))[2])


def alone(seen: Detections, group: Sequence[int], floor: float) -> list[int]:
    """The boxes that count, surest first."""
    kept: list[int] = []
    for i in sorted(range(len(seen.score)), key=lambda i: -float(seen.score[i])):
        box = [float(side) for side in seen.xyxy[i]]
        if seen.score[i] < np.float32(floor) or not all(abs(side) < 1e6 for side in box):
            continue
        if not any(group[seen.label[i]] == group[seen.label[k]] and over_half(box, seen.xyxy[k]) for k in kept):
            kept.append(i)
    return kept


def over_half(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether two boxes overlap by more than half."""
    a, b = [float(x) for x in one], [float(x) for x in other]
    common = max(min(a[2], b[2]) - max(a[0], b[0]), 0.0) * max(min(a[3], b[3]) - max(a[1], b[1]), 0.0)
    area = (a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1])
    return common * 3.0 > area[0] + area[1]


@dataclass
class Track:
    """One track."""

    id: int
    belief: Numbers
    seen_ns: int
    born_ns: int
    hits: int
    score: float
    label: int
    votes: int = 1
    believed: bool = False


class TrackerReference:
    """Takes looks one after another."""

    def __init__(self, group: Sequence[int], how: Tracking) -> None:
        self.group, self.how = group, how
        self.tracks: dict[int, Track] = {}
        self.last = 0
        self.before: tuple[int, int, int] | None = None

    def step(self, seen: Detections) -> tuple[list[int], list[bool], list[int]]:
        """(ids, believed, ended)."""
        ids, ended, at_ns = [0] * len(seen.score), list[int](), seen.event_ns
        if self.before and at_ns <= self.before[0]:
            return ids, [False] * len(ids), []
        if self.before and (
            at_ns - self.before[0] > self.how.blind_s * 1e9 or self.before[1:] != (seen.width_px, seen.height_px)
        ):
            ended, self.tracks = sorted(self.tracks), {}
        self.before = at_ns, seen.width_px, seen.height_px
        boxes = alone(seen, self.group, self.how.floor)
        sure = [i for i in boxes if seen.score[i] >= np.float32(self.how.score)]
        z = {i: measured([float(side) for side in seen.xyxy[i]]) for i in boxes}
        later = {t.id: predicted(t.belief, (at_ns - t.seen_ns) / 1e9) for t in self.tracks.values()}
        alike = {
            (t.id, i): worth(later[t.id], z[i])
            for t in self.tracks.values()
            for i in boxes
            if self.group[t.label] == self.group[int(seen.label[i])]
        }
        known = sorted(self.tracks)
        ties = {  # places counted from the end, multiplied: lower ids and earlier boxes first, and with one another
            (one, i): (len(known) - row) * (len(boxes) - column)
            for row, one in enumerate(known)
            for column, i in enumerate(boxes)
        }
        pairs = best(alike, known, boxes[: len(sure)], ties)
        left = [one for one in known if one not in dict(pairs)]
        for one, i in [*pairs, *best(alike, left, boxes[len(sure) :], ties)]:
            self.see(self.tracks[one], updated(later[one], z[i]), seen, i)
            ids[i] = one
        for track in list(self.tracks.values()):
            kept = max(track.seen_ns - track.born_ns, round(self.how.young_s * 1e9))
            if at_ns - track.seen_ns > min(kept, round(self.how.lost_s * 1e9)):
                del self.tracks[track.id]
                ended.append(track.id)
        for i in sure:
            if not ids[i]:
                self.last += 1
                ids[i] = self.last
                label, score = int(seen.label[i]), float(seen.score[i])
                self.tracks[self.last] = Track(self.last, stored(begun(z[i])), at_ns, at_ns, 1, score, label)
        return ids, [bool(one) and self.tracks[one].believed for one in ids], sorted(ended)

    def see(self, track: Track, belief: Numbers, seen: Detections, i: int) -> None:
        """The track is this box."""
        track.belief, track.seen_ns, track.hits = stored(belief), seen.event_ns, track.hits + 1
        mean = track.score + (float(seen.score[i]) - track.score) / min(track.hits, 10.0)
        [track.score] = stored([mean])
        if seen.event_ns - track.born_ns >= round(self.how.believe_s * 1e9) and mean >= self.how.bar:
            track.believed = True
        label = int(seen.label[i])
        track.votes += 1 if label == track.label else -1
        if track.votes < 0:
            track.label, track.votes = label, 1
