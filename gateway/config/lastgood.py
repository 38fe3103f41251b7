"""The last configuration that a gateway ran with, kept in its state folder for a start whose file cannot be used.

The state folder's name stands in the configuration that cannot be read, so a pointer to it is kept under the file's
absolute path, in $STATE_DIRECTORY or ~/.local/state/zhiwang.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gateway.config.files import tree, tree_of
from gateway.config.load import loads
from gateway.config.nodes import block, builtins
from gateway.errors import ConfigError

if TYPE_CHECKING:
    from gateway.config.kinds import Registry
    from gateway.config.model import Config

NAME = "last-good.yaml"


class LastGood(NamedTuple):
    """A configuration that worked, its text without secrets, and the file it is kept in."""

    config: Config
    text: str
    path: Path


def whole(path: Path) -> str:
    """The merged configuration of a file as JSON, which is YAML too, with what stands in it inline: to be kept private.

    Raises ConfigError where a file of it cannot be read.
    """
    root, findings = tree(path)
    errors = [str(finding) for finding in findings if not finding.warning]
    if errors:
        raise ConfigError(errors)
    return json.dumps(builtins(root), ensure_ascii=False, indent=1)


def keep(path: Path, state: Path, text: str) -> None:
    """Keep the `whole` text of the file `path` that a gateway with this state folder runs with. Raises OSError."""
    _write(state / NAME, text)
    pointer = _pointer(path)
    pointer.parent.mkdir(parents=True, exist_ok=True)
    _write(pointer, str(state.absolute()))


def recall(path: Path, registry: Registry) -> LastGood | None:
    """What was kept for the file `path`; None where nothing was, or this program cannot use it any more."""
    try:
        kept = Path(_pointer(path).read_text(encoding="utf-8")) / NAME
        text = kept.read_text(encoding="utf-8")
        config = loads(text, path.parent, registry, name=str(kept))
    except (OSError, UnicodeDecodeError, ConfigError):
        return None
    root, _ = tree_of(text, str(kept), path.parent)
    return LastGood(config, block(root), kept)


def _pointer(path: Path) -> Path:
    """Where it stands which state folder belongs to a configuration's file."""
    given = os.environ.get("STATE_DIRECTORY")
    folder = Path(given.split(":")[0]) if given else Path("~/.local/state/zhiwang").expanduser()
    return folder / "known" / hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]


def _write(path: Path, text: str) -> None:
    """Replace a file as a whole, readable by its owner alone."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
