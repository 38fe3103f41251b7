"""Line protocol: one line a point, times in nanoseconds (InfluxDB line protocol reference, v2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from gateway.ports import Field

_NAME = str.maketrans({",": r"\,", " ": r"\ ", "\n": r"\ ", "\r": r"\ "})
_KEY = str.maketrans({",": r"\,", "=": r"\=", " ": r"\ ", "\n": r"\ ", "\r": r"\ "})
_TEXT = str.maketrans({'"': r"\"", "\\": r"\\"})
_ENCODE = msgspec.json.Encoder().encode  # writes a number several times as fast as repr
_ABSENT = "null"  # never a value: texts stand in quotes
_IN_BRACES = str.maketrans({mark: f"%{ord(mark):02X}" for mark in "%,={}"})


def prefix(measurement: str, tags: Mapping[str, str]) -> str:
    """`measurement,tag=value,…`: tags sorted, empty ones left out; a trailing backslash cannot be written and goes."""
    parts = [measurement.translate(_NAME)]
    for key, value in sorted(tags.items()):
        if clean := value.rstrip("\\"):
            parts.append(f"{key.translate(_KEY)}={clean.translate(_KEY)}")
    return ",".join(parts)


def subject(name: str, tags: Iterable[tuple[str, str]]) -> str:
    """As alerts name it: `air.pm25{device=0017,site=a}`; what parts tags is escaped as in URLs: no two agree."""
    braced = ",".join(f"{key.translate(_IN_BRACES)}={value.translate(_IN_BRACES)}" for key, value in sorted(tags))
    return f"{name}{{{braced}}}" if braced else name


def number(value: float) -> str:
    """A float field: the shortest text that reads back as the same number."""
    return repr(float(value))


def text(value: str) -> str:
    """A string field."""
    return f'"{value.translate(_TEXT)}"'


def point(head: str, fields: Mapping[str, str], at_ns: int) -> str:
    """One line; `fields` are already written (`number`, `text`, `3i`)."""
    return f"{head} {','.join(f'{key.translate(_KEY)}={value}' for key, value in fields.items())} {at_ns}\n"


class RowWriter:
    """Lines of one route: a template for whole rows, field by field for rows with holes."""

    def __init__(self, fields: Sequence[Field]) -> None:
        self._kinds = [field.kind for field in fields]
        self._keys = [field.name.translate(_KEY) for field in fields]
        places = zip(self._keys, self._kinds, strict=True)
        marks = [f"{key.replace('%', '%%')}=%s{'i' if kind == 'int' else ''}" for key, kind in places]
        self._whole = f"%s {','.join(marks)} %s\n"

    def write(
        self,
        heads: Sequence[str],
        columns: Sequence[NDArray[np.float64] | list[str | None]],
        at_ns: NDArray[np.int64],
    ) -> list[str]:
        """A line for each row; an empty one where the row has no value.

        heads: the series prefix of each row; columns as in `Decoded`; at_ns int64[r].
        """
        if not heads:
            return []
        written = [_written(kind, column) for kind, column in zip(self._kinds, columns, strict=True)]
        rows = zip(heads, *written, _numbers(at_ns), strict=True)
        if any(None in column if isinstance(column, list) else np.isnan(column).any() for column in columns):
            return [self._partial(row) if _ABSENT in row else self._whole % row for row in rows]
        return list(map(self._whole.__mod__, rows))

    def _partial(self, row: tuple[str, ...]) -> str:
        there = zip(self._keys, self._kinds, row[1:-1], strict=True)
        parts = [f"{key}={value}{'i' if kind == 'int' else ''}" for key, kind, value in there if value != _ABSENT]
        return f"{row[0]} {','.join(parts)} {row[-1]}\n" if parts else ""


def _numbers(values: NDArray[np.float64] | NDArray[np.int64]) -> list[str]:
    """Each number as the shortest text that reads back as the same; at least one. NaN is _ABSENT."""
    return _ENCODE(values.tolist())[1:-1].decode("ascii").split(",")


def _written(kind: str, column: NDArray[np.float64] | list[str | None]) -> list[str]:
    """Each value as its field has it, but for the i of whole numbers."""
    if isinstance(column, list):
        return [_ABSENT if value is None else text(value) for value in column]
    if kind == "float":
        return _numbers(column)
    absent = np.isnan(column)
    whole = np.where(absent, 0, column).astype(np.int64).tolist()
    names = map(str, whole) if kind == "int" else ["true" if value else "false" for value in whole]
    return [_ABSENT if gone else name for gone, name in zip(absent.tolist(), names, strict=True)]
