"""A restart with another configuration: what stays, what ends, what begins anew."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from gateway.app.plan import make_plan
from gateway.config.load import loads
from gateway.core import Core
from gateway.events import Configured, Detections, Health, Looked, Message, Restart
from gateway.registry import registry
from tests.core.build import T0, S, at, core_of, run, start, ticks

if TYPE_CHECKING:
    from tests.core.build import Stamped

AIR = """
sensors: {air: {mqtt: here, topic: "air/{d}", json: {pm: pm}, every: 10 s}}
rules: {dust: {threshold: air.pm, levels: {yellow: 100}, mode: live}}
"""


def air(pm: float, seconds: float, device: str = "a") -> Stamped:
    """A reading without a time of its own."""
    return at(Message("here", f"air/{device}", b'{"pm": %g, "rh": 3}' % pm), T0 + round(seconds * S))


def begun(seconds: float) -> list[Stamped]:
    """What a restart begins with; the broker is back at once."""
    now = T0 + round(seconds * S)
    inputs = (Restart("", "b3f1", 1), Configured("", ""), Health("source/here", "connected", ok=True))
    return [at(one, now) for one in inputs]


def after(core: Core, text: str) -> Core:
    """The core of another configuration, brought back from the state of this one."""
    again = core_of(text)
    again.restore(core.snapshot(), [])
    return again


@pytest.mark.parametrize(("was", "now"), [("shadow", "live"), ("live", "shadow")])
def test_a_rule_that_leaves_the_shadow_over_its_line_wakes_somebody(was: str, now: str) -> None:
    core = core_of(AIR.replace("live", was))
    run(core, [*start(), air(500, 1)])
    later = after(core, AIR.replace("live", now))

    came = run(later, [*begun(10), air(500, 11), air(500, 12)], n0=10)

    assert [(row.change, row.shadow) for row in came.alerts] == [
        ("closed", was == "shadow"),
        ("raised", now == "shadow"),
    ]


STREET = """
cameras:
  street:
    detect: rtsp://127.0.0.1/1
    zones: {square: [[0, 0.5], [1, 0.5], [1, 1], [0, 1]]}
    ground: {metres: [[[0, 0], [0, 20]], [[1, 0], [20, 20]], [[1, 1], [20, 0]], [[0, 1], [0, 0]]]}
