"""What configuration writes with its unit or in one phrase: durations, sizes, changes, comparisons, windows, hours.

Each class has `parse(text)`, which raises ValueError saying what was found and what is allowed, and `EXAMPLES`, which
the JSON Schema and the errors show.
"""

from __future__ import annotations

import re
from typing import ClassVar, Self

import msgspec

NS = 1_000_000_000
DURATIONS_NS = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": NS,
    "min": 60 * NS,
    "h": 3600 * NS,
    "d": 86_400 * NS,
}
SIZES = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
COLOURS = ("blue", "yellow", "orange", "red")
_NUMBER = r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?"
_NAME = r"[a-z0-9][a-z0-9._-]{0,63}"


def _quantity(text: object, units: dict[str, int], what: str, example: str) -> tuple[float, int]:
    if isinstance(text, bool) or not isinstance(text, str):
        msg = f"found the bare value {text!r}; a {what} is written with its unit, such as {example}"
        raise ValueError(msg)  # noqa: TRY004 - every parse raises ValueError
    match = re.fullmatch(rf"\s*({_NUMBER})\s*([A-Za-z]+)\s*", text)
    if not match or match[2] not in units:
        msg = f"found {text!r}; a {what} is a number and one of {', '.join(units)}, such as {example}"
        raise ValueError(msg)
    return float(match[1]), units[match[2]]


class Duration(int):
    """A length of time in nanoseconds, written `60 s`, `10 min`, `6 h`."""

    EXAMPLES: ClassVar = ("60 s", "10 min", "6 h")

    @classmethod
    def parse(cls, text: object) -> Self:
        """Read `60 s`."""
        number, unit = _quantity(text, DURATIONS_NS, "duration", "60 s")
        if number < 0:
            msg = f"found {text!r}; a duration is not negative"
            raise ValueError(msg)
        return cls(round(number * unit))

    def __str__(self) -> str:
        for name, unit in reversed(DURATIONS_NS.items()):
            if self >= unit and self % unit == 0:
                return f"{self // unit} {name}"
        return f"{int(self)} ns" if self else "0 s"


class Size(int):
    """A number of bytes, written `4 GB`, `256 MiB`."""

    EXAMPLES: ClassVar = ("4 GB", "256 MiB")

    @classmethod
    def parse(cls, text: object) -> Self:
        """Read `4 GB`."""
        number, unit = _quantity(text, SIZES, "size", "4 GB")
        return cls(round(number * unit))

    def __str__(self) -> str:
        for name in ("GB", "MB", "kB"):
            if self and self % SIZES[name] == 0:
                return f"{self // SIZES[name]} {name}"
        return f"{int(self)} B"


class Pixels(int):
    """A length in the picture that is analysed, written `24 px`."""

    EXAMPLES: ClassVar = ("24 px",)

    @classmethod
    def parse(cls, text: object) -> Self:
        """Read `24 px`."""
        number, unit = _quantity(text, {"px": 1}, "length in the picture", "24 px")
        if number < 0:
            msg = f"found {text!r}; a length is not negative"
            raise ValueError(msg)
        return cls(round(number * unit))

    def __str__(self) -> str:
        return f"{int(self)} px"


class ByteRate(int):
    """Bytes a second, written `5 MB/s`."""

    EXAMPLES: ClassVar = ("5 MB/s", "500 kB/s")

    @classmethod
    def parse(cls, text: object) -> Self:
        """Read `5 MB/s`."""
        if not isinstance(text, str) or not text.rstrip().endswith("/s"):
            msg = f"found {text!r}; a rate is written with its unit, such as 5 MB/s"
            raise ValueError(msg)
        number, unit = _quantity(text.rstrip().removesuffix("/s"), SIZES, "rate", "5 MB/s")
        if number * unit < SIZES["kB"]:
            msg = f"found {text!r}; at least 1 kB/s"
            raise ValueError(msg)
        return cls(round(number * unit))

    def __str__(self) -> str:
        return f"{Size(self)}/s"


