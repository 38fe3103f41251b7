"""Whether a camera's picture is worth a look: what moved in it since the last one, on the small luma plane (luma.py).

    picture last given to an engine ─┐
    this picture ────────────────────┴▶ difference, less changes of light ─▶ cells beyond their own noise ─▶ moved?
                                                                               ▲
    what a look found ─▶ what had moved there and was nothing is noise ────────┘

The reference is the last look and no background: what came to rest is known by that look, so nothing has to be learned
of parked cars and standing people, and nothing of them forgotten. What sways is told by what the looks at it find.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, cast

import cv2
import numpy as np

from gateway.vision.luma import SMALL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Cells = NDArray[np.float32]

NS = 1_000_000_000
_LEAST = 4.0  # levels by which a cell must differ: coding alone changes a quiet one by up to three
_NOISES = 4.0  # and so many times what it usually differs by, which for normal noise is about its σ
_AROUND = (33, 33)  # cells, over which light changes alike: larger than who walks there, smaller than a cloud
_ALIKE_3X3 = 3  # cells moved together, of 3 × 3 with itself: a dead pixel or a spark is none
_NOISE_S = 60.0  # how slowly a cell's noise follows where nothing moves
_FORGETS = 0.3  # of that share where it differs by less: what sways passes through its middle, too
_SURPRISE = 0.25  # and by how much at once where what moved was nothing: leaves are known within a second or two
_LONGEST_STEP_S = 1.0
_GROWN = 0.25  # of a box's size, on each side: arms, shadows, and what it moved by
_AFTER_NS = NS  # looks go on for so long after what was found moved: who stopped is seen standing, more than once
_SAME = 0.8  # intersection over union of two boxes of one who stands; of one who walks it is less within 0.2 s
_ON_THE_WAY = 4  # pictures remembered between offering and answer: one waits, one is with an engine
_AGAIN = 2  # looks more, where one found another number although nothing moved: the middle of three decides

NOBODY = np.empty((0, 4), np.float32)


class Answer(NamedTuple):
    """What a look came to: which frame it was of, its size (px), xyxy float[n, 4] px, and how many are sure."""

    number: int
    size: tuple[int, int]
    xyxy: NDArray[np.float32]
    sure: int


class _Glance(NamedTuple):
    number: int
    event_ns: int
    small: NDArray[np.uint8]
    size: tuple[int, int]
    change: Cells | None  # against the look before; None: there was none to compare with
    moved: NDArray[np.bool_] | None  # None: nothing did


Part = tuple[float, float, float, float]
WHOLE: Part = (0.0, 0.0, 1.0, 1.0)


class Motion:
    """One camera's gate. Pure: the same pictures and answers give the same decisions, by the frames' own times.

    For each picture that might be looked at: `wants` says whether to; if so, `offered`; `given` and `answered` tell
    what became of it. `part`: left, top, right, bottom in fractions of the picture, outside which motion is nothing.
    """

    def __init__(self, every_ns: int, part: Part = WHOLE) -> None:
        self._every_ns = every_ns
        self._outside = ~_mask(part)
        self._noise = np.zeros(SMALL, np.float32)
        self._reference: _Glance | None = None
        self._glance: _Glance | None = None
        self._offered: list[_Glance] = []
        self._answered = -1
        self._sure: int | None = None
        self._again = 0
        self._known_s = 0.0
        self._compared_ns: int | None = None
        self._boxes = NOBODY
        self._went_ns: int | None = None  # when one of those found was last elsewhere than before
        self.stirred_ns: int | None = None
        """When something was last found where something moved, or nothing was known."""

    @property
    def moved(self) -> bool:
        """Whether something moved in the picture that was asked about last, or nothing was known to compare it with."""
        return self._glance is None or self._glance.moved is not None or self._reference is None

    def force(self) -> None:
        """Look at the next picture, whatever it shows."""
        self._again = max(self._again, 1)

    def again(self) -> None:
        """What was seen last says nothing about what comes: look. What sways here stays known."""
        self._reference = None
        self._offered.clear()
        self._sure = None
        self._boxes = NOBODY
        self._again = 0

    def wants(self, number: int, event_ns: int, small: NDArray[np.uint8], size: tuple[int, int]) -> bool:
        """Whether to look at a picture, uint8[96, 128], of a frame of that size (px)."""
        reference = self._reference
        if reference is None or reference.size != size:
            self._glance = _Glance(number, event_ns, small, size, None, None)
            self.stirred_ns = event_ns
            return True
        change = difference(small, reference.small)
        over = change > _LEAST + _NOISES * self._noise
        over[self._outside] = False
        moved = together(over)
        self._follow(change, moved, event_ns)
        if moved.any():
            self._glance = _Glance(number, event_ns, small, size, change, moved)
            return True
        self._glance = _Glance(number, event_ns, small, size, None, None)
        after = self._went_ns is not None and event_ns - self._went_ns < _AFTER_NS
        return after or self._again > 0 or not 0 <= event_ns - reference.event_ns < self._every_ns

    def offered(self) -> None:
        """The picture that was asked about last is on its way to an engine, unless a newer one takes its place."""
        if self._glance is not None:
            self._offered = [*self._offered[1 - _ON_THE_WAY :], self._glance]

    def given(self, number: int) -> None:
        """The newest frame that an engine has, or had, is this one: what comes is compared with it."""
        glance = self._found(number)
        if glance is not None and glance is not self._reference:
            self._reference = glance
            self._again = max(0, self._again - 1)

    def answered(self, answer: Answer) -> None:
        """What a look found: where something moved and nothing was found, that was noise."""
        glance = self._found(answer.number)
        if glance is None or answer.number <= self._answered:
            return
        self._answered = answer.number
        sure, self._sure = self._sure, answer.sure
        before, self._boxes = self._boxes, answer.xyxy
        if glance.moved is None or glance.change is None:
            if sure not in {None, answer.sure} and not self._again:
                self._again = _AGAIN
            return
        nothing = unexplained(glance.moved, answer)
        if nothing.any():
            more = np.float32(_SURPRISE) * np.maximum(glance.change - self._noise, np.float32(0))
            self._noise += np.where(nothing, more, np.float32(0))
        if (glance.moved & ~nothing).any():
            self.stirred_ns = glance.event_ns
            if goes(answer.xyxy, before):
                self._went_ns = glance.event_ns

    def _found(self, number: int) -> _Glance | None:
        return next((glance for glance in self._offered if glance.number == number), None)

    def _follow(self, change: Cells, moved: NDArray[np.bool_], event_ns: int) -> None:
        """Learn the noise of the cells that did not move."""
        last_ns, self._compared_ns = self._compared_ns, event_ns
        elapsed_s = 0.0 if last_ns is None else (event_ns - last_ns) / NS
        step_s = min(_LONGEST_STEP_S, max(0.0, elapsed_s))
        self._known_s += step_s
        share = np.float32(step_s / max(1.0, min(_NOISE_S, self._known_s)))  # the mean of a few seconds; later slow
        more = share * (change - self._noise)
        more *= np.where(more < 0, np.float32(_FORGETS), np.float32(1))
        self._noise += np.where(moved, np.float32(0), more)


def _mask(part: Part) -> NDArray[np.bool_]:
    rows, columns = SMALL
    left, top, right, bottom = part
    mask = np.zeros(SMALL, np.bool_)
    mask[math.floor(top * rows) : math.ceil(bottom * rows), math.floor(left * columns) : math.ceil(right * columns)] = (
        True
    )
    return mask


def difference(small: NDArray[np.uint8], reference: NDArray[np.uint8]) -> Cells:
    """By how many levels each cell differs, without what all around it differs by: float32[96, 128], ≥ 0."""
    change = cv2.subtract(small, reference, dtype=cv2.CV_32F)
    change -= cv2.blur(change, _AROUND)
    return cast("Cells", np.abs(change, out=change))


def together(over: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The cells of a mask that are not alone."""
    if not over.any():
        return over
    count = cv2.boxFilter(over.view(np.uint8), -1, (3, 3), normalize=False, borderType=cv2.BORDER_CONSTANT)
    return over & (count >= _ALIKE_3X3)


