"""Whether one picture by itself shows anything: black, over-exposed, flat; and how sharp its edges are."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gateway.vision.luma import Sample

DARK = 40  # luma of 255 (black is 16): nothing brighter than this is black, and structure this dark says nothing
_DARK_SPREAD = 16  # a dark street has lamps, or at least a sky: all cells within this is no street
_CLIPPED = 230  # luma of a cell that shows nothing any more (white is 235)
_CLIPPED_SHARE = 0.7  # of the picture: headlights and low sun take less
_FLAT = 2.0  # levels from a cell to the next at the strongest edges: paint, a bag, a hand, thick fog
_STRONGEST = 0.005  # the share of cells that counts as such: lamps and dead pixels are fewer
_MARGIN_ROWS = 12  # of 96, above and below: there cameras write their clock
_EDGE = 24  # levels across 16 px: an edge in whose sharpness noise plays no part
_FLAT_ROW = 8  # levels across 16 px: so little is no edge, and what differs there is noise
_LEAST_EDGES = 200  # px: fewer say nothing of a lens
LEAST_WIDTH_PX = 64  # of a row in which to look for them
_MAD = 0.6745  # of a normal distribution: median of |x| ÷ σ


class Exposure(NamedTuple):
    """What of a picture holds without any other: at most one of the three, and its brightness (mean luma)."""

    black: bool
    overexposed: bool
    flat: bool
    mean: float
    brightest: int
    clipped: float

    @property
    def blind(self) -> bool:
        """Whether nothing can be seen in it."""
        return self.black or self.overexposed or self.flat


def gradient(small: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Levels from a cell to the next, float32 like `small`."""
    across, down = cv2.spatialGradient(small)
    size = np.abs(across) + np.abs(down)
    return size.astype(np.float32) / np.float32(8)  # Sobel's weights sum to 8 a level and cell


def exposure(small: NDArray[np.uint8], slope: NDArray[np.float32]) -> Exposure:
    """Judge a picture by itself. `slope`: its gradient."""
    middle = small[_MARGIN_ROWS:-_MARGIN_ROWS]
    below = np.cumsum(np.bincount(middle.ravel(), minlength=256)) / middle.size
    darkest, brightest = (int(np.searchsorted(below, share)) for share in (_STRONGEST, 1 - _STRONGEST))
    clipped = float(1 - below[_CLIPPED - 1])
    black = brightest <= DARK and brightest - darkest <= _DARK_SPREAD
    over = clipped >= _CLIPPED_SHARE
    steep = np.count_nonzero(slope[_MARGIN_ROWS:-_MARGIN_ROWS] > _FLAT)
    flat = not black and not over and brightest > DARK and steep <= _STRONGEST * middle.size
    return Exposure(black, over, bool(flat), float(middle.mean()), brightest, clipped)


def sharpness(sample: Sample) -> float | None:
    """How much of its edges' height is reached within 2 px: 0 to about 1/4, whatever their contrast.

    From rows at full resolution: energy of differences across 2 px ÷ across 16 px, where those are edges, less what the
    noise beside them adds. A step gives 1/8, the same blurred by σ = 8 px an eighth of it. None where edges are few.
    """
    rows = sample.rows[::2].astype(np.int16)  # half of them has edges enough
    if rows.shape[1] < LEAST_WIDTH_PX:
        return None
    coarse = rows[:, 16:] - rows[:, :-16]
    fine = rows[:, 9:-7] - rows[:, 7:-9]
    size = np.abs(coarse)
    edge = size >= _EDGE
    if np.count_nonzero(edge) < _LEAST_EDGES:
        return None
    smooth = np.abs(fine[size < _FLAT_ROW])
    noise = (float(np.median(smooth)) / _MAD) ** 2 if smooth.size >= _LEAST_EDGES else 0.0
    at_edges = fine[edge].astype(np.float32)
    across = coarse[edge].astype(np.float32)
    return max(0.0, float(np.mean(at_edges * at_edges)) - noise) / float(np.mean(across * across))