class Speed(float):
    """A speed in km/h, written `60 km/h` or `1.5 m/s`."""

    EXAMPLES: ClassVar = ("60 km/h", "1.5 m/s")

    @classmethod
    def parse(cls, text: object) -> Self:
        """Read `60 km/h`."""
        match = re.fullmatch(rf"\s*({_NUMBER})\s*(km/h|m/s)\s*", text) if isinstance(text, str) else None
        if not match or float(match[1]) < 0:
            msg = f"found {text!r}; a speed is a number, not negative, and one of km/h, m/s, such as 60 km/h"
            raise ValueError(msg)
        return cls(round(float(match[1]) * (3.6 if match[2] == "m/s" else 1.0), 6))

    def __str__(self) -> str:
        return f"{float(self):g} km/h"


class Distance(msgspec.Struct, frozen=True):
    """A distance, written `3 m` on the ground, or `1.5 heights` of the box of who is that far away."""

    EXAMPLES: ClassVar = ("3 m", "1.5 heights")

    number: float
    metres: bool

    @classmethod
    def parse(cls, text: object) -> Self:
        """Read `3 m`."""
        match = re.fullmatch(rf"\s*({_NUMBER})\s*(m|heights)\s*", text) if isinstance(text, str) else None
        if not match or float(match[1]) <= 0:
            msg = f"found {text!r}; a distance is a number above 0 and one of m, heights, such as 3 m"
            raise ValueError(msg)
        return cls(float(match[1]), match[2] == "m")

    def __str__(self) -> str:
        return f"{self.number:g} {'m' if self.metres else 'heights'}"


class Pace(int):
    """How many messages in ten seconds, written `100/s`, `30/min`."""

    EXAMPLES: ClassVar = ("100/s", "30/min")

    @classmethod
    def parse(cls, text: object) -> Self:
        """Read `100/s`."""
        match = re.fullmatch(rf"\s*({_NUMBER})\s*/\s*(s|min)\s*", text) if isinstance(text, str) else None
        if not match:
            msg = f"found {text!r}; a number of messages is written with its time, such as 100/s or 30/min"
            raise ValueError(msg)
        count = round(float(match[1]) * 10 / (1 if match[2] == "s" else 60))
        if count < 1:
            msg = f"found {text!r}; at least one in ten seconds, 6/min"
            raise ValueError(msg)
        return cls(count)

    def __str__(self) -> str:
        return f"{self * 6}/min" if self % 10 else f"{self // 10}/s"


class Change(msgspec.Struct, frozen=True):
    """A rate of change, written `0.5 m/min`: `per_second` in `unit` a second."""

    EXAMPLES: ClassVar = ("0.5 m/min", "3 ug/m3/h")

    per_second: float
    unit: str
    text: str

    @classmethod
    def parse(cls, text: object) -> Self:
        """Read `0.5 m/min`: a number, a unit, a slash, a unit of time."""
        match = re.fullmatch(rf"\s*({_NUMBER})\s*(\S*?)\s*/\s*(s|min|h|d)\s*", text) if isinstance(text, str) else None
        if not match:
            msg = f"found {text!r}; a rate of change is written with its unit a time, such as 0.5 m/min"
            raise ValueError(msg)
        return cls(float(match[1]) * NS / DURATIONS_NS[match[3]], match[2], " ".join(str(text).split()))

    def __str__(self) -> str:
        return self.text


class SeriesRef(msgspec.Struct, frozen=True):
    """A series by name: `<sensor>.<value>`. A sensor's name may hold dots; the last one parts."""

    EXAMPLES: ClassVar = ("water.level",)

    sensor: str
    value: str

    @classmethod
    def parse(cls, text: object) -> Self:
        """Read `water.level`."""
        if not isinstance(text, str) or not re.fullmatch(rf"{_NAME}\.[A-Za-z_][A-Za-z0-9_-]*", text):
            msg = f"found {text!r}; a series is written <sensor>.<value>, such as water.level"
            raise ValueError(msg)
        sensor, _, value = text.rpartition(".")
        return cls(sensor, value)

    def __str__(self) -> str:
        return f"{self.sensor}.{self.value}"


