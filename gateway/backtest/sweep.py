"""What `--sweep` writes: `rules.crowd.levels.yellow=5..20`, a dotted path and the values that stand there in turn.

A range `5..20`, its step behind a colon (`5..20:2.5`; 1 without one), or a list `3,5,10`. Units are kept:
`rules.crowd.for=10 s..60 s:10 s`. Both ends of a range are values of it where a step lands on them.
"""

from __future__ import annotations

import itertools
import math
import re
from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST = 200
"""Configurations of one grid: at a minute each it still ends within the afternoon, and a curve can still be read."""

_NUMBER = r"[-+]?(?:\d+(?:\.\d+)?|\.\d+)"
_UNIT = r"[^\s:\d.,][^\s:]*"
_QUANTITY = rf"({_NUMBER})\s*({_UNIT})?"
RANGE = re.compile(rf"\s*{_QUANTITY}\s*\.\.\s*{_QUANTITY}\s*(?::\s*{_QUANTITY}\s*)?")
PATH = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)+")
LEADING = re.compile(rf"\s*({_NUMBER})")
INSIDE = {"[": "]", "{": "}", '"': '"', "'": "'"}


class Axis(msgspec.Struct, frozen=True):
    """One swept key: its dotted path and the YAML text of each value, in order."""

    path: str
    values: tuple[str, ...]

    def numbers(self) -> tuple[float, ...]:
        """Where each value stands on a curve's axis: the number it begins with, else its place in the list."""
        found = [LEADING.match(value) for value in self.values]
        if not all(found):
            return tuple(float(place) for place in range(len(self.values)))
        return tuple(float(match[1]) for match in found if match)

    def unit(self) -> str:
        """The unit that all values are written with; empty where there is none."""
        units = {value.partition(" ")[2].strip() for value in self.values}
        return units.pop() if len(units) == 1 else ""


def axis(text: str) -> Axis:
    """Read `rules.crowd.levels.yellow=5..20`. Raises ValueError saying what was found and what is allowed."""
    path, equals, values = text.partition("=")
    if not equals or not PATH.fullmatch(path.strip()) or not values.strip():
        raise ValueError(
            f"found {text!r}; a sweep is a dotted path and its values, such as rules.crowd.levels.yellow=5..20"
        )
    match = RANGE.fullmatch(values)
    if match is None:
        listed = tuple(_split(values))
        if ".." in values or not all(listed):
            raise ValueError(
                f"{path}: found {values.strip()!r}; values are a range 5..20, 5..20:2.5 or 10 s..60 s:10 s,"
                " or a list 5,10,20"
            )
        return Axis(path.strip(), tuple(dict.fromkeys(listed)))
    return Axis(path.strip(), _range(path.strip(), match))


def grid(axes: Sequence[Axis]) -> list[dict[str, str]]:
    """Every combination as {dotted path: YAML text}, the last axis fastest; one empty one without axes.

    Raises ValueError where a path is swept twice, and where there are more than `MOST` combinations.
    """
    paths = [one.path for one in axes]
    for path in paths:
        if paths.count(path) > 1:
            raise ValueError(f"{path} is swept twice; write all its values in one --sweep")
    count = math.prod(len(one.values) for one in axes)
    if count > MOST:
        parts = " × ".join(f"{len(one.values)} of {one.path}" for one in axes)
        raise ValueError(f"found {count} configurations ({parts}); at most {MOST} in one backtest: widen a step")
    return [dict(zip(paths, values, strict=True)) for values in itertools.product(*(one.values for one in axes))]


def _range(path: str, match: re.Match[str]) -> tuple[str, ...]:
    first, first_unit, last, last_unit, step, step_unit = match.groups()
    units = {unit for unit in (first_unit, last_unit, step_unit) if unit}
    if len(units) > 1:
        raise ValueError(f"{path}: found the units {', '.join(sorted(units))}; one range is written in one unit")
    low, high, by = Decimal(first), Decimal(last), Decimal(step or "1")
    if low > high or by <= 0:
        raise ValueError(f"{path}: found {match[0].strip()!r}; a range goes up, by a step above 0")
    if (high - low) / by >= MOST:
        raise ValueError(f"{path}: found {int((high - low) / by) + 1} values; at most {MOST}: widen the step")
    unit = f" {units.pop()}" if units else ""
    return tuple(f"{_plain(low + place * by)}{unit}" for place in range(int((high - low) / by) + 1))


def _plain(number: Decimal) -> str:
    """Without an exponent and without zeros at the end: 2.50 is 2.5, 1E+1 is 10."""
    text = f"{number:f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"


def _split(text: str) -> list[str]:
    """The parts between commas that stand in no brackets and no quotes."""
    parts, closing = [""], ""
    for letter in text:
        if closing:
            closing = closing[:-1] if letter == closing[-1] else closing + INSIDE.get(letter, "")
        elif letter == ",":
            parts.append("")
            continue
        else:
            closing = INSIDE.get(letter, "")
        parts[-1] += letter
    return [part.strip() for part in parts]
