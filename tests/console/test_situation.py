"""What the first screen is made of, and how it is said."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from gateway.console import charts, words
from gateway.console.alert import from_json, parse_ns, worst_first
from gateway.console.situation import Blind, Lookout
from gateway.ports import Component
from tests.console import memory
from tests.console.memory import MIN, NOW_NS, NS


async def test_an_equipment_alert_and_its_component_are_one_blind_thing() -> None:
    """Given a frozen camera that says so and has its alert, it is told once, and the alert can be acted on."""
    now = await Lookout(memory.corner()).look()
    (blind,) = now.blind
    assert (blind.kind, blind.name, blind.condition) == ("camera", "crossing", "frozen")
    assert blind.alert is not None
    assert blind.alert.code == "LG17-7F2D"
    assert now.camera_of(blind) == "crossing"


async def test_a_silent_thing_is_blind_by_its_alert_alone() -> None:
    """Given an equipment alert of a device that is no component, it is blind under its own subject."""
    view = memory.corner()
    view.parts = [part for part in view.parts if part.ok]
    silent = {"id": "silent-1", "rule": "silent", "subject": "air{device=0017,site=a}"}
    view.alerts = {"silent-1": memory.frozen() | silent}
    (blind,) = (await Lookout(view).look()).blind
    assert (blind.key, blind.kind, blind.name) == ("silent-1", "sensor", "air 0017 a")


async def test_what_is_worst_and_nobody_s_comes_first_and_shelved_ones_apart() -> None:
    """Given alerts of every kind, the order is severity, then what nobody has taken on, then the newest."""
    red = memory.bank() | {"id": "red", "severity": "extreme", "state": "active_acknowledged"}
    shelved = memory.bank() | {"id": "shelved", "severity": "extreme", "state": "shelved"}
    cleared = memory.bank() | {"id": "cleared", "severity": "extreme", "state": "cleared_unacknowledged"}
    view = memory.corner()
    view.alerts |= {str(alert["id"]): alert for alert in (red, shelved, cleared)}
    now = await Lookout(view).look()
    assert [alert.id for alert in now.city] == ["red", "flood-7d1c", "dust-91aa", "cleared"]
    assert [alert.id for alert in now.shelved] == ["shelved"]
    assert worst_first([*now.shelved, *now.city]) == [*now.city, *now.shelved]


async def test_ten_screens_cost_one_look() -> None:
    """Given a look this moment, another is the same object; after a second it is a new one."""
    view = memory.corner()
    lookout = Lookout(view)
    assert await lookout.look() is await lookout.look()
    first = await lookout.look()
    view.now += NS
    assert await lookout.look() is not first


async def test_how_much_is_seen_and_what_was_today() -> None:
    """Given one of two cameras blind and two sources well: 75 %; today's count leaves yesterday's out."""
    now = await Lookout(memory.corner()).look()
    assert now.seeing == pytest.approx(3 / 4)
    assert now.today == 2
    assert [alert.id for alert in now.recent] == ["flood-old"]


async def test_an_alert_that_is_not_readable_stops_nothing() -> None:
    """Given an object that is no alert among good ones, the good ones are shown."""
    view = memory.corner()
    view.alerts["bad"] = {"id": 7}
    assert len((await Lookout(view).look()).city) == 2


async def test_a_blind_component_without_an_alert_is_told_too() -> None:
    """Given a sink that cannot deliver, it is blind before any alert says so."""
    view = memory.corner()
    view.parts.append(Component("sink/city", False, "delivering_alerts", "timeout", NOW_NS - MIN))
    now = await Lookout(view).look()
    found = now.find("sink/city")
    assert isinstance(found, Blind)
    assert found.alert is None


@pytest.mark.parametrize(
    ("seconds", "zh", "en"),
    [
        (0, "0 秒", "0 s"),
        (59, "59 秒", "59 s"),
        (840, "14 分钟", "14 min"),
        (10_800, "3 小时", "3 h"),
        (172_800, "2 天", "2 d"),
    ],
)
def test_lengths_of_time_are_said_in_their_largest_unit(seconds: int, zh: str, en: str) -> None:
    """Given seconds, the words a person would use."""
    assert (words.length("zh", seconds * NS), words.length("en", seconds * NS)) == (zh, en)


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (3.32, "m", "3.32 m"),
        (118.0, "ug/m3", "118 µg/m³"),
        (3.0, "", "3"),
        (None, "m", ""),
        (True, "", "true"),
        (0.0123, "", "0.012"),
    ],
)
def test_values_carry_their_unit_and_no_tail(value: object, unit: str, said: str) -> None:
    """Given a value, what is printed."""
    assert words.quantity(value, unit) == said


@pytest.mark.parametrize(
    ("accept", "language"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("en-GB,en;q=0.9,zh;q=0.1", "en"),
        ("de,en;q=0.5", "en"),
        ("fr", "zh"),
        ("", "zh"),
    ],
)
def test_the_browser_s_first_of_our_languages_is_taken(accept: str, language: str) -> None:
    """Given Accept-Language."""
    assert words.of_browser(accept) == language


def test_every_text_has_both_languages_with_the_same_places() -> None:
    """Given the table of texts, neither language lacks a word or a number."""
    for key, (zh, en) in words.TEXTS.items():
        assert zh, key
        assert en, key
        assert set(places(zh)) == set(places(en)), key


def places(text: str) -> list[str]:
    """The names in braces."""
    return [part.split("}")[0] for part in text.split("{")[1:]]


def test_times_without_an_offset_are_not_guessed() -> None:
    """Given ISO 8601, UTC nanoseconds; without an offset, or no time at all, 0."""
    assert parse_ns("2026-08-14T02:16:41+08:00") == NOW_NS
    assert parse_ns("2026-08-14T02:16:41") == 0
    assert parse_ns("soon") == 0


def test_a_chart_keeps_its_gaps_and_shows_the_lines_that_are_near() -> None:
    """Given a gap and a limit far away: null in the line, the far limit not drawn, local time on the axis."""
    option = charts.option(
        "zh",
        times_ns=[NOW_NS - MIN, NOW_NS],
        values=[2.0, float("nan")],
        limits={"yellow": 2.8, "red": 380.0},
        span_ns=(NOW_NS - MIN, NOW_NS),
        zone=ZoneInfo("Asia/Shanghai"),
    )
    (line,) = option["series"]
    eight_hours = 8 * 3600 * 1000
    assert line["data"] == [[(NOW_NS - MIN) // 10**6 + eight_hours, 2.0], [NOW_NS // 10**6 + eight_hours, None]]
    assert [mark["yAxis"] for mark in line["markLine"]["data"]] == [2.8]
    assert option["yAxis"]["min"] <= 2.0
    assert option["yAxis"]["max"] >= 2.8


def test_what_a_gateway_of_another_version_sends_is_still_read() -> None:
    """Given only an id, or fields nobody knows: an alert; given no object of the kind: None."""
    assert from_json(b'{"id":"a","future":{"x":1}}') is not None
    assert from_json(b'{"code":"A-1"}') is None
    assert from_json(b"[]") is None