class Comparison(msgspec.Struct, frozen=True):
    """One comparison of a series with a number: `air.rh > 95`. `op` is one of > >= < <= == !=."""

    EXAMPLES: ClassVar = ("air.rh > 95",)

    series: SeriesRef
    op: str
    limit: float

    @classmethod
    def parse(cls, text: object) -> Self:
        """Read `air.rh > 95`."""
        match = re.fullmatch(rf"\s*(\S+)\s*(>=|<=|==|!=|>|<)\s*({_NUMBER})\s*", text) if isinstance(text, str) else None
        if not match:
            msg = f"found {text!r}; a comparison is <sensor>.<value>, one of > >= < <= == !=, a number: air.rh > 95"
            raise ValueError(msg)
        return cls(SeriesRef.parse(match[1]), match[2], float(match[3]))

    def __str__(self) -> str:
        return f"{self.series} {self.op} {self.limit:g}"


class Gate(msgspec.Struct, frozen=True):
    """What `unless:` and `only_while:` name: a comparison, or a rule whose alert is active."""

    EXAMPLES: ClassVar = ("air.rh > 95", "flood")

    comparison: Comparison | None = None
    rule: str | None = None

    @classmethod
    def parse(cls, text: object) -> Self:
        """Read `air.rh > 95` or `flood`."""
        if isinstance(text, str) and re.fullmatch(_NAME, text.strip()):
            return cls(rule=text.strip())
        return cls(comparison=Comparison.parse(text))

    def __str__(self) -> str:
        return str(self.comparison) if self.comparison else str(self.rule)


class Over(msgspec.Struct, frozen=True):
    """A sliding window, written `mean 10 min`, `max 1 h` or `p95 5 min`."""

    EXAMPLES: ClassVar = ("mean 10 min", "max 1 h", "p95 5 min")

    how: str
    window_ns: int

    @classmethod
    def parse(cls, text: object) -> Self:
        """Read `mean 10 min`."""
        match = re.fullmatch(r"\s*(mean|max|p95)\s+(.+)", text) if isinstance(text, str) else None
        if not match:
            msg = f"found {text!r}; a window is mean, max or p95 and a duration, such as mean 10 min"
            raise ValueError(msg)
        window = Duration.parse(match[2])
        if not window:
            msg = f"found {text!r}; a window is longer than 0"
            raise ValueError(msg)
        return cls(match[1], int(window))

    def __str__(self) -> str:
        return f"{self.how} {Duration(self.window_ns)}"


class Hours(msgspec.Struct, frozen=True):
    """Hours of the local day, written `"19:00-06:00"`, several parted by commas; minutes since midnight inside."""

    EXAMPLES: ClassVar = ("19:00-06:00", "07:00-09:00, 17:00-19:00")
    NO_MAP: ClassVar = "; for hours by label write a rule for each of them, with hours of its own"

    spans_min: tuple[tuple[int, int], ...]

    @classmethod
    def parse(cls, text: object) -> Self:
        """Read `"19:00-06:00"`; a span whose end is not after its start runs over midnight."""
        spans: list[tuple[int, int]] = []
        for part in text.split(",") if isinstance(text, str) else [""]:
            match = re.fullmatch(r"\s*(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})\s*", part)
            start, end = (int(match[1]) * 60 + int(match[2]), int(match[3]) * 60 + int(match[4])) if match else (-1, -1)
            if not match or not (0 <= start < 1440 and 0 < end <= 1440 and int(match[2]) < 60 and int(match[4]) < 60):
                if not (match and end == 0 and 0 <= start < 1440):
                    msg = f'found {text!r}; hours are written "19:00-06:00", several parted by commas, in quotes'
                    raise ValueError(msg)
                end = 1440
            if start == end:
                why = f"{part.strip()} begins and ends at the same time"
                msg = f'found {text!r}; {why}; the whole day is "00:00-24:00", never is mode: off'
                raise ValueError(msg)
            spans.append((start, end))
        return cls(tuple(spans))

    def __str__(self) -> str:
        return ", ".join(f"{a // 60:02}:{a % 60:02}-{b // 60:02}:{b % 60:02}" for a, b in self.spans_min)


SCALARS: tuple[type, ...] = (
    Duration,
    Size,
    Pixels,
    Speed,
    Distance,
    Pace,
    Change,
    SeriesRef,
    Comparison,
    Gate,
    Over,
    Hours,
)


def is_scalar(kind: object) -> bool:
    """Whether a type is written as one value: it has `parse` and `EXAMPLES`, as those above and those of kinds."""
    return isinstance(kind, type) and hasattr(kind, "parse") and hasattr(kind, "EXAMPLES")
