"""YAML 1.2, strictly: `22:00` and `on` stay what they look like; what would surprise is refused, with the fix.

Core schema of YAML 1.2.2 (§10.3.2) for plain scalars; duplicate keys, tabs, leading zeros, merge keys and tags of other
programs are refused. Parsing itself is ruamel.yaml's; its errors become findings here and nowhere else.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.reader import ReaderError

from gateway.config.findings import Finding
from gateway.config.nodes import LEADING_ZERO, Items, Leaf, Map, plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.config.nodes import Node

DEEPEST = 32  # an honest configuration needs eight levels; beyond it is a slip or an attack on the stack


def parse(text: str, file: str) -> tuple[Node | None, list[Finding]]:
    """One document to its tree (None: empty or unreadable), and what is wrong with it."""
    tabs = [number for number, line in enumerate(text.split("\n"), 1) if "\t" in line[: len(line) - len(line.lstrip())]]
    if tabs:
        return None, [Finding(file, n, (), "a tab in the indentation; indent with spaces, two a level") for n in tabs]
    builder = _Builder(text, file)
    try:
        node = builder.document()
    except MarkedYAMLError as error:
        line, problem = _syntax(error, text)
        return None, [*builder.findings, Finding(file, line, (), problem)]
    except ReaderError as error:  # a control character: it has a position, not a mark
        position = int(error.position)
        line = text.count("\n", 0, position) + 1
        return None, [Finding(file, line, (), f"found the character {text[position]!r}, which YAML does not allow")]
    return node, builder.findings


class _Builder:
    """Builds the tree from the parser's events, so that each value keeps its line and its way of writing."""

    def __init__(self, text: str, file: str) -> None:
        self.findings: list[Finding] = []
        self._file = file
        self._events: Iterator[object] = iter(YAML(typ="safe", pure=True).parse(text))
        self._anchors: dict[str, Node] = {}

    def document(self) -> Node | None:
        root: Node | None = None
        for event in self._events:
            if isinstance(event, DocumentStartEvent) and root is not None:
                self._found(event, (), "a second document (---) begins; a configuration is one document")
                return root
            if isinstance(event, (MappingStartEvent, SequenceStartEvent, ScalarEvent, AliasEvent)):
                root = self._node(event, (), _line(event))
        return None if isinstance(root, Leaf) and root.value is None else root

    def _node(self, event: object, path: tuple[str | int, ...], line: int) -> Node:
        if isinstance(event, AliasEvent):
            known = self._anchors.get(str(event.anchor))
            if known is None:
                self._found(
                    event, path, f"*{event.anchor} is not defined before; write the text in quotes if it is one"
                )
            return known or Leaf(self._file, line, "", f"*{event.anchor}")
        if len(path) > DEEPEST:
            raise MarkedYAMLError(problem="nested deeper than 32 levels", problem_mark=event.start_mark)  # pyright: ignore[reportAttributeAccessIssue] - every event has its mark
        if isinstance(event, MappingStartEvent):
            node: Node = self._map(event, path, line)
        elif isinstance(event, SequenceStartEvent):
            node = self._items(event, path, line)
        elif isinstance(event, ScalarEvent):
            node = self._leaf(event, path, line)
        else:
            raise MarkedYAMLError(problem=f"found {event}")
        anchor = event.anchor
        if anchor:
            self._anchors[str(anchor)] = node
        return node

    def _map(self, event: MappingStartEvent, path: tuple[str | int, ...], line: int) -> Map:
        self._tag(event, path, "map")
        entries: dict[str, Node] = {}
        for key in self._events:
            if isinstance(key, MappingEndEvent):
                break
            if not isinstance(key, ScalarEvent):
                hint = 'a text with { or [ in it stands in quotes: "{site}/up"'
                self._found(key, path, f"a key is a plain word, not a map, a list or an alias; {hint}")
                self._node(key, (*path, "?"), _line(key))
                self._node(next(self._events), (*path, "?"), _line(key))
                continue
            name = str(key.value)
            below = (*path, name)
            if name == "<<":
                self._found(key, below, "merge keys belong to YAML 1.1; use include:, or an alias for the whole value")
            if name in entries:
                first = entries[name].line
                self._found(
                    key, below, f"written twice, first in line {first}; the second would hide the first: keep one"
                )
            value = self._node(next(self._events), below, _line(key))
            if name not in entries and name != "<<":
                entries[name] = value
        return Map(self._file, line, entries)

    def _items(self, event: SequenceStartEvent, path: tuple[str | int, ...], line: int) -> Items:
        self._tag(event, path, "seq")
        items: list[Node] = []
        for item in self._events:
            if isinstance(item, SequenceEndEvent):
                break
            items.append(self._node(item, (*path, len(items)), _line(item)))
        return Items(self._file, line, tuple(items))

    def _leaf(self, event: ScalarEvent, path: tuple[str | int, ...], line: int) -> Leaf:
        text = str(event.value)
        tag = self._tag(event, path, "str")
        if event.style is not None or tag:
            return Leaf(self._file, line, text, text)
        if LEADING_ZERO.fullmatch(text):
            number = int(text)
            self._found(
                event, path, f'a leading zero is lost in a number; write "{text}" if it is a name, {number} if not'
            )
            return Leaf(self._file, line, text, text)
        return Leaf(self._file, line, plain(text), text)

    def _tag(
        self, event: MappingStartEvent | SequenceStartEvent | ScalarEvent, path: tuple[str | int, ...], ours: str
    ) -> bool:
        tag = str(event.tag) if event.tag else ""
        if tag and tag not in (f"tag:yaml.org,2002:{ours}", "!"):
            self._found(
                event, path, f"the tag {tag} is not used here; write the value alone, in quotes if it is a text"
            )
        return bool(tag)

    def _found(self, event: object, path: tuple[str | int, ...], problem: str) -> None:
        self.findings.append(Finding(self._file, _line(event), path, problem))


