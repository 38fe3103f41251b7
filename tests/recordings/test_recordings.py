"""What the rules, the texts and the core said of these recordings they say still (make.py makes them)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from tests.core.build import RULES
from tests.recordings.make import NAMES, file_of

if TYPE_CHECKING:
    from gateway.testing import Replay

HERE = Path(__file__).resolve().parent
KEPT = sorted(path.name for path in HERE.glob("*.mcap"))


@pytest.mark.parametrize("name", KEPT)
def test_it_says_what_was_expected(replay: Replay, name: str) -> None:
    came = replay(name)

    assert came.as_expected(name.replace(".mcap", ".alerts.jsonl"))
    assert bool(came.played.holes) == (name == "hole.mcap")


def test_every_recording_is_one_that_is_made_and_small() -> None:
    assert sorted(file_of(name).name for name in NAMES) == KEPT
    assert all((HERE / name).stat().st_size < 200_000 for name in KEPT)


def test_every_kind_of_rule_and_the_gateways_own_are_pinned() -> None:
    lines = [line for path in HERE.glob("*.alerts.jsonl") for line in path.read_bytes().splitlines()]
    texts = [msgspec.json.decode(line)["text"]["en"] for line in lines]
    rules = {msgspec.json.decode(line)["rule"] for line in lines}

    assert {"health", "silent", "stuck"} <= rules
    assert len(RULES) == 3, "a new kind of rule: pin it here (make.py, PINNED)"
    assert len(set(texts)) > 300
