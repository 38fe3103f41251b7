"""What `check` says of a camera's ground, and of rules that need one."""

from __future__ import annotations

import pytest

from gateway.config.ground import areas, heading
from gateway.config.model import Camera, Ground
from tests.config.test_cannot_work import told

GOOD = "{metres: [[[0.1, 0.95], [-4, 6]], [[0.9, 0.95], [4, 6]], [[0.7, 0.35], [8, 30]], [[0.3, 0.35], [-8, 30]]]}"


def text(ground: str, rule: str = "", zone: str = "[[0, 0.5], [1, 0.5], [1, 1], [0, 1]]") -> str:
    given = f"    ground: {ground}\n" if ground else ""
    rules = f"rules:\n  r: {{{rule}}}\n" if rule else ""
    zones = f"    zones: {{lane: {zone}}}\n    lines: {{flow: [[0.5, 1], [0.5, 0.6]]}}\n"
    return f"gateway: a\ncameras:\n  street:\n    detect: rtsp://h/1\n{zones}{given}{rules}"


def pairs(*given: str) -> str:
    return "{metres: [" + ", ".join(given) + "]}"


A, B, C, D = "[[0.1, 0.95], [-4, 6]]", "[[0.9, 0.95], [4, 6]]", "[[0.7, 0.35], [8, 30]]", "[[0.3, 0.35], [-8, 30]]"
EAST = (
    "{wgs84: [[[0.1, 0.95], [116.3912, 39.9071]], [[0.9, 0.95], [116.3913, 39.9071]],"
    " [[0.7, 0.35], [116.3913, 39.9074]], [[0.3, 0.35], [116.3912, 39.9074]]]}"
)
WGS = "{wgs84: [[[0.1, 0.95], [39.9, 116.3]], [[0.9, 0.95], [1, 2]], [[0.7, 0.35], [3, 4]], [[0.3, 0.35], [5, 6]]]}"


@pytest.mark.parametrize(
    ("ground", "words"),
    [
        (pairs(A, B, C), "found 3 pairs; four or more"),
        (pairs(A, B, C, "[[300, 200], [-8, 30]]"), "pair 4: found [300, 200]; the first point is fractions"),
        (pairs(A, B, C, "[[0.7, 0.35], [-8, 30]]"), "pairs 3 and 4 are the same point in the picture"),
        (pairs(A, B, C, "[[0.3, 0.35], [8, 30]]"), "pairs 3 and 4 are the same point on the ground"),
        (pairs(A, B, "[[0.5, 0.95], [0, 6]]", D), "pairs 1, 2 and 3 lie on one line in the picture"),
        (pairs(A, B, C, "[[0.3, 0.35], [0, 6]]"), "pairs 1, 2 and 4 lie on one line on the ground"),
        (pairs("[[0.1, 0.95], [4, 6]]", "[[0.9, 0.95], [-4, 6]]", C, D), "a point is with another's pair"),
        (
            pairs(*(one.replace("[-", "[+").replace(", [", ", [-").replace("[-+", "[") for one in (A, B, C, D))),
            "mirrored",
        ),
        (pairs(*(one[:-2] + "0000]]" for one in (A, B, C, D))), "km apart on the ground; one camera's are 1 m to 5 km"),
        (WGS, "lon and lat are swapped: write [116.3, 39.9]"),
        ("{}", "exactly one key: wgs84, gcj02, bd09, cgcs2000, metres"),
    ],
)
def test_a_ground_that_cannot_be_is_refused_with_the_reason(ground: str, words: str) -> None:
    problems = told(text(ground))
    assert len(problems) == 1
    assert words in problems[0]


def test_a_good_one_is_taken() -> None:
    assert told(text(GOOD, "speed: car, in: street.lane, levels: {yellow: 60 km/h}")) == []


@pytest.mark.parametrize(
    "rule",
    [
        "speed: car, in: street.lane, levels: {yellow: 60 km/h}",
        "near_miss: [person, car], in: street.lane, levels: {orange: 1.5 s}",
        "abandoned: suitcase, in: street.lane, away: 3 m, for: 60 s",
        "crowd: person, in: street.lane, levels: {yellow: 0.5/m2, red: 1/m2}",
    ],
)
def test_what_needs_metres_says_what_to_add(rule: str) -> None:
    (problem,) = told(text("", rule))
    assert "give cameras.street.ground four pairs" in problem

    (high,) = told(text(GOOD, rule, "[[0, 0.01], [1, 0.01], [1, 1], [0, 1]]"))
    assert "reaches to the horizon" in high


def test_a_bearing_needs_to_know_where_north_is() -> None:
    rule = "wrong_way: car, in: street.lane, towards: 270 deg"
    assert told(text(GOOD, rule)) == told(text(EAST, rule)) == []

    (problem,) = told(text("", rule))
    assert "found 270 deg, but nothing says where north is in the picture of street" in problem
    assert "give cameras.street.ground four pairs, or draw a line the way that is allowed" in problem

    (high,) = told(text(GOOD, rule, "[[0, 0.01], [1, 0.01], [1, 1], [0, 1]]"))
    assert "reaches to the horizon" in high


@pytest.mark.parametrize(
    "rule",
    [
        "crowd: person, in: street.lane, levels: {yellow: 0.5/m2}",
        "crowd: person, in: street.lane, levels: {yellow: .5 /m2, orange: 1.25/m2}, hold: 10 s, for: 20 s",
        "crowd: person, in: street.lane, levels: {yellow: 10}",
        "crowd: person, in: street, levels: {yellow: 10}",
    ],
)
def test_a_crowd_is_so_many_or_so_many_on_a_square_metre(rule: str) -> None:
    assert told(text(GOOD, rule)) == []


