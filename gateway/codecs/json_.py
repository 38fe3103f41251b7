"""JSON payloads: `json: {time: ts, pm25: data.pm2_5, level: readings[0].value}`.

Reserved keys: `time` (where the time stands), `seq` (where the device's own counter stands), `zone` (of times that
state none), `each` (the list of a message with many readings; the other paths start at its elements, a `$` in front
starts at the top level; a time or counter that an element lacks is looked for at the top level). A field that is
missing or null is absent; one that cannot be used is left out with a reason, and the others are kept. A time that
cannot be read leaves its row without one.

Two ways read a payload. The quick one is a msgspec decoder for a struct made of the paths: it takes only what is
exactly as declared. What it refuses goes the thorough way, value by value, which finds the reason or takes what
`values.stored` allows. For what both take, both give the same.
"""

from __future__ import annotations

import json
import re
from itertools import repeat
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple, cast

import msgspec
import numpy as np

from gateway.codecs.json_shape import Shape, shape_of
from gateway.codecs.paths import Path, find, parse_path
from gateway.codecs.rows import Rows, assemble, fields_of, name_problems
from gateway.codecs.times import zone_of
from gateway.codecs.values import shown, stored
from gateway.config.common import Struct

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo

    from gateway.config.model import SensorCommon
    from gateway.config.names import Names
    from gateway.ports import Decoded, Field

RESERVED = ("time", "seq", "zone", "each")
_DEEPEST = 100  # levels; found by counting, since the interpreter's own bound depends on who calls
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_REFUSED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Json(Struct, frozen=True):
    """How a route's JSON is read: value name → path, and the reserved keys `time`, `seq`, `zone`, `each`."""

    json: dict[str, str]

    def values(self) -> tuple[str, ...]:
        """The values it takes out of a payload, in order."""
        return tuple(name for name in self.json if name not in RESERVED)

    def check(self, names: Names) -> list[tuple[str, str]]:
        """What is wrong with its paths and zone: (key, problem)."""
        del names
        problems = name_problems("json", self.values())
        if not self.values():
            problems.append(("json", "no value is named; write such as {time: ts, level: data.level}"))
        for name, path in self.json.items():
            try:
                if name == "zone":
                    zone_of(path)
                elif not parse_path(path).steps and name != "each":
                    problems.append((f"json.{name}", f"found {path!r}; a value stands at a key, such as data.level"))
            except ValueError as error:
                problems.append((f"json.{name}", str(error)))
        return problems


class _Places(NamedTuple):
    """Where everything stands. `each` is None for one reading a message."""

    each: Path | None
    time: Path | None
    values: tuple[Path, ...]
    seq: Path | None = None


def build(config: Json, common: SensorCommon, timezone: str) -> JsonDecoder:
    """The decoder of a checked route. `timezone`: of times that state none, where neither route nor sensor says."""
    fields = fields_of({name: config.json[name] for name in config.values()}, common)
    keys = ("each", "time", "seq")
    each, time, seq = (parse_path(config.json[key]) if key in config.json else None for key in keys)
    places = _Places(each, time, tuple(parse_path(field.path) for field in fields), seq)
    return JsonDecoder(fields, places, zone_of(config.json.get("zone") or common.zone or timezone))


class JsonDecoder:
    """Fulfils ports.Decoder."""

    pure = True

    def __init__(self, fields: tuple[Field, ...], places: _Places, zone: tzinfo) -> None:
        self.fields = fields
        self._places = places
        self._zone = zone
        self._shape = shape_of(fields, places.each, places.time, places.values, places.seq)

    def decode(self, bodies: Sequence[bytes]) -> Decoded:
        """Payloads to rows."""
        rows = Rows(len(self.fields))
        refused = self._quick(self._shape, bodies, rows) if self._shape else range(len(bodies))
        if refused:
            taken = len(rows.message)
            for place in refused:
                self._thorough(place, bodies[place], rows)
            if taken:
                rows.in_order()
        return assemble(self.fields, rows, self._zone, numbered=self._places.seq is not None)

    def _quick(self, shape: Shape, bodies: Sequence[bytes], rows: Rows) -> list[int]:
        """Takes what is exactly as declared; the places of the rest."""
        found, at, refused = _decoded(shape, bodies)
        outer: list[object] = []
        if shape.each is not None:
            found, at, outer = _spread(shape, found, at, refused)
        rows.message = at
        rows.columns = [list(map(attrgetter(name), found)) for name in shape.values]
        rows.times = _either(shape.time, found, shape.top_time, outer)
        if refused or self._places.seq is not None:
            rows.numbers = _either(shape.seq, found, shape.top_seq, outer)
        return sorted(refused)

    def _thorough(self, place: int, body: bytes, rows: Rows) -> None:
        """Takes a payload value by value, with a reason for each that cannot be used."""
        try:
            top = _loaded(body)
        except ValueError as error:
            rows.problem(place, str(error))
            return
        each, where = self._places.each, ""
        if each is None:
            if not isinstance(top, (dict, list)):
                rows.problem(place, f"found {shown(top)}; expected an object")
                return
            self._row(place, top, top, where, rows)
            return
        elements = find(top, each.steps)
        if not isinstance(elements, list) or not elements:
            rows.problem(
                place, f"found {shown(elements) if elements != [] else 'an empty list'} where the readings are"
            )
            return
        for number, element in enumerate(cast("list[object]", elements)):
            if isinstance(element, (dict, list)):
                self._row(place, top, element, f"[{number}] ", rows)
            else:
                rows.problem(place, f"[{number}] found {shown(element)}; expected an object")

    def _row(self, place: int, top: object, element: object, where: str, rows: Rows) -> None:
        values: list[float | str | None] = []
        for field, path in zip(self.fields, self._places.values, strict=True):
            value = find(top if path.top else element, path.steps)
            try:
                values.append(None if value is None else stored(value, field.kind))
            except ValueError as error:
                values.append(None)
                rows.problem(place, f"{where}{field.name}: {error}")
        time, number = (_found(path, top, element) for path in (self._places.time, self._places.seq))
        rows.add(place, time, values, number)


