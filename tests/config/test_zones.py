"""Zones and lines, and the rules that judge them: what `check` says of slips."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.load import loads
from gateway.errors import ConfigError
from gateway.registry import registry

HEAD = "gateway: a\ncameras:\n  street:\n    detect: a.mp4\n"
ZONES = "    zones: {yard: {outline: [[0, 0], [1, 0], [1, 1]], least: 24 px, score: 0.5, labels: [person]}}\n"
LINES = "    lines: {kerb: [[0.1, 0.5], [0.9, 0.5]]}\n"


def told(text: str) -> list[str]:
    """What is wrong with it."""
    try:
        loads(text, Path("/"), registry())
    except ConfigError as error:
        return str(error).splitlines()
    return []


def test_a_zone_may_say_what_counts_in_it() -> None:
    config = loads(HEAD + ZONES + "    tracks: true\n", Path("/"), registry())

    yard = config.cameras["street"].zone("yard")
    assert yard is not None
    assert (str(yard.least), yard.score, yard.labels) == ("24 px", 0.5, ("person",))
    assert config.cameras["street"].outlines() == {"yard": ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0))}


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("lines: {kerb: [[0.1, 0.5]]}", "lines.kerb: found 1 points; a line has at least 2"),
        ("lines: {kerb: [[0.1, 0.5], [0.9, 50]]}", "found [0.9, 50]; points are fractions of the picture"),
        ("lines: {kerb: [[0.1, 0.5], [0.1, 0.5]]}", "points 1 and 2 are the same; leave one out"),
        ("lines: {kerb: [[0, 0], [1, 1], [1, 0], [0, 1]]}", "the line crosses itself after points 1 and 3"),
        ("lines: {a.b: [[0, 0], [1, 1]]}", "a line's name is of a-z 0-9 _ -, without dots"),
        (
            "zones: {yard: {outline: [[0, 0], [1, 1], [1, 0], [0, 1]]}}",
            "outline crosses itself after points 1 and 3",
        ),
        ("zones: {yard: {outline: [[0, 0], [1, 1]]}}", "found 2 points; an outline has at least 3"),
        ("zones: {yard: {least: 24 px}}", "outline is missing"),
        (
            "zones: {yard: {outline: [[0, 0], [1, 1], [1, 0]], least: 24}}",
            "is written with its unit",
        ),
        ("zones: {yard: {outline: [[0, 0], [1, 1], [1, 0]], score: 0.05}}", "detections are kept from 0.1 on"),
    ],
)
def test_what_cannot_be_drawn_is_refused_with_the_reason(written: str, problem: str) -> None:
    assert any(problem in line for line in told(f"{HEAD}    {written}\n")), told(f"{HEAD}    {written}\n")


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ("{enter: person, in: street.yrd}", "camera street has no zone yrd; did you mean yard?"),
        ("{leave: person, in: street}", "a zone is written <camera>.<zone>"),
        ("{enter: persn, in: street.yard}", "does not know persn; did you mean person?"),
        ("{dwell: person, in: street.yard, levels: {yellow: 60}}", "a duration is written with its unit"),
        ("{dwell: person, in: street.yard, levels: {yellow: 60 s, orange: 30 s}}", "for orange is worse"),
        ("{dwell: person, in: street.yard, levels: {}}", "give at least one, such as levels: {yellow: 60 s}"),
        ("{crowd: person, in: street.yard, levels: {yellow: 0}}", "found 0; at least 1"),
        (
            "{cross: person, over: street.kreb, levels: {yellow: 1}}",
            "has no line kreb; did you mean kerb?",
        ),
        ("{cross: person, over: kerb, levels: {yellow: 1}}", "a line is written <camera>.<line>, such as street.kerb"),
        ("{cross: person, over: street.kerb, levels: {yellow: 1}, per: 0 s}", "found 0 s; at least 1 s"),
        ("{cross: person, over: street.kerb, levels: {yellow: 5000}}", "found 5000; at most 1000"),
        ("{cross: person, over: street.kerb, levels: {yellow: 1}, direction: left}", "allowed: in, out, both"),
        (
            "{enter: [person, truck], in: street.yard, active: {person: '22:00-06:00', truck: '20:00-07:00'}}",
            "such as 19:00-06:00; for hours by label write a rule for each of them, with hours of its own",
        ),
    ],
)
def test_what_a_rule_cannot_judge_is_told(rule: str, problem: str) -> None:
    text = f"{HEAD}{ZONES}{LINES}rules:\n  r: {rule}\n"

    assert any(problem in line for line in told(text)), told(text)


@pytest.mark.parametrize(
    "rule",
    [
        "{enter: person, in: street.yard}",
        "{enter: [person, car], in: street, appearing: false, hold: 1 min}",
        "{leave: person, in: street.yard, levels: {red: 2}}",
        "{dwell: person, in: street.yard, levels: {yellow: 60 s, orange: 5 min}}",
        "{crowd: person, in: street, levels: {yellow: 10}}",
        "{cross: person, over: street.kerb, direction: in, levels: {yellow: 20}, per: 1 min}",
    ],
)
def test_what_it_can_is_fine(rule: str) -> None:
    assert told(f"{HEAD}{ZONES}{LINES}rules:\n  r: {rule}\n") == []
