r"""Reading our own line protocol: lines, their series and numbers (InfluxDB line protocol reference, v2).

Commas, spaces and `=` in names are escaped with a backslash; string fields are quoted and may hold anything, a newline
too; integers end in `i`, unsigned ones in `u`; times are nanoseconds.
"""

from __future__ import annotations

import re
from math import isfinite, nan
from typing import TYPE_CHECKING, NamedTuple

from gateway.core.lines import subject as named

if TYPE_CHECKING:
    from collections.abc import Iterator

_LINE = re.compile(
    rb"""((?:[^\\ \n]|\\.)+)[ ]                         # measurement and tags
         ((?:="(?:[^"\\]|\\.)*"|[^\\ \n]|\\.)+)       # fields: a quote opens a text only after =
         (?:[ ](-?\d+))?[ ]*(?:\n|\Z)""",
    re.VERBOSE | re.DOTALL,
)
_FIELD = re.compile(rb'((?:[^\\=,]|\\.)+)=("(?:[^"\\]|\\.)*"|[^,]*),?', re.DOTALL)
_TAG = re.compile(rb"((?:[^\\=,]|\\.)+)=((?:[^\\,]|\\.)*),?", re.DOTALL)
_MEASUREMENT = re.compile(rb"((?:[^\\,]|\\.)+),?", re.DOTALL)
_INT64 = 2**63
_ESCAPED = re.compile(rb"\\([,= ])")
_TRUTHS: dict[bytes, float] = {b"t": 1, b"T": 1, b"true": 1, b"True": 1, b"TRUE": 1}
_TRUTHS.update({b"f": 0, b"F": 0, b"false": 0, b"False": 0, b"FALSE": 0})


class Line(NamedTuple):
    """One point: `head` is measurement and tags as written, numbers: fields that can be drawn (bool as 0 or 1)."""

    head: bytes
    numbers: list[tuple[bytes, float]]
    at_ns: int


def split(body: bytes) -> list[bytes]:
    """The lines of `body`, without their newlines and without empty ones; what is no line is cut at its newline."""
    if b'"' not in body and b"\\" not in body:
        return [line for line in body.split(b"\n") if line]
    lines: list[bytes] = []
    at = 0
    while at < len(body):
        match = _LINE.match(body, at)
        newline = body.find(b"\n", at)
        end = match.end() if match else newline + 1 if newline >= 0 else len(body)
        if line := body[at:end].removesuffix(b"\n"):
            lines.append(line)
        at = end
    return lines


def points(body: bytes) -> Iterator[Line]:
    """The points of `body` that have a time and a number; others are passed over."""
    quoted = b'"' in body or b"\\" in body
    for line in split(body):
        if quoted:
            match = _LINE.match(line)
            head, fields, stamp = match.groups() if match else (b"", b"", None)
        else:
            head, _, rest = line.partition(b" ")
            fields, _, stamp = rest.partition(b" ")
        if not stamp or not stamp.strip().lstrip(b"-").isdigit():
            continue
        at_ns = int(stamp)
        if -_INT64 <= at_ns < _INT64 and (numbers := _numbers(fields)):
            yield Line(head, numbers, at_ns)


def subject(head: bytes, field: bytes) -> str:
    """The series as alerts name it: `air.pm25{device=0017,site=a}`."""
    match = _MEASUREMENT.match(head)
    name, end = (match[1], match.end()) if match else (head, len(head))
    tags = [(_plain(key), _plain(value)) for key, value in _TAG.findall(head, end)]
    return named(f"{_plain(name)}.{_plain(field)}", tags)


def _numbers(fields: bytes) -> list[tuple[bytes, float]]:
    if b'"' in fields or b"\\" in fields:
        pairs = _FIELD.findall(fields)
    else:
        pairs = [(name, value) for name, _, value in (part.partition(b"=") for part in fields.split(b","))]
    return [(name, number) for name, value in pairs if isfinite(number := _number(value))]


def _number(value: bytes) -> float:
    """A field's number; NaN for a text and for what is none."""
    try:
        return float(value)
    except ValueError:
        if value[-1:] in (b"i", b"u") and value[:-1].lstrip(b"-").isdigit():
            return float(value[:-1])
        return _TRUTHS.get(value, nan)


def _plain(name: bytes) -> str:
    return _ESCAPED.sub(rb"\1", name).decode("utf-8", "replace")
