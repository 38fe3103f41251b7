"""China's shifted datums to WGS-84: GCJ-02 (AMap, Tencent), BD-09 (Baidu), CGCS2000 (Tianditu).

The shift is the published approximation (eviltransform, BSD-2-Clause; a = 6378137 m); its inverse is found by fixed
point, exact to 1e-12 degrees. Positions are (lon, lat) in degrees; outside China's box nothing is shifted.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.config.model import Place, Point

DATUMS = ("wgs84", "gcj02", "bd09", "cgcs2000")
AXIS_M = 6378137.0
ECCENTRICITY_2 = 0.00669342162296594323  # Krasovsky's, as every published copy of the shift has it
BD_PI = math.pi * 3000 / 180
CHINA = (72.004, 0.8293, 137.8347, 55.8271)  # lon and lat between which the shift is applied
DECIMALS = 7  # about a centimetre: the same digits on every machine's libm
STEPS = 8  # each of the fixed point's steps gains about two digits


def wgs84(place: Place) -> Point | None:
    """The place's (lon, lat) in WGS-84, to 7 decimals, or None where it has no position."""
    for datum, convert in TO_WGS84.items():
        position: Point | None = getattr(place, datum)
        if position is not None:
            lon, lat = convert(position)
            return round(lon, DECIMALS), round(lat, DECIMALS)
    return None


def gcj02_from_wgs84(position: Point) -> Point:
    """WGS-84 to GCJ-02."""
    lon, lat = position
    if not (CHINA[0] <= lon <= CHINA[2] and CHINA[1] <= lat <= CHINA[3]):
        return position
    x, y = lon - 105, lat - 35
    root = math.sqrt(abs(x))
    waves = 20 * math.sin(6 * x * math.pi) + 20 * math.sin(2 * x * math.pi)
    north = -100 + 2 * x + 3 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * root
    north += (waves + 20 * math.sin(y * math.pi) + 40 * math.sin(y / 3 * math.pi)) * 2 / 3
    north += (160 * math.sin(y / 12 * math.pi) + 320 * math.sin(y / 30 * math.pi)) * 2 / 3
    east = 300 + x + 2 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * root
    east += (waves + 20 * math.sin(x * math.pi) + 40 * math.sin(x / 3 * math.pi)) * 2 / 3
    east += (150 * math.sin(x / 12 * math.pi) + 300 * math.sin(x / 30 * math.pi)) * 2 / 3
    phi = math.radians(lat)
    magic = 1 - ECCENTRICITY_2 * math.sin(phi) ** 2
    metres_north = AXIS_M * (1 - ECCENTRICITY_2) / (magic * math.sqrt(magic))
    metres_east = AXIS_M / math.sqrt(magic) * math.cos(phi)
    return lon + math.degrees(east / metres_east), lat + math.degrees(north / metres_north)


def bd09_from_gcj02(position: Point) -> Point:
    """GCJ-02 to BD-09."""
    x, y = position
    radius = math.hypot(x, y) + 0.00002 * math.sin(y * BD_PI)
    angle = math.atan2(y, x) + 0.000003 * math.cos(x * BD_PI)
    return radius * math.cos(angle) + 0.0065, radius * math.sin(angle) + 0.006


def wgs84_from_gcj02(position: Point) -> Point:
    """GCJ-02 to WGS-84."""
    return _inverse(gcj02_from_wgs84, position)


def wgs84_from_bd09(position: Point) -> Point:
    """BD-09 to WGS-84."""
    return wgs84_from_gcj02(_inverse(bd09_from_gcj02, position))


def same(position: Point) -> Point:
    """CGCS2000 is WGS-84 within half a metre: nothing to convert."""
    return position


def _inverse(shift: Callable[[Point], Point], target: Point) -> Point:
    lon, lat = target
    for _ in range(STEPS):
        shifted_lon, shifted_lat = shift((lon, lat))
        lon, lat = lon - (shifted_lon - target[0]), lat - (shifted_lat - target[1])
    return lon, lat


TO_WGS84: dict[str, Callable[[Point], Point]] = {
    "wgs84": same,
    "gcj02": wgs84_from_gcj02,
    "bd09": wgs84_from_bd09,
    "cgcs2000": same,
}
