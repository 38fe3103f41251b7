"""What moves and what stands, by name: each is a sentence of the issue."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from gateway.events import Detections, Looked, Tick
from tests.core.build import T0, Came, S, Stamped, at, body_of, core_of, run, start
from tests.core.streams import Step, expected, jiggle, searching
from tests.core.streams import came as lines_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gateway.events import Input

MS = 10**6
PERSON, CAR = 0, 1
CAMERA = """
cameras:
  street:
    detect: rtsp://127.0.0.1/1
    zones: {lane: [[0, 0.2], [1, 0.2], [1, 0.99], [0, 0.99]], far: [[0, 0.2], [1, 0.2], [1, 0.3], [0, 0.3]]}
    lines: {flow: [[0.5, 0.95], [0.5, 0.2]]}
"""
GROUND = "    ground: {metres: [[[0, 0], [-32, 48]], [[1, 0], [32, 48]], [[1, 1], [32, 0]], [[0, 1], [-32, 0]]]}\n"
"""A camera that looks straight down: ten pixels are a metre."""
Box = tuple[float, float, int]
"""x and y of its feet, px; label."""


def look(at_ns: int, boxes: Iterable[Box]) -> Detections:
    """640 × 480, boxes of 30 × 40."""
    given = list(boxes)
    xyxy = np.array([(x - 15, y - 40, x + 15, y) for x, y, _ in given], np.float32).reshape(-1, 4)
    label = np.array([label for _, _, label in given], np.int16)
    return Detections("street", at_ns // MS, at_ns, 640, 480, xyxy, np.full(len(given), 0.9, np.float32), label)


def watch(
    rules: str,
    boxes: Callable[[float], list[Box]],
    seconds: float,
    *,
    rate: float = 5,
    ground: str = GROUND,
    more: str = "",
) -> Came:
    """What comes of a street in which these boxes are seen at each time, s."""
    steps, before = list[Stamped](), T0
    for frame in range(round(seconds * rate)):
        now = T0 + round(frame * S / rate)
        steps += [at(look(now, boxes((now - T0) / S)), now), at(Looked("street", before, now, "analysed"), now)]
        if frame % round(rate) == 0:
            steps.append(at(Tick(), now))
        before = now
    return run(core_of(CAMERA + ground + f"rules:\n  r: {{{rules}}}\n{more}"), [*start(), *steps], [1, 4, 9])


@pytest.mark.parametrize("rate", [10, 5, 2])
def test_a_car_too_fast_is_told_with_its_speed(rate: float) -> None:
    """30 px a second are 3 m/s, 10.8 km/h."""
    came = watch("speed: car, in: street.lane, levels: {yellow: 8 km/h, red: 15 km/h}", _drives(30), 10, rate=rate)

    assert came.of("r")[0] == ("raised", "moderate")
    body = body_of(came.alerts[0])
    assert (body["subject"], body["unit"]) == ("street.lane", "km/h")
    assert body["value"] == pytest.approx(10.8, abs=0.2)


def test_one_that_keeps_to_the_limit_is_not() -> None:
    assert watch("speed: car, in: street.lane, levels: {yellow: 12 km/h}", _drives(30), 10).alerts == []


def test_a_queue_is_all_that_are_there_going_slowly() -> None:
    """Given cars that creep, then one that drives off, the queue is over; nobody there is no queue."""

    def boxes(t: float) -> list[Box]:
        creeping = [(300 + 2 * t, 300.0, CAR), (200 + 2 * t, 300.0, CAR)]
        return creeping if 5 < t < 25 else [(300 + 2 * t + 60 * max(t - 25, 0), 300.0, CAR)] if 25 <= t < 29 else []

    came = watch("speed: car, in: street.lane, below: {yellow: 5 km/h}, for: 5 s, hold: 2 s", boxes, 40)

    assert [
        (change, (row.changed_ns - T0) // S) for (change, _), row in zip(came.of("r"), came.alerts, strict=True)
    ] == [
        ("raised", pytest.approx(11, abs=1)),
        ("cleared", pytest.approx(29, abs=2)),
    ]
    assert "低于" in str(body_of(came.alerts[0])["text"])


@pytest.mark.parametrize("ground", [GROUND, ""])
def test_who_goes_against_the_line_is_told_and_who_goes_along_it_is_not(ground: str) -> None:
    rule = "wrong_way: car, in: street.lane, towards: street.flow"

    against = watch(rule, lambda t: [(300, 150 + 30 * t, CAR)], 8, ground=ground)
    along = watch(rule, lambda t: [(300, 450 - 30 * t, CAR)], 8, ground=ground)
    across = watch(rule, lambda t: [(100 + 30 * t, 300, CAR)], 8, ground=ground)

    assert against.of("r")[0] == ("raised", "moderate")
    assert (along.alerts, across.alerts) == ([], [])


@pytest.mark.parametrize(
    ("bearing", "wrong"),
    [("0 deg", "down"), ("180 deg", "up"), ("90 deg", "left"), ("270 deg", "right"), ("30 deg", "down")],
)
def test_the_way_that_is_allowed_may_be_told_by_the_compass(bearing: str, wrong: str) -> None:
    """Given a camera that has north at its upper edge: who goes against the bearing is told, nobody else."""
    ways = {"up": (0, -30), "down": (0, 30), "left": (-30, 0), "right": (30, 0)}
    rule = f"wrong_way: car, in: street.lane, towards: {bearing}"

    said = {
        name: watch(rule, lambda t, x=x, y=y: [(300 + x * (t - 4), 280 + y * (t - 4), CAR)], 8).of("r")
        for name, (x, y) in ways.items()
    }

    assert {name for name, rows in said.items() if rows[:1] == [("raised", "moderate")]} == {wrong}


def test_each_label_has_hours_of_its_own_where_it_has_a_rule_of_its_own() -> None:
    """Given a person and a car who come at 04:27:10 and stay; people may be there until 04:28, cars from then on."""
    came = watch(
        'crowd: person, in: street.lane, levels: {yellow: 1}, hold: 1 s, active: "04:28-05:00"',
        lambda t: [(200, 300, PERSON), (400, 300, CAR)] if t >= 10 else [],
        75,
        more='  cars: {crowd: car, in: street.lane, levels: {red: 1}, hold: 1 s, active: "04:00-04:28"}\n',
    )

    assert [(row.rule, row.change, (row.changed_ns - T0) // S) for row in came.alerts] == [
        ("cars", "raised", 10),
        ("r", "raised", 60),
        ("cars", "cleared", 61),
    ]


def test_north_is_where_the_pairs_have_it_and_not_up_in_the_picture() -> None:
    """Given a picture whose upper edge is east, in degrees: who drives up it drives east."""
    east = "    ground: {wgs84: [[[0, 0], [116.391, 39.907]], [[1, 0], [116.391, 39.9067]],"
    east += " [[1, 1], [116.3905, 39.9067]], [[0, 1], [116.3905, 39.907]]]}\n"

    def drives(t: float) -> list[Box]:
        return [(300, 400 - 30 * t, CAR)]

    along = watch("wrong_way: car, in: street.lane, towards: 90 deg", drives, 8, ground=east)
    against = watch("wrong_way: car, in: street.lane, towards: 270 deg", drives, 8, ground=east)

    assert along.alerts == []
    assert against.of("r")[0] == ("raised", "moderate")


def test_a_crowd_is_as_dense_as_the_ground_of_its_zone_is_wide() -> None:
    """Given six people who stand in a zone of 64 m × 4.8 m, and four more who come: 0.02 and 0.033 a square metre."""

    def boxes(t: float) -> list[Box]:
        return [(40 + 55 * i, 120, PERSON) for i in range(6 if t < 10 else 10)] + [(300, 400, PERSON), (500, 120, CAR)]

    rule = "crowd: person, in: street.far, levels: {yellow: 0.019/m2, orange: 0.032/m2}, for: 2 s"
    came = watch(rule, boxes, 20)

    assert came.of("r") == [("raised", "moderate"), ("raised_level", "severe")]
    body = body_of(came.alerts[1])
    assert body["value"] == pytest.approx(10 / (64 * 4.8), abs=1e-6)
    assert (body["unit"], body["detail"], body["limit"]) == ("/m2", "307 m2", 0.032)

    (late,) = watch(rule.replace("0.019", "0.0196").replace("0.032", "0.0326"), boxes, 20).alerts
    assert (late.change, (late.changed_ns - T0) // S) == ("raised", 12)  # six are a little fewer, ten too


@pytest.mark.parametrize("ground", [GROUND, ""])
def test_a_parked_car_is_one_alert_however_long_it_stays(ground: str) -> None:
    """Given a car that stops, sways by measurement, is hidden by a bus for 40 s and found again as another track."""
    dice = np.random.default_rng(5)

    def boxes(t: float) -> list[Box]:
        x = min(100 + 40 * t, 300.0) + dice.normal(0, 0.8)
        hidden = 100 < t < 140
        passing = [(300 + 20 * (t - 120), 312.0, CAR)] if 110 < t < 130 else []
        bus = [(302.0, 303.0, PERSON)] if hidden else []  # something else stands before it
        return [*bus, *passing] if hidden else [(x, 300 + dice.normal(0, 0.8), CAR)] if t < 400 else []

    came = watch("stopped: car, in: street.lane, levels: {yellow: 60 s, red: 5 min}", boxes, 430, ground=ground)

    mine = [row for row in came.alerts if row.id == came.alerts[0].id]
    assert [row.change for row in mine] == ["raised", "raised_level", "cleared"]
    assert len(came.alerts) == 3
    assert (mine[0].changed_ns - T0) / S == pytest.approx(66, abs=2.5)
    assert (mine[2].changed_ns - T0) / S == pytest.approx(410, abs=3)  # its place was seen empty for 10 s
    assert body_of(mine[0])["subject"].startswith("street.lane{case=")  # type: ignore[attr-defined]  a text


def test_one_that_drives_off_ends_it_at_once_and_blind_time_does_not() -> None:
    def boxes(t: float) -> list[Box]:
        return [(300 + 60 * max(t - 60, 0), 300, CAR)]

    came = watch("stopped: car, in: street.lane, for: 20 s", boxes, 64)

    assert came.of("r") == [("raised", "moderate"), ("cleared", "moderate")]
    assert (came.alerts[1].changed_ns - T0) / S == pytest.approx(61, abs=1.5)


def test_a_bag_is_abandoned_once_its_owner_has_gone_and_stays_so_until_it_is_taken() -> None:
    def boxes(t: float) -> list[Box]:
        owner = [(320.0 + 30 * max(t - 20, 0), 300, PERSON)] if t < 28 else []
        passer = [(20.0 + 20 * (t - 70), 310, PERSON)] if 70 < t < 90 else []
        return [(300, 300, CAR), *owner, *passer] if t < 110 else []

    came = watch("abandoned: car, in: street.lane, away: 5 m, for: 30 s, hold: 5 s", boxes, 125)

    assert came.of("r") == [("raised", "moderate"), ("cleared", "moderate")]
    raised, cleared = ((row.changed_ns - T0) / S for row in came.alerts)
    assert raised == pytest.approx(51, abs=2)  # 5 m away at 21 s, and 30 s more
    assert cleared == pytest.approx(115, abs=2)


def test_a_near_miss_is_one_alert_with_the_least_time_there_was() -> None:
    """A car at 6 m/s and a person in its way, who steps aside a second before."""

    def boxes(t: float) -> list[Box]:
        return [(40 + 60 * t, 300, CAR), (400, 300 + (80 * max(t - 4.2, 0)), PERSON)]

    came = watch(
        "near_miss: [person, car], in: street.lane, levels: {yellow: 3 s, orange: 1.5 s}, hold: 3 s", boxes, 12
    )

    assert [change for change, _ in came.of("r")] == ["raised", "raised_level", "cleared"]
    body = body_of(came.alerts[-1])
    assert 0 < body["value"] <= 1.5  # type: ignore[operator]  a number
    assert str(body["detail"]).startswith("± ")


def test_two_who_pass_each_other_at_a_distance_are_none() -> None:
    def boxes(t: float) -> list[Box]:
        return [(40 + 60 * t, 300, CAR), (600 - 15 * t, 200, PERSON)]

    rule = "near_miss: [person, car], in: street.lane, levels: {yellow: 3 s}"
    assert watch(rule, boxes, 9).alerts == []


def test_each_minute_says_how_fast_and_how_many_stood() -> None:
    """One car after another at 10.8 km/h, and one that stands."""

    def boxes(t: float) -> list[Box]:
        return [((30 * t) % 620, 200, CAR), (500, 400, CAR)]

    came = watch("stopped: car, in: street.lane, for: 600 s", boxes, 130)

    points = [line for line in came.series.decode().splitlines() if line.startswith("zhiwang_flow") and "lane" in line]
    assert len(points) == 2
    tags, fields, _ = points[1].split(" ")
    assert tags == "zhiwang_flow,camera=street,label=car,zone=lane"
    found = dict(field.split("=") for field in fields.split(","))
    assert float(found["speed_p85"]) == pytest.approx(10.8, abs=0.3)
    assert float(found["speed"]) < 10.8
    assert int(found["measured"].rstrip("i")) >= 4
    assert float(found["queue"]) == pytest.approx(1.0, abs=0.1)
    assert float(found["coverage"]) == pytest.approx(1.0, abs=0.02)
    assert 0 < float(found["uncertainty"]) < 0.2


def _drives(px_s: float) -> Callable[[float], list[Box]]:
    return lambda t: [(40 + px_s * t, 300, CAR)]


NEAR = "near_miss: [person, car], in: street, levels: {yellow: 4 s, orange: 1.5 s}, hold: 2 s"


@searching(15)
@given(seed=st.integers(0, 2**31), sizes=jiggle())
def test_encounters_are_those_of_the_reference(seed: int, sizes: list[int]) -> None:
    """Given a car and two people whose ways cross at about one time, seen unsteadily; the camera is blind at times."""
    dice, text = random.Random(seed), CAMERA + GROUND + f"rules:\n  r: {{{NEAR}}}\n"
    ways = [
        (dice.uniform(-60, 60), dice.uniform(-60, 60), dice.uniform(-1, 1), label) for label in (CAR, PERSON, PERSON)
    ]
    steps = [Step(first.item, first) for first in start(up=False)]
    now = before = T0
    while now < T0 + 10 * S:
        passed = dice.choice((100, 200, 200, 500)) * MS
        blind = dice.random() < 0.03
        now += 2 * S if blind else passed
        t = (now - T0) / S - 5
        boxes = [
            (320 + vx * (t + off) + dice.gauss(0, 0.7), 260 + vy * (t + off) + dice.gauss(0, 0.7), label)
            for vx, vy, off, label in ways
        ]
        given_ = [] if blind else [look(now, boxes)]
        told: list[Input] = [*given_, Looked("street", before, now, "blind" if blind else "analysed")]
        steps += [Step(item, at(item, now)) for item in told]
        before = now

    rows = run(core_of(text), [step.stamped for step in steps], sizes).alerts

    assert lines_of(rows) == expected(text, steps)
    event(f"{len(rows)} changes")
