"""Fixtures for every test: the real servers (tests/servers, one module each) and the data beside the project."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

os.environ["LC_ALL"] = "C.UTF-8"  # what the command says is compared in English, wherever the tests run
ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("ZHIWANG_DATA", ROOT.parent / "shared"))

pytest_plugins = [
    f"tests.servers.{path.stem}" for path in sorted((ROOT / "tests/servers").glob("*.py")) if path.stem != "__init__"
]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with data and models to measure against, or the test is skipped."""
    if not (SHARED / "data").is_dir():
        pytest.skip("the data beside the project is not here (ZHIWANG_DATA names its folder)")
    return SHARED


def free_port() -> int:
    """A TCP port on loopback that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
