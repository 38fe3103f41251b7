"""Tracks: the vectorised tracker against its scalar reference, its promises, and dying anywhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core import kalman
from gateway.core.state import State
from gateway.core.track import LOOKS_REMEMBERED, Tracked, Tracker, Tracking, groups_of
from gateway.core.track_pairs import MOST_TRACKS, paired, solver
from gateway.events import Detections
from tests.core.reference.tracks import TrackerReference
from tests.core.streams import searching
from tests.core.test_machines import DISABLED

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

S = 10**9
ROOT = Path(__file__).resolve().parents[2]
LABELS = ("person", "car", "truck")
Box = tuple[float, float, float, int]  # centre x, bottom y, score, label


def look(at_s: float, boxes: Iterable[Box], width: int = 640, height: int = 60) -> Detections:
    """A look with boxes of 24 × `height` px."""
    rows = list(boxes)
    xyxy = np.array([(x - 12, y - height, x + 12, y) for x, y, _, _ in rows], np.float32).reshape(-1, 4)
    score, label = np.array([row[2] for row in rows], np.float32), np.array([row[3] for row in rows], np.int16)
    return Detections("gate", 0, round(at_s * S), width, 480, xyxy, score, label)


def tracker(how: Tracking | None = None) -> Tracker:
    return Tracker("gate", LABELS, State(), how=how)


def ids(seen: Sequence[Tracked]) -> list[list[int]]:
    return [one.id.tolist() for one in seen]


# ── against the reference, and dying ──────────────────────────────────────────────────────────────────────────────────

STREAM = st.lists(
    st.tuples(
        st.sampled_from([0, 0.04, 0.1, 0.1, 0.2, 0.5, 1.1, 11.0, -0.1]),  # since the look before, s
        st.sampled_from([640, 640, 640, 640, 640, 1280]),
        st.lists(
            st.tuples(
                st.sampled_from([100.0, 106.0, 112.0, 130.0, 200.0, 206.5, 3e6, float("nan")]),
                st.sampled_from([200.0, 204.0, 230.0]),
                st.sampled_from([0.95, 0.7, 0.6, 0.4, 0.3, 0.1, 0.05]),
                st.sampled_from([0, 0, 0, 1, 2]),
            ),
            max_size=5,
        ),
    ),
    max_size=14,
)


def looks_of(stream: list[tuple[float, int, list[Box]]]) -> list[Detections]:
    at_s, out = 1000.0, list[Detections]()
    for since, width, boxes in stream:
        at_s += since
        out.append(look(at_s, boxes, width))
    return out


@searching(150)
@given(STREAM)
def test_ids_are_those_of_the_reference(stream: list[tuple[float, int, list[Box]]]) -> None:
    """Given any looks, late, twice, with overlapping, unsure, broken and equal boxes, ids and belief are the same."""
    ours, reference = tracker(), TrackerReference(groups_of(LABELS).tolist(), Tracking())
    for seen in looks_of(stream):
        came = ours.step(seen)

        assert (came.id.tolist(), came.believed.tolist(), sorted(came.ended.tolist())) == reference.step(seen)
        standing = ours.standing(seen.event_ns)
        assert standing.id.tolist() == sorted(reference.tracks)
        assert [t.label for _, t in sorted(reference.tracks.items())] == standing.label.tolist()


@searching(60)
@given(STREAM, st.integers(0, 14), st.integers(0, 14))
def test_killed_anywhere_it_goes_on_with_the_same_bytes(
    stream: list[tuple[float, int, list[Box]]], snapshot_at: int, kill_at: int
) -> None:
    """Given a snapshot and the deltas after it alone, a new process gives the same ids, and ends in the same state."""
    looks = looks_of(stream)
    whole, dying, again = State(), State(), State()
    never = Tracker("gate", LABELS, whole)
    expected = [never.step(seen) for seen in looks]
    first = Tracker("gate", LABELS, dying)
    snapshot, deltas, came = b"", list[bytes](), list[Tracked]()
    for place, seen in enumerate(looks[:kill_at]):
        if place == snapshot_at:
            snapshot, deltas = dying.snapshot(), []
        came.append(first.step(seen))
        deltas.append(dying.delta())

    second = Tracker("gate", LABELS, again)
    for blob in [snapshot, *deltas]:
        again.restore(blob)
    came += [second.step(seen) for seen in looks[kill_at:]]

    assert [[part.tobytes() for part in one] for one in came] == [[part.tobytes() for part in one] for one in expected]
    assert again.snapshot() == whole.snapshot()


@searching(60)
@given(STREAM)
def test_no_id_is_given_twice(stream: list[tuple[float, int, list[Box]]]) -> None:
    """Given any looks, an id that ended never comes back, and no two boxes of a look share one."""
    ours, over, last = tracker(), set[int](), 0
    for seen in looks_of(stream):
        came = ours.step(seen)
        given_ = [one for one in came.id.tolist() if one]
        assert len(set(given_)) == len(given_)
        assert not over & set(given_)
        assert not over & set(came.ended.tolist())
        over |= set(came.ended.tolist())
        new = [one for one in given_ if one > last]
        assert sorted(new) == list(range(last + 1, last + 1 + len(new)))
        last += len(new)


# ── what it promises ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("step_s", [0.04, 0.1, 0.2, 0.5])
def test_two_who_pass_each_other_keep_their_ids_at_any_rate(step_s: float) -> None:
    """Given two people who walk at a height a second towards and past each other, at 25 to 2 looks a second."""
    ours, came = tracker(), list[list[int]]()
    for k in range(int(6 / step_s)):
        at = k * step_s
        came.append(ours.step(look(at, [(100 + 60 * at, 300, 0.9, 0), (460 - 60 * at, 325, 0.9, 0)])).id.tolist())

    assert came == [[1, 2]] * len(came)


def test_time_counts_not_looks() -> None:
    """Given looks at any moments of one walk, and most of them skipped, it is one track all along."""
    ours, at = tracker(), 0.0
    for since in (0.04, 0.5, 0.1, 0.04, 0.9, 0.04, 0.3, 0.7, 0.1):
        at += since
        assert ours.step(look(at, [(100 + 70 * at, 300, 0.8, 0)])).id.tolist() == [1]


def test_a_lost_track_is_kept_for_a_time() -> None:
    """Given somebody who stood for a while and was hidden: 0.9 s later it is still them, 1.2 s later somebody new."""
    for hidden, expected in ((0.9, 1), (1.2, 2)):
        ours = tracker()
        for k in range(21):
            ours.step(look(k / 10, [(100, 300, 0.8, 0)]))
        for k in range(1, int(hidden * 10)):
            ours.step(look(2 + k / 10, []))
        ours.step(look(2 + hidden - 0.01, []))
        if expected == 2:
            assert len(ours.standing(0).id) == 0

        assert ours.step(look(2 + hidden, [(101, 300, 0.8, 0)])).id.tolist() == [expected]


def test_low_scores_continue_a_track_and_begin_none() -> None:
    """Given boxes under the model's score: beside a known person they are that person, elsewhere nobody."""
    ours = tracker()
    ours.step(look(0, [(100, 300, 0.8, 0)]))

    assert ours.step(look(0.1, [(101, 300, 0.15, 0), (300, 300, 0.39, 0)])).id.tolist() == [1, 0]


