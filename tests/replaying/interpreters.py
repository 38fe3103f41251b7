"""Other Pythons to replay with: of another version, or for another machine under qemu-user, from Debian's packages.

Their packages are unpacked into the user's cache, not installed, so that nobody needs to be root; wheels beside them
come by pip. What cannot be had is said by NotThereError, for the test or benchmark to say in turn.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import NamedTuple

from tests.conftest import ROOT

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "zhiwang-pythons"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
SOURCES = Path("/etc/apt")
QEMU = "qemu-aarch64-static"
FETCH_S = 300  # for one step of setting up


class NotThereError(Exception):
    """This interpreter cannot be had here, and why."""


class Interpreter(NamedTuple):
    """How to start a Python: `command`, then its arguments, in `environment`."""

    name: str
    command: tuple[str, ...]
    environment: dict[str, str]

    def run(self, *words: str, timeout_s: float = 600, **environment: str) -> str:
        """What `python words…` prints, started in the project's folder."""
        done = subprocess.run(
            [*self.command, *words],
            cwd=ROOT,
            env={**os.environ, **self.environment, **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
        )
        assert done.returncode == 0, f"{self.name}: {done.stderr[-3000:]}"
        return done.stdout


class Wanted(NamedTuple):
    """Which Python: Debian's suite has this version; `machine` by Debian's name."""

    suite: str
    version: str
    machine: str = "amd64"


NEWER = Wanted("trixie", "3.13")
OTHER_MACHINE = Wanted("bookworm", "3.11", "arm64")


def here() -> Interpreter:
    """The one that runs this."""
    return Interpreter(f"Python {platform.python_version()}, {platform.machine()}", (sys.executable,), {})


def of_debian(wanted: Wanted) -> Interpreter:
    """A Python out of Debian's packages with the wheels that zhiwang needs; set up where it is not yet.

    Raises NotThereError where it cannot be.
    """
    if platform.machine() != "x86_64":
        raise NotThereError(f"this is no x86-64 but {platform.machine()}")
    folder = CACHE / f"{wanted.suite}-{wanted.version}-{wanted.machine}"
    if not (folder / "ready").exists():
        _set_up(wanted, folder)
    tree, python = folder / "tree", folder / f"tree/usr/bin/python{wanted.version}"
    environment = {
        "PYTHONPATH": os.pathsep.join([str(folder / "wheels"), str(ROOT)]),
        "PYTHONPYCACHEPREFIX": str(folder / "compiled"),
        "OPENBLAS_NUM_THREADS": "1",
    }
    if wanted.machine == "arm64":
        command = (str(folder / "tree/usr/bin" / QEMU), "-L", str(tree), str(python))
        return Interpreter(f"Python {wanted.version}, aarch64 under qemu", command, environment)
    libraries = tree / "usr/lib/x86_64-linux-gnu"
    loader = str(libraries / "ld-linux-x86-64.so.2")  # its own C library: it may be newer than this machine's
    command = (loader, "--argv0", str(python), "--library-path", str(libraries), str(python))
    return Interpreter(f"Python {wanted.version}, x86_64", command, environment)


def _set_up(wanted: Wanted, folder: Path) -> None:
    """In a folder beside, which takes the place at the end: what was begun and not finished is never used."""
    for program in ("apt-get", "dpkg"):
        if shutil.which(program) is None:
            raise NotThereError(f"{program} is not here: this is no Debian")
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE, ignore_cleanup_errors=True) as beside:
        at = Path(beside)
        python = f"python{wanted.version}"
        packages = [f"{python}-minimal", f"lib{python}-stdlib", "libstdc++6"]
        _unpack(at / "apt", wanted.suite, wanted.machine, packages, at / "tree")
        if wanted.machine == "arm64":
            _unpack(at / "apt-qemu", wanted.suite, "amd64", ["qemu-user-static"], at / "qemu")
            shutil.copy2(at / "qemu/usr/bin" / QEMU, at / "tree/usr/bin" / QEMU)
            shutil.rmtree(at / "qemu")
        _wheels(wanted, at / "wheels")
        for apt in at.glob("apt*"):
            shutil.rmtree(apt)
        (at / "ready").touch()
        shutil.rmtree(folder, ignore_errors=True)
        at.rename(folder)
        at.mkdir()  # for its remover


def _unpack(apt: Path, suite: str, machine: str, packages: list[str], tree: Path) -> None:
    """Debian packages with what they depend on, as if nothing were installed, unpacked into a folder."""
    for part in ("etc", "var/lib/apt/lists/partial", "var/cache/apt/archives/partial", "var/lib/dpkg"):
        (apt / part).mkdir(parents=True)
    (apt / "var/lib/dpkg/status").touch()
    (apt / "etc/sources.list").write_text(f"deb [signed-by={KEYRING}] {_mirror()} {suite} main\n")
    settings = apt / "apt.conf"
    settings.write_text(
        f'Dir "{apt}/"; Dir::Etc "{apt}/etc/"; Dir::State::status "{apt}/var/lib/dpkg/status";\n'
        f'APT::Architecture "{machine}"; APT::Architectures {{ "{machine}"; }}; Acquire::Languages "none";\n'
        f'APT::Sandbox::User "root";\n'  # whose folder this is may be nobody else's to write
    )
    here = {**os.environ, "APT_CONFIG": str(settings)}
    _done(["apt-get", "-q", "update"], here)
    _done(["apt-get", "-q", "-y", "install", "--download-only", "--no-install-recommends", *packages], here)
    for package in sorted((apt / "var/cache/apt/archives").glob("*.deb")):
        _done(["dpkg", "-x", str(package), str(tree)], here)


def _wheels(wanted: Wanted, into: Path) -> None:
    """The base dependencies."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    machine = {"amd64": "x86_64", "arm64": "aarch64"}[wanted.machine]
    platforms = [word for kind in ("manylinux_2_28", "manylinux2014") for word in ("--platform", f"{kind}_{machine}")]
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", "install", "--target", str(into)]
    options = ["--python-version", wanted.version, "--only-binary", ":all:", "--no-compile", *platforms]
    _done([*pip, *options, *project["dependencies"]], dict(os.environ))


def _mirror() -> str:
    """Where this machine gets its Debian packages."""
    for path in sorted([*SOURCES.glob("sources.list.d/*.sources"), *SOURCES.glob("sources.list*")]):
        for line in path.read_text().splitlines() if path.is_file() else ():
            words = line.split()
            named = [word for word in words if word.endswith("/debian") and "://" in word]
            if words and words[0] in {"URIs:", "deb"} and named:
                return named[0]
    raise NotThereError(f"no mirror of Debian stands in {SOURCES}/sources.list*")


def _done(command: list[str], environment: dict[str, str]) -> None:
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=FETCH_S)
    except subprocess.TimeoutExpired as error:
        raise NotThereError(f"{command[0]} took more than {FETCH_S} s") from error
    if done.returncode:
        raise NotThereError(f"{' '.join(command[:4])} …: {(done.stderr or done.stdout).strip()[-500:]}")
