"""The written tree to typed values, key by key, so that one wrong key hides no other.

`decode` follows a type's annotation (structs, maps, tuples, unions, literals, the scalars of scalars.py) and reports
what does not fit with what was found and what is allowed; what was taken, and what stayed a default, is kept too.
"""

from __future__ import annotations

import math
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar, Union, cast, get_args, get_origin

import msgspec

from gateway.config.common import Secret
from gateway.config.model import Ground, Place
from gateway.config.names import nearest
from gateway.config.nodes import Items, Leaf, Map, Node, found
from gateway.config.sane import problems_of
from gateway.config.scalars import is_scalar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.config.findings import Path
    from gateway.config.report import Report

T = TypeVar("T")
NOT_BUILT = {
    "evidence": "evidence streams and clips",
    "hikvision": "vendor shorthands",
    "dahua": "vendor shorthands",
    "uniview": "vendor shorthands",
    "tplink": "vendor shorthands",
}
"""Keys of the plan that this version does not know yet; refused in these words, so that nobody waits for them."""


ONE_OF: tuple[type, ...] = (Secret, Place, Ground)
"""Structs whose keys exclude one another: those not written are no defaults worth printing."""
BOUNDS = (
    ("ge", "at least"),
    ("gt", "above"),
    ("le", "at most"),
    ("lt", "below"),
    ("min_length", "at least this long:"),
    ("max_length", "at most this long:"),
    ("pattern", "matching"),
    ("multiple_of", "a multiple of"),
)
"""The bounds of a msgspec.Meta, in words."""


class Failed(msgspec.Struct, frozen=True):
    """Stands where a value could not be decoded; the reason is in the report."""


FAILED = Failed()


def allowed(wanted: object) -> str:  # noqa: PLR0911 - one return a kind of type
    """What a type takes, in an operator's words."""
    args = get_args(wanted)
    origin = get_origin(wanted)
    if origin is Annotated:
        return allowed(args[0])
    if origin in (Union, UnionType):
        return " or ".join(allowed(arg) for arg in args if arg is not NoneType)
    if origin is Literal:
        return f"one of {', '.join(str(arg) for arg in args)}"
    if origin in (tuple, list, frozenset):
        open_ended = origin is not tuple or (len(args) == 2 and args[1] is Ellipsis)
        inside = ["…", "…"] if open_ended else [allowed(arg) for arg in args]
        return f"a list [{', '.join(inside)}]"
    words = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}
    if isinstance(wanted, type) and wanted in words:
        return words[wanted]
    if is_scalar(wanted):
        return f"such as {getattr(wanted, 'EXAMPLES', ('',))[0]}"
    return "a map"


def decode(node: Node, wanted: object, path: Path, report: Report) -> object:  # noqa: PLR0911 - one return a kind of type
    """The node as a value of the wanted type, or FAILED with the reason in the report."""
    args = get_args(wanted)
    origin = get_origin(wanted)
    if origin in (Union, UnionType):
        return _union(node, args, path, report)
    if origin is Annotated:
        return _annotated(node, wanted, path, report)
    if isinstance(node, Leaf) and node.value is None and _is_map(wanted):
        node = Map(node.file, node.line, {})  # a section whose entries are all commented out
    if isinstance(node, Leaf) and node.value is None:
        report.error(path, f"is empty; write {allowed(wanted)}, or leave the key out")
        return FAILED
    if origin is dict:
        return _dict(node, args[0], args[1], path, report)
    if origin in (tuple, list, frozenset):
        return _items(node, wanted, path, report)
    if origin is Literal:
        return _literal(node, args, path, report)
    if is_scalar(wanted):
        return _scalar(node, wanted, path, report)
    if isinstance(wanted, type) and issubclass(wanted, msgspec.Struct):
        return decode_struct(node, wanted, path, report)
    return _basic(node, wanted, path, report)


