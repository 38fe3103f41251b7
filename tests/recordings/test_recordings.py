"""What the rules, the texts and the core said of these recordings they say still (make.py makes them)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from gateway.recording.reader import Recording
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


@pytest.mark.parametrize("kind", sorted(RULES))
def test_every_kind_of_rule_is_pinned(kind: str) -> None:
    configurations = [Recording.open([HERE / name]).files[0].about.config for name in KEPT]

    assert any(f"{kind}: " in text for text in configurations), (
        f"add a case with {kind} to PINNED in make.py, and make it"
    )


def test_the_gateways_own_rules_and_many_texts_are_pinned() -> None:
    lines = [line for path in HERE.glob("*.alerts.jsonl") for line in path.read_bytes().splitlines()]

    assert {"health", "silent", "stuck"} <= {msgspec.json.decode(line)["rule"] for line in lines}
    assert len({msgspec.json.decode(line)["text"]["en"] for line in lines}) > 300
