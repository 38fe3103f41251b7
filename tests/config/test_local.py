"""local.yaml, where tools write."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.config.files import tree
from gateway.config.local import write_local
from gateway.config.nodes import builtins
from gateway.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration without a local.yaml beside it."""
    path = tmp_path / "gateway.yaml"
    path.write_text("gateway: lg-1\nvision: {engine: cuda, batch: 2}\n")
    return path


def test_what_is_written_holds_over_the_file_which_stays_as_it_was(config: Path) -> None:
    """Given two writings, then both hold, the later one where they meet; gateway.yaml is not touched."""
    before = config.read_text()
    write_local(config, {"vision": {"engine": "openvino", "engines": 2}})
    path = write_local(config, {"vision": {"engine": "onnxruntime"}, "model": "yolox-nano"})
    assert config.read_text() == before
    assert path == config.parent / "local.yaml"
    root, _ = tree(config)
    vision = {"engine": "onnxruntime", "batch": 2, "engines": 2}
    assert builtins(root) == {"gateway": "lg-1", "vision": vision, "model": "yolox-nano"}
    assert path.read_text().startswith("# Written by zhiwang")
    assert [entry.name for entry in config.parent.iterdir() if entry.suffix == ".part"] == []


def test_what_a_person_wrote_there_stays_with_its_comments(config: Path) -> None:
    """Given a local.yaml by hand, then its words, order and comments are kept."""
    local = config.parent / "local.yaml"
    local.write_text('# mine\nmodel: "x"  # because\ncameras:\n  gate: {rate: 2}\n')
    write_local(config, {"cameras": {"gate": {"rate": 3}}})
    assert local.read_text() == '# mine\nmodel: "x"  # because\ncameras:\n  gate: {rate: 3}\n'


def test_a_broken_one_is_refused_and_stays(config: Path) -> None:
    """Given a list, or a tab, then the line is named and nothing is written."""
    local = config.parent / "local.yaml"
    for text, said in (("- a\n", "a configuration is a map"), ("a:\n\tb: 1\n", r"local\.yaml:2  a tab")):
        local.write_text(text)
        with pytest.raises(ConfigError, match=said):
            write_local(config, {"model": "x"})
        assert local.read_text() == text


def test_a_link_stays_and_what_it_leads_to_is_written(config: Path, tmp_path: Path) -> None:
    """Given a link to a file that is not there yet, it is made; nothing else comes to be beside the configuration."""
    state = tmp_path / "state"
    state.mkdir()
    local = config.parent / "local.yaml"
    local.symlink_to(state / "local.yaml")
    for engines in (2, 3):
        assert write_local(config, {"vision": {"engines": engines}}) == local
        root, findings = tree(config)
        assert builtins(root) == {"gateway": "lg-1", "vision": {"engine": "cuda", "batch": 2, "engines": engines}}
        assert findings == []
    assert local.readlink() == state / "local.yaml"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["gateway.yaml", "local.yaml", "state"]
    assert [entry.name for entry in state.iterdir()] == ["local.yaml"]
