"""Zones and lines that are drawn on the page: checked, then written beside the configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.config.drawn import CHANGED, draw, drawn
from gateway.registry import registry

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = """
gateway: lg-1
cameras:
  street:
    detect: street.mp4
    zones:
      zebra: [[0.1, 0.5], [0.6, 0.5], [0.6, 0.9], [0.1, 0.9]]
      yard: {outline: [[0, 0.3], [0.4, 0.3], [0.4, 0.6]], least: 40 px, labels: [person]}
    lines: {kerb: [[0.1, 0.7], [0.9, 0.66]]}
rules:
  loiter: {dwell: person, in: street.zebra, levels: {yellow: 60 s}}
"""
KNOWN = registry()
SQUARE = ((0.5, 0.5), (0.9, 0.5), (0.9, 0.9))


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration with two zones, a line, and a rule about one of them."""
    path = tmp_path / "gateway.yaml"
    path.write_text(CONFIG)
    return path


def test_what_is_drawn_holds_over_the_file_and_keeps_a_zones_settings(config: Path) -> None:
    """Given a moved zone, one with settings, a new line and one that is gone: that is what the files say afterwards."""
    zones, lines = drawn(config, KNOWN, "street")
    now = ({**zones, "zebra": SQUARE, "yard": SQUARE}, {"gate": ((0.2, 0.2), (0.3, 0.3))})
    assert draw(config, KNOWN, "street", (zones, lines), now) == []
    assert drawn(config, KNOWN, "street") == now
    assert config.read_text() == CONFIG
    local = (config.parent / "local.yaml").read_text()
    assert "zebra: [[0.5, 0.5], [0.9, 0.5], [0.9, 0.9]]" in local
    assert "kerb:\n" in local
    assert draw(config, KNOWN, "street", now, (zones, lines)) == []
    assert drawn(config, KNOWN, "street") == (zones, lines)


@pytest.mark.parametrize(
    ("name", "points", "problem"),
    [
        ("bow", ((0.1, 0.1), (0.9, 0.9), (0.9, 0.1), (0.1, 0.9)), "crosses itself"),
        ("out", ((0.1, 0.1), (1.2, 0.9), (0.9, 0.1)), "fractions of the picture"),
        ("two", ((0.1, 0.1), (0.2, 0.9)), "at least 3"),
        ("Big Yard", SQUARE, "a zone's name is of a-z"),
    ],
)
def test_what_check_refuses_is_not_written(
    config: Path, name: str, points: tuple[tuple[float, float], ...], problem: str
) -> None:
    """Given a shape that cannot be, then it is said of that shape, and no file is touched."""
    zones, lines = drawn(config, KNOWN, "street")
    (found,) = draw(config, KNOWN, "street", (zones, lines), ({**zones, name: points}, lines))
    assert found.path[:2] == ("cameras", "street")
    assert problem in found.problem
    assert not (config.parent / "local.yaml").exists()


def test_a_zone_that_a_rule_needs_stays(config: Path) -> None:
    """Given a rule about a zone, then the zone cannot be taken away, and the rule is named."""
    zones, lines = drawn(config, KNOWN, "street")
    (found,) = draw(config, KNOWN, "street", (zones, lines), ({"yard": zones["yard"]}, lines))
    assert found.path[:2] == ("rules", "loiter")
    assert not (config.parent / "local.yaml").exists()


def test_who_drew_on_an_older_state_is_told(config: Path) -> None:
    """Given files that changed since, then nothing of theirs is undone."""
    zones, lines = drawn(config, KNOWN, "street")
    assert draw(config, KNOWN, "street", (zones, lines), (zones, {})) == []
    (found,) = draw(config, KNOWN, "street", (zones, lines), (zones, {"gate": ((0.2, 0.2), (0.3, 0.3))}))
    assert found.problem == CHANGED
    assert drawn(config, KNOWN, "street")[1] == {}
