"""The pytest plugin: a fixture `replay` and the option --accept-alerts. Loads nothing of zhiwang until it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from gateway.testing.replayed import Replay


def pytest_addoption(parser: pytest.Parser) -> None:
    """One option."""
    parser.getgroup("zhiwang").addoption(
        "--accept-alerts",
        action="store_true",
        help="write what recordings say now as what is expected of them (as_expected)",
    )


@pytest.fixture
def replay(request: pytest.FixtureRequest) -> Replay:
    """Plays recordings, whose alerts are then held against a file: see gateway.testing."""
    from gateway.testing.replayed import Replay  # noqa: PLC0415 - costs nothing where no test asks for it

    return Replay(request.path.parent, accept=bool(request.config.getoption("--accept-alerts")))
