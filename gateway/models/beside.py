"""A user's own model: FILE.onnx with its manifest FILE.toml beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.errors import ModelError
from gateway.models.cache import sha256_of
from gateway.models.manifest import Detector, decode

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.config.manifest import Manifest


def beside(path: Path) -> Manifest | None:
    """What the manifest beside an .onnx file says of it; None where there is none, or no such file.

    Raises ModelError where the manifest does not decode, is not a detector's, or gives another file's sha256: labels of
    another training would be wrong names, not an error.
    """
    own = path.with_suffix(".toml")
    if not own.is_file() or not path.is_file():
        return None
    entry = decode(own)
    if not isinstance(entry, Detector):
        raise ModelError(f"{own}: is demo data's manifest; expected a detector's")
    found = sha256_of(path)
    if found not in {source.finished for source in entry.source}:
        raise ModelError(f"{own}: is for another file; {path.name} has sha256 {found}: correct its [[source]]")
    return entry.manifest(path.stem, found, path)
