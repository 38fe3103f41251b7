"""What happened to others, by name: each is a sentence of the issue or of SEMANTICS.md."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.errors import StateError
from gateway.events import ClockStep, Configured, Health, Looked, Message, Restart, Tick
from tests.core.build import T0, Came, S, Stamped, at, body_of, core_of, run, start, ticks
from tests.core.cases import AIR_SENSOR, CAMERA, EVERY, LEVELS, WATER_SENSOR
from tests.core.reference.gateway import Sent
from tests.core.streams import YEAR_1970, YEAR_2100, detections_of, message_of

FLOOD = f"  flood: {{threshold: water.level, {LEVELS}, clear_by: 0.1, for: 30 s}}\n"
WATER = f"sensors:{WATER_SENSOR}{EVERY}rules:\n{FLOOD}"
AIR = f"sensors:{AIR_SENSOR}{EVERY}rules:\n  dust: {{threshold: air.pm25, levels: {{blue: 75}}}}\n"
MS = 10**6


def level(value: float, seconds: float, *, stamped: float | None = None, retain: bool = False) -> Stamped:
    """A reading of the gauge, admitted `seconds` after the start."""
    now = T0 + round(seconds * S)
    claimed = now if stamped is None else T0 + round(stamped * S)
    return at(message_of(Sent("water", (), {"level": value}, claimed, retain)), now)


def dust(device: str, value: float, seconds: float) -> Stamped:
    """A reading of an air sensor."""
    now = T0 + round(seconds * S)
    return at(message_of(Sent("air", (("site", "a"), ("device", device)), {"pm25": value, "rh": 50.0}, now)), now)


def beside_ticks(readings: list[Stamped], to_s: float) -> list[Stamped]:
    """With a tick every second, in order of admission."""
    return sorted([*readings, *ticks(T0, T0 + round(to_s * S))], key=lambda one: one.admitted_ns)


@pytest.mark.parametrize("stamp", [YEAR_2100, YEAR_1970])
def test_one_impossible_stamp_does_not_silence_its_series(stamp: int) -> None:
    stray = at(message_of(Sent("water", (), {"level": 9.9}, stamp)), T0 + S)
    core = core_of(WATER)

    came = run(core, [*start(), stray, *(level(3.0, s) for s in range(10, 60, 10)), *ticks(T0 + 50 * S, T0 + 60 * S)])

    assert came.of("flood") == [("raised", "moderate")]
    assert came.alerts[0].changed_ns == T0 + 40 * S
    assert core.counts["clock_adrift"] == 1
    assert came.series.startswith(b"water level=9.9 17800000210000"), "stored at its admitted time"


def test_a_backlog_older_than_max_late_is_stored_at_its_own_times_and_seen_by_no_rule() -> None:
    core = core_of(WATER)

    came = run(core, [*start(), level(9.9, 10, stamped=-3700), level(2.0, 20)])

    assert came.of("flood") == []
    assert core.counts["late"] == 1
    assert int(came.series.split()[2]) // 10**9 == T0 // S + -3700


def test_a_clock_that_is_wrong_for_a_minute_is_told_of_and_cleared_by_a_good_stamp() -> None:
    wrong = [at(message_of(Sent("water", (), {"level": 1.0}, YEAR_1970 + s * S)), T0 + s * S) for s in range(0, 80, 10)]

    came = run(core_of(WATER), [*start(), *wrong, level(1.0, 90)])

    assert came.brief() == [
        ("health", "water{condition=clock_adrift}", change, "minor") for change in ("raised", "cleared")
    ]
    assert came.alerts[0].changed_ns == T0 + 60 * S


def test_a_broker_away_for_two_hours_is_one_alert_and_no_silence() -> None:
    away, back = T0 + 60 * S, T0 + 7260 * S
    readings = [level(2.0, s) for s in range(0, 60, 10)]
    down, up = (
        at(Health("source/here", "connected", ok=False, detail="connection refused"), away),
        at(Health("source/here", "connected", ok=True), back),
    )
    quiet = ticks(away, back)
    later = [level(2.0, 7260 + s) for s in range(0, 60, 10)]

    came = run(
        core_of(WATER),
        [*start(), *readings, down, *quiet, up, *later, *ticks(back + 50 * S, back + 60 * S)],
        [500],
    )

    assert came.brief() == [
        ("health", "source/here{condition=connected}", "raised", "moderate"),
        ("health", "source/here{condition=connected}", "cleared", "moderate"),
    ]


def _worded(came: Came) -> list[tuple[str, object, int]]:
    """(change, detail, seconds) of each row of the alert of a source."""
    rows = [row for row in came.alerts if row.rule == "health"]
    return [(row.change, body_of(row)["detail"], (row.changed_ns - T0) // S) for row in rows]


def _away(detail: str, seconds: int) -> Stamped:
    return at(Health("source/here", "connected", ok=False, detail=detail), T0 + seconds * S)


def test_a_trouble_that_is_another_by_now_is_told_anew_at_most_every_ten_seconds() -> None:
    said = [_away("lost", 5), _away("refused", 6), _away("expired", 9), _away("expired", 30), _away("gone", 40)]

    came = run(core_of(WATER), [*start(), *beside_ticks(said, 60)])

    assert _worded(came) == [("raised", "lost", 5), ("updated", "expired", 15), ("updated", "gone", 40)]
    assert {body_of(row)["id"] for row in came.alerts} == {body_of(came.alerts[0])["id"]}
    assert [body_of(row)["seq"] for row in came.alerts] == [1, 2, 3]


def test_a_trouble_that_was_another_for_a_moment_is_not_told_anew() -> None:
    said = [_away("lost", 5), _away("refused", 6), _away("lost", 7), _away("", 8)]

    came = run(core_of(WATER), [*start(), *beside_ticks(said, 60)])

    assert _worded(came) == [("raised", "lost", 5)]


def test_what_was_too_soon_to_be_told_is_not_told_once_all_is_well() -> None:
    well = at(Health("source/here", "connected", ok=True), T0 + 8 * S)

    came = run(core_of(WATER), [*start(), *beside_ticks([_away("lost", 5), _away("refused", 6), well], 60)])

    assert _worded(came) == [("raised", "lost", 5), ("cleared", "lost", 8)]


def test_a_restart_after_two_hours_away_is_no_silence_either() -> None:
    core = core_of(WATER)
    first = run(core, [*start(), *(level(2.0, s) for s in range(0, 60, 10))])
    away = [
        at(Health("source/here", "connected", ok=False), T0 + 61 * S),
        *ticks(T0 + 61 * S, T0 + 3600 * S),
    ]
    second = run(core, away, [100], n0=20)
    again = core_of(WATER)
    again.restore(None, [*first.deltas, *second.deltas])
    back = T0 + 7200 * S
    begins = [at(Restart("", "b3f1", 5), back), at(Configured("sha", ""), back)]
    hears = [at(Health("source/here", "connected", ok=True), back + 20 * S), level(2.0, 7225)]

    third = run(
        again, [*begins, *ticks(back, back + 20 * S), *hears, *ticks(back + 25 * S, back + 35 * S)], [7], n0=9000
    )

    assert [(*brief[1:3],) for came in (first, second, third) for brief in came.brief()] == [
        ("source/here{condition=connected}", "raised"),
        ("source/here{condition=connected}", "cleared"),
    ]


def test_silence_is_told_after_three_missed_readings_and_ends_with_the_next() -> None:
    came = run(core_of(WATER), [*start(), level(2.0, 5), *ticks(T0 + 5 * S, T0 + 40 * S), level(2.0, 41)], [1])

    assert came.of("silent") == [("raised", "minor"), ("cleared", "minor")]
    raised, cleared = came.alerts
    assert (raised.subject, raised.changed_ns, cleared.changed_ns) == ("water", T0 + 35 * S, T0 + 41 * S)


def test_a_thing_that_never_spoke_is_silent_three_times_every_after_the_start() -> None:
    came = run(core_of(WATER), [*start(), *ticks(T0, T0 + 31 * S)])

    assert came.of("silent") == [("raised", "minor")]


def test_a_retained_message_sets_a_value_but_is_no_sign_of_life() -> None:
    core = core_of(WATER)

    came = run(core, [*start(), level(2.9, 1, retain=True), *ticks(T0 + S, T0 + 35 * S)])

    assert came.of("silent") == [("raised", "minor")]
    assert core.latest()[0].value == 2.9
    assert b"water level=2.9" in came.series


def test_a_washed_away_gauge_keeps_its_flood_alert() -> None:
    """Only a reading, a person or a removed rule ends it."""
    readings = [level(3.0, s) for s in range(0, 60, 10)]
    core = core_of(WATER)

    came = run(core, [*start(), *beside_ticks(readings, 6 * 3600)], [400])

    assert came.of("flood") == [("raised", "moderate"), ("unknown", "moderate")]
    assert came.of("silent") == [("raised", "minor")]
    unknown = next(row for row in came.alerts if row.change == "unknown")
    assert unknown.open
    assert unknown.state == "active_unacknowledged"
    assert body_of(unknown)["unknown"] is True
    assert body_of(unknown)["value"] == 3.0

    back = [level(3.4, 6 * 3600 + s) for s in range(5, 45, 10)]
    later = run(core, [*back, level(2.0, 6 * 3600 + 45)], n0=30_000)

    assert later.of("flood") == [("known", "moderate"), ("raised_level", "severe"), ("cleared", "severe")]


def test_a_topic_that_no_sensor_has_is_a_dead_letter_and_nothing_else() -> None:
    core = core_of(WATER)

    came = run(core, [*start(), at(Message("here", "elsewhere", b"1"), T0), level(2.0, 1)])

    assert [(letter.where, letter.topic, letter.body) for letter in came.dead] == [("topics", "elsewhere", b"1")]
    assert core.counts["unrouted"] == 1
    assert came.series.count(b"\n") == 1


ENDLESS = AIR.replace(EVERY, EVERY + "    series: 40\n")


def test_endless_topics_are_refused_counted_and_one_alert() -> None:
    core = core_of(ENDLESS)

    came = run(core, [*start(), *(dust(f"{i:04}", 10.0, 0.01 * i) for i in range(100))], [30])

    assert came.brief() == [("health", "sensor/air{condition=series}", "raised", "minor")]
    assert "more series than sensors.air.series allows" in body_of(came.alerts[0])["text"]["en"]
    assert core.counts["refused"] == 80
    assert len(came.dead) == 80
    assert {letter.where for letter in came.dead} == {"air"}
    assert came.series.count(b"air,") == 20
    known = run(core, [dust("0003", 80.0, 2), dust("0099", 80.0, 3)], n0=200)
    assert known.of("dust") == [("raised", "minor")], "what was known goes on"


def test_a_raised_bound_lets_them_in_and_clears_the_alert() -> None:
    core = core_of(ENDLESS)
    first = run(core, [*start(), *(dust(f"{i:04}", 10.0, 0.01 * i) for i in range(100))], [30])
    wider = core_of(ENDLESS.replace("series: 40", "series: 4000"))
    wider.restore(core.snapshot(), [])
    del first

    came = run(
        wider, [at(Restart("", "b3f1", 2), T0 + 9 * S), at(Configured("", ""), T0 + 9 * S), dust("0099", 9.0, 10)]
    )

    assert came.of("health") == [("cleared", "minor")]
    assert came.series.count(b"air,device=0099") == 1


# ── cameras ──────────────────────────────────────────────────────────────────────────────────────────────────────────

BANK = CAMERA + "  bank: {count: person, in: crossing.zebra, levels: {yellow: 1}, for: 20 s}\n"
STANDING = [(0.5, 0.8, 0.9, 0)]


def watched(from_s: float, to_s: float, found: list[tuple[float, float, float, int]]) -> list[Stamped]:
    """Five looks a second, as the cameras hand them over: what was seen, then the time that look completes."""
    out: list[Stamped] = []
    for frame in range(round(from_s * 5) + 1, round(to_s * 5) + 1):
        now = T0 + frame * 200 * MS
        out += [
            at(detections_of("crossing", frame, now, found), now),
            at(Looked("crossing", now - 200 * MS, now, "analysed"), now),
        ]
    return out


def blind(from_s: float, to_s: float) -> Stamped:
    """A camera that was paused."""
    return at(Looked("crossing", T0 + round(from_s * S), T0 + round(to_s * S), "blind"), T0 + round(to_s * S))


def test_a_camera_paused_for_40_s_inside_a_count_raises_and_clears_nothing() -> None:
    """Ten seconds of somebody, forty of blindness, eight of somebody: twenty were not seen."""
    inputs = [*watched(0, 10, STANDING), blind(10, 50), *watched(50, 58, STANDING), *watched(58, 62, [])]

    came = run(core_of(BANK), [*start(), *inputs, *ticks(T0 + 62 * S, T0 + 65 * S)])

    assert came.of("bank") == []
    (line,) = [line for line in came.series.split(b"\n") if line.startswith(b"zhiwang_camera,camera=crossing")]
    coverage = float(line.split(b"coverage=")[1].split(b",")[0])
    assert coverage == pytest.approx(0.33, abs=0.05)
    assert int(line.split()[-1]) == T0, "it is that minute's"


def test_a_count_that_was_raised_outlives_a_pause() -> None:
    inputs = [*watched(0, 30, STANDING), blind(30, 70), *watched(70, 72, STANDING), *watched(72, 75, [])]

    came = run(core_of(BANK), [*start(), *inputs], [11])

    assert came.of("bank") == [("raised", "moderate"), ("cleared", "moderate")]
    raised, cleared = came.alerts
    first_look = T0 + 200 * MS
    assert raised.changed_ns == first_look + 20 * S
    assert raised.subject == "crossing.zebra"
    assert T0 + 72 * S < cleared.changed_ns <= T0 + 74 * S


def test_looked_time_is_what_counts_even_when_it_comes_in_pieces() -> None:
    """Twenty seconds of looks with a pause between: raised at the moment when twenty were looked, not before."""
    inputs = [*watched(0, 10, STANDING), blind(10, 50), *watched(50, 70, STANDING)]

    came = run(core_of(BANK), [*start(), *inputs])

    assert came.of("bank") == [("raised", "moderate")]
    assert came.alerts[0].changed_ns == T0 + 200 * MS + 60 * S
    assert body_of(came.alerts[0])["started"] == "2026-05-29T04:27:00.200+08:00"


def test_a_look_of_2100_does_not_blind_a_camera() -> None:
    stray = [
        at(detections_of("crossing", 1, YEAR_2100, STANDING), T0 + S),
        at(Looked("crossing", T0, YEAR_2100, "analysed"), T0 + S),
    ]

    came = run(core_of(BANK), [*start(), *stray, *watched(2, 30, STANDING), *ticks(T0 + 30 * S, T0 + 31 * S)])

    assert came.of("bank") == [("raised", "moderate")]


# ── time, people's hours, configuration ──────────────────────────────────────────────────────────────────────────────


def test_hours_follow_the_local_clock_over_a_change_to_summer_time() -> None:
    """In Berlin 02:00 became 03:00 on 2026-03-29, at 01:00 UTC: 03:30 local is 01:30 UTC from then on."""
    text = (
        "gateway: g\ntimezone: Europe/Berlin\nbrokers: {here: {url: mqtt://127.0.0.1:1883}}\n"
        f"sensors:{WATER_SENSOR}rules:\n"
        '  flood: {threshold: water.level, levels: {yellow: 2.8}, active: "03:00-04:00"}\n'
    )
    one_utc = 1_774_746_000 * S

    def raised(minutes_utc: int) -> bool:
        now = one_utc + minutes_utc * 60 * S
        sent = message_of(Sent("water", (), {"level": 3.0}, now))
        return bool(run(core_of(text), [*start(now), at(sent, now)]).of("flood"))

    assert not raised(-1), "01:59"
    assert raised(0), "03:00, a minute later"
    assert raised(59)
    assert not raised(60), "04:00"
    day_before = -24 * 60
    assert not raised(day_before), "02:00 in winter"
    assert raised(day_before + 60), "03:00 in winter"


def test_a_clock_step_is_an_alert_and_resets_nothing() -> None:
    core = core_of(WATER)
    step = Stamped(ClockStep(T0 + 50 * S, T0 + 3650 * S), T0 + 3650 * S, 50 * S)
    rows = [level(3.0, 10), level(3.0, 20)]

    came = run(core, [*start(), *rows, step, Stamped(Tick(), T0 + 3650 * S, 50 * S)])

    assert came.of("health") == [("raised", "severe"), ("cleared", "severe")]
    assert "moved by +3600.0 s" in body_of(came.alerts[0])["text"]["en"]
    assert came.of("silent") == []


def test_the_same_configuration_again_changes_nothing() -> None:
    core = core_of(WATER)
    run(core, [*start(), *(level(3.0, s) for s in range(0, 50, 10))])
    before = core.snapshot()

    came = run(core, [at(Configured("sha", ""), T0 + 50 * S)], n0=50)

    assert (came.alerts, came.series, came.deltas, core.snapshot()) == ([], b"", [b""], before)


@pytest.mark.parametrize(
    ("rules", "why"),
    [
        (FLOOD.replace("30 s", "40 s"), "its rule was changed"),
        (FLOOD.replace("flood", "tide"), "its rule was removed"),
        (FLOOD.replace("for: 30 s", "for: 30 s, mode: off"), "its rule was removed"),
    ],
)
def test_alerts_of_a_changed_or_removed_rule_close_and_say_so(rules: str, why: str) -> None:
    core = core_of(WATER)
    first = run(core, [*start(), *(level(3.0, s) for s in range(0, 50, 10))])
    after = core_of(WATER.replace(FLOOD, rules))
    after.restore(None, first.deltas)

    came = run(after, [at(Restart("", "b3f1", 2), T0 + 60 * S), at(Configured("", ""), T0 + 60 * S)], n0=20)

    assert came.of("flood") == [("closed", "moderate")]
    assert not came.alerts[0].open
    assert body_of(came.alerts[0])["detail"] == why
    again = run(after, [level(3.0, 61), level(3.0, 71), level(3.0, 81), level(3.0, 102)], n0=40)
    assert again.of("flood") == ([("raised", "moderate")] if "40 s" in rules else []), "it starts empty"


def test_new_words_of_a_rule_change_nothing() -> None:
    core = core_of(WATER)
    first = run(core, [*start(), *(level(3.0, s) for s in range(0, 50, 10))])
    after = core_of(WATER.replace("clear_by: 0.1", "clear_by: 0.1, title: {zh: 水位, en: Level}"))
    after.restore(None, first.deltas)

    came = run(
        after, [at(Restart("", "b3f1", 2), T0 + 50 * S), at(Configured("", ""), T0 + 50 * S), level(2.0, 51)], n0=20
    )

    assert came.of("flood") == [("cleared", "moderate")]


def test_what_is_no_longer_configured_ends_its_alerts() -> None:
    camera = CAMERA.replace("rules:\n", "")
    core = core_of(AIR + camera)
    froze = at(Health("camera/crossing", "frozen", ok=False), T0 + S)
    first = run(core, [*start(), froze, dust("1", 5.0, 1), *ticks(T0 + S, T0 + 40 * S)])
    assert [brief[:3] for brief in first.brief()] == [
        ("health", "camera/crossing{condition=frozen}", "raised"),
        ("silent", "air{device=1,site=a}", "raised"),
    ]
    after = core_of(f"sensors:{AIR_SENSOR}")
    after.restore(core.snapshot(), [])

    came = run(after, [at(Restart("", "b3f1", 3), T0 + 60 * S), at(Configured("", ""), T0 + 60 * S)], n0=99)

    assert {(row.subject, row.change, row.open) for row in came.alerts} == {
        ("camera/crossing{condition=frozen}", "closed", False),
        ("air{device=1,site=a}", "closed", False),
    }


def test_recent_values_are_those_up_to_the_alert_whatever_else_the_cut_holds() -> None:
    def recent(came: Came) -> list[object]:
        return [body_of(row)["recent"] for row in came.alerts]

    inputs = [*start(), *(level(2.5 + 0.1 * s, 10 + 5 * s) for s in range(20))]

    whole, single = run(core_of(WATER), inputs), run(core_of(WATER), inputs, [1])

    assert recent(whole) == recent(single)
    assert recent(whole)[0] == {"step_s": 30, "values": [2.8, 3.4, 3.5]}


def test_coverage_of_the_last_hour_counts_what_came() -> None:
    inputs = [*(level(2.0, s) for s in range(0, 1800, 10)), *(level(3.0, s) for s in range(1800, 1840, 10))]

    came = run(core_of(WATER), [*start(), *inputs], [97])

    assert body_of(came.alerts[0])["coverage_1h"] == pytest.approx(184 / 360, abs=0.02)


def test_a_shadow_rule_alerts_to_the_history_only_and_writes_no_point() -> None:
    came = run(core_of(WATER.replace("for: 30 s", "mode: shadow")), [*start(), level(3.0, 1)])

    assert [row.shadow for row in came.alerts] == [True]
    assert b"zhiwang_alert" not in came.series


def test_every_alert_row_is_a_point_too() -> None:
    came = run(core_of(WATER), [*start(), *(level(3.0, s) for s in range(0, 50, 10))])

    (line,) = [line for line in came.series.split(b"\n") if line.startswith(b"zhiwang_alert")]
    (row,) = came.alerts
    assert line.endswith(str(row.changed_ns + row.seq).encode())
    assert f'id="{row.id}"'.encode() in line


def test_numbers_that_nothing_can_hold_are_refused_and_the_neighbour_goes_on() -> None:
    bodies = [
        b'{"ts": 1, "level": 1e999}',
        b'{"level": NaN}',
        b"",
        b"\xff",
        b"[]",
        b'{"level": "deep"}',
        b"x" * 1_000_000,
    ]
    bad = [at(Message("here", "water", body), T0 + S) for body in bodies]

    came = run(core_of(WATER), [*start(), *bad, level(2.0, 2)], [4])

    assert len(came.dead) == len(bodies)
    assert [letter.body for letter in came.dead] == bodies
    assert came.series.startswith(b"water level=2.0 ")
    assert all(np.isfinite(v.value) for v in core_of(WATER).latest())


def test_a_stored_state_that_cannot_be_read_is_told_apart() -> None:
    with pytest.raises(StateError, match="stored state cannot be read"):
        core_of(WATER).restore(b"\xc1", [])


@pytest.mark.parametrize(("value", "line"), [(1.0, 2.0), (9.0, 4.0)])
def test_outside_of_two_lines_the_alert_names_the_one_that_was_passed(value: float, line: float) -> None:
    text = f"sensors:{WATER_SENSOR}rules:\n  odd: {{threshold: water.level, outside: {{yellow: [2, 4]}}}}\n"

    came = run(core_of(text), [*start(), level(value, 1)])

    assert body_of(came.alerts[0])["limit"] == line