def test_a_sure_box_goes_first() -> None:
    """Given a sure and an unsure box, the unsure one exactly where the person should be: the sure one is the person."""
    ours = tracker()
    for k in range(3):
        ours.step(look(k / 10, [(100, 300, 0.8, 0)]))

    assert ours.step(look(0.3, [(100, 300, 0.2, 0), (109, 300, 0.8, 0)])).id.tolist() == [0, 1]


def test_a_flicker_is_not_believed() -> None:
    """Given a thing seen once, and one seen long but never surely, neither is believed; a person is after 0.3 s."""
    ours = tracker()
    seen = [
        ours.step(look(k / 10, [(100, 300, 0.8, 0), (300, 300, 0.5, 0), *([(500, 300, 0.95, 0)] if not k else [])]))
        for k in range(20)
    ]

    assert [one.believed.tolist()[:2] for one in seen] == [[k >= 3, False] for k in range(20)]
    assert not seen[0].believed[2]


def test_classes_are_apart_but_for_those_that_models_confuse() -> None:
    """Given a car that turns into a truck it is one track; into a person it is not. Its label is what it mostly was."""
    ours = tracker()
    seen = [ours.step(look(k / 10, [(100, 300, 0.8, label)])) for k, label in enumerate([2, 1, 1, 1, 2, 0])]

    assert ids(seen) == [[1], [1], [1], [1], [1], [2]]
    assert ours.standing(round(0.5 * S)).label.tolist() == [1, 0]


