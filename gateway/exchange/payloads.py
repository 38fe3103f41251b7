"""Readings to payloads: what a device of a sensor would have sent, so that the sensor's own codec reads it back.

A time is written as the shortest whole number since 1970 that says it exactly (`codecs.times` tells the unit by its
size). A value that is absent is left out.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Protocol, cast

import msgspec

from gateway.codecs import csv_, json_, plain
from gateway.codecs.paths import parse_path
from gateway.errors import GatewayError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.codecs.paths import Path
    from gateway.config.model import Sensor
    from gateway.ports import Field

Value = float | int | bool | str
_UNITS_NS = ((10**9, 0, 10**11), (10**6, 10**11, 10**14), (10**3, 10**14, 10**17))  # as codecs.times tells them apart


class Writer(Protocol):
    """One reading to a payload: `values` are the sensor's fields in order, None where absent."""

    timed: bool
    """Whether the payload states the time."""

    def write(self, at_ns: int, values: Sequence[Value | None]) -> bytes: ...  # noqa: D102 - the class's docstring


def writer_of(sensor: Sensor, fields: Sequence[Field]) -> Writer:
    """The writer for a sensor's codec. Raises GatewayError for a codec that nothing is written in."""
    codec = sensor.codec
    if isinstance(codec, json_.Json):
        return _Json(codec, fields)
    if isinstance(codec, csv_.Csv):
        return _Csv(codec, fields)
    if isinstance(codec, plain.Plain):
        return _Plain()
    raise GatewayError(
        f"sensors.{sensor.name}: readings are written as json, csv or plain, and it is read by {sensor.codec_key}; "
        f"import what its devices sent (mosquitto_sub -F '%U %t %x')"
    )


def time_number(at_ns: int) -> int:
    """The shortest whole number that `codecs.times` reads as this time. From 1970 on; ns before 1973 are cut to ms."""
    for scale, least, below in _UNITS_NS:
        number, rest = divmod(at_ns, scale)
        if rest == 0 and least <= number < below:
            return number
    return at_ns


class _Json:
    """Objects and lists by the paths of the values."""

    def __init__(self, codec: json_.Json, fields: Sequence[Field]) -> None:
        self._each = parse_path(codec.json["each"]) if "each" in codec.json else None
        self._time = parse_path(codec.json["time"]) if "time" in codec.json else None
        self._paths = [parse_path(field.path) for field in fields]
        self.timed = self._time is not None
        self._encode = msgspec.json.Encoder().encode

    def write(self, at_ns: int, values: Sequence[Value | None]) -> bytes:
        """One object."""
        top: dict[str, object] = {}
        inner: dict[str, object] = {} if self._each is not None else top
        if self._each is not None:
            _put(top, self._each.steps, [inner])
        if self._time is not None:
            self._at(self._time, top, inner, time_number(at_ns))
        for path, value in zip(self._paths, values, strict=True):
            if value is not None:
                self._at(path, top, inner, value)
        return self._encode(top if self._each is None or self._each.steps else [inner])

    def _at(self, path: Path, top: dict[str, object], inner: dict[str, object], value: object) -> None:
        _put(top if path.top else inner, path.steps, value)


def _put(into: dict[str, object], steps: Sequence[str | int], value: object) -> None:
    """Set what stands at a path, making objects and lists on the way; what a list lacks before it is null."""
    here: object = into
    for place, step in enumerate(steps):
        last = place == len(steps) - 1
        fresh: object = value if last else [] if isinstance(steps[place + 1], int) else {}
        if isinstance(here, dict) and isinstance(step, str):
            known = here
            here = known.setdefault(step, fresh)
            if last:
                known[step] = value
        elif isinstance(here, list) and isinstance(step, int):
            items = cast("list[object]", here)
            at = step if step >= 0 else max(0, len(items) + step)
            items += [None] * (at + 1 - len(items))
            if last or items[at] is None:
                items[at] = fresh
            here = items[at]
        else:
            raise GatewayError(f"found paths that contradict one another at {step!r}: an object cannot be a list")


class _Csv:
    """One line, behind the headings that the codec skips."""

    def __init__(self, codec: csv_.Csv, fields: Sequence[Field]) -> None:
        self._codec = codec
        place = {field.name: i for i, field in enumerate(fields)}
        self._cells = [place.get(name, -1) for name in codec.csv]
        self.timed = csv_.TIME in codec.csv
        self._headings = [list(codec.csv)] * codec.header

    def write(self, at_ns: int, values: Sequence[Value | None]) -> bytes:
        """The line."""
        row: list[Value | None] = [None if cell < 0 else _cell(values[cell]) for cell in self._cells]
        if self.timed:
            row[self._codec.csv.index(csv_.TIME)] = time_number(at_ns)
        out = io.StringIO()
        writer = csv.writer(out, delimiter=self._codec.separator, lineterminator="\n")
        writer.writerows([*self._headings, row])
        return out.getvalue().rstrip("\n").encode()


class _Plain:
    """The value as text."""

    timed = False

    def write(self, at_ns: int, values: Sequence[Value | None]) -> bytes:
        """The text; empty where the value is absent, which the codec refuses."""
        del at_ns
        [value] = values
        return str("" if value is None else _cell(value)).encode()


def _cell(value: Value | None) -> Value | None:
    return ("true" if value else "false") if isinstance(value, bool) else value
