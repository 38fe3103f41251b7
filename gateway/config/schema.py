"""The configuration as a JSON Schema (draft 2020-12), for completion and hints in editors; `check` knows more."""

from __future__ import annotations

import inspect
import json
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Literal, Union, cast, get_args, get_origin

import msgspec

from gateway.config.common import Secret
from gateway.config.decode import NOT_BUILT
from gateway.config.geo import DATUMS
from gateway.config.ground import KEYS
from gateway.config.model import Ground, Place, RuleCommon, SensorCommon, SinkCommon, Top
from gateway.config.names import listed
from gateway.config.sane import NAME
from gateway.config.scalars import is_scalar

if TYPE_CHECKING:
    from gateway.config.kinds import Kind, Registry

Schema = dict[str, object]
TYPES: dict[object, str] = {str: "string", int: "integer", float: "number", bool: "boolean"}
EXCLUSIVE: dict[type, tuple[str, ...]] = {Secret: ("file", "env", "credential"), Place: DATUMS, Ground: KEYS}
NAMED = {"type": ["object", "null"], "additionalProperties": False}
NAME_PATTERN = f"^{NAME.pattern}$"


def schema(registry: Registry) -> Schema:
    """The schema of a gateway's file with these kinds."""
    definitions: dict[str, Schema] = {}
    properties = _properties(Top, definitions)
    for section in ("brokers", "cameras"):
        entry = cast("Schema", properties[section])["additionalProperties"]
        properties[section] = NAMED | {"patternProperties": {NAME_PATTERN: entry}}
    groups = {
        "sensors": (SensorCommon, [registry.transports, registry.codecs]),
        "rules": (RuleCommon, [registry.rules]),
        "sinks": (SinkCommon, [registry.sinks]),
    }
    for section, (common, kinds) in groups.items():
        properties[section] = NAMED | {"patternProperties": {NAME_PATTERN: _part(common, kinds, definitions)}}
    properties["include"] = {"type": "array", "items": {"type": "string"}, "examples": [["/etc/zhiwang/city.yaml"]]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "zhiwang gateway.yaml",
        "description": f"One gateway. Not built yet, and refused: {listed(NOT_BUILT)}.",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        "$defs": dict(sorted(definitions.items())),
    }


def schema_text(registry: Registry) -> str:
    """The schema as the file configs/gateway.schema.json has it."""
    return json.dumps(schema(registry), indent=1, ensure_ascii=False) + "\n"


def _part(common: type[msgspec.Struct], groups: list[dict[str, Kind]], definitions: dict[str, Schema]) -> Schema:
    """A sensor, rule or sink: the keys of all kinds beside the common ones, exactly one kind of each group named."""
    properties = _properties(common, definitions)
    choices: list[Schema] = []
    for group in groups:
        alternatives: list[Schema] = []
        for kind in group.values():
            for key, entry in _properties(kind.struct, definitions).items():
                other = properties.get(key, entry)
                properties[key] = entry if other == entry else {"anyOf": [other, entry]}
            described: Schema = {"description": _words(kind.struct)}
            alternatives.append(described | {"required": sorted({kind.key, *_required(kind.struct)})})
        choices.append({"oneOf": alternatives})
    return {"type": "object", "properties": properties, "additionalProperties": False, "allOf": choices}


def _properties(struct: type[msgspec.Struct], definitions: dict[str, Schema]) -> dict[str, object]:
    properties: dict[str, object] = {}
    for field in msgspec.structs.fields(struct):
        entry = _of(field.type, definitions)
        if field.default not in (msgspec.NODEFAULT, None) and not isinstance(field.default, msgspec.Struct):
            default = field.default
            entry = entry | {"default": str(default) if is_scalar(type(default)) else msgspec.to_builtins(default)}
        properties[field.encode_name] = entry
    return properties


def _required(struct: type[msgspec.Struct]) -> list[str]:
    return [field.encode_name for field in msgspec.structs.fields(struct) if field.required]


def _words(kind: type) -> str:
    return (inspect.getdoc(kind) or kind.__name__).split("\n\n")[0].replace("\n", " ")


def _of(wanted: object, definitions: dict[str, Schema]) -> Schema:
    """The schema of one type, by the same cases as `decode`."""
    origin, args = get_origin(wanted), get_args(wanted)
    if origin in (Union, UnionType):
        return {"anyOf": [_of(arg, definitions) for arg in args]}
    if origin is Annotated:
        return _of(args[0], definitions) | _bounds(args[1:])
    if origin is Literal:
        numbers = [int(arg) for arg in args if isinstance(arg, str) and arg.isdecimal()]
        return {"enum": [*args, *numbers]}  # `version: 5` is taken for "5"
    if origin is dict:
        return _map(args[0], _of(args[1], definitions))
    if origin in (tuple, list, frozenset):
        return _list(
            origin, [_of(arg, definitions) for arg in args if arg is not Ellipsis], open_ended=Ellipsis in args
        )
    return _named(wanted, definitions)


def _named(wanted: object, definitions: dict[str, Schema]) -> Schema:
    if wanted is NoneType:
        return {"type": "null"}
    if wanted in TYPES:
        return {"type": TYPES[wanted]}
    if not isinstance(wanted, type):
        return {}
    name = wanted.__name__
    if name not in definitions:
        definitions[name] = {}  # stands while a struct that holds itself is described
        if is_scalar(wanted):
            examples = list(getattr(wanted, "EXAMPLES", ()))
            definitions[name] = {"type": "string", "description": _words(wanted), "examples": examples}
        elif issubclass(wanted, msgspec.Struct):
            definitions[name] = _struct(wanted, definitions)
    return {"$ref": f"#/$defs/{name}"}


def _struct(struct: type[msgspec.Struct], definitions: dict[str, Schema]) -> Schema:
    made: Schema = {
        "type": "object",
        "description": _words(struct),
        "properties": _properties(struct, definitions),
        "additionalProperties": False,
    }
    if required := _required(struct):
        made["required"] = required
    else:
        made["type"] = ["object", "null"]  # a section whose entries are all commented out
    exclusive = EXCLUSIVE.get(struct, ())
    return made | ({"oneOf": [{"required": [key]} for key in exclusive]} if exclusive else {})


def _map(key: object, value: Schema) -> Schema:
    if get_origin(key) is Literal:
        properties = {str(arg): value for arg in get_args(key)}
        return {"type": ["object", "null"], "properties": properties, "additionalProperties": False}
    return {"type": ["object", "null"], "additionalProperties": value}


def _list(origin: object, items: list[Schema], *, open_ended: bool) -> Schema:
    if origin is not tuple or open_ended:
        return {"type": "array", "items": items[0]}
    return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}


def _bounds(metas: tuple[object, ...]) -> Schema:
    words = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
    words |= {"pattern": "pattern", "min_length": "minLength", "max_length": "maxLength", "description": "description"}
    given = ((word, getattr(meta, name, None)) for meta in metas for name, word in words.items())
    return {word: value for word, value in given if value is not None}
