"""What of a camera's picture is looked at: all of it or the part around its regions, and overlapping tiles beside.

A thing that several looks show is one box. What a tile's inner edge cut off belongs to a box that was not cut, be it of
the whole picture or of the next tile, where most of it lies in that; pieces of one thing that nobody saw whole are
joined. Beyond that the better of two boxes of a class stays, as ever.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gateway.core.outline import Outline
from gateway.vision.boxes import survivors
from gateway.vision.heads import MOST_BOXES, MOST_CANDIDATES, Found
from gateway.vision.planes import Part, planes_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import av
    from numpy.typing import NDArray

    from gateway.config.model import Camera, Point
    from gateway.vision.detector import Detector

_OVERLAP = 0.2  # of a tile: what is smaller than that is whole in one of them
_MARGIN = 0.1  # of the picture, around the regions: whose feet are at a region's edge is seen with his head
_LEAST_PX = 32  # a tile's side: smaller ones show nothing that the whole does not
_EDGE = 0.015  # of a tile's side: a box that ends so near to its edge is taken to be cut by it
_SAME_IOU = 0.5  # two looks at one thing differ by more than a look's own boxes of it, which 0.7 keeps apart
_WITHIN = 0.6  # share of a piece that lies in a whole box of its class which it then is a part of
_JOINED = 0.3  # share of the smaller of two pieces that both show
_BELIEVED = 0.5  # a box that much less sure than a piece does not take it in


class Area(NamedTuple):
    """A rectangle of the picture in px, from (left, top) to before (right, bottom)."""

    left: int
    top: int
    right: int
    bottom: int


class Aim:
    """One camera's. `tiles`: so many × so many beside the whole; `regions`: outlines, in fractions of the picture."""

    def __init__(self, tiles: int = 1, regions: Iterable[tuple[Point, ...]] = ()) -> None:
        self._tiles = tiles
        self._regions = tuple(regions)

    @classmethod
    def of(cls, camera: Camera) -> Aim:
        """As it is configured."""
        return cls(camera.tiles, camera.regions.values())

    def parts(self, frame: av.VideoFrame) -> list[Part]:
        """What is to be looked at, the whole first."""
        planes = planes_of(frame)
        return [Part(planes, *area) for area in self.areas(*planes.size)]

    def areas(self, width_px: int, height_px: int) -> tuple[Area, ...]:
        """The same as rectangles of a picture of that size."""
        return _areas(self._tiles, self._regions, width_px, height_px)

    def gathered(self, founds: Sequence[Found], width_px: int, height_px: int) -> Found:
        """One picture's boxes out of its parts' boxes, which are in px of the picture already."""
        found = founds[0]
        if len(founds) > 1:
            found = merged(founds, self.areas(width_px, height_px))
        if self._regions and len(found.score):
            found = _chosen(found, _held(self._regions, found.xyxy, width_px, height_px))
        for column in found:
            column.flags.writeable = False
        return found


EVERYTHING = Aim()


def look(detector: Detector, frames: Sequence[av.VideoFrame], aims: Sequence[Aim]) -> list[Found]:
    """The boxes of each frame, which is looked at as its aim says. Raises ModelError when the model fails on them."""
    parts = [aim.parts(frame) for frame, aim in zip(frames, aims, strict=True)]
    found = iter(detector.detect([part for each in parts for part in each]))
    return [
        aim.gathered([next(found) for _ in each], frame.width, frame.height)
        for frame, aim, each in zip(frames, aims, parts, strict=True)
    ]


def merged(founds: Sequence[Found], areas: Sequence[Area]) -> Found:
    """The boxes of overlapping areas as one picture's, best first, 300 at most. The first area holds the others."""
    source = np.repeat(np.arange(len(founds)), [len(found.score) for found in founds])
    xyxy, score, label = (np.concatenate(columns) for columns in zip(*founds, strict=True))
    cut = _cut(xyxy, np.array(areas, np.float32), source)
    best = np.argsort(-score, kind="stable")[:MOST_CANDIDATES]
    order = best[np.argsort(cut[best], kind="stable")]  # who was seen whole first; then the surest
    xyxy, score, label, cut, source = xyxy[order], score[order], label[order], cut[order], source[order]
    over = _over(xyxy, score, cut)
    over &= (label[:, None] == label) & (source[:, None] != source)
    over &= np.arange(len(order))[:, None] < np.arange(len(order))
    kept = np.flatnonzero(survivors(over))
    pieces = over[kept] & cut
    pieces &= ~cut[kept, None] | ~over[kept[~cut[kept]]].any(axis=0)  # of whom somebody has seen whole, no other's
    pieces[np.arange(len(kept)), kept] = True
    score = np.where(pieces, score, np.float32(0)).max(axis=1, initial=0)
    pieces &= cut[kept, None] | (kept[:, None] == np.arange(len(order)))  # only pieces are joined to one outline
    low = np.where(pieces[:, :, None], xyxy[:, :2], np.float32(np.inf)).min(axis=1, initial=np.inf)
    high = np.where(pieces[:, :, None], xyxy[:, 2:], np.float32(-np.inf)).max(axis=1, initial=-np.inf)
    best = np.argsort(-score, kind="stable")[:MOST_BOXES]
    return Found(np.concatenate([low, high], axis=1)[best], score[best], label[kept][best])


