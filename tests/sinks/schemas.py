"""As much of JSON Schema as our own documents use; an unknown word in a schema fails, so that none is passed over."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
KNOWN = {
    "$schema", "$ref", "title", "description", "type", "const", "enum", "allOf", "properties", "required", "items",
    "prefixItems", "additionalProperties", "minItems", "maxItems", "minimum", "maximum", "format", "pattern",
}  # fmt: skip


def faults(value: Any, schema: dict[str, Any], document: dict[str, Any], folder: Path, at: str = "$") -> list[str]:
    """What does not fit, each with its place; empty: it fits."""
    assert set(schema) <= KNOWN, f"{at}: {set(schema) - KNOWN} is not understood here"
    if "$ref" in schema:
        return faults(value, *_target(schema["$ref"], document, folder), folder, at)
    found = [f for part in schema.get("allOf", ()) for f in faults(value, part, document, folder, at)]
    names = schema.get("type", [])
    names = [names] if isinstance(names, str) else names
    if names and not any(_is(value, name) for name in names):
        return [*found, f"{at}: found {value!r}, expected {' or '.join(names)}"]
    if isinstance(value, dict):
        found += _in_object(value, schema, document, folder, at)
    if isinstance(value, list):
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
            found.append(f"{at}: {len(value)} items")
        for n, item in enumerate(value):
            found += faults(item, schema.get("items", {}), document, folder, f"{at}[{n}]")
    return found + _in_scalar(value, schema, at)


def _in_object(
    value: dict[str, Any], schema: dict[str, Any], document: dict[str, Any], folder: Path, at: str
) -> list[str]:
    found = [f"{at}: {key} is missing" for key in schema.get("required", ()) if key not in value]
    properties = schema.get("properties", {})
    if schema.get("additionalProperties") is False:
        found += [f"{at}: {key} is not known" for key in value if key not in properties]
    for key, part in properties.items():
        found += faults(value[key], part, document, folder, f"{at}.{key}") if key in value else []
    return found


def _in_scalar(value: Any, schema: dict[str, Any], at: str) -> list[str]:
    found: list[str] = []
    if "const" in schema and value != schema["const"]:
        found.append(f"{at}: found {value!r}, expected {schema['const']!r}")
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{at}: found {value!r}, expected one of {schema['enum']}")
    if _is(value, "number") and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        found.append(f"{at}: found {value}")
    if isinstance(value, str):
        if schema.get("format") == "date-time" and datetime.fromisoformat(value).tzinfo is None:
            found.append(f"{at}: {value} has no offset")
        if "pattern" in schema and not re.search(schema["pattern"], value):
            found.append(f"{at}: found {value!r}, expected {schema['pattern']}")
    return found


def _is(value: Any, name: str) -> bool:
    return isinstance(value, TYPES[name]) and not (isinstance(value, bool) and name in ("integer", "number"))


def _target(ref: str, document: dict[str, Any], folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    file, _, inside = ref.partition("#")
    whole = json.loads((folder / file).read_text(encoding="utf-8")) if file else document
    part = whole
    for key in inside.strip("/").split("/") if inside else ():
        part = part[key]
    return part, whole
