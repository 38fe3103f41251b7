"""What zones and lines make of walkers, by name: each is a sentence of docs/zones.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from gateway.core.looks import Looks
from gateway.core.state import State
from gateway.events import Detections, Looked, Tick
from tests.core.build import T0, S, Stamped, at, config_of, core_of, plan_of, run, start
from tests.core.cases import CAMERA, STREET

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MS = 10**6
LOITER = STREET + "  loiter: {dwell: person, in: crossing.zebra, levels: {yellow: 20 s, orange: 1 min}}\n"
KERB = STREET + "  kerb: {cross: person, over: crossing.kerb, levels: {yellow: 1}, direction: %s}\n"


def seen(
    frame: int, at_ns: int, feet: Iterable[tuple[float, float]], high: float = 80, score: float = 0.9
) -> Detections:
    """A look with boxes of that height on these feet."""
    rows = [(x * 640 - 20, y * 480 - high, x * 640 + 20, y * 480) for x, y in feet]
    xyxy = np.array(rows, np.float32).reshape(-1, 4)
    count = len(rows)
    return Detections(
        "crossing", frame, at_ns, 640, 480, xyxy, np.full(count, score, np.float32), np.zeros(count, np.int16)
    )


def walked(way: Callable[[float], tuple[float, float] | None], from_s: float, to_s: float) -> list[Stamped]:
    """Five looks a second at one walker, each with the time that it completes.

    way: where the feet are (fractions) that many seconds after the beginning; None: not seen.
    """
    out: list[Stamped] = []
    for frame in range(round(from_s * 5) + 1, round(to_s * 5) + 1):
        now, feet = T0 + frame * 200 * MS, way(frame / 5)
        out += [
            at(seen(frame, now, [feet] if feet else []), now),
            at(Looked("crossing", now - 200 * MS, now, "analysed"), now),
        ]
    return out


def standing(_: float) -> tuple[float, float] | None:
    """In the zone."""
    return 0.3, 0.8


def covered(why: str, from_s: float, to_s: float) -> Stamped:
    """Time without looks."""
    now = T0 + round(to_s * S)
    return at(Looked("crossing", T0 + round(from_s * S), now, why), now)  # type: ignore[arg-type]  a Why


def test_who_stands_for_an_hour_is_one_alert() -> None:
    came = run(core_of(LOITER), [*start(), *walked(standing, 0, 3600)], [500])

    assert came.of("loiter") == [("raised", "moderate"), ("raised_level", "severe")]


def test_who_is_hidden_for_ten_seconds_goes_on_with_its_stay() -> None:
    def hidden(t: float) -> tuple[float, float] | None:
        return None if 15 < t < 25 else standing(t)

    came = run(core_of(LOITER), [*start(), *walked(hidden, 0, 62)])

    assert came.of("loiter") == [("raised", "moderate"), ("raised_level", "severe")]
    raised = came.alerts[0]
    assert raised.changed_ns == pytest.approx(T0 + 25.4 * S, abs=S), "it is known again by then, and 20 s are over"


def test_another_one_who_comes_to_stand_elsewhere_begins_anew() -> None:
    def another(t: float) -> tuple[float, float] | None:
        return standing(t) if t < 15 else (0.55, 0.8)

    came = run(core_of(LOITER), [*start(), *walked(another, 0, 30)])

    assert came.of("loiter") == []


def test_time_that_was_not_watched_is_no_stay() -> None:
    """Fifteen seconds of somebody, nine of blindness, three of somebody: twenty were not seen."""

    def stayed(why: str) -> list[tuple[str, str]]:
        inputs = [*walked(standing, 0, 15), covered(why, 15, 24), *walked(standing, 24, 27)]
        return run(core_of(LOITER), [*start(), *inputs]).of("loiter")

    assert stayed("blind") == []
    assert stayed("still") == [("raised", "moderate")]


def test_who_sways_on_a_zone_s_edge_enters_once_and_leaves_once() -> None:
    text = STREET + (
        "  in: {enter: person, in: crossing.zebra, hold: 1 s}\n  out: {leave: person, in: crossing.zebra, hold: 1 s}\n"
    )

    def swaying(t: float) -> tuple[float, float] | None:
        if t < 3:
            return 0.78 - 0.02 * t, 0.8
        return (0.7 + 0.008 * (-1 if round(t * 5) % 2 else 1), 0.8) if t < 60 else (0.7 + 0.02 * (t - 60), 0.8)

    came = run(core_of(text), [*start(), *walked(swaying, 0, 66)])

    assert came.of("in") == [("raised", "moderate"), ("cleared", "moderate")]
    assert came.of("out") == [("raised", "moderate"), ("cleared", "moderate")]


@pytest.mark.parametrize(("direction", "times"), [("in", 1), ("out", 0), ("both", 1)])
def test_a_line_is_crossed_in_a_direction(direction: str, times: int) -> None:
    """The kerb goes up the picture: its right hand is the picture's right."""
    came = run(core_of(KERB % direction), [*start(), *walked(lambda t: (0.2 + 0.05 * t, 0.7), 0, 12)])

    assert [change for change, _ in came.of("kerb")] == ["raised"] * times


