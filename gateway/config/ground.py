"""Where points of a picture are on the ground: a camera's pairs as a homography, and what is wrong with pairs.

Arithmetic is scalar and in a fixed order, so that a core makes the same bytes of it on every machine; what needs
trigonometry is rounded first, to a tenth of a millimetre or a billionth of a way's length.
"""

from __future__ import annotations

import math
from itertools import combinations, pairwise
from typing import TYPE_CHECKING

from gateway.config.geo import AXIS_M, TO_WGS84

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.config.model import Camera, Ground, Pair, Point
    from gateway.config.names import Problems

Homography = tuple[float, float, float, float, float, float, float, float, float]
"""Row by row; it takes (x, y, 1), fractions of the picture, to (X w, Y w, w), metres; w is positive on the ground."""
FLATTENING = 0.00669437999014  # WGS-84's first eccentricity, squared
KEYS = ("wgs84", "gcj02", "bd09", "cgcs2000", "metres")
LARGEST_M, SMALLEST_M = 5_000.0, 1.0  # what one camera can see so well that a speed means something
FLAT = 0.01
"""Three points are on a line where their triangle is less high than this share of its longest side."""
OFF = 0.1
"""A pair may be off what the others say by this share of the ground's size: beyond, it is mistyped."""
NEAREST_HORIZON = 0.02
"""Where w is less than this share of what it is amid the pairs, a pixel is a street long: as good as the horizon."""
SINGULAR = 1e-9


def written(ground: Ground) -> tuple[str, tuple[Pair, ...]]:
    """The key that the pairs stand under, and the pairs."""
    key = next((key for key in KEYS if getattr(ground, key)), KEYS[0])
    return key, getattr(ground, key)


def metres_of(ground: Ground) -> tuple[Pair, ...]:
    """The pairs with their ground points as (east, north) metres from the first, on the plane that touches there."""
    key, pairs = written(ground)
    if key == "metres":
        return pairs
    places = [TO_WGS84[key](place) for _, place in pairs]
    lon0, lat0 = places[0]
    sine = math.sin(math.radians(lat0))
    root = math.sqrt(1.0 - FLATTENING * sine * sine)
    east_m = AXIS_M / root * math.cos(math.radians(lat0))
    north_m = AXIS_M * (1.0 - FLATTENING) / (root * root * root)
    return tuple(
        (spot, (round(math.radians(lon - lon0) * east_m, 4), round(math.radians(lat - lat0) * north_m, 4)))
        for (spot, _), (lon, lat) in zip(pairs, places, strict=True)
    )


def homography(pairs: Sequence[Pair]) -> Homography | None:
    """The homography of four pairs (picture, metres), or of more by least squares; None where there is none.

    Hartley and Zisserman, Multiple View Geometry, 4.1, with the last number fixed: both sets are centred and scaled,
    so that it is 1 amid them.
    """
    (u0, v0, p), (x0, y0, q) = _centred([spot for spot, _ in pairs]), _centred([place for _, place in pairs])
    rows: list[list[float]] = []
    for (u, v), (x, y) in pairs:
        u, v, x, y = (u - u0) * p, (v - v0) * p, (x - x0) * q, (y - y0) * q  # noqa: PLW2901 - the same, scaled
        rows += [[u, v, 1.0, 0.0, 0.0, 0.0, -u * x, -v * x, x], [0.0, 0.0, 0.0, u, v, 1.0, -u * y, -v * y, y]]
    h = _solved(rows if len(rows) == 8 else _normal(rows))
    if h is None:
        return None
    a, b, c, d, e, f, g, k = h
    # undo the scaling: rows for X/q + x0·w and Y/q + y0·w, columns for (u − u0)·p
    third = (g * p, k * p, 1.0 - (g * u0 + k * v0) * p)
    first = [one / q + x0 * w for one, w in zip((a * p, b * p, c - (a * u0 + b * v0) * p), third, strict=True)]
    second = [one / q + y0 * w for one, w in zip((d * p, e * p, f - (d * u0 + e * v0) * p), third, strict=True)]
    return (first[0], first[1], first[2], second[0], second[1], second[2], *third)