def _over(xyxy: NDArray[np.float32], score: NDArray[np.float32], cut: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which box i stands for which box j, bool[n, n]: the same thing seen twice, or a piece of it."""
    low = np.maximum(xyxy[:, None, :2], xyxy[:, :2])
    sides = np.maximum(np.minimum(xyxy[:, None, 2:], xyxy[:, 2:]) - low, 0)
    shared = sides[:, :, 0] * sides[:, :, 1]
    area = (xyxy[:, 2] - xyxy[:, 0]) * (xyxy[:, 3] - xyxy[:, 1])
    twice = shared > _SAME_IOU / (1 + _SAME_IOU) * (area[:, None] + area)
    believed = score[:, None] >= _BELIEVED * score
    within = (shared >= _WITHIN * area) & (shared > 0) & believed & cut & ~cut[:, None]
    joined = (shared >= _JOINED * np.minimum(area[:, None], area)) & (shared > 0) & cut & cut[:, None]
    return twice | within | joined


def _cut(xyxy: NDArray[np.float32], areas: NDArray[np.float32], source: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Which boxes end at an edge of their area that is not the whole's."""
    mine, whole = areas[source], areas[0]
    near = np.float32(_EDGE) * np.tile(mine[:, 2:] - mine[:, :2], 2)
    return ((np.abs(xyxy - mine) <= near) & (mine != whole)).any(axis=1)


def _chosen(found: Found, which: NDArray[np.bool_]) -> Found:
    return Found(found.xyxy[which], found.score[which], found.label[which])


def _held(
    regions: tuple[tuple[Point, ...], ...], xyxy: NDArray[np.float32], width_px: int, height_px: int
) -> NDArray[np.bool_]:
    """Whose foot, the middle of the lower edge, lies in a region; on the picture's own edge is in it."""
    foot = np.stack([(xyxy[:, 0] + xyxy[:, 2]) / 2, xyxy[:, 3]], axis=1).astype(np.float64)
    foot[:, 1] = np.minimum(foot[:, 1], height_px - 0.5)
    held = np.zeros(len(foot), bool)
    for points in regions:
        held |= Outline(points, width_px, height_px).holds(foot)
    return held


@lru_cache(maxsize=256)
def _areas(tiles: int, regions: tuple[tuple[Point, ...], ...], width_px: int, height_px: int) -> tuple[Area, ...]:
    whole = _around(regions, width_px, height_px)
    width, height = whole.right - whole.left, whole.bottom - whole.top
    share = tiles - (tiles - 1) * _OVERLAP
    if tiles < 2 or min(width, height) / share < _LEAST_PX:
        return (whole,)
    across, down = _steps(width, tiles, share), _steps(height, tiles, share)
    return (
        whole,
        *(
            Area(whole.left + left, whole.top + top, whole.left + right, whole.top + bottom)
            for top, bottom in down
            for left, right in across
        ),
    )


def _steps(length: int, tiles: int, share: float) -> list[tuple[int, int]]:
    """Where each tile begins and ends along a side: at even px, where chroma does, and all as long."""
    size = min(length, 2 * round(length / share / 2 + 0.5))
    starts = [2 * round((length - size) * at / (tiles - 1) / 2) for at in range(tiles)]
    return [(start, min(start + size, length)) for start in starts[:-1]] + [(min(starts[-1], length - 1), length)]


def _around(regions: tuple[tuple[Point, ...], ...], width_px: int, height_px: int) -> Area:
    """The rectangle around the regions with a margin; the whole picture where there are none."""
    if not regions:
        return Area(0, 0, width_px, height_px)
    points = np.array([point for region in regions for point in region])
    size = np.array([width_px, height_px])
    low = np.floor(np.clip(points.min(axis=0) - _MARGIN, 0, 1) * size / 2).astype(int) * 2
    high = np.ceil(np.clip(points.max(axis=0) + _MARGIN, 0, 1) * size).astype(int)
    left, top = (int(min(start, side - 1)) for start, side in zip(low, size, strict=True))
    return Area(left, top, max(left + 1, min(int(high[0]), width_px)), max(top + 1, min(int(high[1]), height_px)))
