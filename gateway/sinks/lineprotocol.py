r"""Reading our own line protocol: lines, their series and numbers (InfluxDB line protocol reference, v2).

Commas, spaces and `=` in names are escaped with a backslash; string fields are quoted and may hold anything, a newline
too; integers end in `i`, unsigned ones in `u`; times are nanoseconds.
"""

from __future__ import annotations

import re
from math import isfinite, nan
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gateway.core.lines import subject as named

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_LINE = re.compile(
    rb"""((?:[^\\ \n]|\\.)+)[ ]                         # measurement and tags
         ((?:="(?:[^"\\]|\\.)*"|[^\\ \n]|\\.)+)       # fields: a quote opens a text only after =
         (?:[ ](-?\d+))?[ ]*(?:\n|\Z)""",
    re.VERBOSE | re.DOTALL,
)
_FIELD = re.compile(rb'((?:[^\\=,]|\\.)+)=("(?:[^"\\]|\\.)*"|[^,]*),?', re.DOTALL)
_TAG = re.compile(rb"((?:[^\\=,]|\\.)+)=((?:[^\\,]|\\.)*),?", re.DOTALL)
_MEASUREMENT = re.compile(rb"((?:[^\\,]|\\.)+),?", re.DOTALL)
_SPECIAL = re.compile(rb'["\\]')
_INT64 = 2**63
_STAMP = re.compile(rb"-?\d{1,19}")
_ESCAPED = re.compile(rb"\\([,= ])")
_ESCAPED_IN_TEXT = re.compile(rb'\\(["\\])')
_TRUTHS: dict[bytes, float] = {b"t": 1, b"T": 1, b"true": 1, b"True": 1, b"TRUE": 1}
_TRUTHS.update({b"f": 0, b"F": 0, b"false": 0, b"False": 0, b"FALSE": 0})


_NUMBER = b"0123456789+-.eE"
_MARKS = bytes(range(1, 9)) + bytes(range(14, 32))  # what stands for a field's name while a block is read
_SPACES = bytes.maketrans(_MARKS + b"i", b" " * (len(_MARKS) + 1))


class Block(NamedTuple):
    """Lines whose fields are the same numbers: heads[r], values float64[r, f] of `fields`, at_ns[r]."""

    heads: list[bytes]
    fields: tuple[bytes, ...]
    values: NDArray[np.float64]
    at_ns: list[int]


class Line(NamedTuple):
    """One point: `head` is measurement and tags as written, numbers: fields that can be drawn (bool as 0 or 1)."""

    head: bytes
    numbers: list[tuple[bytes, float]]
    at_ns: int


class Text(NamedTuple):
    """One text of a point: `head` and `field` as written, `text` without its quotes and their backslashes."""

    head: bytes
    field: bytes
    text: str
    at_ns: int


def split(body: bytes) -> list[bytes]:
    """The lines of `body`, without their newlines and without empty ones; what is no line is cut at its newline."""
    return [line for _, lines in _runs(body) for line in lines]


def _runs(body: bytes) -> Iterator[tuple[bool, list[bytes]]]:
    """Lines in order, those without quotes and backslashes together (True), the others one by one (False)."""
    at = 0
    while at < len(body):
        special = _SPECIAL.search(body, at)
        start = len(body) if special is None else max(at, body.rfind(b"\n", at, special.start()) + 1)
        if plain := [line for line in body[at:start].split(b"\n") if line]:
            yield True, plain
        at = start
        if special is not None:
            match, newline = _LINE.match(body, at), body.find(b"\n", at)
            end = match.end() if match else newline + 1 if newline >= 0 else len(body)
            if line := body[at:end].removesuffix(b"\n"):
                yield False, [line]
            at = end


def stamp(line: bytes) -> int:
    """When one line happened; after everything where it does not say."""
    at = line.rstrip().rpartition(b" ")[2]
    return int(at) if _STAMP.fullmatch(at) else _INT64


