"""Writing `local.yaml`, where pages and tools keep what they change: they never edit gateway.yaml.

What a person wrote there, comments included, stays. It may be a link to a file where the gateway is allowed to write.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ruamel.yaml import YAML

from gateway.config.files import LOCAL
from gateway.config.yaml12 import parse
from gateway.errors import ConfigError
from gateway.whole import made_whole

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

HEAD = "# Written by zhiwang; holds over the file beside it. Remove a line to go back.\n"
GONE = object()
"""Instead of a value: takes the key out of `local.yaml`, so that what stands below it holds again."""
WIDEST = 1000  # columns: a polygon stays in its line


def write_local(config: Path, changes: Mapping[str, object]) -> Path:
    """Merge changes into `local.yaml` beside a configuration: maps of maps; anything else replaces, GONE takes out.

    Returns its path; it is there whole or as it was. Raises ConfigError where it cannot be read, OSError where it
    cannot be written.
    """
    path = config.parent / LOCAL
    text = path.read_text(encoding="utf-8-sig") if path.is_file() else HEAD
    _, findings = parse(text, str(path))
    if errors := [str(finding) for finding in findings if not finding.warning]:
        raise ConfigError(errors)
    yaml = YAML(typ="rt", pure=True)
    yaml.width, yaml.preserve_quotes = WIDEST, True
    out = io.StringIO()
    tree = yaml.load(text)
    if tree is None:  # comments at most
        out.write(text)
        tree = {}
    if not isinstance(tree, dict):
        raise ConfigError([f"{path}:1  a configuration is a map, such as model: yolox-nano; correct it"])
    _merge(cast("MutableMapping[str, object]", tree), changes)
    yaml.dump(tree, out)
    _replace(path, out.getvalue())
    return path


def _merge(under: MutableMapping[str, object], over: Mapping[str, object]) -> None:
    for key, value in over.items():
        below = under.get(key)
        if value is GONE:
            under.pop(key, None)
        elif isinstance(value, dict) and isinstance(below, dict):
            _merge(cast("MutableMapping[str, object]", below), cast("Mapping[str, object]", value))
        else:
            under[key] = value


def _replace(path: Path, text: str) -> None:
    target = Path(os.path.realpath(path))  # of a link: it stays, and nothing is made in its folder
    with made_whole(target) as part, part.open("w", encoding="utf-8") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
