"""What devices write as time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.codecs.times import one_ns, to_ns, zone_of
from gateway.ports import NO_TIME

SHANGHAI = zone_of("Asia/Shanghai")
T = 1_786_644_840 * 10**9  # 2026-08-14T02:14:00+08:00


@pytest.mark.parametrize(
    ("value", "ns"),
    [
        (1_786_644_840, T),
        (1_786_644_840_000, T),
        (1_786_644_840_000_000, T),
        (T, T),
        (1_786_644_840.25, T + 250_000_000),
        (1_786_644_840_000.5, T + 500_000),
        ("1786644840", T),
        ("1786644840123", T + 123_000_000),
        ("1786644840.5", T + 500_000_000),
        ("1.78664484e9", T),
        (0, 0),
        (-1, -(10**9)),
        (4_102_444_800, 4_102_444_800 * 10**9),  # 2100
        ("2026-08-14T02:14:00+08:00", T),
        ("2026-08-13T18:14:00Z", T),
        ("2026-08-14T02:14:00", T),
        ("2026-08-14 02:14:00.5", T + 500_000_000),
        ("2026-08-14T02:14:00.123456789+08:00", T + 123_456_789),
        ("2026-08-14T02:14:00.1234567", T + 123_456_700),
        ("2026/08/14 02:14:00", T),
        ("20260814021400", T),  # HJ 212
        ("20260814021400123", T + 123_000_000),
        ("20260814T021400", T),
        (" 2026-08-14T02:14:00 ", T),
    ],
)
def test_epochs_by_magnitude_and_iso_8601(value: object, ns: int) -> None:
    assert one_ns(value, SHANGHAI) == ns
    assert to_ns([value], SHANGHAI)[0].tolist() == [ns]


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "yesterday",
        "2026-02-30T00:00:00",
        "2026-13-01",
        "24-01-01",
        "9" * 5000,
        "1e400",
        "9999-01-01T00:00:00",
        "0001-01-01T00:00:00+14:00",
        10**30,
        -(2**63),
        1e300,
        float("nan"),
        float("inf"),
        True,
        [],
        {},
    ],
)
def test_what_is_no_time_says_so_and_the_others_are_read(value: object) -> None:
    found, bad = to_ns([1_786_644_840, value, "1786644840", None], SHANGHAI)
    assert found.tolist() == [T, NO_TIME, T, NO_TIME]
    [(place, reason)] = bad
    assert place == 1
    assert reason.startswith("found ")
    assert len(reason) < 160


def test_an_hour_that_comes_twice_is_the_first_and_one_left_out_counts_on() -> None:
    """Berlin 2026: clocks go back on 25 October at 03:00, forward on 29 March at 02:00."""
    berlin = zone_of("Europe/Berlin")
    twice = one_ns("2026-10-25T02:30:00", berlin)
    assert datetime.fromtimestamp(twice / 1e9, UTC) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    missing = one_ns("2026-03-29T02:30:00", berlin)
    assert datetime.fromtimestamp(missing / 1e9, UTC) == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)


@given(st.datetimes(datetime(1970, 1, 1), datetime(2262, 1, 1)), st.sampled_from(["Asia/Shanghai", "UTC", "-03:30"]))  # noqa: DTZ001  naive on purpose
def test_iso_texts_round_trip_in_any_zone(moment: datetime, name: str) -> None:
    zone = zone_of(name)
    expected = (moment.replace(tzinfo=zone) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000
    assert one_ns(moment.isoformat(), zone) == expected
    assert one_ns(moment.replace(tzinfo=zone).isoformat(), UTC) == expected


@given(st.lists(st.one_of(st.integers(-(2**70), 2**70), st.integers(0, 2 * 10**12))))
def test_integers_at_once_equal_one_by_one(values: list[int]) -> None:
    found, bad = to_ns(values, UTC)
    wrong = {place for place, _ in bad}
    for place, value in enumerate(values):
        if place in wrong:
            with pytest.raises(ValueError, match="outside"):
                one_ns(value, UTC)
        else:
            assert found[place] == one_ns(value, UTC)


@given(st.one_of(st.text(), st.floats(), st.integers(), st.from_regex(r"[0-9T:.+\-/ Z]{0,30}", fullmatch=True)))
def test_anything_is_a_time_or_a_reason(value: object) -> None:
    found, bad = to_ns([value], SHANGHAI)
    assert (found[0] == NO_TIME) == bool(bad)


def test_zones_are_names_or_offsets() -> None:
    assert zone_of("Asia/Shanghai") == ZoneInfo("Asia/Shanghai")
    assert zone_of("+05:30").utcoffset(None) == timedelta(hours=5, minutes=30)
    for wrong in ("Asia/Longgang", "", "/etc/passwd", "+25:00", "Asia", "a\0b"):
        with pytest.raises(ValueError, match="no time zone"):
            zone_of(wrong)