def decode_struct(node: Node, struct: type[T], path: Path, report: Report) -> T | Failed:
    """A map as one struct: every key of it known, every one decoded."""
    if issubclass(struct, Secret) and isinstance(node, Leaf):
        key = path[-1] if path else "password"
        report.error(path, f"a secret never stands inline; write {key}: {{file: secrets/…}} (or env:, credential:)")
        return FAILED
    if not isinstance(node, Map):
        keys = ", ".join(field.encode_name for field in msgspec.structs.fields(cast(type[msgspec.Struct], struct)))
        report.error(path, f"{found(node)}; a map is written here, with keys of: {keys}")
        return FAILED
    known = [field.encode_name for field in msgspec.structs.fields(cast(type[msgspec.Struct], struct))]
    strangers = unknown_keys(node, known, "keys here", path, report)
    return fields_of(node, struct, path, report, strangers)


def unknown_keys(node: Map, known: list[str], what: str, path: Path, report: Report) -> list[str]:
    """Report each key of the map that is not known, with the nearest that is; returns them."""
    strangers = [key for key in node.entries if key not in known]
    for key in strangers:
        if key in NOT_BUILT:
            report.error((*path, key), f"not built yet ({NOT_BUILT[key]} come in a later version); leave it out")
        elif ":" in key:
            name, _, rest = key.partition(":")
            report.error((*path, key), f"unknown key; a space follows the colon: {name}: {rest}")
        else:
            report.error((*path, key), f"unknown key{nearest(key, known)} ({what}: {', '.join(known)})")
    return strangers


def fields_of(node: Map, struct: type[T], path: Path, report: Report, strangers: Sequence[str] = ()) -> T | Failed:
    """The map's keys that belong to the struct, as that struct, checked for what it contradicts by itself.

    The default stands in for a key that is wrong, so that the rest can still be checked; the report has the error.
    `strangers` were reported as unknown: a key that one of them may have meant is not reported missing as well.
    """
    values: dict[str, object] = {}
    complete = True
    for field in msgspec.structs.fields(cast(type[msgspec.Struct], struct)):
        below = (*path, field.encode_name)
        written = node.entries.get(field.encode_name)
        value = FAILED if written is None else decode(written, field.type, below, report)
        if not isinstance(value, Failed):
            values[field.name] = value
        elif written is not None:
            report.failed.add(below)
            complete = complete and not field.required
        elif field.required:
            complete = False
            if not any(nearest(stranger, [field.encode_name]) for stranger in strangers):
                report.error(path, f"{field.encode_name} is missing; write {field.encode_name}: {allowed(field.type)}")
        elif struct not in ONE_OF:
            report.default(_default(field), below)
    if not complete:
        return FAILED
    made = struct(**values)
    report.tell(problems_of(made), path)
    return made


def _default(field: msgspec.structs.FieldInfo) -> object:
    return field.default if field.default is not msgspec.NODEFAULT else field.default_factory()


def _is_map(wanted: object) -> bool:
    if get_origin(wanted) is dict:
        return True
    return (
        isinstance(wanted, type)
        and issubclass(wanted, msgspec.Struct)
        and not (is_scalar(wanted) or issubclass(wanted, Secret))
    )


def _shape(wanted: object) -> type[Node]:
    if get_origin(wanted) is Annotated:
        return _shape(get_args(wanted)[0])
    if get_origin(wanted) in (tuple, list, frozenset):
        return Items
    is_map = _is_map(wanted) or (isinstance(wanted, type) and issubclass(wanted, Secret))
    return Map if is_map else Leaf


def _union(node: Node, args: tuple[object, ...], path: Path, report: Report) -> object:
    if isinstance(node, Leaf) and node.value is None and NoneType in args:
        report.taken(node, path, "null")
        return None
    members = [arg for arg in args if arg is not NoneType]
    if len(members) == 1:
        return decode(node, members[0], path, report)
    fitting = [member for member in members if isinstance(node, _shape(member))]
    if len(fitting) == 1:
        return decode(node, fitting[0], path, report)
    for member in sorted(fitting, key=lambda member: member is str):  # a text takes what nothing narrower took
        trial = report.scratch()
        value = decode(node, member, path, trial)
        if not trial.findings:
            report.adopt(trial)
            return value
    report.error(path, f"{found(node)}; allowed: {' or '.join(allowed(member) for member in members)}")
    return FAILED


