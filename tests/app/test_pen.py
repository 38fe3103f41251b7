"""The page's pen: what is wrong is said of the shape that it is wrong with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.app.pen import Pen
from gateway.ports import Drawing, Refused
from gateway.registry import registry
from tests.outbox.mounted import mounted

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = """
gateway: lg-1
cameras:
  street: {detect: street.mp4, zones: {zebra: [[0.1, 0.5], [0.6, 0.5], [0.6, 0.9]]}}
rules:
  loiter: {dwell: person, in: street.zebra, levels: {yellow: 60 s}}
"""
ZEBRA = ((0.1, 0.5), (0.6, 0.5), (0.6, 0.9))
LINE = {"kerb": ((0.1, 0.2), (0.3, 0.4))}


@pytest.fixture
def pen(tmp_path: Path) -> Pen:
    """A pen for a configuration with one zone."""
    path = tmp_path / "gateway.yaml"
    path.write_text(CONFIG)
    return Pen(path, registry())


async def test_a_shapes_problem_is_told_of_the_shape_and_a_rules_of_none(pen: Pen) -> None:
    """Given a zone of two points, a line that stands still, and a zone that a rule needs: each is said where it is."""
    was = Drawing({"zebra": ZEBRA}, {})
    assert await pen.read("street") == was
    for now, kind, name in (
        (Drawing({"zebra": ZEBRA, "two": ((0.1, 0.1), (0.2, 0.2))}, {}), "zones", "two"),
        (Drawing({"zebra": ZEBRA}, {"kerb": ((0.1, 0.1), (0.1, 0.1))}), "lines", "kerb"),
        (Drawing({}, {}), "", ""),
    ):
        refused = await pen.draw("street", was, now)
        assert [(one.kind, one.name) for one in refused] == [(kind, name)]
    [needed] = await pen.draw("street", was, Drawing({}, {}))
    assert needed.problem.startswith("rules.loiter.in: camera street has no zone zebra")
    assert await pen.read("street") == was


async def test_a_folder_that_cannot_be_written_and_files_with_errors_are_said(pen: Pen) -> None:
    """Given something in local.yaml's place, then why; given a file with errors, then nothing can be drawn."""
    was = await pen.read("street")
    assert was is not None
    blocked = pen.path.parent / "local.yaml.part"
    blocked.mkdir()
    [refused] = await pen.draw("street", was, Drawing(was.zones, LINE))
    assert "local.yaml cannot be written: Is a directory" in refused.problem
    blocked.rmdir()
    assert await pen.draw("street", was, Drawing(was.zones, LINE)) == []
    pen.path.write_text(CONFIG.replace("dwell", "dwells"))
    assert await pen.read("street") is None
    assert isinstance((await pen.draw("street", was, was))[0], Refused)


async def test_where_the_gateway_may_not_write_it_is_said_how_it_can(pen: Pen) -> None:
    """Given a local.yaml on a disk that refuses even root, then what to do; given one in its own folder, it works."""
    was, local = Drawing({"zebra": ZEBRA}, {}), pen.path.parent / "local.yaml"
    local.symlink_to(pen.path.parent / "read-only/local.yaml")
    with mounted(local.readlink().parent, "-t", "tmpfs", "-o", "ro", "tmpfs"):
        [refused] = await pen.draw("street", was, Drawing(was.zones, LINE))
    assert "nothing was changed. Make it a link to a file in the state folder" in refused.problem
    assert await pen.read("street") == was
    local.unlink()
    state = pen.path.parent / "state"
    state.mkdir()
    local.symlink_to(state / "local.yaml")
    assert await pen.draw("street", was, Drawing(was.zones, LINE)) == []
    assert await pen.read("street") == Drawing(was.zones, LINE)
    assert local.is_symlink()
