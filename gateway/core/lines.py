"""Line protocol: one line a point, times in nanoseconds (InfluxDB line protocol reference, v2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from gateway.ports import Field

_NAME = str.maketrans({",": r"\,", " ": r"\ ", "\n": r"\ ", "\r": r"\ "})
_KEY = str.maketrans({",": r"\,", "=": r"\=", " ": r"\ ", "\n": r"\ ", "\r": r"\ "})
_TEXT = str.maketrans({'"': r"\"", "\\": r"\\"})
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
        marks = {"float": "%r", "int": "%di", "bool": "%s", "str": "%s"}
        self._whole = (
            "%s "
            + ",".join(
                f"{key.replace('%', '%%')}={marks[kind]}" for key, kind in zip(self._keys, self._kinds, strict=True)
            )
            + " %d\n"
        )

    def write(
        self,
        heads: Sequence[str],
        columns: Sequence[NDArray[np.float64] | list[str | None]],
        at_ns: NDArray[np.int64],
    ) -> list[str]:
        """A line for each row; an empty one where the row has no value.

        heads: the series prefix of each row; columns as in `Decoded`; at_ns int64[r].
        """
        whole = np.ones(len(heads), bool)
        lists: list[list[object]] = []
        for kind, column in zip(self._kinds, columns, strict=True):
            if isinstance(column, list):
                present = np.array([value is not None for value in column], bool)
                lists.append([None if value is None else text(value) for value in column])
            else:
                present = ~np.isnan(column)
                values = column.tolist()
                lists.append(["true" if value else "false" for value in values] if kind == "bool" else values)
            whole &= present
        rows = zip(heads, *lists, at_ns.tolist(), strict=True)
        if whole.all():
            return list(map(self._whole.__mod__, rows))
        return [
            self._whole % row if full else self._partial(row) for full, row in zip(whole.tolist(), rows, strict=True)
        ]

    def _partial(self, row: tuple[object, ...]) -> str:
        parts: list[str] = []
        for key, kind, value in zip(self._keys, self._kinds, row[1:-1], strict=True):
            if value is None or value != value:  # noqa: PLR0124 - NaN is the only value that differs from itself
                continue
            written = repr(value) if kind == "float" else f"{value:.0f}i" if kind == "int" else str(value)
            parts.append(f"{key}={written}")
        return f"{row[0]} {','.join(parts)} {row[-1]}\n" if parts else ""