rules: {full: {crowd: person, in: street.square, levels: {yellow: 0.01/m2}}}
"""


@pytest.mark.parametrize(("north", "said"), [("20]", []), ("10]", ["closed"])])
def test_a_density_begins_anew_where_its_square_metres_are_others(north: str, said: list[str]) -> None:
    """Given three people on 200 m2; the pairs are put right while the gateway is down."""
    xyxy = np.array([(x, 200, x + 30, 300) for x in (100, 300, 500)], np.float32)
    rows = np.zeros(3, np.int16)
    steps: list[Stamped] = []
    for frame in range(10):
        now = T0 + frame * S // 5
        seen = Detections("street", frame, now, 640, 480, xyxy, np.full(3, 0.9, np.float32), rows)
        steps += [at(seen, now), at(Looked("street", now - S // 5, now, "analysed"), now)]
    core = core_of(STREET)
    assert run(core, [*start(), *steps]).of("full") == [("raised", "moderate")]
    later = after(core, STREET.replace("20]", north))

    came = run(later, begun(10), n0=50)

    assert [row.change for row in came.alerts] == said


WIDER = AIR.replace("json: {pm: pm}", "json: {rh: rh, pm: pm}")


def test_another_value_of_a_sensor_leaves_its_series_as_they_were() -> None:
    """The things get new fields, not a new life: nothing falls silent, and what is raised is cleared by a reading."""
    core = core_of(AIR)
    first = run(core, [*start(), air(500, 1)])
    wider = after(core, WIDER)

    came = run(wider, [*begun(10), air(500, 11), *ticks(T0 + 11 * S, T0 + 20 * S), air(50, 21)], n0=10)
    quiet = run(wider, ticks(T0 + 21 * S, T0 + 45 * S), n0=99)

    assert first.of("dust") == [("raised", "moderate")]
    assert came.brief() == [("dust", "air.pm{d=a}", "cleared", "moderate")]
    assert came.series.count(b"air,d=a rh=3.0,pm=") == 2
    assert sorted(latest.subject for latest in wider.latest()) == ["air.pm{d=a}", "air.rh{d=a}"]
    assert quiet.brief() == []


def test_a_silent_thing_is_the_same_thing_with_more_values() -> None:
    core = core_of(AIR)
    first = run(core, [*start(), air(5, 1), *ticks(T0 + S, T0 + 40 * S)])
    wider = after(core, WIDER)

    came = run(wider, [*begun(50), air(5, 51)], n0=99)
    again = after(wider, WIDER)

    assert first.of("silent") == [("raised", "minor")]
    assert came.of("silent") == [("cleared", "minor")]
    assert again.snapshot() == wider.snapshot()
    assert run(again, [*begun(60), *ticks(T0 + 60 * S, T0 + 85 * S)], n0=199).brief() == []


def test_nor_does_it_fall_silent_when_the_value_is_taken_out_again() -> None:
    core = core_of(AIR)
    run(core, [*start(), air(5, 1)])
    wider = after(core, WIDER)
    run(wider, [*begun(10), air(5, 11)], n0=10)
    back = after(wider, AIR)

    came = run(back, [*begun(20), *(air(5, s) for s in range(21, 60, 9)), *ticks(T0 + 57 * S, T0 + 85 * S)], n0=20)

    assert came.brief() == []
    assert [latest.subject for latest in back.latest()] == ["air.pm{d=a}"]


@pytest.mark.parametrize(
    ("was", "now", "topic", "subject"),
    [
        ("air/{d}", "air/{site}/{d}", "n/a", "air.pm{d=a,site=n}"),
        ("air/{d}", "air/a", "a", "air.pm"),
        ("air/a", "air/{d}", "a", "air.pm{d=a}"),
        ("every", "tier: air, every", "a", "air.pm{d=a,tier=air}"),
    ],
)
def test_things_that_the_topic_no_longer_makes_end_their_alerts_and_are_missed_by_nobody(
    was: str, now: str, topic: str, subject: str
) -> None:
    text = AIR if "air/" not in was else AIR.replace("air/{d}", was)
    core = core_of(text)
    first = run(core, [*start(), air(500, 1), *ticks(T0 + S, T0 + 40 * S)])
    assert sorted(row.change for row in first.alerts) == ["raised", "raised", "unknown"]
    later = after(core, text.replace(was, now))

    came = run(later, [*begun(50), air(500, 51, topic), *ticks(T0 + 51 * S, T0 + 60 * S)], n0=60)
    quiet = run(later, [air(500, 61, topic), *ticks(T0 + 61 * S, T0 + 85 * S)], n0=90)

    assert sorted((row.rule, row.change) for row in came.alerts) == [
        ("dust", "closed"),
        ("dust", "raised"),
        ("silent", "closed"),
    ]
    assert came.alerts[-1].subject == subject
    assert quiet.alerts == []
    assert [latest.subject for latest in later.latest()] == [subject]


def test_things_of_a_topic_that_was_written_otherwise_take_no_room_from_those_of_now() -> None:
    core = core_of(AIR.replace("every", "series: 2, every"))
    run(core, [*start(), air(5, 1, "a"), air(5, 2, "b")])
    later = after(core, AIR.replace("every", "series: 2, every").replace("air/{d}", "air/{site}/{d}"))

    came = run(later, [*begun(10), air(5, 11, "n/a"), air(5, 12, "n/b")], n0=10)

    assert came.dead == []


def test_a_value_that_is_taken_out_and_put_back_leaves_the_others_as_they_were() -> None:
    core = core_of(WIDER)
    run(core, [*start(), air(500, 1)])
    narrow = after(core, AIR)
    run(narrow, [*begun(10), air(500, 11)], n0=10)
    back = after(narrow, WIDER)

    came = run(back, [*begun(20), air(50, 21)], n0=20)

    assert came.brief() == [("dust", "air.pm{d=a}", "cleared", "moderate")]
    assert len(back.latest()) == 2


CITY = """gateway: g
brokers: {here: {url: mqtt://h}, there: {url: mqtt://t}}
sensors: {a: {mqtt: here, topic: a, plain: v}, b: {mqtt: there, topic: b, plain: v}}
sinks: {city: {mqtt: there}, store: {v1: "http://i", db: d}}
"""


def wired(text: str, *, state: bytes | None = None) -> Core:
    """A core as `app` makes it."""
    core = Core(make_plan(loads(text, Path("/"), registry()), registry(), {}), registry().rules)
    core.restore(state, [])
    return core


def test_a_part_that_is_no_longer_configured_ends_its_alerts_and_the_others_do_not() -> None:
    parts = ["source/here", "source/there", "source/ticks", "sink/city", "sink/store", "sink/history", "disk/outbox"]
    core = wired(CITY)
    ill = [at(Health(part, "running", ok=False, detail="x"), T0 + S) for part in parts]
    assert len(run(core, [*start(up=False), *ill]).alerts) == len(parts)
    text = CITY.replace(", b: {mqtt: there, topic: b, plain: v}", "").replace(', store: {v1: "http://i", db: d}', "")
    later = wired(text, state=core.snapshot())

    came = run(later, [at(Restart("", "b3f1", 1), T0 + 9 * S), at(Configured("", ""), T0 + 9 * S)], n0=90)

    assert sorted((row.subject, row.change) for row in came.alerts) == [
        ("sink/store{condition=running}", "closed"),
        ("source/there{condition=running}", "closed"),
    ]
