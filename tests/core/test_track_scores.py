"""The scores that benchmarks/track.py prints, on clips small enough to count by hand."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.state import State
from gateway.core.track import Tracker
from gateway.events import Detections

if TYPE_CHECKING:
    from types import ModuleType

PARTS = Path(__file__).resolve().parents[2] / "benchmarks/parts/mot.py"
Clip = dict[int, dict[int, float]]


def loaded() -> ModuleType:
    spec = importlib.util.spec_from_file_location("mot", PARTS)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


mot = loaded()


def clip(frames: Clip) -> dict[int, object]:
    """Frame → {id: left} as boxes of 10 × 10."""
    return {
        frame: mot.Boxes(np.array(list(boxes), np.int64), np.array([(x, 0, 10, 10) for x in boxes.values()], float))
        for frame, boxes in frames.items()
        if boxes
    }


TRUTH: Clip = {1: {1: 0, 2: 50}, 2: {1: 1, 2: 50}, 3: {1: 2, 2: 50}, 4: {1: 3, 2: 50}}


@pytest.mark.parametrize(
    ("found", "switches", "wrong", "missed", "mota", "idf1"),
    [
        (TRUTH, 0, 0, 0, 1.0, 1.0),
        ({}, 0, 0, 8, 0.0, 0.0),
        ({1: {7: 0, 8: 50}, 2: {7: 1, 8: 50}, 3: {8: 2, 7: 50}, 4: {8: 3, 7: 50}}, 2, 0, 0, 0.75, 0.5),
        ({1: {7: 0}, 2: {7: 20}, 3: {9: 2}, 4: {9: 3}}, 1, 1, 5, 1 - 7 / 8, 2 * 2 / 12),
        ({1: {7: 4}, 2: {7: 1}, 3: {7: 2}, 4: {7: 3}}, 0, 1, 5, 1 - 6 / 8, 2 * 3 / 12),
    ],
    ids=["perfect", "nothing", "swapped", "lost and renamed", "too far at first"],
)
def test_scores_are_those_counted_by_hand(
    found: Clip, switches: int, wrong: int, missed: int, mota: float, idf1: float
) -> None:
    came = mot.score(clip(TRUTH), clip(found), [1, 2, 3, 4])

    assert (came.switches, came.false_positives, came.misses, came.truths) == (switches, wrong, missed, 8)
    assert (came.mota, came.idf1) == (pytest.approx(mota), pytest.approx(idf1))


def test_what_was_a_pair_stays_one_where_another_overlaps_more() -> None:
    """Given a second box that lies better in the second frame, the first one still is the person: no switch."""
    found = {1: {7: 0.0}, 2: {7: 2.0, 8: 1.0}}

    came = mot.score(clip({1: {1: 0}, 2: {1: 1}}), clip(found), [1, 2])

    assert (came.switches, came.false_positives, came.misses) == (0, 1, 0)


def test_only_the_frames_looked_at_count() -> None:
    assert mot.score(clip(TRUTH), clip({1: TRUTH[1], 3: TRUTH[3]}), [1, 3]).mota == 1.0


@given(st.permutations([1, 2]), st.integers(1, 100))
def test_names_do_not_matter(order: list[int], shift: int) -> None:
    """Given any other ids, the scores are the same."""
    found = {f: {order[one - 1] + shift: x for one, x in boxes.items()} for f, boxes in TRUTH.items()}

    assert mot.score(clip(TRUTH), clip(found), [1, 2, 3, 4]).idf1 == 1.0


def test_the_challenges_lines_are_read(tmp_path: Path) -> None:
    (tmp_path / "gt.txt").write_text("1,9,499.20,157.69,31.03,75.17,1,-1,-1,-1\n3,9,1,2,3,4,1,-1,-1,-1\n")

    read = mot.read_mot(tmp_path / "gt.txt")

    assert sorted(read) == [1, 3]
    assert read[1].id.tolist() == [9]
    assert read[3].xywh.tolist() == [[1, 2, 3, 4]]


@pytest.mark.shared
@pytest.mark.parametrize(("step", "idf1", "switches"), [(1, 0.98, 0), (2, 0.98, 0), (5, 0.96, 4), (10, 0.92, 8)])
def test_of_perfect_boxes_nearly_nobody_is_mistaken(shared: Path, step: int, idf1: float, switches: int) -> None:
    """Given the true boxes of PETS2009-S2L1 at 10, 5, 2 and 1 frames a second: what is left is the tracker's own."""
    truth = mot.read_mot(shared / "data/video/pets2009-s2l1.gt.txt")
    frames, tracker, found = list(range(1, 796, step)), Tracker("a", ("person",), State()), {}
    for frame in frames:
        xywh = truth[frame].xywh if frame in truth else np.zeros((0, 4))
        xyxy = np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1).astype(np.float32)
        n = len(xyxy)
        sure = np.full(n, 0.9, np.float32)
        seen = tracker.step(Detections("a", frame, frame * 10**8, 768, 576, xyxy, sure, np.zeros(n, np.int16)))
        found[frame] = mot.Boxes(seen.id[seen.believed], xywh[seen.believed])

    came = mot.score(truth, found, frames)

    assert came.idf1 >= idf1
    assert came.switches <= switches
    assert came.false_positives == 0
