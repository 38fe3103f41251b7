"""The ground that a camera looks at: points of its picture in metres, elementwise (SEMANTICS.md §5).

The homography is solved where the configuration is read (config/ground.py), by elimination written out in a fixed
order; here are points by the thousand. A point on the horizon or above it has no place: NaN.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gateway.config.ground import NEAREST_HORIZON, homography, metres_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gateway.config.ground import Homography
    from gateway.config.model import Ground

    Array = NDArray[np.float64]


class GroundPlane:
    """A plane as a homography."""

    def __init__(self, h: Homography) -> None:
        self.h = h

    def metres(self, spot: Array) -> Array:
        """(east, north) metres float64[n, 2] of points of the picture, fractions float64[n, 2]."""
        h, x, y = self.h, spot[..., 0], spot[..., 1]
        w = h[6] * x + h[7] * y + h[8]
        safe = np.where(w > NEAREST_HORIZON, w, np.nan)
        return np.stack([(h[0] * x + h[1] * y + h[2]) / safe, (h[3] * x + h[4] * y + h[5]) / safe], axis=-1)

    def scales(self, spot: Array) -> Array:
        """Metres that a step of one picture's width, and one of its height, make at each point: float64[n, 2]."""
        h, place = self.h, self.metres(spot)
        w = h[6] * spot[..., 0] + h[7] * spot[..., 1] + h[8]
        safe = np.where(w > NEAREST_HORIZON, w, np.nan)
        out: list[Array] = []
        for column in (0, 1):
            east = (h[column] - place[..., 0] * h[6 + column]) / safe
            north = (h[3 + column] - place[..., 1] * h[6 + column]) / safe
            out.append(np.sqrt(east * east + north * north))
        return np.stack(out, axis=-1)


def plane_of(ground: Ground | None) -> GroundPlane | None:
    """The plane of a camera's ground, None where it has none."""
    h = homography(metres_of(ground)) if ground is not None else None
    return None if h is None else GroundPlane(h)
