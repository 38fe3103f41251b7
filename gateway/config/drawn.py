"""Zones and lines that a person draws on the page: checked as `zhiwang check` checks, then written to local.yaml."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from ruamel.yaml.comments import CommentedSeq

from gateway.config.files import tree
from gateway.config.findings import Finding
from gateway.config.load import load, review
from gateway.config.local import GONE, write_local
from gateway.config.model import Zone
from gateway.config.nodes import Map

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.config.kinds import Registry
    from gateway.config.model import Camera, Point
    from gateway.config.nodes import Node

    Shapes = Mapping[str, tuple[Point, ...]]

DECIMALS = 4  # of a fraction of the picture: a third of a pixel at 4K
CHANGED = "the files have changed since this was opened: open it again"


def drawn(path: Path, registry: Registry, camera: str) -> tuple[Shapes, Shapes]:
    """A camera's zones and lines as the files say now. Raises ConfigError where they have errors."""
    found = load(path, registry).cameras.get(camera)
    return (found.outlines(), found.lines) if found else ({}, {})


def draw(
    path: Path, registry: Registry, camera: str, was: tuple[Shapes, Shapes], now: tuple[Shapes, Shapes]
) -> list[Finding]:
    """Make `now` of a camera's zones and lines, which were `was`, in the local.yaml beside a configuration.

    Returns what is wrong with it: then nothing is written. Raises ConfigError where the files have errors already,
    OSError where local.yaml cannot be written.
    """
    found = load(path, registry).cameras.get(camera)
    if found is None or (found.outlines(), found.lines) != was:
        return [Finding(str(path), 1, (), CHANGED)]
    changes = {"cameras": {camera: _changes(found, *now)}}
    if not changes["cameras"][camera]:
        return []
    with tempfile.TemporaryDirectory(prefix="zhiwang-") as folder:
        trial = Path(folder, "drawn.yaml")
        trial.write_bytes(msgspec.json.encode(changes))  # JSON is YAML
        wrong = review(path, registry, overlay=trial).errors()
    if not wrong:
        write_local(path, {"cameras": {camera: _written(changes["cameras"][camera], path, camera)}})
    return wrong


def _written(changes: Mapping[str, Mapping[str, object]], path: Path, camera: str) -> dict[str, dict[str, object]]:
    """The changes as local.yaml takes them: what stands only there is taken out, an empty entry would hide nothing."""
    below, _ = tree(path, with_local=False)
    out: dict[str, dict[str, object]] = {}
    for section, shapes in changes.items():
        node: Node | None = below
        for key in ("cameras", camera, section):
            node = node.entries.get(key) if isinstance(node, Map) else None
        known = node.entries if isinstance(node, Map) else {}
        out[section] = {name: GONE if new is None and name not in known else new for name, new in shapes.items()}
    return out


def _changes(camera: Camera, zones: Shapes, lines: Shapes) -> dict[str, dict[str, object]]:
    """What differs, as local.yaml has to say it: None takes a shape away, a zone's other settings stay."""
    out: dict[str, dict[str, object]] = {}
    for section, before, after in (("zones", camera.outlines(), zones), ("lines", camera.lines, lines)):
        gone: dict[str, object] = {name: None for name in before if name not in after}
        drawn_ = {name: _points(points) for name, points in after.items() if before.get(name) != points}
        settled = {name: {"outline": points} for name, points in drawn_.items() if _has_settings(camera, section, name)}
        if changed := gone | drawn_ | settled:
            out[section] = changed
    return out


def _has_settings(camera: Camera, section: str, name: str) -> bool:
    return section == "zones" and isinstance(camera.zones.get(name), Zone)


def _points(points: tuple[Point, ...]) -> CommentedSeq:
    """The points in one line."""
    out = CommentedSeq([[round(x, DECIMALS), round(y, DECIMALS)] for x, y in points])
    out.fa.set_flow_style()
    return out
