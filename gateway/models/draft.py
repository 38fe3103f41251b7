"""Writes what a manifest of a model without one would look like: TOML, to be completed and kept as models/NAME.toml."""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.config.manifest import Manifest

_WIDTH = 120
_UNKNOWN = "unknown: fill in"


def draft(manifest: Manifest, seen: str) -> str:
    """A manifest's text, as `read` takes it, with what was `seen` above it; licence and origin are for a person."""
    used = sum(1 for label in manifest.labels if label)
    labels = textwrap.fill(
        ", ".join(_text(label).replace(" ", "\0") for label in manifest.labels),  # no line breaks inside a name
        width=_WIDTH,
        initial_indent="  ",
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    ).replace("\0", " ")
    lines = [
        *(f"# {line}" for line in textwrap.wrap(_printable(seen), _WIDTH - 2)),
        'kind = "detector"',
        f"title = {_text(manifest.name)}",
        f"licence = {_text(manifest.licence or _UNKNOWN)}",
        f"origin = {_text(_UNKNOWN)}",
        f"family = {_text(manifest.family)}",
        f"score = {manifest.score}",
        f"labels = [  # {used}" + ("" if used == len(manifest.labels) else f", of {len(manifest.labels)} indices"),
        labels + ",",
        "]",
        "",
        "[input]",
        f"width_px = {manifest.width_px}",
        f"height_px = {manifest.height_px}",
        f"layout = {_text(manifest.layout)}",
        f"dtype = {_text(manifest.dtype)}",
        f"colour = {_text(manifest.colour)}",
        f"letterbox = {_text(manifest.letterbox)}",
        f"centred = {_text(manifest.centred)}",
        f"pad = {manifest.pad}",
        f"mean = {list(manifest.mean)}",
        f"std = {list(manifest.std)}",
        "",
        "[[source]]",
        f"from = {_text(f'file:{manifest.path.resolve() if manifest.path else manifest.name}')}",
        f"sha256 = {_text(manifest.sha256)}",
    ]
    return "\n".join(lines) + "\n"


def _text(value: str | bool) -> str:
    """A TOML value: its basic strings and booleans are written as JSON's are, save that TOML wants DEL escaped."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _printable(text: str) -> str:
    """A comment in TOML holds no control characters; the names of files and outputs may."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
