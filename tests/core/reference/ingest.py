"""Three times and the watermark (SEMANTICS.md §3): which readings the rules see, and when they happened."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from gateway.config.model import SensorCommon

YEAR_2020 = 1_577_836_800 * 10**9


class Key(NamedTuple):
    """A series: sensor, tags, value."""

    sensor: str
    tags: tuple[tuple[str, str], ...]
    value: str

    def subject(self) -> str:
        """As alerts name it."""
        return f"{self.sensor}.{self.value}{braced(self.tags)}"


def braced(tags: tuple[tuple[str, str], ...]) -> str:
    """Tags as a subject shows them."""
    return "{" + ",".join(f"{key}={value}" for key, value in sorted(tags)) + "}" if tags else ""


class Seen(NamedTuple):
    """A reading that the rules see."""

    n: int
    event_ns: int
    value: float
    admitted_ns: int


class Series:
    """One series: its watermark, and the values met at it."""

    def __init__(self) -> None:
        self.watermark: int | None = None
        self.values: list[float] = []
        self.last_tick = -1

    def take(self, claimed: int | None, stamped: int, value: float) -> tuple[int | None, str]:
        """(event time, "") for an accepted reading, else (None, why not). `claimed` is believable."""
        when = stamped if claimed is None else claimed
        if self.watermark is None or when > self.watermark:
            self.watermark, self.values = when, [value]
            return when, ""
        if claimed is None:  # it says no time: it is the newest, whatever our own numbering came to
            self.values.append(value)
            return self.watermark, ""
        if when < self.watermark:
            return None, "late"
        if value in self.values:
            return None, "duplicate"
        self.values.append(value)
        return when, ""


def believed(sensor: SensorCommon, claimed: int | None, admitted: int) -> str:
    """Whether a stamp is believed: "", "late" (a backlog with its own times) or "clock_adrift"."""
    if claimed is None:
        return ""
    if claimed > admitted + sensor.max_ahead or claimed < YEAR_2020:
        return "clock_adrift"
    return "late" if claimed < admitted - sensor.max_late else ""


Counts = Counter[str]
