"""What docs/replay.md shows is true: its commands say what stands there, its tests pass."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import ROOT
from tests.testing.test_plugin import SETTINGS

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
VARYING = re.compile(r"\b[0-9a-f]{12}\b|\b\d+ kB\b")  # the configuration's sha, by its settings; a file's size
REST = "…"  # alone on its line: what was left out


class Shown(NamedTuple):
    """A command, and what the page says that it prints."""

    command: str
    says: list[str]


def blocks(language: str) -> list[str]:
    """The page's blocks in a language."""
    text = (ROOT / "docs/replay.md").read_text(encoding="utf-8")
    return [body for name, body in BLOCK.findall(text) if name == language]


def commands() -> list[Shown]:
    """In their order."""
    shown: list[Shown] = []
    for body in blocks(""):
        for line in body.replace("\\\n  ", "").splitlines():
            if line.startswith("$ "):
                shown.append(Shown(line[2:], []))
            elif body.startswith("$ "):
                shown[-1].says.append(line)
    return shown


def said(folder: Path, command: str) -> list[str]:
    """What it prints there."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    given = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env={**given, "PATH": path, "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode in {0, 3}, done.stderr
    return done.stdout.splitlines()


def pattern(says: list[str]) -> str:
    """A regular expression of what the page says."""
    lines = [r"(?:.*\n)*" if line.strip() == REST else re.escape(plain(line)) + r"\n" for line in says]
    return r"\s*" + "".join(lines) + r"\s*"


def plain(line: str) -> str:
    """Without what changes from one version to the next."""
    return VARYING.sub("_", line.rstrip())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the page's commands are run; the recording is where its `cp` finds it."""
    folder = tmp_path_factory.mktemp("docs")
    (folder / "tests/recordings").mkdir(parents=True)
    shutil.copy(ROOT / "tests/recordings/corner.mcap", folder / "tests/recordings")
    return folder


def test_its_commands_say_what_stands_there(folder: Path) -> None:
    """Given its commands one after another, when they are run, then each prints what the page shows."""
    pytest.importorskip("distributed", reason="backtest needs the extra analysis")
    assert len(commands()) >= 10
    for shown in commands():
        lines = "".join(plain(line) + "\n" for line in said(folder, shown.command))
        assert not shown.says or re.fullmatch(pattern(shown.says), lines), f"$ {shown.command}\n{lines}"


def test_its_tests_pass(folder: Path) -> None:
    """Given the files that its commands make, when its Python is run by pytest, then every test passes."""
    if not (folder / "surge.mcap").exists():
        pytest.skip("its commands were not run")
    (folder / "pytest.ini").write_text(SETTINGS)
    (folder / "test_docs.py").write_text("\n\n".join(blocks("python")), encoding="utf-8")

    lines = said(folder, "python -m pytest -q test_docs.py")

    assert lines[-1].startswith("4 passed"), "\n".join(lines)
