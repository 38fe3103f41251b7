"""The struct that a route's paths make, for msgspec to decode a payload at once into just what is wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import msgspec

from gateway.codecs.values import EXACT

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.codecs.paths import Path
    from gateway.ports import Field

_TYPES: dict[str, object] = {
    "float": float | None,
    "int": Annotated[int, msgspec.Meta(ge=-EXACT, le=EXACT)] | None,  # pyright: ignore[reportOperatorIssue]  a value here
    "bool": bool | None,
    # in characters: always below the bound in bytes
    "str": Annotated[str, msgspec.Meta(max_length=16_000)] | None,  # pyright: ignore[reportOperatorIssue]  a value here
}
_TIME = int | float | str | None
_MOST_FIELDS = 500  # of one struct level; more go the thorough way


class Shape(NamedTuple):
    """A compiled route: `decode` makes a message's struct; the others are dotted attributes for attrgetter.

    each: the list's ("" where the message is the list), or None for one reading a message; values, time, seq: an
    element's; top_time, top_seq: the message's, where an element may lack it.
    """

    decode: Callable[[bytes], object]
    each: str | None
    values: tuple[str, ...]
    time: str | None
    top_time: str | None
    seq: str | None = None
    top_seq: str | None = None


class _Level:
    """An object on the way: its keys, each a level of its own or a type."""

    def __init__(self) -> None:
        self.keys: dict[str, _Level | object] = {}

    def add(self, steps: tuple[str | int, ...], type_: object) -> str | None:
        """Where the attribute of a path will be, or None where two paths are in each other's way."""
        level, attributes = self, list[str]()
        for step in steps[:-1]:
            inner = level.keys.setdefault(str(step), _Level())
            if not isinstance(inner, _Level):
                return None
            attributes.append(_attribute(level, str(step)))
            level = inner
        last = str(steps[-1])
        known = level.keys.setdefault(last, type_)
        if isinstance(known, _Level) or known != type_ or len(level.keys) > _MOST_FIELDS:
            return None
        return ".".join([*attributes, _attribute(level, last)])

    def struct(self) -> type[msgspec.Struct]:
        """The msgspec struct of this level and those below it."""
        fields: list[tuple[str, Any, Any]] = []
        for number, inner in enumerate(self.keys.values()):
            if isinstance(inner, _Level):
                made = inner.struct()
                fields.append((f"f{number}", made, msgspec.field(default_factory=made)))
            elif isinstance(inner, list):  # [the elements' struct]
                fields.append((f"f{number}", list[inner[0]], msgspec.field(default_factory=list)))
            else:
                fields.append((f"f{number}", inner, None))
        rename = {f"f{number}": key for number, key in enumerate(self.keys)}
        return msgspec.defstruct("Level", fields, rename=rename, gc=False)


def _attribute(level: _Level, key: str) -> str:
    return f"f{list(level.keys).index(key)}"


def shape_of(
    fields: tuple[Field, ...], each: Path | None, time: Path | None, values: tuple[Path, ...], seq: Path | None = None
) -> Shape | None:
    """The struct for these paths, or None where they go through lists or cross one another."""
    inner = [*values, *(path for path in (time, seq) if path)]
    if not all(path.plain and path.steps for path in inner) or (each and (not each.plain or _any_top(values))):
        return None
    top, element = _Level(), _Level()
    start = element if each else top
    at = [start.add(path.steps, _TYPES[field.kind]) for field, path in zip(fields, values, strict=True)]
    attributes = tuple(name for name in at if name)
    if len(attributes) < len(at):
        return None
    if seq in values:  # a value besides: read once
        seq_at, seq = attributes[values.index(seq)], None
    else:
        seq_at = _own(start, each, seq)
    time_at = _own(start, each, time)
    listed = each is not None and not each.steps  # the message is the list: it has no top level beside it
    beside = listed and any(path and path.top for path in (time, seq))
    if "" in {time_at, seq_at} or beside:
        return None
    if each is None or listed:
        decode = _list_of(element) if listed else msgspec.json.Decoder(top.struct()).decode
        return Shape(decode, "" if listed else None, attributes, time_at, None, seq_at)
    each_at = top.add(each.steps, [element.struct()])
    top_time, top_seq = _own(top, None, time), _own(top, None, seq)
    if each_at is None or "" in {top_time, top_seq}:
        return None
    decode = msgspec.json.Decoder(top.struct()).decode
    return Shape(decode, each_at, attributes, time_at, top_time, seq_at, top_seq)


def _own(level: _Level, each: Path | None, path: Path | None) -> str | None:
    """Where a time or counter is at a level; None where it is not looked for there, "" where it is in another's way."""
    if path is None or (each and path.top):
        return None
    return level.add(path.steps, _TIME) or ""


def _any_top(paths: tuple[Path, ...]) -> bool:
    return any(path.top for path in paths)


def _list_of(element: _Level) -> Callable[[bytes], object]:
    kind: Any = list[element.struct()]  # pyright: ignore[reportInvalidTypeArguments]  a type made at run time
    return msgspec.json.Decoder(kind).decode