def _centred(points: Sequence[Point]) -> tuple[float, float, float]:
    """The mean, and what to multiply with so that the farthest coordinate is 1."""
    x0 = y0 = 0.0
    for x, y in points:
        x0, y0 = x0 + x / len(points), y0 + y / len(points)
    far = max(max(abs(x - x0), abs(y - y0)) for x, y in points)
    return x0, y0, 1.0 / far if far else 1.0


def _normal(rows: list[list[float]]) -> list[list[float]]:
    """The normal equations of more equations than unknowns."""
    out = [[0.0] * 9 for _ in range(8)]
    for row in rows:
        for i in range(8):
            for j in range(9):
                out[i][j] += row[i] * row[j]
    return out


def _solved(rows: list[list[float]]) -> list[float] | None:
    """Eight equations, each eight factors and a right side, by elimination with partial pivoting."""
    rows = [list(row) for row in rows]
    for i in range(8):
        best = max(range(i, 8), key=lambda j: (abs(rows[j][i]), -j))
        if abs(rows[best][i]) < SINGULAR:
            return None
        rows[i], rows[best] = rows[best], rows[i]
        for j in range(i + 1, 8):
            factor = rows[j][i] / rows[i][i]
            for k in range(i, 9):
                rows[j][k] -= factor * rows[i][k]
    out = [0.0] * 8
    for i in range(7, -1, -1):
        rest = rows[i][8]
        for j in range(i + 1, 8):
            rest -= rows[i][j] * out[j]
        out[i] = rest / rows[i][i]
    return out


def mapped(h: Homography, spot: Point) -> tuple[float, float, float]:
    """Where a point of the picture is, metres, and w: 1 amid the pairs, 0 on the horizon."""
    x, y = spot
    w = h[6] * x + h[7] * y + h[8]
    safe = w or SINGULAR
    return (h[0] * x + h[1] * y + h[2]) / safe, (h[3] * x + h[4] * y + h[5]) / safe, w


def beyond(camera: Camera) -> tuple[str, ...]:
    """The zones of a camera with a ground that reach to its horizon or above: nothing there has a place."""
    if camera.ground is None or problems(camera.ground):
        return ()
    h = homography(metres_of(camera.ground))
    return tuple(
        name
        for name, outline in camera.outlines().items()
        if h and any(mapped(h, spot)[2] < NEAREST_HORIZON for spot in outline)
    )


def areas(camera: Camera) -> dict[str, float]:
    """How many square metres each zone of a camera with a ground is, of those that lie wholly below its horizon.

    Straight edges stay straight on the ground: the corners say it all.
    """
    h = homography(metres_of(camera.ground)) if camera.ground is not None and not problems(camera.ground) else None
    high = beyond(camera)
    return {name: _area(h, outline) for name, outline in camera.outlines().items() if h and name not in high}


def _area(h: Homography, outline: Sequence[Point]) -> float:
    """Square metres inside an outline of the picture."""
    x0, y0, _ = mapped(h, outline[0])
    corners = [(x - x0, y - y0) for x, y, _ in (mapped(h, spot) for spot in outline)]
    twice = 0.0
    for a, b in pairwise([*corners, corners[0]]):
        twice += a[0] * b[1] - b[0] * a[1]
    return abs(twice) / 2.0


def heading(degrees: float) -> Point:
    """The way (east, north), of length 1, of a bearing clockwise from north."""
    angle = math.radians(degrees)
    return round(math.sin(angle), 9), round(math.cos(angle), 9)


# ── what is wrong ────────────────────────────────────────────────────────────────────────────────────────────────────


def problems(ground: Ground) -> Problems:
    """What is wrong with a ground: the first thing found."""
    given = [key for key in KEYS if getattr(ground, key)]
    if len(given) != 1:
        shown = " and ".join(given) or "none"
        return [("", f"pairs have exactly one key: {', '.join(KEYS)} ([[[x, y], [lon, lat]], …]); found {shown}")]
    key, pairs = written(ground)
    if len(pairs) < 4:
        return [(key, f"found {len(pairs)} pairs; four or more [[x, y], [lon, lat]] say where the ground is")]
    for number, (spot, place) in enumerate(pairs, 1):
        if wrong := _wrong(key, spot, place):
            return [(key, f"pair {number}: {wrong}")]
    told = _told_twice(pairs) or _shape(metres_of(ground))
    return [(key, told)] if told else []


