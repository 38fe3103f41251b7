"""Takes files out of what was fetched: a wheel or zip, a tarball, a Debian package."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
import zipfile
import zlib
from typing import TYPE_CHECKING

from gateway.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

DEB_MAGIC = b"!<arch>\n"


def extract(archive: Path, member: str, into: Path) -> list[Path]:
    """The file `member`, or every file directly in the folder `member` (ending in /), by its own name below `into`.

    Raises ModelError where it is no archive, is damaged, or holds no such member.
    """
    try:
        taken = _extract(archive, member, into)
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError) as error:
        raise ModelError(f"{archive.name} cannot be unpacked: {error}") from error
    if not taken:
        raise ModelError(f"{archive.name} holds no {member!r}")
    return taken


def _extract(archive: Path, member: str, into: Path) -> list[Path]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as bundle:
            taken: list[Path] = []
            for name in bundle.namelist():
                if (path := _wanted(name, member, into)) is not None:
                    with bundle.open(name) as source, path.open("wb") as target:
                        shutil.copyfileobj(source, target)
                    taken.append(path)
            return taken
    with archive.open("rb") as file:
        deb = file.read(len(DEB_MAGIC)) == DEB_MAGIC
    if deb:
        archive = _deb_contents(archive, into)
    if not tarfile.is_tarfile(archive):
        raise ModelError(f"{archive.name} is no archive that we can open (wheel, zip, tar, deb)")
    with tarfile.open(archive) as bundle:
        taken = []
        for info in bundle:
            if info.isfile() and (path := _wanted(info.name.removeprefix("./"), member, into)) is not None:
                source = bundle.extractfile(info)
                if source is None:
                    continue
                with source, path.open("wb") as target:
                    shutil.copyfileobj(source, target)
                taken.append(path)
        return taken


def _wanted(name: str, member: str, into: Path) -> Path | None:
    """Where `name` goes, None where it is not asked for. Only a last part is used: nothing is written outside."""
    parent, _, last = name.rpartition("/")
    asked = f"{parent}/" == member if member.endswith("/") else name == member
    return into / last if asked and last not in {"", ".", ".."} else None


def _deb_contents(archive: Path, into: Path) -> Path:
    dpkg = shutil.which("dpkg-deb")
    if dpkg is None:
        raise ModelError("dpkg-deb is not on this machine: only Debian and its kin have it")
    contents = into / ".contents.tar"
    with contents.open("wb") as file:
        done = subprocess.run(  # noqa: S603 — dpkg-deb by its full path, no shell
            [dpkg, "--fsys-tarfile", str(archive)], stdout=file, stderr=subprocess.PIPE, text=True, check=False
        )
    if done.returncode:
        raise ModelError(f"{archive.name} is no Debian package: {done.stderr.strip()[-300:]}")
    return contents
