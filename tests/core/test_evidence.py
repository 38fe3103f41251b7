"""What the core asks of cameras, and what it says of the pictures that came: pure, once, and bounded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import msgspec
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.evidence import MOST, Wanted, added
from gateway.events import Detections, Evidence, Looked, Message, Tick
from tests.core.build import T0, Came, S, Stamped, at, body_of, core_of, run, start, ticks
from tests.core.cases import CAMERA
from tests.core.streams import jiggle, searching

if TYPE_CHECKING:
    from gateway.events import RequestRow

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
