"""What the demo lays over the shipped configuration, and which port it finds."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from gateway.config.load import load
from gateway.demo.stage import Stage, configuration, free_port, written_for_user
from gateway.errors import GatewayError
from gateway.registry import registry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield int(listener.getsockname()[1])


def test_the_overlay_says_ports_video_and_state_and_leaves_the_rest_as_shipped(tmp_path: Path) -> None:
    stage = Stage(broker_port=41883, page_port=8085, video=tmp_path / "a b.mp4", state=tmp_path / "state", loop=False)
    shipped = load(configuration(), registry())
    laid = load(configuration(), registry(), overlay=stage.overlay(tmp_path / "overlay.yaml"))
    assert laid.brokers["here"].url == "mqtt://127.0.0.1:41883"
    assert laid.brokers["here"].version == "3.1.1"
    assert laid.cameras["street"].detect == str(tmp_path / "a b.mp4")
    assert (laid.cameras["street"].loop, shipped.cameras["street"].loop) == (False, True)
    assert laid.http.listen == "127.0.0.1:8085"
    assert laid.state == tmp_path / "state"
    assert (laid.rules, laid.sensors, laid.sinks) == (shipped.rules, shipped.sensors, shipped.sinks)


def test_what_is_written_for_the_user_is_a_whole_configuration_with_their_video(tmp_path: Path) -> None:
    mine = tmp_path / "gateway.yaml"
    mine.write_text(written_for_user(tmp_path / "my street.mp4"), encoding="utf-8")
    assert load(mine, registry()).cameras["street"].detect == str(tmp_path / "my street.mp4")
    assert "# one route for all counters" in mine.read_text(encoding="utf-8")


def test_the_next_port_is_taken_where_somebody_listens_on_the_first(taken: int) -> None:
    assert free_port([taken, 0]) != taken


def test_no_free_port_is_an_error_that_says_how_to_give_one(taken: int) -> None:
    with pytest.raises(GatewayError, match="--port"):
        free_port([taken])
