"""What is checked of a camera's regions: that zones and lines lie where the camera is looked at."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.config.model import Point

    Shapes = Mapping[str, Sequence[Point]]

_NEAR = 1e-9  # a point lies on an edge where the square of its distance, in pictures, is no more


def outside(
    shapes: Mapping[str, Sequence[Point]], regions: Mapping[str, Sequence[Point]], *, closed: bool
) -> list[str]:
    """The names of shapes (polygons where `closed`, else lines) that do not lie within one of the regions."""
    return [
        name
        for name, points in shapes.items()
        if regions and not any(_within(points, region, closed=closed) for region in regions.values())
    ]


def _within(points: Sequence[Point], region: Sequence[Point], *, closed: bool) -> bool:
    """Whether a shape lies in a polygon, on its edge at most: no stretch between two meetings with it is outside."""
    ends = [*points[1:], points[0]] if closed else points[1:]
    for a, b in zip(points, ends, strict=False):
        cuts = sorted({0.0, 1.0, *(t for c, d in _edges(region) for t in _meetings(a, b, c, d))})
        for t, u in pairwise(cuts):
            middle = (t + u) / 2
            if not _holds(region, (a[0] + (b[0] - a[0]) * middle, a[1] + (b[1] - a[1]) * middle)):
                return False
    return True


def _edges(region: Sequence[Point]) -> list[tuple[Point, Point]]:
    return list(zip(region, [*region[1:], region[0]], strict=True))


def _meetings(a: Point, b: Point, c: Point, d: Point) -> list[float]:
    """Where along a–b (0 to 1) the segment c–d meets it: its ends where they lie on one line."""
    along, edge = (b[0] - a[0], b[1] - a[1]), (d[0] - c[0], d[1] - c[1])
    turn = along[0] * edge[1] - along[1] * edge[0]
    length = along[0] ** 2 + along[1] ** 2
    if abs(turn) < _NEAR:
        places = [((p[0] - a[0]) * along[0] + (p[1] - a[1]) * along[1]) / length for p in (c, d)] if length else []
        return [place for place in places if 0 < place < 1]
    t = ((c[0] - a[0]) * edge[1] - (c[1] - a[1]) * edge[0]) / turn
    u = ((c[0] - a[0]) * along[1] - (c[1] - a[1]) * along[0]) / turn
    return [t] if 0 < t < 1 and -_NEAR <= u <= 1 + _NEAR else []


def _holds(region: Sequence[Point], point: Point) -> bool:
    """Whether a point lies in a polygon or on its edge."""
    x, y = point
    inside = False
    for (ax, ay), (bx, by) in _edges(region):
        square = (bx - ax) ** 2 + (by - ay) ** 2
        t = min(1.0, max(0.0, ((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / square)) if square else 0.0
        if (ax + t * (bx - ax) - x) ** 2 + (ay + t * (by - ay) - y) ** 2 <= _NEAR:
            return True
        if (ay > y) != (by > y) and x < ax + (y - ay) * (bx - ax) / (by - ay):
            inside = not inside
    return inside
