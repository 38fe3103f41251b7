"""A configuration as a tree that remembers where each part was written: what `yaml12` reads and `decode` decodes."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import msgspec

from gateway.config.findings import redacted

if TYPE_CHECKING:
    from gateway.config.findings import Path

Scalar = str | int | float | bool | None
NULL = re.compile(r"null|Null|NULL|~|")
TRUE = re.compile(r"true|True|TRUE")
FALSE = re.compile(r"false|False|FALSE")
INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
LEADING_ZERO = re.compile(r"[-+]?0[0-9]+")
PLAIN = re.compile(
    r"(?!.*(: | #|[:\s]$))[\w/.][^\x00-\x1f,\[\]{}\"\\`\x7f-\xa0\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]*"
)
"""Text that needs no quotes, neither in lines nor inside [ ] and { }."""
UNPRINTABLE = re.compile("[\x7f-\xa0\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
"""What YAML 1.2.2 §5.1 does not allow as it is, and what an editor would not show."""
YAML_1_1 = re.compile(r"(?i:y|n|yes|no|on|off)|[-+]?[0-9][0-9_:.]*")
"""Text that other programs, which read YAML 1.1, would take for a boolean or a number."""
SECRET_KEYS = frozenset({"password", "token"})


class Leaf(msgspec.Struct, frozen=True):
    """A scalar; `text` is what stands in the file."""

    file: str
    line: int
    value: Scalar
    text: str


class Items(msgspec.Struct, frozen=True):
    """A list."""

    file: str
    line: int
    items: tuple[Node, ...]


class Map(msgspec.Struct, frozen=True):
    """A map; an entry's line is its key's."""

    file: str
    line: int
    entries: dict[str, Node]


Node = Leaf | Items | Map


def merged(under: Node, over: Node) -> Node:
    """Two maps become one, `over` winning; an entry that `over` leaves empty removes it; else `over` alone."""
    if not (isinstance(under, Map) and isinstance(over, Map)):
        return over
    entries = dict(under.entries)
    for key, node in over.entries.items():
        if key not in entries:
            entries[key] = node
        elif isinstance(node, Leaf) and node.value is None:
            del entries[key]
        else:
            entries[key] = merged(entries[key], node)
    return Map(over.file, over.line, entries)


def overridden(under: Node, over: Node, path: Path = ()) -> list[tuple[Path, Node, Node]]:
    """Where both say something: (path, what `under` says, what `over` says), for leaves and lists."""
    if isinstance(under, Map) and isinstance(over, Map):
        both = [key for key in over.entries if key in under.entries]
        return [hit for key in both for hit in overridden(under.entries[key], over.entries[key], (*path, key))]
    return [(path, under, over)]


def place_of(root: Node, path: Path) -> tuple[str, int]:
    """File and line of the deepest part of the path that was written."""
    node = root
    for part in path:
        if isinstance(node, Map) and isinstance(part, str) and part in node.entries:
            node = node.entries[part]
        elif isinstance(node, Items) and isinstance(part, int) and part < len(node.items):
            node = node.items[part]
        else:
            break
    return node.file, node.line


def found(node: Node) -> str:
    """What was found, for an error: short, and never a URL's password."""
    if isinstance(node, Map):
        return f"found a map ({', '.join(list(node.entries)[:4]) or 'empty'})"
    if isinstance(node, Items):
        return f"found a list of {len(node.items)}"
    if node.value is None:
        return "found nothing"
    word = {bool: "", int: "the number ", float: "the number ", str: "the text "}[type(node.value)]
    text = node.text if len(node.text) <= 60 else node.text[:57] + "…"
    return redacted(f"found {word}{text!r}" if word == "the text " else f"found {word}{text}")


def scalar_text(value: Scalar) -> str:
    """A scalar as YAML 1.2 (and JSON Schema's readers) read it back."""
    if isinstance(value, str):
        bare = PLAIN.fullmatch(value) and isinstance(plain(value), str) and not YAML_1_1.fullmatch(value)
        return value if bare else UNPRINTABLE.sub(_escaped, json.dumps(value, ensure_ascii=False))
    return "null" if value is None else json.dumps(value)


def _escaped(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"


def plain(text: str) -> Scalar:
    """What text without quotes stands for, by YAML 1.2's core schema."""
    if NULL.fullmatch(text):
        return None
    if TRUE.fullmatch(text):
        return True
    if FALSE.fullmatch(text):
        return False
    if INTEGER.fullmatch(text):
        return int(text, 0) if text[:2] in ("0x", "0o") else int(text)
    if FLOAT.fullmatch(text):
        return float(
            text.replace(".inf", "inf")
            .replace(".Inf", "inf")
            .replace(".INF", "inf")
            .replace(".n", "n")
            .replace(".N", "N")
        )
    return text


def builtins(node: Node) -> object:
    """The tree as plain dicts, lists and scalars."""
    if isinstance(node, Map):
        return {key: builtins(entry) for key, entry in node.entries.items()}
    return [builtins(item) for item in node.items] if isinstance(node, Items) else node.value


def flow(node: Node) -> str:
    """The node in one line."""
    if isinstance(node, Map):
        return "{" + ", ".join(f"{scalar_text(key)}: {flow(entry)}" for key, entry in node.entries.items()) + "}"
    if isinstance(node, Items):
        return "[" + ", ".join(flow(item) for item in node.items) + "]"
    return redacted(scalar_text(node.value))


def block(node: Node, indent: str = "") -> str:
    """The node as YAML in lines, without comments. Passwords are left out even where they stand inline."""
    if not isinstance(node, Map) or not node.entries:
        return f"{indent}{flow(node)}\n"
    text = ""
    for key, entry in node.entries.items():
        name = f"{indent}{scalar_text(key)}:"
        if isinstance(entry, Map) and entry.entries:
            text += f"{name}\n{block(entry, indent + '  ')}"
        else:
            secret = key in SECRET_KEYS and isinstance(entry, Leaf) and entry.value is not None
            text += f"{name} " + ('"***"' if secret else flow(entry)) + "\n"
    return text