def test_there_and_back_is_no_crossing_and_swaying_on_a_line_is_none() -> None:
    back = walked(lambda t: (0.5 + 0.008 * (1 if round(t) % 2 else -1), 0.7), 0, 60)

    assert run(core_of(KERB % "both"), [*start(), *back]).of("kerb") == []


def test_who_goes_round_the_end_of_a_line_has_not_crossed_it() -> None:
    text = (KERB % "both").replace("kerb: [[0.5, 1], [0.5, 0]]", "kerb: [[0.5, 1], [0.5, 0.8]]")

    came = run(core_of(text), [*start(), *walked(lambda t: (0.2 + 0.05 * t, 0.6), 0, 12)])

    assert came.of("kerb") == []


def test_whose_feet_are_hidden_stands_where_they_should_be() -> None:
    """A bench hides the lower legs of who walks along a line: the line is not crossed."""
    text = (KERB % "both").replace("kerb: [[0.5, 1], [0.5, 0]]", "kerb: [[0, 0.775], [1, 0.775]]")
    inputs: list[Stamped] = []
    for frame in range(1, 60):
        now = T0 + frame * 200 * MS
        whole = seen(frame, now, [(0.2 + 0.008 * frame, 0.8)])
        if 20 < frame < 28:
            whole.xyxy[:, 3] -= 24
        inputs += [at(whole, now), at(Looked("crossing", now - 200 * MS, now, "analysed"), now)]

    assert run(core_of(text), [*start(), *inputs]).of("kerb") == []


def test_what_flickers_in_one_place_is_nobody_and_what_drives_far_is_somebody() -> None:
    def counted(step: float) -> list[tuple[str, str]]:
        inputs: list[Stamped] = []
        for frame in range(1, 40):
            now = T0 + frame * 100 * MS
            found = seen(frame, now, [(0.1 + step * frame, 0.8)], high=40, score=0.45)
            inputs += [at(found, now), at(Looked("crossing", now - 100 * MS, now, "analysed"), now)]
        text = STREET + "  any: {crowd: person, in: crossing, levels: {yellow: 1}}\n"
        return run(core_of(text), [*start(), *inputs]).of("any")

    assert counted(0.0) == []
    assert counted(0.02) == [("raised", "moderate")]


def test_what_is_too_small_for_a_zone_does_not_count_there() -> None:
    text = STREET + "  far: {crowd: person, in: crossing.far, levels: {yellow: 1}}\n"

    def far(high: float) -> list[tuple[str, str]]:
        inputs: list[Stamped] = []
        for frame in range(1, 20):
            now = T0 + frame * 200 * MS
            inputs += [
                at(seen(frame, now, [(0.6, 0.4)], high), now),
                at(Looked("crossing", now - 200 * MS, now, "analysed"), now),
            ]
        return run(core_of(text), [*start(), *inputs]).of("far")

    assert far(50) == [], "it says least: 60 px"
    assert far(80) == [("raised", "moderate")]


