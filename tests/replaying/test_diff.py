"""What would have been different: two replays side by side."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ConfigError
from gateway.recording.parts import About, Gap, ModelNote
from gateway.replaying.diff import Diff, diff
from gateway.replaying.lives import lives
from gateway.replaying.pairing import nearest_pairs
from tests.core.build import HEAD, T0, S, config_of
from tests.replaying.alert_lines import DUSTS, FLOOD, LEVELS, SENSORS, TEXT, replayed, rows

WITHIN = 2 * S
CAMERA = HEAD + "cameras: {gate: {detect: a.mp4}}\nrules: {crowd: {count: person, in: gate, levels: {yellow: 2}}}\n"
LINE = {
    "id": "crowd-1",
    "rule": "crowd",
    "subject": "gate",
    "camera": "gate",
    "change": "raised",
    "severity": "moderate",
    "changed": "2026-05-29T04:27:10+08:00",
}


def about(text: str = TEXT, version: str = "0.1.0", model: str = "") -> About:
    """Of a recording with this configuration."""
    whole = text if text.startswith("gateway:") else HEAD + text
    models = (ModelNote("gate", "ssd", model, ("person",), 0.4),) if model else ()
    return About("lg-017-02", "b3f1", version, config_of(whole).sha, whole, models, "ring", 0, "Asia/Shanghai")


def kinds(found: Diff) -> list[tuple[str, str]]:
    """(rule, kind) of the differences."""
    return [(pair.rule, pair.kind) for pair in found.differences()]


def causes(found: Diff) -> list[str]:
    """Why, each difference."""
    return [pair.cause.kind if pair.cause else "" for pair in found.differences()]


def test_the_same_twice_is_the_same() -> None:
    found = diff(replayed(rows()), replayed(rows()), WITHIN, about(), about())

    assert found.same
    assert found.text() == "the same: 2 alerts, times within 2 s"
    assert msgspec.json.decode(found.json())["same"] is True


def test_a_shift_within_the_tolerance_is_the_same_and_beyond_it_has_moved() -> None:
    shifted = [(second + 1.5, dust) for second, dust in DUSTS]
    later = [(second + 12, dust) for second, dust in DUSTS]

    within = diff(replayed(rows()), replayed(rows(dusts=shifted)), WITHIN)
    beyond = diff(replayed(rows()), replayed(rows(dusts=later)), WITHIN)

    assert within.same
    assert kinds(beyond) == [("dust", "moved")]
    assert "raised +12 s (04:27:30 → 04:27:42)" in beyond.text()
    assert "ended +12 s" in beyond.text()


def test_alerts_appear_and_vanish() -> None:
    found = diff(replayed(rows(levels=())), replayed(rows(dusts=())), WITHIN)

    assert kinds(found) == [("flood", "appeared"), ("dust", "vanished")]
    assert "05-29 04:27:10  flood water.level{gauge=g1} orange  3.4 m, 5 min 00 s, raised 2 times" in found.text()
    assert causes(found) == ["input", "input"]


def test_the_severity_reached_the_value_and_how_often_it_was_raised() -> None:
    found = diff(replayed(rows()), replayed(rows(levels=((10, 2.9), (70, 2.5)))), WITHIN)

    (pair,) = found.differences()
    assert pair.kind == "changed"
    assert pair.fields["severity_max"] == ("severe", "moderate")
    assert pair.fields["value"] == (3.4, 2.9)
    assert pair.fields["times"] == (2, 1)
    assert "reached orange → yellow; times raised 2 → 1; value 3.4 → 2.9; limit 3.3 → 2.8" in found.text()


def test_how_long_it_was_at_each_severity() -> None:
    later = ((10, 2.9), (40, 3.4), *LEVELS[2:])

    found = diff(replayed(rows()), replayed(rows(levels=later)), WITHIN)

    (pair,) = found.differences()
    assert pair.fields["active_s"] == ({"moderate": 30.0, "severe": 40.0}, {"moderate": 50.0, "severe": 20.0})
    assert "active yellow 30 s, orange 40 s → yellow 50 s, orange 20 s" in found.text()


def test_a_rules_own_configuration_is_the_cause_key_by_key() -> None:
    other = TEXT.replace("orange: 3.3", "orange: 3.5").replace("clear_by: 0.1", "clear_by: 0.5")

    found = diff(replayed(rows()), replayed(rows(other)), WITHIN, about(), about(other))

    (pair,) = found.differences()
    assert pair.cause is not None
    assert [str(key) for key in pair.cause.keys] == [
        "rules.flood.levels.orange: 3.3 → 3.5",
        "rules.flood.clear_by: 0.1 → 0.5",
    ]
    assert "configuration: rules.flood.levels.orange: 3.3 → 3.5" in found.text()


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (('{gauge}", json', '{gauge}", every: 1 s, json'), "sensors.water.every: + 1 s"),
        (("levels: {blue: 75}", "levels: {blue: 50}"), "rules.dust.levels.blue: 75 → 50"),
        (("air.pm25, levels", "air.pm25, for: 1 s, levels"), "rules.dust.for: + 1 s"),
    ],
)
def test_the_sensor_and_the_rules_that_a_rule_names_are_causes_too(change: tuple[str, str], key: str) -> None:
    gated = TEXT.replace("clear_by: 0.1", "clear_by: 0.1, unless: dust")
    other = gated.replace(*change)

    found = diff(replayed(rows(gated, dusts=())), replayed(rows(other, ())), WITHIN, about(gated), about(other))

    flood = next(pair for pair in found.differences() if pair.rule == "flood")
    assert flood.cause is not None
    assert [str(one) for one in flood.cause.keys] == [key]


def test_a_key_that_has_nothing_to_do_with_a_rule_is_no_cause() -> None:
    other = TEXT.replace("blue: 75", "blue: 76")

    found = diff(replayed(rows()), replayed(rows(other, ())), WITHIN, about(), about(other))

    assert {pair.rule: pair.cause.kind for pair in found.differences() if pair.cause} == {
        "flood": "input",
        "dust": "configuration",
    }
    assert [str(key) for key in found.keys] == ["rules.dust.levels.blue: 75 → 76"]


def test_another_model_is_the_cause_for_its_camera() -> None:
    found = diff([msgspec.json.encode(LINE)], [], WITHIN, about(CAMERA, model="aa"), about(CAMERA, model="bb"))

    (pair,) = found.differences()
    assert pair.cause is not None
    assert (pair.cause.kind, pair.cause.what) == ("model", "gate: ssd aa → ssd bb")


def test_a_hole_is_the_cause_where_an_alert_touches_it() -> None:
    hole = Gap(5, 9, T0 + 25 * S, T0 + 50 * S, "the disk was full")

    found = diff(replayed(rows()), replayed(rows(dusts=DUSTS[2:])), WITHIN, about(), about(), holes=[hole])

    assert causes(found) == ["hole"]
    assert "hole in a recording: the disk was full" in found.text()


def test_another_version_is_the_cause_where_nothing_else_is() -> None:
    found = diff(replayed(rows()), replayed(rows(dusts=())), WITHIN, about(), about(version="0.2.0"))

    assert causes(found) == ["version"]
    assert "version of zhiwang: 0.1.0 → 0.2.0" in found.text()


def test_details_are_bounded_and_the_rest_is_counted() -> None:
    text = diff(replayed(rows()), [], WITHIN).text(most=1)

    assert "… and 1 more: --json has all" in text
    assert text.count("vanished ") == 2  # the table's head, and one


def test_an_alert_that_was_raised_before_the_first_line_counts() -> None:
    later = replayed(rows())[1:]

    flood = lives(later)[0]

    assert flood.times == 2
    assert [span.severity for span in flood.spans] == ["severe", "moderate", "moderate"]


def test_a_line_that_is_no_alert_is_said_with_its_place() -> None:
    with pytest.raises(ConfigError, match="B:2  found 'oops'"):
        diff([], [*replayed(rows())[:1], b"oops"], WITHIN)


def test_without_rules_and_alerts_there_is_nothing_to_tell() -> None:
    assert diff([], [], WITHIN, about(SENSORS + "rules:\n" + FLOOD), about()).same


TIMES = st.lists(st.integers(0, 60), max_size=12).map(sorted)


@given(TIMES, TIMES, st.integers(0, 10))
def test_pairs_of_times_are_near_and_leave_out_none_that_could_stand_beside_another(
    a: list[int], b: list[int], within: int
) -> None:
    pairs = nearest_pairs(a, b, within)

    assert all(abs(a[i] - b[j]) <= within for i, j in pairs)
    assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == len(pairs)
    assert nearest_pairs(a, a, within) == [(i, i) for i in range(len(a))]
    alone = [i for i in range(len(a)) if i not in {i for i, _ in pairs}]
    for i in alone:  # whatever is near enough to it is taken
        assert all(abs(a[i] - b[j]) > within or j in {j for _, j in pairs} for j in range(len(b)))
