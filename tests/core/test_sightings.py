"""Who was seen, from beginning to end, as requests `track`."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from gateway.core import Core
from gateway.core.sightings import KIND, Told
from gateway.events import Detections, Looked
from tests.core.build import RULES, T0, S, Stamped, at, config_of, plan_of, run, start, ticks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gateway.events import RequestRow

MS = 10**6
TEXT = """
cameras:
  street: {detect: street.mp4, tracks: true, zones: {left: [[0, 0], [0.5, 0], [0.5, 1], [0, 1]]}}
"""
Feet = tuple[float, float]


def core(text: str = TEXT, *, told: bool = True) -> Core:
    """A core that tells who its camera sees."""
    plan = plan_of(config_of(text))
    return Core(msgspec.structs.replace(plan, sightings=frozenset({"street"} if told else ())), RULES)


def walked(way: Callable[[float], Iterable[Feet]], to_s: float, score: float = 0.9) -> list[Stamped]:
    """Five looks a second; `way`: the feet in fractions of 640 × 480, so many seconds after the beginning."""
    out: list[Stamped] = []
    for frame in range(1, round(to_s * 5) + 1):
        now = T0 + frame * 200 * MS
        rows = [(x * 640 - 20, y * 480 - 80, x * 640 + 20, y * 480) for x, y in way(frame / 5)]
        xyxy, n = np.array(rows, np.float32).reshape(-1, 4), len(rows)
        scores, labels = np.full(n, score, np.float32), np.zeros(n, np.int16)
        out.append(at(Detections("street", frame, now, 640, 480, xyxy, scores, labels), now))
        out.append(at(Looked("street", now - 200 * MS, now, "analysed"), now))
    return out


def told(requests: Iterable[RequestRow]) -> list[Told]:
    """Their bodies."""
    return [msgspec.json.decode(row.body, type=Told) for row in requests if row.kind == KIND]


def crossing(t: float) -> list[Feet]:
    """Somebody who walks from left to right in ten seconds, and is gone then."""
    return [(0.1 + 0.08 * t, 0.6)] if t <= 10 else []


def test_a_walker_begins_changes_its_zone_and_ends() -> None:
    """Given a walk through a zone and out of it, then one id: new in it, an update at its edge, an end five s after."""
    rows = run(core(), [*start(), *walked(crossing, 20)]).requests
    came = told(rows)
    assert rows[-1].expires_ns - rows[0].expires_ns == T0 + 15 * S - came[0].after.frame_ns, (
        "five seconds after the walk"
    )
    assert [one.type for one in came] == ["new", *["update"] * (len(came) - 2), "end"]
    assert len({one.after.id for one in came}) == 1
    new, end = came[0].after, came[-1].after
    assert (new.camera, new.label, new.zones, new.entered, new.stationary) == (
        "street",
        "person",
        ("left",),
        ("left",),
        False,
    )
    assert came[0].before is None
    assert [one.before for one in came[1:]] == [one.after for one in came[:-1]]
    left = next(one.after for one in came if not one.after.zones)
    assert left.frame_ns - T0 < 7 * S
    assert (left.entered, end.zones, end.entered) == (("left",), (), ("left",))
    assert end.end_ns == T0 + 10 * S
    assert came[0].cameras == {"street": {"person": 1}}
    assert came[0].zones == {"left": {"person": 1}}
    assert (came[-1].cameras, came[-1].zones) == ({"street": {"person": 0}}, {"left": {"person": 0}})
    assert len(came) <= 5


def test_who_stands_says_so_once_and_then_every_ten_seconds() -> None:
    """Given somebody who stands for a minute, not quite still, then it becomes stationary, and is told seldom."""

    def standing(t: float) -> list[Feet]:
        return [(0.3 + 0.008 * math.sin(3 * t), 0.6)]

    came = told(run(core(), [*start(), *walked(standing, 62)]).requests)
    assert [one.after.stationary for one in came] == [False, *[True] * (len(came) - 1)]
    assert 6 <= len(came) <= 8
    assert came[-1].active == {"street": {"person": 0}}
    assert came[-1].after.motionless > 200


def test_who_sways_over_a_zones_edge_is_told_once_a_second() -> None:
    """Given somebody who is in and out of a zone again and again, then at most one change a second is told."""

    def swaying(t: float) -> list[Feet]:
        part = (t - 3) / 1.6 % 1 if t > 3 else 0.0
        return [(0.47 + 0.12 * min(part, 1 - part), 0.6)]

    came = told(run(core(), [*start(), *walked(swaying, 20)]).requests)
    frames = [one.after.frame_ns for one in came]
    assert {one.after.zones for one in came} == {(), ("left",)}
    assert min(b - a for a, b in pairwise(frames)) >= S


def test_a_flicker_is_nobody_and_a_lost_camera_holds_nobody() -> None:
    """Given a box in one look, nothing is told; given a camera that goes blind, its visitors end after 30 s."""
    assert told(run(core(), [*start(), *walked(lambda t: [(0.3, 0.6)] if t == 1 else [], 20)]).requests) == []
    looks = walked(lambda _: [(0.3, 0.6)], 5)
    last_ns = T0 + 5 * S
    came = run(core(), [*start(), *looks, *ticks(last_ns, last_ns + 40 * S)])
    assert [one.type for one in told(came.requests)] == ["new", "end"]
    assert told(came.requests)[-1].after.end_ns == last_ns


def test_a_crowd_is_told_at_a_bounded_rate_and_everybody_ends() -> None:
    """Given fifty who sway between a zone and not, then at most twenty changes a second, and fifty ends."""

    def crowd(t: float) -> list[Feet]:
        side = 0.2 if int(t) % 2 else -0.2
        feet = [(0.02 + 0.096 * (i % 10), 0.2 + 0.19 * (i // 10)) for i in range(50)]
        return [(min(max(x + side * (t % 1), 0.0), 1.0), y) for x, y in feet] if t < 8 else []

    rows = run(core(), [*start(), *walked(crowd, 20)]).requests
    came = told(rows)
    by_second: dict[int, int] = {}
    for one in came:
        if one.type != "end":
            second = one.after.frame_ns // S
            by_second[second] = by_second.get(second, 0) + 1
    assert max(by_second.values()) <= 20
    begun = [one.after.id for one in came if one.type == "new"]
    assert sorted(begun) == sorted(one.after.id for one in came if one.type == "end")
    assert len(begun) == len(set(begun)) >= 50
    assert came[-1].cameras == {"street": {"person": 0}}


def test_any_grouping_and_any_restart_tells_the_same() -> None:
    """Given the same looks in other cuts, or a core restored in their middle, then the rows are the same bytes."""
    inputs = [*start(), *walked(lambda t: [*crossing(t), (0.7, 0.9)], 18), *ticks(T0 + 18 * S, T0 + 60 * S)]
    whole = run(core(), inputs)
    assert len(told(whole.requests)) >= 5
    assert run(core(), inputs, [1, 7, 3]).requests == whole.requests
    for cut in (40, 83, len(inputs) - 30):
        first, again = core(), core()
        begun = run(first, inputs[:cut], [5])
        again.restore(None, begun.deltas)
        rest = run(again, inputs[cut:], n0=cut + 1)
        assert [*begun.requests, *rest.requests] == whole.requests
        from_snapshot = core()
        from_snapshot.restore(first.snapshot(), [])
        assert run(from_snapshot, inputs[cut:], n0=cut + 1).requests == rest.requests


def test_where_nobody_wants_it_nothing_is_kept() -> None:
    """Given a camera that tracks for itself alone, then no request is made."""
    assert told(run(core(told=False), [*start(), *walked(crossing, 20)]).requests) == []


def test_whoever_was_told_ends_when_the_zones_change() -> None:
    """Given visitors of an older configuration, then they end with the first look of the new one."""
    looks = walked(crossing, 8)
    first = core()
    begun = run(first, [*start(), *looks[:40]])
    open_ids = {one.after.id for one in told(begun.requests)}
    other = core(TEXT.replace("left:", "west:"))
    other.restore(first.snapshot(), [])
    came = told(run(other, [*start(looks[39].admitted_ns), *looks[40:]], n0=1000).requests)
    assert open_ids == {came[0].after.id}
    assert came[0].type == "end"
    assert came[1].type == "new"
