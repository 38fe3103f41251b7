"""A certificate authority of the tests' own, made by openssl: certificates that clients trust by its file alone."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from pathlib import Path

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

    def _made(self, stem: str, *more: str) -> Certificate:
        made = Certificate(self._folder / f"{stem}.crt", self._folder / f"{stem}.key")
        name = stem.removeprefix(f"{self._name}-")
        command = [
            "openssl",
            "req",
            "-x509",
            *KEY,
            "-subj",
            f"/CN={name}",
            "-out",
            str(made.crt),
            "-keyout",
            str(made.key),
        ]
        subprocess.run([*command, *more], check=True, capture_output=True)
        return made


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority that is trusted."""
    return Authority(tmp_path_factory.mktemp("authority"), "city")


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Another one."""
    return Authority(tmp_path_factory.mktemp("stranger"), "stranger")