def test_of_boxes_on_one_thing_one_counts() -> None:
    """Given two boxes of a class that overlap by more than half, the surer one has the id; another class is apart."""
    ours = tracker()

    assert ours.step(look(0, [(102, 300, 0.6, 0), (100, 300, 0.9, 0), (100, 300, 0.8, 1)])).id.tolist() == [0, 1, 2]


def test_a_box_that_does_not_count_hides_no_other() -> None:
    """Given three boxes in a row, each over more than half of the next, the first and the last are two people."""
    boxes = [(100.0, 300.0, 0.9, 0), (106.0, 300.0, 0.8, 0), (112.0, 300.0, 0.7, 0)]

    assert tracker().step(look(0, boxes)).id.tolist() == [1, 0, 2]


def test_ties_go_to_the_lower_id_and_the_earlier_box() -> None:
    """Given one box exactly between two people, the elder is seen; of two boxes equally far from one, the first is."""
    ours = tracker()
    ours.step(look(0, [(100, 300, 0.8, 0), (140, 300, 0.8, 0)]))
    assert ours.step(look(0.5, [(120, 300, 0.8, 0)])).id.tolist() == [1]

    ours = tracker()
    ours.step(look(0, [(120, 300, 0.8, 0)]))
    assert ours.step(look(0.5, [(100, 300, 0.8, 0), (140, 300, 0.8, 0)])).id.tolist() == [1, 2]


def test_equal_costs_pair_in_order_whatever_the_solver_prefers() -> None:
    """Given a square of costs that are all equal, the tie term alone decides: first with first, and so on."""
    n = 6
    down = np.arange(n, 0, -1.0)
    rows, columns = paired(5.0 * 2.0**27 + down[:, None] * down, solver())

    assert (rows.tolist(), columns.tolist()) == (list(range(n)), list(range(n)))


def test_a_blind_time_or_another_picture_ends_all() -> None:
    """Given more than 10 s without a look, or a stream that changed its size, nobody is carried over."""
    for seen in (look(11, [(100, 300, 0.8, 0)]), look(0.1, [(100, 300, 0.8, 0)], width=1280)):
        ours = tracker()
        ours.step(look(0, [(100, 300, 0.8, 0)]))

        came = ours.step(seen)

        assert (came.id.tolist(), came.ended.tolist()) == ([2], [1])


def test_a_look_twice_or_late_changes_nothing() -> None:
    state = State()
    ours = Tracker("gate", LABELS, state)
    ours.step(look(1, [(100, 300, 0.8, 0)]))
    before = state.snapshot()

    assert ours.step(look(1, [(100, 300, 0.8, 0)])).id.tolist() == [0]
    assert ours.step(look(0.5, [(300, 300, 0.8, 0)])).id.tolist() == [0]
    assert state.snapshot() == before


def test_there_is_a_bound() -> None:
    """Given more things than anybody sees in a picture, the first are tracked and the others counted."""
    ours = tracker()
    for k in range(3):
        boxes = [(30.0 * i, 100 + 400.0 * k, 0.9, 0) for i in range(250)]
        ours.step(look(k / 10, boxes))

    assert len(ours.standing(0).id) == MOST_TRACKS
    assert ours.refused == 250


def test_a_track_tells_where_it_should_be() -> None:
    """Given a walk of 60 px a second, half a second after the last look it is about 30 px further."""
    ours = tracker()
    for k in range(20):
        ours.step(look(k / 10, [(100 + 6 * k, 300, 0.8, 0)]))

    [box] = ours.standing(round(2.4 * S)).xyxy

    assert (box[0] + box[2]) / 2 == pytest.approx(100 + 60 * 2.4, abs=3)
    assert box[3] == pytest.approx(300, abs=3)


def test_a_changed_configuration_begins_anew() -> None:
    old, new = State(), State()
    Tracker("gate", LABELS, old, owner="a").step(look(0, [(100, 300, 0.8, 0)]))
    ours = Tracker("gate", LABELS, new, owner="b")

    new.restore(old.snapshot())

    assert len(ours.standing(0).id) == 0


# ── the filter ────────────────────────────────────────────────────────────────────────────────────────────────────────


