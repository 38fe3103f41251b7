"""A certificate authority of the tests' own, made by openssl: certificates that clients trust by its file alone."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from pathlib import Path

YESTERDAY = ("-startdate", "20200101000000Z", "-enddate", "20200102000000Z")
"""A day that is over: whatever is valid then is expired now."""
KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")


class Certificate(NamedTuple):
    """Its file, and its private key's."""

    crt: Path
    key: Path


class Authority:
    """`ca` is its own certificate, which a configuration's `ca:` names."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = name
        self._own = self._made(f"{name}-ca", "-addext", "basicConstraints=critical,CA:TRUE")

    @property
    def ca(self) -> Path:
        """The file with its certificate."""
        return self._own.crt

    def issue(self, name: str, san: str = "IP:127.0.0.1") -> Certificate:
        """A certificate with CN `name` for where `san` says, signed by this authority."""
        signed = ("-CA", str(self._own.crt), "-CAkey", str(self._own.key))
        return self._made(
            f"{self._name}-{name}", *signed, "-addext", f"subjectAltName={san}", "-addext", "basicConstraints=CA:FALSE"
        )

    def expired(self, name: str, san: str = "IP:127.0.0.1") -> Certificate:
        """As `issue` makes it, but it was valid for one day of 2020."""
        made, folder = self.issue(f"expired-{name}", san), self._folder
        request, config = folder / "request.csr", folder / "authority.conf"
        config.write_text(
            f"[own]\ndatabase = {folder}/index\nserial = {folder}/serial\nnew_certs_dir = {folder}\n"
            "unique_subject = no\ndefault_md = sha256\npolicy = any\nx509_extensions = names\n"
            "[any]\ncommonName = supplied\n"
            f"[names]\nsubjectAltName = {san}\nbasicConstraints = CA:FALSE\n",
            encoding="utf-8",
        )
        (folder / "index").touch()
        (folder / "serial").write_text(f"{len(list(folder.iterdir())):04x}\n", encoding="utf-8")
        _openssl("req", "-new", "-key", made.key, "-subj", f"/CN={name}", "-out", request)
        own = ("-name", "own", "-config", config, "-cert", self._own.crt, "-keyfile", self._own.key)
        _openssl("ca", "-batch", "-notext", *own, *YESTERDAY, "-in", request, "-out", made.crt)
        return made

    def _made(self, stem: str, *more: str) -> Certificate:
        made = Certificate(self._folder / f"{stem}.crt", self._folder / f"{stem}.key")
        name = stem.removeprefix(f"{self._name}-")
        _openssl("req", "-x509", *KEY, "-subj", f"/CN={name}", "-out", made.crt, "-keyout", made.key, *more)
        return made


def _openssl(*words: str | Path) -> None:
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority that is trusted."""
    return Authority(tmp_path_factory.mktemp("authority"), "city")


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Another one."""
    return Authority(tmp_path_factory.mktemp("stranger"), "stranger")