def unexplained(moved: NDArray[np.bool_], answer: Answer) -> NDArray[np.bool_]:
    """The cells that moved and hang together with no box that was found: bool[96, 128]."""
    count, labels = cv2.connectedComponents(moved.view(np.uint8), connectivity=8)
    part = cast("NDArray[np.int32]", labels)
    found = np.zeros(count, np.bool_)
    for left, top, right, bottom in cells_of(answer):
        found[part[top:bottom, left:right].ravel()] = True
    found[0] = True  # what did not move is a part, too
    return ~found[part]


def goes(now: NDArray[np.float32], before: NDArray[np.float32]) -> bool:
    """Whether a box (xyxy float32[n, 4]) is new, or elsewhere than it was."""
    if not len(now) or not len(before):
        return bool(len(now))
    low, high = np.maximum(now[:, None, :2], before[None, :, :2]), np.minimum(now[:, None, 2:], before[None, :, 2:])
    common = np.prod(np.maximum(high - low, 0), axis=2)
    area, was = np.prod(now[:, 2:] - now[:, :2], axis=1), np.prod(before[:, 2:] - before[:, :2], axis=1)
    return bool((common < _SAME * (area[:, None] + was - common)).all(axis=1).any())


def cells_of(answer: Answer) -> Sequence[tuple[int, int, int, int]]:
    """The boxes in cells, grown: (left, top, right, bottom), the last two exclusive."""
    rows, columns = SMALL
    box = answer.xyxy.astype(np.float64) / np.array([*answer.size, *answer.size]) * [columns, rows, columns, rows]
    size = np.tile(box[:, 2:] - box[:, :2], 2) * _GROWN * [-1, -1, 1, 1]
    low, high = np.floor((box + size)[:, :2]), np.ceil((box + size)[:, 2:])
    cells = np.clip(np.concatenate([low, high], axis=1), 0, [columns, rows, columns, rows]).astype(np.intp)
    return cast("Sequence[tuple[int, int, int, int]]", cells.tolist())
