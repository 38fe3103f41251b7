"""What the core asks of cameras, and what it says of the pictures that came: pure, once, and bounded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.evidence import MOST, Wanted, added
from gateway.events import Detections, Evidence, Looked, Message, Tick
from tests.core.build import T0, Came, S, Stamped, at, body_of, core_of, run, start, ticks
from tests.core.cases import CAMERA, GROUND, STREET, TRACKS
from tests.core.streams import Step, detections_of, jiggle, searching, walks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.events import RequestRow

    Way = Callable[[float], tuple[float, float]]
    """Where somebody's feet are by seconds, fractions of the picture."""

BANK = CAMERA + "  bank: {count: person, in: crossing.zebra, levels: {yellow: 1}, for: 5 s}\n"
FLOOD = (
    "sensors: {water: {mqtt: here, topic: 'water/{gauge}', json: {time: t, level: v}}}\n"
    + CAMERA
    + "  flood: {threshold: water.level, levels: {yellow: 2}, for: 3 s, picture: crossing}\n"
)


def seen(at_s: float, people: int) -> list[Stamped]:
    """A look with so many people in the zebra, and the time that it completes."""
    when = T0 + round(at_s * S)
    boxes = np.array([[10 + 20 * i, 60, 25 + 20 * i, 90] for i in range(people)], np.float32).reshape(-1, 4)
    found = Detections(
        "crossing", round(at_s * 2) + 1, when, 200, 100, boxes, np.full(people, 0.9, np.float32),
        np.zeros(people, np.int16),
    )  # fmt: skip
    return [at(Looked("crossing", when - S // 2, when, "analysed"), when), at(found, when)]


def shown(people: list[int]) -> list[Stamped]:
    """Two looks a second with so many people each, and the ticks."""
    out: list[Stamped] = []
    for number, count in enumerate(people):
        out += seen(number / 2, count)
        if number % 2:
            out.append(at(Tick(), T0 + number * S // 2))
    return out


def wanted(rows: list[RequestRow]) -> list[Wanted]:
    """The bodies of the requests for evidence."""
    return [msgspec.json.decode(row.body, type=Wanted) for row in rows if row.kind == "evidence"]


def pieces(came: Came) -> list[list[str]]:
    """The hashes that each change names."""
    bodies = [cast("dict[str, Any]", body_of(row)) for row in came.alerts]
    return [[piece["sha256"] for piece in body["evidence"]] for body in bodies]


def test_a_picture_is_asked_for_when_the_condition_begins_and_again_by_name_when_the_alert_comes() -> None:
    came = run(core_of(BANK), [*start(), *shown([0, 0, *[2] * 14])], [1])

    [begun, kept] = wanted(came.requests)
    [raised] = came.alerts
    assert (begun.alert, kept.alert) == ("", raised.id)
    assert begun.capture == kept.capture
    assert (begun.camera, begun.labels, begun.score, begun.frame > 0) == ("crossing", ("person",), 0.4, True)
    assert begun.outline == ((0, 0.5), (0.7, 0.5), (0.7, 1), (0, 1))
    assert begun.around_ns == 10 * S
    assert {row.target for row in came.requests} == {"camera/crossing"}


def test_a_condition_that_ends_in_time_asks_once_and_never_names_an_alert() -> None:
    came = run(core_of(BANK), [*start(), *shown([0, 0, 2, 2, 2, 2, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2])], [1])

    assert [one.alert for one in wanted(came.requests)] == ["", ""]
    assert len({one.capture for one in wanted(came.requests)}) == 2
    assert came.alerts == []


def test_a_gauge_takes_the_picture_of_the_camera_it_names_and_of_nobody() -> None:
    water = [Message("here", "water/g1", b'{"v": 3}'), Message("here", "water/g1", b'{"v": 3.5}')]
    steps = [*start(), at(water[0], T0 + S), *ticks(T0 + S, T0 + 6 * S)]
    came = run(core_of(FLOOD), steps, [1])

    [begun, kept] = wanted(came.requests)
    assert (begun.camera, begun.labels, kept.alert) == ("crossing", (), came.alerts[0].id)


def test_neither_off_nor_a_rule_that_is_off_asks_for_anything() -> None:
    for off in ("picture: off", "mode: off"):
        text = BANK.replace("for: 5 s", f"for: 5 s, {off}")
        assert wanted(run(core_of(text), [*start(), *shown([0, 0, *[2] * 14])], [1]).requests) == []


def test_a_hash_is_said_at_once_a_second_one_ten_seconds_later_and_both_stay() -> None:
    core = core_of(BANK)
    steps = [*start(), *shown([0, 0, *[2] * 14])]
    [raised] = run(core, steps, [1]).alerts
    now = T0 + 8 * S
    first = Evidence(raised.id, "image/jpeg", "aa", "", now)
    clip = Evidence(raised.id, "video/mp4", "bb", "")
    after = [at(first, now), at(first, now), at(clip, now + S), *ticks(now + S, now + 20 * S)]

    soon = run(core, after[:11], [1], n0=1 + len(steps))  # up to 10 s behind the first
    came = run(core, after[11:], [1], n0=12 + len(steps))

    assert [row.change for row in [*soon.alerts, *came.alerts]] == ["updated", "updated"]
    assert pieces(soon) == [["aa"]]
    assert pieces(came) == [["aa", "bb"]]
    body = cast("dict[str, Any]", body_of(came.alerts[0]))
    assert [(one["n"], one["seq"], one["kind"]) for one in body["evidence"]] == [
        (1, raised.seq + 1, "image/jpeg"),
        (2, raised.seq + 2, "video/mp4"),
    ]
    assert body["evidence"][0]["topic"] == f"zhiwang/v1/_/lg-017-02/evidence/{raised.id}/1"


def test_evidence_of_an_alert_that_nobody_knows_is_nothing() -> None:
    core = core_of(BANK)
    steps = [*start(), at(Evidence("bank-ffff", "image/jpeg", "aa", ""), T0 + S)]
    assert run(core, steps, [1]).alerts == []


@searching(40)
@given(counts=st.lists(st.integers(0, 2), min_size=8, max_size=40), sizes=jiggle(), data=st.data())
def test_however_it_is_cut_or_killed_the_same_is_asked_and_said(
    counts: list[int], sizes: list[int], data: st.DataObject
) -> None:
    """Looks, ticks and evidence of the alert that the first run came to, in any cut, and from any restored state."""
    steps = [*start(), *shown(counts)]
    ids = [row.id for row in run(core_of(BANK), steps, [1]).alerts] or ["none"]
    place = data.draw(st.integers(len(steps) // 2, len(steps)))
    when = steps[place - 1].admitted_ns
    steps[place:place] = [at(Evidence(ids[0], "image/jpeg", name, "", when), when) for name in ("aa", "bb")]
    single, core = core_of(BANK), core_of(BANK)
    one, cut = run(single, steps, [1]), run(core, steps, sizes)

    assert (cut.requests, cut.alerts, cut.series) == (one.requests, one.alerts, one.series)
    assert core.snapshot() == single.snapshot()
    before, after = core_of(BANK), core_of(BANK)
    first = run(before, steps[:place], [1])
    after.restore(before.snapshot(), [])
    second = run(after, steps[place:], [1], n0=1 + place)
    assert [*first.requests, *second.requests] == one.requests
    assert [*first.alerts, *second.alerts] == one.alerts


def test_an_alert_keeps_its_first_piece_and_the_latest() -> None:
    had = added((), "image/jpeg", "0", 0)
    for name in range(1, 3 * MOST):
        had = added(had or (), "image/jpeg", str(name), 0)
    assert had is not None
    assert [piece.sha256 for piece in had] == ["0", *(str(name) for name in range(2 * MOST + 1, 3 * MOST))]
    assert [piece.n for piece in had][-1] == 3 * MOST


# ── who it is of, where the rule judges tracks ───────────────────────────────────────────────────────────────────────

PERSON, CAR = 0, 1


def stands(x: float, y: float) -> Way:
    """Where somebody is who stays there."""
    return lambda _t: (x, y)


def goes(x: float, y: float, across: float, down: float) -> Way:
    """Where somebody is who begins there and goes so far a second."""
    return lambda t: (x + across * t, y + down * t)


TOLD = ("behind", "before", "seldom")


def scene(who: Sequence[tuple[int, Way]], seconds: float, told: str = "behind", fps: int = 5) -> list[Stamped]:
    """A look five times a second at these, in this order, with the time it completes: behind it, as a camera does."""
    out, before = list[Stamped](), T0
    for number in range(1, round(seconds * fps) + 1):
        when = T0 + number * S // fps
        found = [(*way(number / fps), 0.9, label) for label, way in who]
        pair = [at(detections_of("crossing", number, when, found), when)]
        if told != "seldom" or number % fps == 0:
            pair.insert(int(told != "before"), at(Looked("crossing", before, when, "analysed"), when))
            before = when
        out += pair + ([at(Tick(), when)] if number % fps == 0 else [])
    return out


def boxes_at(steps: Sequence[Stamped], frame: int) -> list[tuple[float, ...]]:
    """The boxes of a look, fractions of the picture."""
    [look] = [one.item for one in steps if isinstance(one.item, Detections) and one.item.frame == frame]
    size = np.array([look.width_px, look.height_px] * 2, np.float64)
    return [tuple(round(side, 5) for side in box) for box in np.clip(look.xyxy / size, 0, 1).tolist()]


BEHIND, PASSING = (PERSON, stands(0.62, 0.95)), (PERSON, goes(0.05, 0.6, 0.02, 0))
ABOUT: dict[str, tuple[str, list[tuple[int, Way]], tuple[int, ...]]] = {
    # the rule, who is there, and which of them it is about
    "dwell": (
        STREET + "  who: {dwell: person, in: crossing.zebra, levels: {yellow: 4 s}}\n",
        [(PERSON, stands(0.3, 0.8)), (PERSON, goes(1.0, 0.7, -0.1, 0))],
        (0,),
    ),
    "speed": (
        GROUND + "  who: {speed: person, in: crossing, levels: {yellow: 5 km/h}}\n",
        [BEHIND, (PERSON, goes(0.2, 0.9, 0.25, 0))],
        (1,),
    ),
    "slow": (
        GROUND + "  who: {speed: person, in: crossing, below: {yellow: 3 km/h}}\n",
        [BEHIND, (CAR, goes(0.2, 0.9, 0.2, 0))],
        (0,),
    ),
    "wrong_way": (
        STREET + "  who: {wrong_way: person, in: crossing, towards: crossing.kerb, levels: {yellow: 1, red: 2}}\n",
        [BEHIND, (PERSON, goes(0.2, 0.9, 0, -0.1)), (PERSON, goes(0.8, 0.5, 0, 0.1))],
        (2,),
    ),
    "wrong_way, two of three": (
        STREET + "  who: {wrong_way: person, in: crossing, towards: crossing.kerb, levels: {red: 2}}\n",
        [(PERSON, goes(0.2, 0.5, 0, 0.1)), BEHIND, (PERSON, goes(0.8, 0.5, 0, 0.1))],
        (0, 2),
    ),
    "stopped": (
        STREET + "  who: {stopped: person, in: crossing.zebra, for: 3 s}\n",
        [PASSING, (PERSON, stands(0.3, 0.9))],
        (1,),
    ),
    "abandoned": (
        STREET + "  who: {abandoned: car, in: crossing, away: 1 heights, for: 3 s}\n",
        [BEHIND, (CAR, stands(0.2, 0.6)), (PERSON, stands(0.9, 0.5))],
        (1,),
    ),
    "near_miss": (
        GROUND.replace("4, 6]", "40, 6]").replace("8, 30]", "60, 12]")
        + "  who: {near_miss: [person, car], in: crossing, levels: {yellow: 20 s}}\n",
        [(PERSON, stands(0.96, 0.95)), (PERSON, goes(0.1, 0.8, 0.06, 0)), (CAR, goes(0.9, 0.8, -0.06, 0))],
        (1, 2),
    ),
}


@pytest.mark.parametrize("told", TOLD)
@pytest.mark.parametrize("name", sorted(ABOUT))
def test_a_rule_that_judges_tracks_names_those_that_it_is_about_and_not_who_is_beside_them(
    name: str, told: str
) -> None:
    text, who, meant = ABOUT[name]
    steps = [*start(), *scene(who, 7, told)]

    came = run(core_of(text), steps, [1])

    raised = [one for one in wanted(came.requests) if one.alert]
    assert raised
    for one in wanted(came.requests):
        there = boxes_at(steps, one.frame)
        assert [there.index(box) for box in one.boxes] == list(meant), one


@pytest.mark.parametrize("told", TOLD)
@pytest.mark.parametrize("name", sorted(ABOUT))
def test_whom_it_is_about_outlives_a_restart_right_before_it_is_asked(name: str, told: str) -> None:
    text, who, _ = ABOUT[name]
    steps = [*start(), *scene(who, 7, told)]
    core = core_of(text)
    asked: dict[int, tuple[bytes, list[RequestRow]]] = {}
    for place, step in enumerate(steps):
        before = core.snapshot()
        if requests := run(core, [step], [1], n0=1 + place).requests:
            asked[place] = before, requests

    assert asked
    for place, (before, requests) in asked.items():
        restored = core_of(text)
        restored.restore(before, [])
        assert run(restored, [steps[place]], [1], n0=1 + place).requests == requests


def test_whom_a_rule_was_about_is_not_named_once_nobody_kept_their_picture() -> None:
    text = STREET + "  who: {dwell: person, in: crossing.zebra, levels: {yellow: 2 s}, for: 4 s, hold: 30 s}\n"
    away = [at(detections_of("crossing", 100 + n, T0 + (3 + n) * S, []), T0 + (3 + n) * S) for n in range(6)]
    told = [at(Looked("crossing", T0 + (2 + n) * S, T0 + (3 + n) * S, "analysed"), T0 + (3 + n) * S) for n in range(6)]
    steps = [
        *start(),
        *scene([(PERSON, stands(0.3, 0.8))], 2.6),
        *(one for two in zip(away, told, strict=True) for one in two),
    ]

    [begun, kept] = wanted(run(core_of(text), steps, [1]).requests)

    assert len(begun.boxes) == 1
    assert (kept.boxes, kept.frame, kept.capture) == ((), 0, begun.capture)


def test_a_rule_that_counts_a_zone_names_nobody_for_it_is_about_all_who_are_there() -> None:
    text = STREET + "  who: {crowd: person, in: crossing.zebra, levels: {yellow: 2}}\n"
    steps = [*start(), *scene([(PERSON, stands(0.3, 0.8)), (PERSON, stands(0.5, 0.9))], 4)]

    [kept] = wanted(run(core_of(text), steps, [1]).requests)

    assert (kept.boxes, kept.labels, len(kept.outline)) == ((), ("person",), 4)


@pytest.mark.parametrize("name", sorted(TRACKS))
@searching(6)
@given(steps=walks(longest=60), sizes=jiggle(), data=st.data())
def test_whoever_is_named_has_that_box_in_that_look_in_any_cut_and_from_any_restored_state(
    name: str, steps: list[Step], sizes: list[int], data: st.DataObject
) -> None:
    given_ = [step.stamped for step in steps]
    single, core = core_of(TRACKS[name]), core_of(TRACKS[name])
    one = run(single, given_, [1])

    assert run(core, given_, sizes).requests == one.requests
    assert core.snapshot() == single.snapshot()
    looks = {step.item.event_ns: step.item for step in given_ if isinstance(step.item, Detections)}
    for asked in wanted(one.requests):
        if asked.boxes:
            there = boxes_at([at(looks[asked.event_ns], T0)], asked.frame)
            assert set(asked.boxes) <= set(there)
    place = data.draw(st.integers(2, len(given_)))
    before, after = core_of(TRACKS[name]), core_of(TRACKS[name])
    first = run(before, given_[:place], [1])
    after.restore(before.snapshot(), [])
    assert [*first.requests, *run(after, given_[place:], [1], n0=1 + place).requests] == one.requests
