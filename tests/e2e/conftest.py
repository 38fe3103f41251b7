"""A second broker: the ops centre's, apart from the sensors' own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.servers.mosquitto import Mosquitto

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def city(tmp_path: Path) -> Iterator[Mosquitto]:
    """The ops centre's broker, for one test alone."""
    folder = tmp_path / "city"
    folder.mkdir()
    broker = Mosquitto(folder)
    broker.start()
    yield broker
    broker.stop()
