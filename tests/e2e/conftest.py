"""A second broker, the ops centre's, apart from the sensors' own; and a disk that a test makes slow or broken."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.servers.mosquitto import Mosquitto

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def city(tmp_path: Path) -> Iterator[Mosquitto]:
    """The ops centre's broker, for one test alone."""
    folder = tmp_path / "city"
    folder.mkdir()
    broker = Mosquitto(folder)
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def bent_sync(tmp_path: Path) -> Path:
    """A library to preload that bends fsync (bent_sync.c), or the test is skipped."""
    compiler, library = shutil.which("cc"), tmp_path / "bent_sync.so"
    if compiler is None:
        pytest.skip("no C compiler here to bend fsync with (apt install gcc)")
    source = Path(__file__).with_name("bent_sync.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True)
    return library
