"""Which things there are: found again, stored small, and taken over from what an earlier release stored."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from gateway.core.things import Family, Things
from gateway.events import Message
from tests.core.build import T0, S, at, core_of, run, start

STORED = Path(__file__).parent / "stored" / "things-v2.msgpack"
BEFORE = """sensors:
  air: {mqtt: here, topic: "air/{site}/{device}", json: {pm: pm, rh: rh}, every: 10 s}
  water: {mqtt: here, topic: "water", json: {level: level}, every: 10 s}
rules:
  dust: {threshold: air.pm, over: mean 1 min, levels: {yellow: 100}}
  flood: {threshold: water.level, levels: {orange: 3}}
"""
SERIES = {
    "water.level": 0,
    "air.pm{device=1,site=a}": 1,
    "air.rh{device=1,site=a}": 2,
    "air.pm{device=2,site=b}": 3,
    "air.rh{device=2,site=b}": 4,
    "air.pm{device=3,site=c}": 5,
    "air.rh{device=3,site=c}": 6,
}
AIR = Family("air", ("pm", "rh"), ("device", "site"))


class Stored(msgspec.Struct):
    """What the release before stored: a snapshot and the deltas after it, up to input n."""

    n: int
    snapshot: bytes
    deltas: list[bytes]


def series_of(core: object) -> dict[str, int]:
    """Each series' number by its subject."""
    return {t.subject(field): t.series_of(field) for t in core._ingest.things for field in t.fields}  # type: ignore[attr-defined]


def test_the_things_that_an_earlier_release_stored_keep_their_series() -> None:
    """An update of the program is no reason to forget which state belongs to which device."""
    old = msgspec.msgpack.decode(STORED.read_bytes(), type=Stored)
    core = core_of(BEFORE)

    core.restore(old.snapshot, old.deltas)

    assert series_of(core) == SERIES
    values = {latest.subject: latest.value for latest in core.latest()}
    assert values["air.pm{device=1,site=a}"] == 300
    assert values["water.level"] == 3.5


def test_and_their_alerts_end_as_they_would_have() -> None:
    old = msgspec.msgpack.decode(STORED.read_bytes(), type=Stored)
    core = core_of(BEFORE)
    core.restore(old.snapshot, old.deltas)
    now = T0 + 110 * S

    came = run(
        core,
        [
            at(Message("here", "air/b/2", b'{"pm": 5, "rh": 60}'), now),
            at(Message("here", "water", b'{"level": 1}'), now),
        ],
        n0=old.n,
    )

    assert came.of("silent") == [("cleared", "minor"), ("cleared", "minor")]
    assert came.of("flood") == [("cleared", "severe")]


def test_what_an_update_took_over_is_stored_on_top_of_what_was_before() -> None:
    old = msgspec.msgpack.decode(STORED.read_bytes(), type=Stored)
    core = core_of(BEFORE)
    core.restore(old.snapshot, old.deltas)
    came = run(core, [*start(T0 + 110 * S), at(Message("here", "air/d/4", b'{"pm": 5}'), T0 + 111 * S)], n0=old.n)

    again = core_of(BEFORE)
    again.restore(old.snapshot, [*old.deltas, *came.deltas])

    assert series_of(again) == {**SERIES, "air.pm{device=4,site=d}": 7, "air.rh{device=4,site=d}": 8}
    assert again.snapshot() == core.snapshot()


def test_things_come_back_from_deltas_as_from_the_whole() -> None:
    things, told, taken = Things(), Things(), Things()
    things.make(AIR, ("1", "a"), range(2))
    things.make(Family("water", ("level",), ()), (), [2])
    told.apply(sent(things.delta()))
    things.make(Family("noise", ("db",), ("device",)), "7", [3])
    things.change(things.all[0], ("pm", "so2"), [0, 4])
    told.apply(sent(things.delta()))

    taken.apply(sent(things.whole()))

    assert told.all == taken.all == things.all
    assert told.whole() == taken.whole() == things.whole()
    assert things.delta() is told.delta() is None
    assert list(taken.all[0].series) == [0, 4]
    assert taken.find("noise", (("device", "7"),)) == things.all[2]
    assert taken.find("noise", (("device", "8"),)) is None


def test_a_changed_thing_that_was_not_told_of_yet_is_told_once() -> None:
    things, again = Things(), Things()
    things.change(things.make(AIR, ("1", "a"), range(2)), ("pm",), [0])

    again.apply(sent(things.delta()))

    assert again.all == things.all


@pytest.mark.parametrize("values", [("a\0b", "c"), ("a", "b\0c"), ("", "abc")])
def test_tags_that_look_alike_put_together_are_two_things(values: tuple[str, str]) -> None:
    things = Things()
    other = things.make(AIR, ("ab", "c"), range(2))

    thing = things.make(AIR, values, range(2, 4))

    assert things.find("air", thing.tags) == thing
    assert things.find("air", other.tags) == other


def test_a_field_more_takes_a_series_of_its_own_and_leaves_the_others() -> None:
    narrow = 'sensors: {air: {mqtt: here, topic: "air/{d}", json: {pm: pm, rh: rh}}}\n'
    core = core_of(narrow)
    inputs = [at(Message("here", f"air/{d}", b'{"pm": %d, "rh": 7}' % d), T0 + S) for d in range(3)]
    run(core, [*start(), *inputs])
    wide = core_of(narrow.replace("rh: rh", "no2: no2, rh: rh"))
    wide.restore(core.snapshot(), [])

    later = [at(Message("here", f"air/{d}", b'{"pm": 1, "no2": 2, "rh": 3}'), T0 + 2 * S) for d in (1, 2, 9)]
    run(wide, [*start(T0 + 2 * S), *later], n0=7)

    assert series_of(wide) == {
        "air.pm{d=0}": 0, "air.rh{d=0}": 1, "air.pm{d=1}": 2, "air.rh{d=1}": 3, "air.pm{d=2}": 4, "air.rh{d=2}": 5,
        "air.no2{d=0}": 6, "air.no2{d=1}": 7, "air.no2{d=2}": 8, "air.pm{d=9}": 9, "air.no2{d=9}": 10,
        "air.rh{d=9}": 11,
    }  # fmt: skip
    latest = {one.subject: one.value for one in wide.latest()}
    assert {s: v for s, v in latest.items() if "d=1" in s} == {"air.pm{d=1}": 1, "air.no2{d=1}": 2, "air.rh{d=1}": 3}
    assert latest["air.pm{d=0}"] == 0


def sent(delta: list[object] | None) -> list[object]:
    """As it comes back from the store."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(delta))