def test_a_camera_without_such_rules_has_no_tracker() -> None:
    plan = plan_of(config_of(CAMERA + "  bank: {count: person, in: crossing.zebra, levels: {yellow: 1}}\n"))
    found = seen(1, T0, [(0.3, 0.8)])

    look = Looks(plan, State()).take(found)

    assert look.tracks is None
    assert look.seen is found


def test_a_camera_whose_settings_ask_for_it_tracks() -> None:
    text = "cameras: {crossing: {detect: a.mp4, tracks: true}}\n"

    look = Looks(plan_of(config_of(text)), State()).take(seen(1, T0, [(0.3, 0.8)]))

    assert look.tracks is not None
    assert look.tracks.id.tolist() == [1]
    assert look.tracks.ground.tolist() == [[pytest.approx(0.3), pytest.approx(0.8)]]


# ── minutes ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def points(series: bytes, measurement: str) -> list[tuple[dict[str, str], dict[str, float], int]]:
    """(tags, fields, second of the day's first minute) of each point."""
    out: list[tuple[dict[str, str], dict[str, float], int]] = []
    for line in series.decode().splitlines():
        head, fields, when = line.split(" ")
        if head.startswith(f"{measurement},"):
            tags = dict(part.split("=") for part in head.split(",")[1:])
            numbers = {key: float(value.rstrip("i")) for key, value in (one.split("=") for one in fields.split(","))}
            out.append((tags, numbers, (int(when) - T0) // S))
    return out


def test_minutes_say_who_came_and_went_and_how_far_that_can_be_believed() -> None:
    """A minute of which a third was blind; in the next nobody looks at all."""
    text = STREET + "  in: {enter: person, in: crossing.zebra}\n"
    walk = walked(lambda t: (0.9 - 0.02 * t, 0.8) if t < 38 else None, 0, 40)
    ticks = [at(Tick(), T0 + s * S) for s in range(40, 170)]

    came = run(core_of(text), [*start(), *walk, covered("blind", 40, 60), *ticks], [7])

    zebra = [(numbers, when) for tags, numbers, when in points(came.series, "zhiwang_zone") if tags["zone"] == "zebra"]
    (first, at_s), (second, later) = zebra
    assert (at_s, later) == (0, 60)
    assert {key: first[key] for key in ("most", "entered", "appeared", "left", "lost")} == {
        "most": 1,
        "entered": 1,
        "appeared": 0,
        "left": 0,
        "lost": 0,
    }
    assert first["mean"] == pytest.approx(28 / 40, abs=0.03)
    assert first["coverage"] == pytest.approx(2 / 3, abs=0.001)
    assert first["rate"] == pytest.approx(5)
    assert first["uncertainty"] == pytest.approx(1 - 2 / 3 * 0.95, abs=0.001)
    assert (second["coverage"], second["rate"], second["uncertainty"]) == (0, 0, 1)
    assert "mean" not in second
    lines = [one for one in points(came.series, "zhiwang_line") if one[0]["line"] == "kerb"]
    kerb = {(tags["direction"], when): numbers["count"] for tags, numbers, when in lines}
    assert kerb == {("in", 0): 0, ("out", 0): 1, ("in", 60): 0, ("out", 60): 0}


def test_looks_that_are_too_far_apart_are_uncertain() -> None:
    text = STREET + "  in: {enter: person, in: crossing.zebra}\n"
    inputs: list[Stamped] = []
    for second in range(1, 61):
        now = T0 + second * S
        inputs += [at(seen(second, now, [(0.3, 0.8)]), now), at(Looked("crossing", now - S, now, "analysed"), now)]

    came = run(core_of(text), [*start(), *inputs, at(Tick(), T0 + 125 * S)])

    (_, numbers, _), *_ = points(came.series, "zhiwang_zone")
    assert (numbers["coverage"], numbers["uncertainty"]) == (1, 1)
