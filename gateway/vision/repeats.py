"""Whether a camera sends the same picture again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gateway.vision.luma import Sample

NS = 1_000_000_000
REPEATED_NS = 5 * NS // 2
_UNPROVEN_NS = 60 * NS  # longer than any camera goes without a frame coded by itself
_STILL = 2  # levels a cell may change while an encoder refines a picture that stands still


class Repeats:
    """Told apart from a scene in which nothing moves by the sensor's noise.

    A frame that is coded from the one before may well come out the same bit for bit: encoders skip what hardly changed.
    One that is coded by itself does not, as the noise has changed meanwhile. So a picture is a repeat once such a frame
    equals, in each pixel of its sample, the frame before it or the last one of its kind, with nothing moved between; or
    when all were the same for a minute. What has no noise at all (a test pattern, a drawing) counts as a repeat too.
    """

    def __init__(self) -> None:
        self._last: Sample | None = None
        self._key: NDArray[np.uint8] | None = None
        self._since_ns = 0
        self._proven = False
        self._exact = True

    def update(self, sample: Sample, at_ns: int) -> int | None:
        """Since when (ns) the picture is a repeat, or None."""
        last, self._last = self._last, sample
        key = sample.key
        exact = last is not None and _equal(sample.rows, last.rows)
        proof = key and (exact or (self._key is not None and _equal(sample.rows, self._key)))
        if last is None or (key and not proof) or not (exact or _still(sample.small, last.small)):
            self._since_ns, self._proven, self._exact = at_ns, False, True
        else:
            self._proven |= proof
            self._exact &= exact
        if key:
            self._key = sample.rows
        return self._since_ns if self._is_repeat(at_ns - self._since_ns) else None

    def again(self) -> None:
        """A new connection: what it sends first says nothing yet."""
        self._last = None

    def _is_repeat(self, held_ns: int) -> bool:
        return held_ns >= REPEATED_NS and (self._proven or (self._exact and held_ns >= _UNPROVEN_NS))


def _equal(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> bool:
    return a.shape == b.shape and bool((a == b).all())


def _still(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> bool:
    return int(np.abs(a.astype(np.int16) - b).max()) <= _STILL
