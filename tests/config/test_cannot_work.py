"""What every key allows alone and nothing can come of: `check` refuses it, with the kinds that run."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.load import loads, review
from gateway.errors import ConfigError
from gateway.registry import registry

BASE = Path("/etc/zhiwang")
HEAD = """\
gateway: a
brokers: {here: {url: "mqtt://h"}}
sensors:
  water: {mqtt: here, topic: "water/{site}", json: {level: level}}
"""


def told(text: str) -> list[str]:
    """The errors of a configuration, without their lines."""
    try:
        loads(text, BASE, registry())
    except ConfigError as error:
        return [finding.partition("  ")[2] for finding in error.findings]
    return []


def rule(text: str) -> str:
    return f"{HEAD}rules:\n  r: {{{text}}}\n"


@pytest.mark.parametrize("clear_by", ["5", "8"])
def test_lines_on_both_sides_leave_room_to_clear_between_them(clear_by: str) -> None:
    """Given 8 from 20 and 8 from 30, no value is inside both: the alert could never clear."""
    lines = "{yellow: [20, 30], red: [0, 90]}"
    (problem,) = told(rule(f"threshold: water.level, outside: {lines}, clear_by: {clear_by}"))
    assert problem == (
        f"rules.r.clear_by: found {clear_by}; nothing between yellow's 20 and 30 is so far inside both: "
        "the alert could never clear; write less than 5"
    )


def test_lines_with_room_between_them_are_fine() -> None:
    assert told(rule("threshold: water.level, outside: {yellow: [20, 30]}, clear_by: 4.9")) == []


@pytest.mark.parametrize(
    "lines",
    ["threshold: water.level, levels: {yellow: much}", "threshold: water.level, outside: {yellow: [5]}"],
)
def test_a_line_that_cannot_be_read_is_one_error_not_two(lines: str) -> None:
    """Given a line that is no number, it is told, and not that there is no line."""
    (problem,) = told(rule(lines))
    assert problem.startswith(("rules.r.levels.yellow: found the text 'much'", "rules.r.outside.yellow: found a list"))


def test_a_rate_that_cannot_be_read_is_one_error_not_two() -> None:
    """Given a rate of change without its unit, the same."""
    (problem,) = told(rule("rate: water.level, levels: {yellow: 3}"))
    assert problem.startswith("rules.r.levels.yellow: found 3")


@pytest.mark.parametrize("kind", ["threshold", "rate"])
def test_a_rule_without_lines_is_told(kind: str) -> None:
    (problem,) = told(rule(f"{kind}: water.level"))
    assert problem.startswith(f"rules.r.{kind}: ")
    assert "give one of levels" in problem


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("history: {size: 0 B}", "history.size: found 0 B; at least 1 MB"),
        ("history: {size: 900 kB}", "history.size: found 900 kB; at least 1 MB"),
        ("history: {alerts: 0 s}", "history.alerts: found 0 s; longer than 0"),
        ("commands: {shelve_at_most: 0 s}", "commands.shelve_at_most: found 0 s; longer than 0"),
    ],
)
def test_nothing_is_kept_or_allowed_for_no_time_and_in_no_room(line: str, problem: str) -> None:
    (found,) = told(f"{HEAD}{line}\n")
    assert found.startswith(problem)


@pytest.mark.parametrize("hours", ["08:00-08:00", "07:00-09:00, 20:00-20:00"])
def test_hours_that_end_where_they_begin_are_refused(hours: str) -> None:
    """Given 08:00-08:00, nobody can say whether it means never or always."""
    (problem,) = told(rule(f'threshold: water.level, levels: {{red: 3}}, active: "{hours}"'))
    assert problem.startswith("rules.r.active: found ")
    assert 'begins and ends at the same time; the whole day is "00:00-24:00"' in problem


@pytest.mark.parametrize("hours", ["00:00-24:00", "00:00-00:00", "22:00-06:00"])
def test_the_whole_day_and_the_night_are_hours(hours: str) -> None:
    assert told(rule(f'threshold: water.level, levels: {{red: 3}}, active: "{hours}"')) == []


def test_tags_that_a_time_series_store_refuses_or_confuses_are_refused() -> None:
    """Given a tag named time, or as one of the sensor's values, each is told with what to write."""
    text = HEAD.replace("water/{site}", "water/{time}/{level}/{site}")
    clash, own = sorted(told(text))
    assert clash == (
        "sensors.water.topic: the tag {level} has the name of a value of this sensor, "
        "and InfluxDB cannot tell them apart; call it another name"
    )
    assert own == "sensors.water.topic: the tag {time} has a name that InfluxDB keeps for itself; call it another name"


def test_a_value_named_as_influx_names_its_own_is_refused() -> None:
    """Given the only value under such a name, every point would be refused."""
    (problem,) = told(HEAD.replace("json: {level: level}", "plain: time"))
    assert problem.startswith("sensors.water.plain: the value time has a name that InfluxDB keeps for itself")


PAIR = HEAD + '  rain: {mqtt: here, topic: "rain/{gauge}", plain: mm}\n'


def warned(text: str, folder: Path) -> list[str]:
    """The warnings of a configuration without errors, without their file."""
    file = folder / "gateway.yaml"
    file.write_text(text, encoding="utf-8")
    reviewed = review(file, registry())
    assert reviewed.config is not None
    return [str(finding).removeprefix(f"{file}:") for finding in reviewed.findings]


@pytest.mark.parametrize("key", ["unless", "only_while"])
def test_a_gate_over_a_sensor_without_a_tag_in_common_is_a_warning(key: str, tmp_path: Path) -> None:
    """Given gauges that share no tag with the sites they hold back, every one of them holds back every one."""
    rules = f"rules:\n  r: {{threshold: water.level, levels: {{red: 3}}, {key}: rain.mm > 5}}\n"
    (warning,) = warned(PAIR + rules, tmp_path)
    assert warning == (
        f"7  warning: rules.r.{key}: rain ({{gauge}}) and water ({{site}}) share no tag: the newest "
        "reading of any rain counts for every water; give their topics a name in common, such as {site}"
    )


@pytest.mark.parametrize("topic", ["rain/{site}/{gauge}", "rain"])
def test_a_gate_with_a_tag_in_common_or_a_single_one_is_none(topic: str, tmp_path: Path) -> None:
    """Given a tag in common, readings are joined on it; given a sensor without tags, there is only one."""
    text = PAIR.replace("rain/{gauge}", topic)
    rules = "rules:\n  r: {threshold: water.level, levels: {red: 3}, unless: rain.mm > 5}\n"
    assert warned(text + rules, tmp_path) == []


def test_the_tier_is_no_name_of_a_tag() -> None:
    """Given {tier} in a topic, or a value of that name in the air: the gateway writes that tag itself."""
    (problem,) = told(HEAD.replace("{site}", "{tier}"))
    assert problem == (
        "sensors.water.topic: the tag {tier} is the gateway's own, written from tier:; call it another name"
    )
    (problem,) = told(HEAD.replace("json: {level: level}", "plain: tier, tier: air"))
    assert problem.startswith("sensors.water.plain: the value tier has the name of the tag that tier: air writes")
    assert told(HEAD.replace("json: {level: level}", "plain: tier")) == []
