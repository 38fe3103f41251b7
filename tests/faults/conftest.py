"""A broker beside the one whose network fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.servers.mosquitto import broker_in

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.mosquitto import Mosquitto


@pytest.fixture
def sound(tmp_path: Path) -> Iterator[Mosquitto]:
    """A second broker, for one test alone, which nothing happens to."""
    with broker_in(tmp_path / "sound") as broker:
        yield broker
