"""What decoding a configuration came to: what is wrong, and which value holds where and why."""

from __future__ import annotations

from types import NoneType
from typing import TYPE_CHECKING, cast

import msgspec

from gateway.config.findings import Finding, Path, redacted
from gateway.config.nodes import flow, place_of, scalar_text
from gateway.config.scalars import is_scalar

if TYPE_CHECKING:
    from gateway.config.names import Problems
    from gateway.config.nodes import Node


class Line(msgspec.Struct, frozen=True):
    """One effective setting: its text, and where it comes from (file:line or `default`)."""

    path: Path
    text: str
    origin: str


class Report:
    """Collects what is wrong and what holds while a tree is decoded."""

    def __init__(self, root: Node) -> None:
        self.findings: list[Finding] = []
        self.lines: list[Line] = []
        self.failed: set[Path] = set()  # keys that were written but could not be decoded
        self._root = root

    def error(self, path: Path, problem: str, *, warning: bool = False) -> None:
        """Note a problem at the deepest written part of the path."""
        file, line = place_of(self._root, path)
        self.findings.append(Finding(file, line, path, redacted(problem), warning))

    def tell(self, problems: Problems, path: Path) -> None:
        """Note what a struct says of itself, but for what only follows from a key that failed already."""
        told: list[Path] = []
        for keys, problem in problems:
            places = [(*path, *key.split(".")) for key in keys.split("|") if key] or [path]
            if not any(self._failed(place) for place in places):
                self.error(places[0], problem)
                told.append(places[0])
        self.failed.update(told)

    def _failed(self, where: Path) -> bool:
        return any(failed[: len(where)] == where or where[: len(failed)] == failed for failed in self.failed)

    def taken(self, node: Node, path: Path, text: str | None = None) -> None:
        """Note a value that was written."""
        self.lines.append(Line(path, flow(node) if text is None else text, f"{node.file}:{node.line}"))

    def default(self, value: object, path: Path) -> None:
        """Note a value that was not written."""
        if isinstance(value, msgspec.Struct) and not is_scalar(type(value)):
            for field in msgspec.structs.fields(value):
                self.default(getattr(value, field.name), (*path, field.encode_name))
        else:
            self.lines.append(Line(path, shown(value), "default"))

    def scratch(self) -> Report:
        """An empty report on the same tree, for a trial."""
        return Report(self._root)

    def adopt(self, trial: Report) -> None:
        """Keep what a trial noted."""
        self.findings += trial.findings
        self.lines += trial.lines


def shown(value: object) -> str:
    """A default as YAML in one line."""
    if is_scalar(type(value)):
        return scalar_text(str(value))
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {shown(item)}" for key, item in cast(dict[str, object], value).items()) + "}"
    if isinstance(value, (tuple, list)):
        return "[" + ", ".join(shown(item) for item in cast(tuple[object, ...], value)) + "]"
    return scalar_text(value if isinstance(value, (str, int, float, bool, NoneType)) else str(value))
