"""Moments on the command line."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from gateway.cli.times import moment, shown
from gateway.clock import zone_or_utc

ZONE = ZoneInfo("Asia/Shanghai")
NOW = round(datetime(2026, 11, 24, 12, 0, tzinfo=ZONE).timestamp()) * 10**9


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("2026-11-23T14:00", "2026-11-23T14:00:00+08:00"),
        ("2026-11-23 14:00:07.5", "2026-11-23T14:00:07.5+08:00"),
        ("2026-11-23T14:00Z", "2026-11-23T22:00:00+08:00"),
        ("2026-11-23T14:00+00:00", "2026-11-23T22:00:00+08:00"),
        ("2026-11-23", "2026-11-23T00:00:00+08:00"),
        ("11:59", "2026-11-24T11:59:00+08:00"),
        ("9:00", "2026-11-24T09:00:00+08:00"),
        ("12:00:01", "2026-11-23T12:00:01+08:00"),  # has not been today
        ("yesterday", "2026-11-23T00:00:00+08:00"),
        (" Yesterday  23:30", "2026-11-23T23:30:00+08:00"),
        ("today 06:00", "2026-11-24T06:00:00+08:00"),
    ],
)
def test_a_moment_is_read_in_the_gateways_zone(text: str, means: str) -> None:
    assert moment(text, ZONE, NOW) == round(datetime.fromisoformat(means).timestamp() * 10) * 10**8


@pytest.mark.parametrize("text", ["", "tomorrow", "25:00", "14", "yesterday at noon", "2026-13-01", "0x10:00"])
def test_what_is_no_moment_is_told_with_what_is(text: str) -> None:
    with pytest.raises(ValueError, match="yesterday 14:00"):
        moment(text, ZONE, NOW)


def test_nanoseconds_are_exact_and_a_zone_that_is_not_known_here_is_utc() -> None:
    assert moment("2026-11-24T04:00:00.000001Z", UTC, NOW) == NOW + 1000
    for name in ("", "Mars/Olympus", "../etc/passwd", "Asia", "x" * 300):
        assert zone_or_utc(name) == ZoneInfo("UTC")
    assert shown(NOW, ZONE) == "2026-11-24 12:00:00"