def test_a_zone_has_its_area_on_the_ground() -> None:
    """Given a camera that sees a metre in a tenth of its picture, from straight above, and one that looks along."""
    above = Ground(metres=(((0, 0), (0, 10)), ((1, 0), (10, 10)), ((1, 1), (10, 0)), ((0, 1), (0, 0))))
    zones: dict[str, tuple[tuple[float, float], ...]] = {
        "all": ((0, 0), (1, 0), (1, 1), (0, 1)),
        "hook": ((0.1, 0.1), (0.5, 0.1), (0.5, 0.3), (0.3, 0.3), (0.3, 0.5), (0.1, 0.5)),
    }
    found = areas(Camera(detect="a.mp4", ground=above, zones=zones))
    assert found == {"all": pytest.approx(100), "hook": pytest.approx(12)}

    along = Ground(
        metres=(((0.1, 0.95), (-4, 6)), ((0.9, 0.95), (4, 6)), ((0.7, 0.35), (8, 30)), ((0.3, 0.35), (-8, 30)))
    )
    zones = {"pairs": ((0.1, 0.95), (0.9, 0.95), (0.7, 0.35), (0.3, 0.35)), "sky": ((0, 0), (1, 0), (0.5, 0.9))}
    found = areas(Camera(detect="a.mp4", ground=along, zones=zones))
    assert found == {"pairs": pytest.approx((8 + 16) / 2 * 24)}  # a trapeze; what reaches the sky has none
    assert areas(Camera(detect="a.mp4", zones=zones)) == {}


@pytest.mark.parametrize(
    ("degrees", "way"), [(0, (0, 1)), (90, (1, 0)), (180, (0, -1)), (270, (-1, 0)), (45, (0.5**0.5, 0.5**0.5))]
)
def test_a_bearing_turns_clockwise_from_north(degrees: float, way: tuple[float, float]) -> None:
    assert heading(degrees) == pytest.approx(way, abs=1e-9)


@pytest.mark.parametrize(
    "rule",
    [
        "wrong_way: car, in: street.lane, towards: street.flow",
        "stopped: car, in: street.lane, for: 60 s",
        "abandoned: [suitcase, backpack, handbag], in: street.lane, away: 1.5 heights, for: 60 s",
    ],
)
def test_what_goes_without_a_ground_goes_without(rule: str) -> None:
    assert told(text("", rule)) == []


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("speed: car, in: street.lane", "one of the two"),
        ("speed: car, in: street.lane, levels: {yellow: 60}", "a speed is a number"),
        ("speed: car, in: street.lane, levels: {yellow: 60 km/h, red: 50 km/h}", "it must be above"),
        ("speed: car, in: street.lane, below: {yellow: 5 km/h, red: 10 km/h}", "it must be below"),
        ("speed: carr, in: street.lane, levels: {yellow: 60 km/h}", "does not know carr; did you mean car?"),
        ("wrong_way: car, in: street.lane, towards: street.flo", "has no zone flo"),
        ("wrong_way: car, in: street.lane, towards: street.lane", "is the zone itself"),
        ("wrong_way: car, in: street.lane, towards: 400 deg", "found '400 deg'; a bearing is 0 to 360 deg, clockwise"),
        ("wrong_way: car, in: street.lane, towards: -90 deg", "found '-90 deg'; a bearing is 0 to 360 deg, clockwise"),
        ("wrong_way: car, in: street.lane, towards: 270°", "found '270°'; a bearing is 0 to 360 deg, clockwise"),
        ("wrong_way: car, in: street.lane, towards: 270", "found the number 270; allowed: such as 270 deg or a text"),
        ("crowd: person, in: street, levels: {yellow: 2/m2}", "is asked of a zone, such as street.lane"),
        ("crowd: person, in: street.lan, levels: {yellow: 2/m2}", "did you mean lane?"),
        ("crowd: persn, in: street.lane, levels: {yellow: 1/m2}", "did you mean person?"),
        ("crowd: person, in: street.lane, levels: {yellow: 10, red: 1/m2}", "found {yellow: 10, red: 1/m2}; write all"),
        ("crowd: person, in: street.lane, levels: {yellow: 1/m2, red: 0.5/m2}", "it must be above yellow's 1"),
        ("crowd: person, in: street.lane, levels: {yellow: 2 /ha}", "allowed: a whole number or such as 2/m2"),
        ("crowd: person, in: street.lane, levels: {yellow: 0.5}", "allowed: a whole number or such as 2/m2"),
        ("crowd: person, in: street.lane, levels: {yellow: 0/m2}", "found 0; at least 0.0001"),
        ("crowd: person, in: street.lane, levels: {yellow: 0.002/m2}", "on the 174 m2 of street.lane a single one is"),
        ("crowd: person, in: street.lane, levels: {yellow: 4/m2}", "these are 694, and a look finds 300 at most"),
        ("stopped: car, in: street.lan", "did you mean lane?"),
        ("near_miss: [person, car], in: street.lane, levels: {}", "give at least one"),
        ("near_miss: [person, car], in: street.lane, levels: {yellow: 1 s, red: 2 s}", "it must be below"),
        ("abandoned: suitcase, in: street.lane, away: 3", "a distance is a number above 0"),
    ],
)
def test_slips_in_rules_are_told(rule: str, words: str) -> None:
    problems = told(text(GOOD, rule))
    assert len(problems) == 1
    assert words in problems[0]