def _found(path: Path | None, top: object, element: object) -> object:
    """What stands there in an element, else at the top level."""
    if path is None:
        return None
    value = find(top if path.top else element, path.steps)
    return find(top, path.steps) if value is None and element is not top else value


def _either(inner: str | None, found: list[object], outer: str | None, tops: list[object]) -> list[object]:
    """An attribute of each element, and where that is None, one of the message around it."""
    out: list[object] = list(map(attrgetter(inner), found)) if inner else list(repeat(None, len(found)))
    if outer:
        out = [top if own is None else own for own, top in zip(out, map(attrgetter(outer), tops), strict=True)]
    return out


def _decoded(shape: Shape, bodies: Sequence[bytes]) -> tuple[list[object], list[int], list[int]]:
    """(structs, the place of each one's payload, the places of payloads that are not as declared)."""
    decode = shape.decode
    if max(map(len, bodies), default=0) <= 2 * _DEEPEST:
        try:  # as a rule all are as declared
            return list(map(decode, bodies)), list(range(len(bodies))), []
        except _REFUSED:
            pass
    found, at, refused = list[object](), list[int](), list[int]()
    for place, body in enumerate(bodies):
        if len(body) > 2 * _DEEPEST and _too_deep(body):
            refused.append(place)
            continue
        try:
            found.append(decode(body))
        except _REFUSED:
            refused.append(place)
        else:
            at.append(place)
    return found, at, refused


def _spread(
    shape: Shape, found: list[object], at: list[int], refused: list[int]
) -> tuple[list[object], list[int], list[object]]:
    """The elements of each message, its place and the message itself once an element; an empty list is refused."""
    elements: list[object] = []
    places: list[int] = []
    outer: list[object] = []
    inner = attrgetter(shape.each) if shape.each else None
    for place, message in zip(at, found, strict=True):
        these = cast("list[object]", inner(message) if inner else message)
        if not these:
            refused.append(place)
            continue
        elements.extend(these)
        places.extend(repeat(place, len(these)))
        outer.extend(repeat(message, len(these)))
    return elements, places, outer


def _too_deep(body: bytes) -> bool:
    if body.count(b"[") + body.count(b"{") <= _DEEPEST:
        return False
    marks = np.frombuffer(_STRINGS.sub(b"", body), np.uint8)
    opened = (marks == ord("[")) | (marks == ord("{"))
    closed = (marks == ord("]")) | (marks == ord("}"))
    return bool(np.cumsum(opened.astype(np.int8) - closed.astype(np.int8), dtype=np.int64).max(initial=0) > _DEEPEST)


def _loaded(body: bytes) -> object:
    """JSON as Python reads it: NaN and numbers beyond float64 come as such, so that the other fields can be kept."""
    if not body.strip():
        raise ValueError("the payload is empty")
    if len(body) > 2 * _DEEPEST and _too_deep(body):
        raise ValueError(f"the JSON is nested more than {_DEEPEST} levels deep")
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"the payload is not UTF-8: byte {error.start} is 0x{body[error.start]:02x}") from None
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"invalid JSON: {error.msg} at character {error.pos}, {shown(text)}") from None
    except ValueError:  # the interpreter refuses to read whole numbers of more than 4,300 digits
        raise ValueError("invalid JSON: a number has thousands of digits") from None
