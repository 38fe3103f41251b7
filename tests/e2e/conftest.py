"""A second broker, the ops centre's, apart from the sensors' own; and a disk that a test makes slow or broken."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.servers.mosquitto import broker_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.mosquitto import Mosquitto


@pytest.fixture
def city(tmp_path: Path) -> Iterator[Mosquitto]:
    """The ops centre's broker, for one test alone."""
    with broker_in(tmp_path / "city") as broker:
        yield broker


@pytest.fixture
def bent_sync(tmp_path: Path) -> Path:
    """A library to preload that bends fsync (bent_sync.c), or the test is skipped."""
    return _library(tmp_path, "bent_sync")


@pytest.fixture
def bent_disk(tmp_path: Path) -> Path:
    """A library to preload that makes a disk fail (bent_disk.c), or the test is skipped."""
    return _library(tmp_path, "bent_disk")


def _library(folder: Path, name: str) -> Path:
    compiler, library = shutil.which("cc"), folder / f"{name}.so"
    if compiler is None:
        pytest.skip("no C compiler here to bend a disk with (apt install gcc)")
    source = Path(__file__).with_name(f"{name}.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True)
    return library
