"""Outlines and lines in a picture: what they hold, how far they are, and who crossed them; elementwise, in pixels."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gateway.config.model import Point

    Array = NDArray[np.float64]
    Edge = tuple[float, float, float, float]


def inside(polygon: tuple[Point, ...], x: Array, y: Array) -> NDArray[np.bool_]:
    """Which points are in the polygon: bool[n], by the crossing number (elementwise, so the same on every CPU)."""
    out = np.zeros(len(x), bool)
    for (x1, y1), (x2, y2) in zip(polygon, (*polygon[1:], polygon[0]), strict=True):
        if y1 != y2:
            out ^= ((y1 > y) != (y2 > y)) & (x < (x2 - x1) * (y - y1) / (y2 - y1) + x1)
    return out


def _squares(edges: list[Edge], spot: Array) -> Array:
    """The square of each point's distance to the nearest edge, px² float64[n]."""
    x, y = spot[:, 0], spot[:, 1]
    out = np.full(len(spot), np.inf)
    for ax, ay, bx, by in edges:
        dx, dy = bx - ax, by - ay
        along = np.clip(((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy or 1.0), 0.0, 1.0)
        off_x, off_y = x - (ax + along * dx), y - (ay + along * dy)
        out = np.minimum(out, off_x * off_x + off_y * off_y)
    return out


class Outline:
    """A zone's outline in a picture of that size. `points` are fractions of it."""

    def __init__(self, points: tuple[Point, ...], width_px: int, height_px: int) -> None:
        self._points = tuple((x * width_px, y * height_px) for x, y in points)
        self._edges: list[Edge] = [(*a, *b) for a, b in pairwise((*self._points, self._points[0]))]

    def holds(self, spot: Array) -> NDArray[np.bool_]:
        """Which points (px float64[n, 2]) it holds."""
        return inside(self._points, spot[:, 0], spot[:, 1])

    def square(self, spot: Array) -> Array:
        """The square of each point's distance from it, px²."""
        return _squares(self._edges, spot)


class Polyline:
    """A line of two or more points in a picture of that size."""

    def __init__(self, points: tuple[Point, ...], width_px: int, height_px: int) -> None:
        self._edges: list[Edge] = [
            (a[0] * width_px, a[1] * height_px, b[0] * width_px, b[1] * height_px) for a, b in pairwise(points)
        ]

    def square(self, spot: Array) -> Array:
        """The square of each point's distance from it, px²."""
        return _squares(self._edges, spot)

    def crossed(self, before: Array, after: Array) -> NDArray[np.int8]:
        """How often each step crosses it, int8[n]: from the left hand of who walks along it to the right counts 1.

        The other way counts −1, so that there and back is 0.
        """
        px, py, qx, qy = before[:, 0], before[:, 1], after[:, 0], after[:, 1]
        out = np.zeros(len(before), np.int8)
        for ax, ay, bx, by in self._edges:
            dx, dy = bx - ax, by - ay
            begins, ends = dx * (py - ay) - dy * (px - ax) > 0, dx * (qy - ay) - dy * (qx - ax) > 0
            ex, ey = qx - px, qy - py
            across = (ex * (ay - py) - ey * (ax - px) > 0) != (ex * (by - py) - ey * (bx - px) > 0)
            out += np.where(across & (begins != ends), np.where(ends, 1, -1), 0).astype(np.int8)
        return out
