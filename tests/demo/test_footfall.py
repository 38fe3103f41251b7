"""The counters' tables, read as they come out of the package."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.demo import footfall
from gateway.errors import GatewayError

if TYPE_CHECKING:
    from pathlib import Path

LOCATIONS = """Address,Latitude,Longitude
45 Queen Street,-36.845001,174.766266
8 Darby Street EW,-36.849422,174.764172
188 Quay Street Lower Albert (EW),-36.84306,174.76573
"""
HOURS = [*range(6, 24), *range(6)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two recorded days of three counters; one of them is out until its 20th hour."""
    rows = ["date,hour,year,45 Queen Street,8 Darby Street EW,188 Quay Street Lower Albert (EW)"]
    for day in ("2019-11-23", "2019-11-24"):
        for n, hour in enumerate(HOURS):
            rows.append(f"{day},{hour}:00-{hour}:59,2019,{100.0 + n},{n}.0,{'' if n < 20 else '7.0'}")
    (tmp_path / "hourly_counts.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "locations.csv").write_text(LOCATIONS)
    return tmp_path


def test_a_counter_has_the_name_it_publishes_under_and_where_it_hangs(folder: Path) -> None:
    """The name is a topic level and a tag: lower case, no blanks."""
    first, _, third = footfall.counters(folder)
    assert (first.address, first.name, first.lon, first.lat) == (
        "45 Queen Street",
        "45-queen-street",
        174.766266,
        -36.845001,
    )
    assert third.name == "188-quay-street-lower-albert-ew"


def test_a_day_is_its_24_rows_in_the_order_recorded(folder: Path) -> None:
    """A recorded day runs from 06:00 to 05:59 of the next morning."""
    found = footfall.hours(folder, start="2019-11-24", days=1)
    assert [hour.hour for hour in found] == [f"{hour}:00" for hour in HOURS]
    assert {hour.date for hour in found} == {"2019-11-24"}
    assert [hour.people["45-queen-street"] for hour in found] == list(range(100, 124))


def test_a_counter_that_was_out_is_absent_and_not_zero(folder: Path) -> None:
    """An empty cell publishes nothing; a 0 is a reading."""
    found = footfall.hours(folder, start="2019-11-23", days=1)
    out = "188-quay-street-lower-albert-ew"
    assert [out in hour.people for hour in found] == [False] * 20 + [True] * 4
    assert found[0].people["8-darby-street-ew"] == 0


def test_days_that_are_not_there_are_an_error_that_says_how_many_were(folder: Path) -> None:
    """The demo never plays less than it says."""
    with pytest.raises(GatewayError, match=r"found 24 hours from 2019-11-24 on, expected 48"):
        footfall.hours(folder, start="2019-11-24", days=2)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("hourly_counts.csv", "a,b\n1,2\n"),
        ("hourly_counts.csv", "date,hour,year,45 Queen Street\n2019-11-24,6:00,2019,many\n"),
        ("locations.csv", "Address\n45 Queen Street\n"),
        ("locations.csv", "Address,Latitude,Longitude\n45 Queen Street,north,east\n"),
    ],
)
def test_a_file_that_is_something_else_is_an_error_that_says_how_to_fetch_it_again(
    folder: Path, name: str, text: str
) -> None:
    """Whatever is wrong with it, one error of ours."""
    (folder / name).write_text(text)
    with pytest.raises(GatewayError, match=r"zhiwang models pull"):
        _ = (footfall.counters(folder), footfall.hours(folder, start="2019-11-24", days=1))
