"""Rows taken out of payloads, checked, into the columns of a Decoded: the last step that every codec shares."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

import numpy as np

from gateway.codecs.times import to_ns
from gateway.codecs.values import EXACT, shown, stored
from gateway.ports import Bad, Decoded, Field, Numbered

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import tzinfo

    from numpy.typing import NDArray

    from gateway.config.model import SensorCommon

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_MOST_REASONS = 3  # of one payload; the rest is counted


class Rows:
    """Rows being taken out: lists of equal length, `message` never decreasing once `in_order` was called.

    message: each row's payload by its place; times: as they came; columns[f]: float, str or None, one a row;
    problems: payload → reasons; numbers: devices' own, as they came, one a row, None where a row has none.
    """

    def __init__(self, n_fields: int) -> None:
        self.message: list[int] = []
        self.times: list[object] = []
        self.columns: list[list[object]] = [[] for _ in range(n_fields)]
        self.problems: dict[int, list[str]] = {}
        self.numbers: list[object] = []

    def add(self, message: int, time: object, values: Sequence[object], number: object = None) -> None:
        """One row."""
        self.message.append(message)
        self.times.append(time)
        self.numbers.append(number)
        for column, value in zip(self.columns, values, strict=True):
            column.append(value)

    def problem(self, message: int, reason: str) -> None:
        """What is wrong with a payload."""
        self.problems.setdefault(message, []).append(reason)

    def in_order(self) -> None:
        """Sort the rows by payload, those of one payload as they were added."""
        order = sorted(range(len(self.message)), key=self.message.__getitem__)
        self.message = [self.message[i] for i in order]
        self.times = [self.times[i] for i in order]
        self.numbers = [self.numbers[i] for i in order]
        self.columns = [[column[i] for i in order] for column in self.columns]


def name_problems(key: str, names: Iterable[str]) -> list[tuple[str, str]]:
    """What is wrong with values' names, as a SeriesRef writes them: (key, problem)."""
    return [
        (key, f"found the value name {name!r}; it has letters, digits, _ and -, and starts with a letter or _")
        for name in names
        if not _NAME.fullmatch(name)
    ]


def fields_of(paths: dict[str, str], common: SensorCommon) -> tuple[Field, ...]:
    """The fields of a route: value name → path, with kind, unit and valid range from the sensor's common keys."""
    return tuple(
        Field(name, path, common.kinds.get(name, "float"), common.units.get(name, ""), common.valid.get(name))
        for name, path in paths.items()
    )


def assemble(fields: tuple[Field, ...], rows: Rows, zone: tzinfo, *, numbered: bool = False) -> Decoded:
    """The rows as columns. A value outside `valid` is left out with a reason, and so is a row that has no value.

    `numbered`: whether the route names a counter.
    """
    message = np.array(rows.message, np.int32)
    event_ns, bad_times = to_ns(rows.times, zone)
    for place, reason in bad_times:
        rows.problem(rows.message[place], f"time: {reason}")
    numbers = _numbered(message, rows) if numbered else None
    filled = np.zeros(len(message), bool)
    columns: list[NDArray[np.float64] | list[str | None]] = []
    for field, raw in zip(fields, rows.columns, strict=True):
        if field.kind == "str":
            columns.append(cast("list[str | None]", raw))
            filled |= np.fromiter((value is not None for value in raw), bool, len(raw))
            continue
        column = np.array(raw, np.float64)  # None becomes NaN
        if field.valid is not None:
            _outside(field, field.valid, column, rows)
        filled |= ~np.isnan(column)
        columns.append(column)
    if not filled.all():
        for place in np.flatnonzero(~filled):
            if rows.message[place] not in rows.problems:
                rows.problem(rows.message[place], _none_found(fields))
        message, event_ns = message[filled], event_ns[filled]
        keep = filled.tolist()
        columns = [
            column[filled] if isinstance(column, np.ndarray) else [v for v, k in zip(column, keep, strict=True) if k]
            for column in columns
        ]
    bad = [Bad(m, _joined(rows.problems[m])) for m in sorted(rows.problems)]
    return Decoded(message, event_ns, columns, bad, numbers)


def _numbered(message: NDArray[np.int32], rows: Rows) -> Numbered:
    """The counters that can be used, with a reason for each that cannot."""
    numbers: list[int] = []
    for place, came in enumerate(rows.numbers):
        raw = int(came) if isinstance(came, float) and came.is_integer() else came  # read as a value besides
        if type(raw) is int and 0 <= raw <= EXACT:  # as a rule
            numbers.append(raw)
            continue
        numbers.append(-1)
        if raw is not None:
            try:
                numbers[-1] = int(stored(raw, "int"))
            except ValueError as error:
                rows.problem(rows.message[place], f"seq: {error}")
            else:
                if numbers[-1] < 0:
                    rows.problem(rows.message[place], f"seq: found {shown(raw)}; a counter is a whole number from 0")
    number = np.array(numbers, np.int64)
    there = number >= 0
    return Numbered(message[there], number[there])


def _outside(field: Field, valid: tuple[float, float], column: NDArray[np.float64], rows: Rows) -> None:
    low, high = valid
    for place in np.flatnonzero((column < low) | (column > high)):
        what = f"{field.name}: found {column[place]:g}{' ' if field.unit else ''}{field.unit}"
        rows.problem(rows.message[place], f"{what}; valid is {low:g} to {high:g}")
        column[place] = np.nan


def _none_found(fields: tuple[Field, ...]) -> str:
    paths = ", ".join(field.path for field in fields[:8]) + (", …" if len(fields) > 8 else "")
    return f"none of the fields {paths} found"


def _joined(reasons: list[str]) -> str:
    more = len(reasons) - _MOST_REASONS
    return "; ".join(reasons[:_MOST_REASONS]) + (f"; and {more} more" if more > 0 else "")