def matrices(belief: np.ndarray, place: int) -> np.ndarray:
    a, b, c = belief[8 + place, 0], belief[10 + place, 0], belief[12 + place, 0]
    return np.array([[a, b], [b, c]])


@given(
    st.lists(st.tuples(st.floats(0.01, 2), st.floats(-50, 50), st.floats(0, 9)), min_size=1, max_size=8),
    st.sampled_from([0, 1]),
)
def test_the_elementwise_algebra_is_the_matrices(moves: list[tuple[float, float, float]], kind: int) -> None:
    """Given any measurements, means and covariances are those of the textbook's matrices."""
    z = np.array([[100.0], [200.0], [24.0], [60.0]])
    belief = kalman.begun(z)
    mean, cov = np.array([belief[2 * kind, 0], 0.0]), matrices(belief, kind)
    for dt, dx, dw in moves:
        square = kalman.squares(belief)[0]
        q = (kalman.PLACE_WANDER, kalman.SIDE_WANDER)[kind] * square
        f = np.array([[1, dt], [0, 1]])
        mean, cov = f @ mean, f @ cov @ f.T + q * np.array([[dt**3 / 3, dt**2 / 2], [dt**2 / 2, dt]])
        belief = kalman.predicted(belief, np.array([dt]))
        z = z + np.array([[dx], [0], [dw], [0]])
        r = kalman.noises(belief)[kind, 0]
        gain = cov[:, 0] / (cov[0, 0] + r)
        mean = mean + gain * (z[2 * kind, 0] - mean[0])
        cov = cov - np.outer(gain, cov[0])
        belief = kalman.updated(belief, z)

        assert belief[[2 * kind, 4 + 2 * kind], 0] == pytest.approx(mean, rel=1e-9, abs=1e-7)
        assert matrices(belief, kind) == pytest.approx(cov, rel=1e-6, abs=1e-6)


@given(st.floats(0.01, 5), st.integers(2, 20))
def test_many_small_steps_are_one_large_one(dt: float, parts: int) -> None:
    """Given a time cut into parts, the prediction is the same as over the whole: rates do not matter."""
    belief = kalman.updated(
        kalman.predicted(kalman.begun(np.array([[1.0], [2], [30], [70]])), np.array([0.3])),
        np.array([[9.0], [2], [30], [70]]),
    )
    belief[6:8] = 0  # the noise goes by the size, which the parts would follow on its way
    cut = belief
    for _ in range(parts):
        cut = kalman.predicted(cut, np.array([dt / parts]))

    assert cut == pytest.approx(kalman.predicted(belief, np.array([dt])), rel=1e-9)


@given(st.floats(1e-12, 1e12))
def test_the_logarithm_is_one(x: float) -> None:
    assert kalman.logarithm(np.array([x]))[0] == pytest.approx(np.log(x), abs=4e-6)


def test_scipy_is_loaded_only_where_a_camera_tracks() -> None:
    """Given the module alone, SciPy is not there; given a tracker, it is."""
    code = (
        "import sys, gateway.core.track as track; from gateway.core.state import State\n"
        "before = 'scipy' in sys.modules\n"
        "track.Tracker('a', ('person',), State()); print(before, 'scipy' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert said.stdout.split() == ["False", "True"]


@pytest.mark.parametrize("environment", [{"PYTHONHASHSEED": "4711"}, {"NPY_DISABLE_CPU_FEATURES": ""}])
def test_the_same_bytes_with_other_cpu_features(environment: dict[str, str]) -> None:
    """Given the same looks without the newer instructions, or in another process, ids and state are the same bytes."""
    usual = digest({})
    if "NPY_DISABLE_CPU_FEATURES" in environment:
        here = [feature for feature in DISABLED if feature in usual["features"]]
        if not here:
            pytest.skip(f"numpy dispatches to none of {', '.join(DISABLED)} on this CPU")
        environment = {"NPY_DISABLE_CPU_FEATURES": " ".join(here)}

    other = digest(environment)

    assert not environment.get("NPY_DISABLE_CPU_FEATURES") or not set(other["features"]) & set(DISABLED)
    assert other["digest"] == usual["digest"]


def digest(environment: dict[str, str]) -> dict[str, list[str]]:
    """What tests.core.track_digest prints."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.core.track_digest"],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        check=True,
        timeout=100,
    )
    return json.loads(done.stdout)


def test_the_reference_remembers_as_many_looks() -> None:
    assert LOOKS_REMEMBERED == 10.0