def points(body: bytes) -> Iterator[Line]:
    """The points of `body` that have a time and a number; others are passed over."""
    for plain, lines in _runs(body):
        for line in lines:
            if plain:
                head, _, rest = line.partition(b" ")
                fields, _, stamp = rest.partition(b" ")
            else:
                match = _LINE.match(line)
                head, fields, stamp = match.groups() if match else (b"", b"", None)
            if not stamp or not stamp.strip().lstrip(b"-").isdigit():
                continue
            at_ns = int(stamp)
            if -_INT64 <= at_ns < _INT64 and (numbers := _numbers(fields)):
                yield Line(head, numbers, at_ns)


def texts(body: bytes) -> Iterator[Text]:
    """The fields of `body` that are texts, of points that have a time: what `points` passes over."""
    for plain, lines in _runs(body):
        for match in () if plain else map(_LINE.match, lines):
            if match is None or match[3] is None or not -_INT64 <= (at_ns := int(match[3])) < _INT64:
                continue
            for field, value in _FIELD.findall(match[2]):
                if len(value) > 1 and value[:1] == value[-1:] == b'"':
                    text = _ESCAPED_IN_TEXT.sub(rb"\1", value[1:-1]).decode("utf-8", "replace")
                    yield Text(match[1], field, text, at_ns)


def blocks(body: bytes, shapes: dict[bytes, tuple[bytes, ...]]) -> tuple[list[Block], bytes] | None:
    """The points of `body` by what fields they have, and the lines with quotes and backslashes, for `points`.

    None where the others are not all plain numbers: then `points` is to read everything. shapes: the fields of each
    head that was met before; new ones are added. Measured on lines of 5 fields: a third of the price of `points`.
    """
    parts: dict[tuple[bytes, ...], tuple[list[bytes], list[bytes], list[int]]] = {}
    others: list[bytes] = []
    for plain, lines in _runs(body):
        if not plain:
            others += lines
            continue
        for line in lines:
            head, _, rest = line.partition(b" ")
            fields, _, stamp = rest.rpartition(b" ")
            shape = shapes.get(head)
            if shape is None:
                shape = shapes[head] = tuple(part.partition(b"=")[0] for part in fields.split(b","))
            part = parts.get(shape)
            if part is None:
                part = parts[shape] = [], [], []
            if not stamp.isdigit():
                return None
            part[0].append(head)
            part[1].append(fields)
            part[2].append(int(stamp))
    found = [_block(*lists, shape) for shape, lists in parts.items()]
    return None if None in found else ([block for block in found if block is not None], b"\n".join(others))


def _block(heads: list[bytes], fields: list[bytes], at_ns: list[int], names: tuple[bytes, ...]) -> Block | None:
    """All fields at once: names become marks, marks must stand alike in all lines, what stands between is numbers."""
    if len(names) > len(_MARKS):
        return None
    text = b"\n,".join([b"", *fields])
    for place, name in enumerate(names):
        text = text.replace(b",%b=" % name, _MARKS[place : place + 1])
    frame = text.translate(None, _NUMBER)
    one = frame[: frame.find(b"\n", 1)] if len(fields) > 1 else frame
    if frame != one * len(fields) or one.translate(None, _MARKS + b"i") != b"\n":
        return None
    values = np.fromstring(text.translate(_SPACES), np.float64, sep=" ")
    return (
        Block(heads, names, values.reshape(len(fields), len(names)), at_ns)
        if values.size == len(fields) * len(names)
        else None
    )


def subject(head: bytes, field: bytes) -> str:
    """The series as alerts name it: `air.pm25{device=0017,site=a}`."""
    name, end = _measured(head)
    tags = [(unescaped(key), unescaped(value)) for key, value in _TAG.findall(head, end)]
    return named(f"{unescaped(name)}.{unescaped(field)}", tags)


def measurement(head: bytes) -> str:
    """What a head measures, `air` of `air,site=a`."""
    return unescaped(_measured(head)[0])


def unescaped(name: bytes) -> str:
    """A name, a tag or its value, as it was before its commas, spaces and `=` were escaped."""
    return _ESCAPED.sub(rb"\1", name).decode("utf-8", "replace")


def _measured(head: bytes) -> tuple[bytes, int]:
    """The measurement as written, and where tags begin."""
    match = _MEASUREMENT.match(head)
    return (match[1], match.end()) if match else (head, len(head))


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
