"""China's shifted datums against published vectors."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.geo import bd09_from_gcj02, gcj02_from_wgs84, wgs84, wgs84_from_bd09, wgs84_from_gcj02
from gateway.config.model import Place

LONGGANG = (120.5533, 27.5781)
LONGGANG_GCJ = (120.55724820696776, 27.574768725440553)
LONGGANG_BD = (120.56378053506373, 27.580540468875324)
VECTORS = [  # (lon, lat) in WGS-84 and GCJ-02: eviltransform's own tests, made with another axis (about a centimetre)
    ((121.5272106, 31.1774276), (121.531541859215, 31.17530398364597)),
    ((113.912316, 22.543847), (113.9171764808363, 22.540796131694766)),
    ((116.377817, 39.911954), (116.38404722455657, 39.91334545536069)),
]
CENTIMETRE = 2e-7  # degrees


@pytest.mark.parametrize(("true", "shifted"), VECTORS)
def test_gcj02_is_the_published_shift(true: tuple[float, float], shifted: tuple[float, float]) -> None:
    assert gcj02_from_wgs84(true) == pytest.approx(shifted, rel=0, abs=CENTIMETRE)
    assert wgs84_from_gcj02(shifted) == pytest.approx(true, rel=0, abs=CENTIMETRE)


def test_gcj02_is_the_shift_that_was_run_at_longgang() -> None:
    assert gcj02_from_wgs84(LONGGANG) == pytest.approx(LONGGANG_GCJ, rel=0, abs=1e-12)


def test_bd09_is_the_published_shift_and_its_inverse_is_exact() -> None:
    assert bd09_from_gcj02(LONGGANG_GCJ) == pytest.approx(LONGGANG_BD, rel=0, abs=1e-11)
    assert wgs84_from_bd09(LONGGANG_BD) == pytest.approx(LONGGANG, rel=0, abs=1e-11)


@given(st.floats(73, 135), st.floats(2, 54))
def test_there_and_back_is_the_same_place_anywhere_in_china(lon: float, lat: float) -> None:
    assert wgs84_from_gcj02(gcj02_from_wgs84((lon, lat))) == pytest.approx((lon, lat), rel=0, abs=1e-11)
    assert wgs84_from_bd09(bd09_from_gcj02(gcj02_from_wgs84((lon, lat)))) == pytest.approx((lon, lat), rel=0, abs=1e-11)


def test_outside_china_nothing_is_shifted() -> None:
    assert wgs84_from_gcj02((174.7651, -36.848)) == (174.7651, -36.848)


def test_a_place_gives_its_position_in_wgs84_to_a_centimetre() -> None:
    assert wgs84(Place(gcj02=LONGGANG_GCJ)) == LONGGANG
    assert wgs84(Place(bd09=LONGGANG_BD)) == LONGGANG
    assert wgs84(Place(cgcs2000=LONGGANG)) == LONGGANG
    assert wgs84(Place(wgs84=LONGGANG)) == LONGGANG
    assert wgs84(Place(zh="江口")) is None
