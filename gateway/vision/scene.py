"""What a camera usually sees, as a map of its edges, and whether it still does: covered, blurred, moved.

Everything here is against the camera's own past, which follows slowly (dusk, seasons, parked cars) and stands still
while something is wrong. Edges are taken relative to the brightness around them, so that light alone changes little.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, TypeVar, cast

import cv2
import numpy as np

from gateway.vision.exposure import DARK

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Map = NDArray[np.float32]
    T = TypeVar("T", float, Map)

_NOW_S = 3.0  # what moves through the picture is averaged away over this
_PAST_S = 120.0  # how slowly the past follows: dusk takes ten times as long
_SUDDEN_PAST_S = 600.0  # and where it changed at once (lamps, infrared): what is about to be said must not be learned
_SHARP_PAST_S = 600.0  # lenses do not change; what is in the picture does
_LONGEST_STEP_S = 2.0  # a picture answers for no more time than this
_LEARN_S = 10.0  # of looking before anything is judged
_LEAST_STRUCTURE = 0.03  # mean of the map: less is an empty night or a wall, against which nothing can be judged
_BLOCKS = (6, 8)  # rows, columns
_LOST = 0.35  # of a block's usual structure: less is lost
_COVERED = 0.6  # of the blocks that have some
_UNCOVERED = 0.4
_BLURRED = 0.4  # of the usual sharpness: from a step that is sharp to one over 8 px or more
_SHARP_AGAIN = 0.6
_SURELY_ALIKE = 0.7  # correlation of two maps: above this nobody moved
_ALIKE = 0.5  # of two that show the same
_SAME_AGAIN = 0.4
_STRANGE = 0.3  # and of two that do not: strangers have 0 ± 0.1
_AROUND = (17, 17)  # cells
_BETTER = 0.2  # by so much must a shift explain the picture better than none
_LEAST_SHIFT = 3  # cells of 128 × 96: 2.3 % of the width; less is wind and a truck passing
_FURTHEST = 0.4  # of the picture: beyond it too little is left to compare


class Seen(NamedTuple):
    """How a picture compares with the past; None: that cannot be said now.

    lost: share of the picture's structure that is gone; alike: correlation (1: the same); shift: (right, down) cells by
    which the picture's content went, where that explains it; sharp: sharpness ÷ the usual one.
    """

    lost: float | None
    alike: float | None
    shift: tuple[int, int] | None
    sharp: float | None

    def covered(self, said: bool) -> bool | None:
        """Most of what there is to see has no edges any more."""
        return None if self.lost is None else self.lost >= (_UNCOVERED if said else _COVERED)

    def blurred(self, said: bool) -> bool | None:
        """The edges are where they were, and soft."""
        return None if self.sharp is None else self.sharp < (_SHARP_AGAIN if said else _BLURRED)

    def moved(self, said: bool) -> bool | None:
        """The same scene stands elsewhere in the picture."""
        if self.alike is None:
            return None
        return self.shift is not None or (said and self.alike < _SAME_AGAIN)

    def strange(self, said: bool) -> bool | None:
        """It shows nothing of what it did. Asked only where it is not covered."""
        return None if self.alike is None else self.alike < (_SAME_AGAIN if said else _STRANGE)


class Scene:
    """The past of one camera, and its last seconds."""

    def __init__(self) -> None:
        self._now: Map | None = None
        self._past: Map | None = None
        self._sharp_now: float | None = None
        self._sharp_past: float | None = None
        self._alike: float | None = None
        self._learned_s = 0.0
        self._sharp_s = 0.0
        self._last_ns: int | None = None
        self._step_s = 0.0

    def resized(self) -> None:
        """The picture has another size: sharpness a pixel is not comparable."""
        self._sharp_now = self._sharp_past = None
        self._sharp_s = 0.0

    def see(self, edges: Map, mean: float, sharp: float | None, at_ns: int) -> Seen:
        """Compare a picture with the past. `edges`: its `edge_map`; `mean`: its brightness; `sharp`: its sharpness."""
        elapsed_s = 0.0 if self._last_ns is None else (at_ns - self._last_ns) / 1e9
        step_s = self._step_s = min(_LONGEST_STEP_S, max(0.0, elapsed_s))
        self._last_ns = at_ns
        self._now = _follow(self._now, edges, step_s, _NOW_S)
        if sharp is not None:
            self._sharp_now = _follow(self._sharp_now, sharp, step_s, _NOW_S)
        known = sharp is not None and self._sharp_s >= _LEARN_S
        ratio = self._sharp_now / self._sharp_past if known and self._sharp_now and self._sharp_past else None
        past = self._past
        if past is None or self._learned_s < _LEARN_S or mean <= DARK or float(past.mean()) < _LEAST_STRUCTURE:
            self._alike = None
            return Seen(None, None, None, ratio)
        self._alike = alike = correlation(self._now, past)
        shift = find_shift(self._now, past, alike) if alike < _SURELY_ALIKE else None
        return Seen(lost(self._now, past), alike, shift, ratio)

    def learn(self) -> None:
        """What was seen last is as usual: the past follows by it. Not called while anything is wrong or about to be."""
        step_s = self._step_s
        if self._now is not None:
            sudden = self._alike is not None and self._alike < _SURELY_ALIKE
            slowness_s = _SUDDEN_PAST_S if sudden else _slowly(self._learned_s, _PAST_S)
            self._past = _follow(self._past, self._now, step_s, slowness_s)
            self._learned_s += step_s
        if self._sharp_now is not None:
            self._sharp_past = _follow(self._sharp_past, self._sharp_now, step_s, _slowly(self._sharp_s, _SHARP_PAST_S))
            self._sharp_s += step_s


def edge_map(small: NDArray[np.uint8], slope: Map) -> Map:
    """Edges relative to the brightness around them, float32[96, 128]: 0 none, about 1 a strong one."""
    around = cv2.blur(small, (9, 9)).astype(np.float32)
    relative = np.maximum(slope - 1, 0) / (around + 16)  # a level is noise and coding; 16 keeps the dark from ruling
    return np.sqrt(relative, dtype=np.float32)


def correlation(now: Map, past: Map) -> float:
    """Of two maps, −1 to 1, by what stands out of its surroundings: sky above and street below have all scenes."""
    a, b = now - cv2.blur(now, _AROUND), past - cv2.blur(past, _AROUND)
    size = math.sqrt(float((a * a).sum()) * float((b * b).sum()))
    return float((a * b).sum()) / size if size else 0.0


def lost(now: Map, past: Map) -> float:
    """Share of the blocks with structure that have lost it."""
    before, after = _blocks(past), _blocks(now)
    some = before >= 0.5 * before.mean()
    return float(np.count_nonzero(after[some] < _LOST * before[some]) / np.count_nonzero(some))


def find_shift(now: Map, past: Map, alike: float) -> tuple[int, int] | None:
    """(right, down), cells by which the past's content went to give what is seen now, where that explains it.

    Phase correlation (Kuglin and Hines, 1975) proposes, the correlation of what both show decides.
    """
    window = cv2.createHanningWindow(now.shape[::-1], cv2.CV_32F)
    (x, y), _ = cv2.phaseCorrelate(past.copy(), now.copy(), window)  # it writes into what it is given
    right, down = round(x), round(y)
    rows, columns = now.shape
    if max(abs(right), abs(down)) < _LEAST_SHIFT or abs(right) > _FURTHEST * columns or abs(down) > _FURTHEST * rows:
        return None
    here = now[max(0, down) : rows + min(0, down), max(0, right) : columns + min(0, right)]
    there = past[max(0, -down) : rows + min(0, -down), max(0, -right) : columns + min(0, -right)]
    explained = correlation(here, there)
    return (right, down) if explained >= max(_ALIKE, alike + _BETTER) else None


def _blocks(edges: Map) -> Map:
    rows, columns = _BLOCKS
    shape = (rows, edges.shape[0] // rows, columns, edges.shape[1] // columns)
    return edges.reshape(shape).mean(axis=(1, 3), dtype=np.float32)


def _follow(was: T | None, now: T, step_s: float, slowness_s: float) -> T:
    if was is None:
        return now
    share = 1 - math.exp(-step_s / slowness_s)
    return cast("T", was + share * (now - was))


def _slowly(learned_s: float, slowness_s: float) -> float:
    """A past of a few seconds is their mean; later it is slow."""
    return min(slowness_s, max(learned_s, 1.0))
