"""The effective configuration as YAML, with where each value came from behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from gateway.config.nodes import scalar_text

if TYPE_CHECKING:
    from gateway.config.report import Line

WIDEST = 60  # columns before the comments; longer values push theirs out
Tree = dict[str, "Line | Tree"]


def printed(lines: list[Line]) -> str:
    """YAML 1.2 that reads back as the same configuration, each value with `# file:line` or `# default`."""
    tree: Tree = {}
    for line in lines:
        branch = tree
        for part in line.path[:-1]:
            branch = cast("Tree", branch.setdefault(str(part), {}))
        branch[str(line.path[-1])] = line
    rows = list(_rows(tree, ""))
    width = min(max((len(text) for text, origin in rows if origin), default=0), WIDEST)
    return "".join(f"{text:{width}}  # {origin}\n" if origin else f"{text}\n" for text, origin in rows)


def _rows(tree: Tree, indent: str) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for key, entry in tree.items():
        name = f"{indent}{scalar_text(key)}:"
        if isinstance(entry, dict):
            rows += [(name, ""), *_rows(entry, indent + "  ")]
        else:
            rows.append((f"{name} {entry.text}", entry.origin))
    return rows