def _wrong(key: str, spot: Point, place: Point) -> str:
    """What is wrong with one pair."""
    if not all(0 <= one <= 1 for one in spot):
        return f"found [{spot[0]:g}, {spot[1]:g}]; the first point is fractions of the picture, 0 to 1, not pixels"
    lon, lat = place
    if key == "metres" or (abs(lon) <= 180 and abs(lat) <= 90):
        return ""
    swapped = abs(lat) <= 180 and abs(lon) <= 90
    fix = f"lon and lat are swapped: write [{lat}, {lon}]" if swapped else "lon is within ±180, lat within ±90"
    return f"found [{lon}, {lat}]; {fix}"


def _told_twice(pairs: Sequence[Pair]) -> str:
    for (i, first), (j, second) in combinations(enumerate(pairs, 1), 2):
        for which, where in ((0, "in the picture"), (1, "on the ground")):
            if first[which] == second[which]:
                return f"pairs {i} and {j} are the same point {where}; leave one out"
    return ""


def _shape(pairs: Sequence[Pair]) -> str:
    """What is wrong with how the points of pairs (in metres) lie."""
    places = [place for _, place in pairs]
    size = max(_distance(a, b) for a, b in combinations(places, 2))
    if not SMALLEST_M <= size <= LARGEST_M:
        found = f"{size / 1000:.1f} km" if size > LARGEST_M else f"{size:.2f} m"
        return f"the points lie {found} apart on the ground; one camera's are {SMALLEST_M:g} m to 5 km apart"
    for which, where in ((0, "in the picture"), (1, "on the ground")):
        points = [pair[which] for pair in pairs]
        if not any(_spread(four) for four in combinations(points, 4)):
            flat = next((i for i in combinations(range(len(points)), 3) if _flat(*(points[k] for k in i))), (0, 1, 2))
            named = f"{flat[0] + 1}, {flat[1] + 1} and {flat[2] + 1}"
            return f"pairs {named} lie on one line {where}; four are needed of which no three do"
    return _order(pairs) or _misfit(pairs, size)


def _order(pairs: Sequence[Pair]) -> str:
    """Pairs whose points go round one way in the picture and the other way on the ground."""
    turned: list[tuple[int, int, int]] = []
    right = 0
    for three in combinations(range(len(pairs)), 3):
        spots, places = [pairs[i][0] for i in three], [pairs[i][1] for i in three]
        if _flat(*spots) or _flat(*places):
            continue
        # y is down in the picture and up on the ground: who walks clockwise in one walks clockwise in the other
        if (_twice(*spots) > 0) == (_twice(*places) > 0):
            turned.append(three)
        else:
            right += 1
    if not turned:
        return ""
    if not right:
        return "the ground is mirrored: [lon, lat] is east first, then north, and [x, y] goes right and down"
    named = ", ".join(str(i + 1) for i in turned[0])
    return f"pairs {named} go round one way in the picture and the other on the ground: a point is with another's pair"


def _misfit(pairs: Sequence[Pair], size: float) -> str:
    """No plane, or a pair that is far off what all say together."""
    h = homography(pairs)
    if h is None or any(mapped(h, spot)[2] <= NEAREST_HORIZON for spot, _ in pairs):
        return "no flat ground has these points; check each pair"
    offs = [_distance(mapped(h, spot)[:2], place) for spot, place in pairs]
    worst = max(range(len(pairs)), key=lambda i: offs[i])
    if offs[worst] > OFF * size:
        return f"pair {worst + 1} is {offs[worst]:.1f} m off where all of them together have it; correct it"
    return ""


def _spread(four: Sequence[Point]) -> bool:
    return not any(_flat(*three) for three in combinations(four, 3))


def _flat(a: Point, b: Point, c: Point) -> bool:
    longest = max(_distance(a, b), _distance(b, c), _distance(c, a))
    return abs(_twice(a, b, c)) <= FLAT * longest * longest


def _twice(a: Point, b: Point, c: Point) -> float:
    """Twice the triangle's area, with its sign."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (b[1] - a[1])


def _distance(a: Point, b: Point) -> float:
    return math.sqrt((a[0] - b[0]) * (a[0] - b[0]) + (a[1] - b[1]) * (a[1] - b[1]))