def _annotated(node: Node, wanted: object, path: Path, report: Report) -> object:
    value = decode(node, get_args(wanted)[0], path, report)
    if isinstance(value, Failed):
        return FAILED
    try:
        return msgspec.convert(value, wanted)
    except msgspec.ValidationError:
        bounds = [
            f"{words} {getattr(meta, name)}"
            for meta in get_args(wanted)[1:]
            for name, words in BOUNDS
            if getattr(meta, name, None) is not None
        ]
        report.error(path, f"{found(node)}; allowed: {allowed(wanted)}, {' and '.join(bounds)}")
        return FAILED


def _dict(node: Node, key_type: object, value_type: object, path: Path, report: Report) -> object:
    if not isinstance(node, Map):
        report.error(path, f"{found(node)}; a map of names is written here")
        return FAILED
    if not node.entries:
        report.taken(node, path, "{}")
    values: dict[str, object] = {}
    keys = [str(arg) for arg in get_args(key_type)] if get_origin(key_type) is Literal else None
    for key, entry in node.entries.items():
        if keys is not None and key not in keys:
            report.error((*path, key), f"unknown key{nearest(key, keys)} (allowed: {', '.join(keys)})")
            continue
        value = decode(entry, value_type, (*path, key), report)
        if not isinstance(value, Failed):
            values[key] = value
    return values if values or not node.entries else FAILED


def _items(node: Node, wanted: object, path: Path, report: Report) -> object:
    origin, args = get_origin(wanted), get_args(wanted)
    if not isinstance(node, Items):
        report.error(path, f"{found(node)}; allowed: {allowed(wanted)}")
        return FAILED
    open_ended = origin is not tuple or (len(args) == 2 and args[1] is Ellipsis)
    if not open_ended and len(node.items) != len(args):
        report.error(path, f"{found(node)}; {len(args)} stand here: {allowed(wanted)}")
        return FAILED
    trial = report.scratch()
    types = [args[0]] * len(node.items) if open_ended else list(args)
    values = [
        decode(item, kind, (*path, i), trial) for i, (item, kind) in enumerate(zip(node.items, types, strict=True))
    ]
    report.findings += trial.findings
    report.taken(node, path)
    if any(isinstance(value, Failed) for value in values):
        return FAILED
    return frozenset(values) if origin is frozenset else values if origin is list else tuple(values)


def _literal(node: Node, args: tuple[object, ...], path: Path, report: Report) -> object:
    if isinstance(node, Leaf):
        for arg in args:
            same = type(node.value) is type(arg) and node.value == arg
            if same or (isinstance(arg, str) and node.text == arg):  # `version: 5` means "5"
                report.taken(node, path)
                return arg
    choices = [str(arg) for arg in args]
    hint = nearest(node.text, choices) if isinstance(node, Leaf) else ""
    report.error(path, f"{found(node)}{hint} (allowed: {', '.join(choices)})")
    return FAILED


def _scalar(node: Node, wanted: object, path: Path, report: Report) -> object:
    if not isinstance(node, Leaf):
        instead = getattr(wanted, "NO_MAP", "") if isinstance(node, Map) else ""
        report.error(path, f"{found(node)}; one value is written here, {allowed(wanted)}{instead}")
        return FAILED
    try:
        value: object = wanted.parse(node.value)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType] - every scalar has it
    except ValueError as error:
        report.error(path, str(error))
        return FAILED
    report.taken(node, path)
    return value


def _basic(node: Node, wanted: object, path: Path, report: Report) -> object:
    value = node.value if isinstance(node, Leaf) else None
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value) if abs(value) < 2**1000 else math.inf
    if type(value) is wanted and not (isinstance(value, float) and not math.isfinite(value)):
        report.taken(node, path)
        return value
    hint = ""
    if wanted is str and isinstance(node, Leaf):
        hint = f': write "{node.text}"'
    elif wanted is str and isinstance(node, Map) and all(_is_null(entry) for entry in node.entries.values()):
        hint = ": a text that begins with { stands in quotes"
    report.error(path, f"{found(node)}; {allowed(wanted)} is written here{hint}")
    return FAILED


def _is_null(node: Node) -> bool:
    return isinstance(node, Leaf) and node.value is None
