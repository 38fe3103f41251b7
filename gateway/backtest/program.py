"""Which program this is, to the byte: a result of another one is not taken for one of this."""

from __future__ import annotations

import hashlib
import importlib.util
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path

import gateway
from gateway import registry

DECISIVE = ("app", "codecs", "config", "core", "door", "recording", "replaying", "sources")
"""Packages whose code an alert depends on, beside the modules of `gateway` itself."""


@cache
def program_key() -> str:
    """SHA-256 over the version, the code that decides, and the code of kinds from other packages.

    A rule being mended changes no version number, and its backtest must not be answered from what is kept.
    """
    digest = hashlib.sha256(gateway.__version__.encode())
    root = Path(gateway.__file__).parent
    files = [*root.glob("*.py"), *(file for name in DECISIVE for file in (root / name).rglob("*.py"))]
    for group in registry.GROUPS:
        for entry in entry_points(group=group):
            spec = importlib.util.find_spec(entry.module)
            if spec and spec.origin:
                files.append(Path(spec.origin))
    for file in sorted(files):
        digest.update(file.read_bytes())
    return digest.hexdigest()
