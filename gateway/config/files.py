"""The files of one configuration, merged: the file itself, what it includes, `local.yaml` beside it, an overlay.

Who wins, weakest first: included files in their order, the file, `local.yaml`, the overlay. Maps merge key by key;
lists and values are replaced; an empty entry (`dust:`) removes what stands below it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.config.findings import Finding
from gateway.config.nodes import Items, Leaf, Map, found, merged, overridden
from gateway.config.yaml12 import parse

if TYPE_CHECKING:
    from pathlib import Path

LOCAL = "local.yaml"
LARGEST = 4_000_000  # bytes; a configuration of a city's 300 gateways in one file is not what this reads


def tree(path: Path, overlay: Path | None = None, *, with_local: bool = True) -> tuple[Map, list[Finding]]:
    """The merged tree of a file, and what is wrong with its files. `with_local`: local.yaml beside it counts."""
    findings: list[Finding] = []
    root = _file(path, (), findings)
    local = path.parent / LOCAL
    if with_local and path.name != LOCAL and local.is_file():
        over = _file(local, (), findings)
        for where, under, winner in overridden(root, over):
            problem = f"{winner.file}:{winner.line} says otherwise and holds; what stands here has no effect"
            findings.append(Finding(under.file, under.line, where, problem, warning=True))
        root = _over(root, over)
    if overlay is not None:
        root = _over(root, _file(overlay, (), findings))
    return root, findings


def tree_of(text: str, name: str, base: Path) -> tuple[Map, list[Finding]]:
    """The same for a text that stands in no file; its includes are relative to `base`."""
    findings: list[Finding] = []
    return _included(text, name, base, (), findings), findings


def _over(under: Map, over: Map) -> Map:
    both = merged(under, over)
    return both if isinstance(both, Map) else over


def _file(path: Path, chain: tuple[Path, ...], findings: list[Finding]) -> Map:
    try:
        content = path.read_bytes()
    except OSError as error:
        findings.append(Finding(str(path), 1, (), f"cannot be read: {error.strerror or error}"))
        return Map(str(path), 1, {})
    if len(content) > LARGEST:
        findings.append(Finding(str(path), 1, (), f"found {len(content)} bytes; a configuration has at most {LARGEST}"))
        return Map(str(path), 1, {})
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        problem = f"found the byte 0x{content[error.start]:02x}, which is not UTF-8 (GBK?); save the file as UTF-8"
        findings.append(Finding(str(path), line, (), problem))
        return Map(str(path), 1, {})
    return _included(text, str(path), path.parent, (*chain, path.resolve()), findings)


def _included(text: str, name: str, base: Path, chain: tuple[Path, ...], findings: list[Finding]) -> Map:
    node, problems = parse(text, name)
    findings += problems
    if node is None:
        if not problems:
            findings.append(
                Finding(
                    name,
                    1,
                    (),
                    "is empty; the least is: gateway: <name> (zhiwang demo --write gateway.yaml writes a whole one)",
                )
            )
        return Map(name, 1, {})
    if not isinstance(node, Map):
        findings.append(
            Finding(name, node.line, (), f"{found(node)}; a configuration is a map, such as gateway: lg-017-02")
        )
        return Map(name, 1, {})
    below = Map(name, node.line, {})
    for target, line in _includes(node, findings):
        other = base / target
        if other.resolve() in chain:
            circle = " → ".join(path.name for path in (*chain, other))
            findings.append(Finding(name, line, ("include",), f"files include one another in a circle: {circle}"))
        elif not other.is_file():
            problem = f"no file {other}; write its path from this file's folder, or leave it out"
            findings.append(Finding(name, line, ("include",), problem))
        else:
            below = _over(below, _file(other, chain, findings))
    own = Map(name, node.line, {key: entry for key, entry in node.entries.items() if key != "include"})
    return _over(below, own)


def _includes(node: Map, findings: list[Finding]) -> list[tuple[str, int]]:
    include = node.entries.get("include")
    if include is None or (isinstance(include, Leaf) and include.value is None):
        return []
    items = include.items if isinstance(include, Items) else ()
    files = [(item.value, item.line) for item in items if isinstance(item, Leaf) and isinstance(item.value, str)]
    if not isinstance(include, Items) or len(files) < len(items):
        problem = f"{found(include)}; include: is a list of files: include: [city.yaml]"
        findings.append(Finding(include.file, include.line, ("include",), problem))
    return files