def _line(event: object) -> int:
    mark = getattr(event, "start_mark", None)
    return int(mark.line) + 1 if mark else 1


SYNTAX = (
    ("cannot start any token", "a text that begins with % @ or ` stands in quotes"),
    (
        "mapping values are not allowed",
        'a second "key: value" in one line, a line indented too far, or a colon missing above; quote a text with ": "',
    ),
    (
        "sequence entries are not allowed",
        'a list begins on its own line, or is written [a, b]; quote a text that begins with "- "',
    ),
    ("could not find expected ':'", "a key without its colon, or a line indented too little"),
    ("unexpected end of stream", "a quote that opens here or above never closes"),
    ("expected ',' or '}'", "a { that opens here or above never closes, or a comma is missing"),
    ("expected ',' or ']'", "a [ that opens here or above never closes, or a comma is missing"),
    (
        "expected <block end>",
        "this line does not fit what stands above: its indentation differs, or a text needs quotes",
    ),
    (
        "did not find expected",
        "this line does not fit what stands above: its indentation differs, or a text needs quotes",
    ),
    (
        "unknown escape character",
        'a backslash in "double quotes" begins an escape; write it twice, or use single quotes',
    ),
)


def _syntax(error: MarkedYAMLError, text: str) -> tuple[int, str]:
    """Line and cause of a syntax error, in an operator's words."""
    mark = error.problem_mark or error.context_mark
    line = int(mark.line) + 1 if mark else 1
    problem = str(error.problem or "cannot be read as YAML")
    lines = text.split("\n")
    written = lines[line - 1] if line <= len(lines) else ""
    if "\t" in written:
        return line, "a tab where YAML wants a space; replace it (tabs are refused everywhere outside quotes)"
    brace = re.search(r"([\w.-]+):\s*([^\s,{\"'][^\s,{]*\{[\w-]+\}[^\s,}]*|\{[\w-]+\}[^\s,}:]+)", written)
    if brace and problem.startswith("expected"):
        return line, f'a text with {{braces}} stands in quotes here: {brace[1]}: "{brace[2]}"'
    for part, words in SYNTAX:
        if part in problem:
            return line, words
    return line, problem
