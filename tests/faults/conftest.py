"""A broker beside the one whose network fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.servers.mosquitto import Mosquitto

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def sound(tmp_path: Path) -> Iterator[Mosquitto]:
    """A second broker, for one test alone, which nothing happens to."""
    folder = tmp_path / "sound"
    folder.mkdir()
    broker = Mosquitto(folder)
    broker.start()
    yield broker
    broker.stop()
