"""One device that floods: what is beyond the limit is dropped and counted, it is named, and nobody else is hurt."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.flood import CALM_NS, SAVED, WINDOW_NS
from gateway.events import Configured, Message, Restart, Tick
from tests.core.build import T0, S, Stamped, at, body_of, core_of, run, start, ticks
from tests.core.streams import jiggle, searching

AIR = 'sensors: {air: {mqtt: here, topic: "air/{d}", json: {pm: pm}, at_most: 6/min}}\n'
LIMIT = 1  # in ten seconds
ALL = SAVED * LIMIT  # of a device that was quiet for long, or is new
FLOODING = "air{condition=flooding,d=%s}"


class Left:
    """What each device may still send, message by message."""

    def __init__(self, at_most: int) -> None:
        self.at_most = at_most
        self.left: dict[str, int] = {}
        self.window: dict[str, int] = {}

    def take(self, thing: str, now: int) -> int:
        """How many of this thing are too many in this window, with this one: 0 where it is not."""
        window, most = now // WINDOW_NS, SAVED * self.at_most
        left = self.left.get(thing, most)
        if window > self.window.get(thing, window):
            left = min(most, max(0, left) + (window - self.window[thing]) * self.at_most)
        self.left[thing], self.window[thing] = left - 1, window
        return max(0, 1 - left)


class Came(NamedTuple):
    """What should come of a stream: devices of taken messages, devices of dead letters, changes of alerts by device."""

    taken: list[str]
    letters: list[str]
    changes: list[tuple[str, str]]


def by_hand(inputs: list[Stamped], at_most: int) -> Came:
    """The limit, one input at a time."""
    limit, came, told = Left(at_most), Came([], [], []), dict[str, int]()
    open_alerts: set[str] = set()
    for one in inputs:
        if isinstance(one.item, Message):
            device = one.item.topic.partition("/")[2]
            beyond = limit.take(device, one.elapsed_ns)
            if not beyond:
                came.taken.append(device)
                continue
            if beyond == 1:
                came.letters.append(device)
            if device not in told:
                came.changes.append((device, "returned" if device in open_alerts else "raised"))
                open_alerts.add(device)
            told[device] = one.elapsed_ns
        elif isinstance(one.item, Tick):
            for device in sorted(d for d, last in told.items() if one.elapsed_ns - last >= CALM_NS):
                del told[device]
                came.changes.append((device, "cleared"))
    return came


def pm(device: str, seconds: float) -> Stamped:
    """A reading."""
    return at(Message("here", f"air/{device}", b'{"pm": 7}'), T0 + round(seconds * S))


def taken(series: bytes) -> list[str]:
    """The devices of points, in order."""
    heads = (line.partition(b" ")[0].decode() for line in series.splitlines())
    return [head.partition("d=")[2] for head in heads if head.startswith("air,")]


@st.composite
def floods(draw: st.DrawFn) -> list[Stamped]:
    """Three devices, in bursts and with quiet between, from none to hours."""
    out, now = list[Stamped](), 1.0
    for _ in range(draw(st.integers(1, 12))):
        now += draw(st.sampled_from([0, 0.1, 2, 9.9, 10, 11, 45, 61, 4000]))
        kind = draw(st.sampled_from(["tick", "burst", "burst", "mixed"]))
        if kind == "tick":
            out.append(at(Tick(), T0 + round(now * S)))
            continue
        devices = "a" if kind == "burst" else "abc"
        for _ in range(draw(st.sampled_from([1, 5, 14, ALL - 1, ALL, ALL + 3]))):
            now += draw(st.sampled_from([0, 0, 0.5, 3])) if len(out) < ALL else 0
            out.append(pm(draw(st.sampled_from(devices)), now))
    return out


@searching(100)
@given(inputs=floods(), sizes=jiggle())
def test_the_limit_is_that_of_the_reference_however_inputs_were_cut(inputs: list[Stamped], sizes: list[int]) -> None:
    core, alone = core_of(AIR), core_of(AIR)

    came = run(core, [*start(), *inputs], sizes)

    wanted = by_hand(inputs, LIMIT)
    assert taken(came.series) == wanted.taken
    assert [letter.topic.partition("/")[2] for letter in came.dead] == wanted.letters
    names = {FLOODING % device: device for device in "abc"}
    assert [(names[row.subject], row.change) for row in came.alerts if row.subject in names] == wanted.changes
    assert core.counts["thing_flooding/air"] == sum(isinstance(one.item, Message) for one in inputs) - len(wanted.taken)
    run(alone, [*start(), *inputs], [1])
    assert core.snapshot() == alone.snapshot()


def test_a_flood_starves_nobody_and_is_named_until_it_is_over() -> None:
    flood = [pm("bad", 1 + i / 100) for i in range(ALL + 495)]
    others = [pm(f"good{i}", 1 + i) for i in range(5)]
    inputs = sorted([*flood, *others], key=lambda one: one.admitted_ns)
    core = core_of(AIR)

    came = run(core, [*start(), *inputs, *ticks(T0 + 6 * S, T0 + 80 * S)], [7])

    assert Counter(taken(came.series)) == {"bad": ALL, **{f"good{i}": 1 for i in range(5)}}
    assert core.counts["thing_flooding/air"] == 495
    (letter,) = came.dead
    assert letter.where == "air"
    assert letter.reason == (
        "air{d=bad} sent more than at_most: 6/min; what more came until its next window is counted, not kept"
    )
    assert came.brief() == [
        ("health", FLOODING % "bad", "raised", "minor"),
        ("health", FLOODING % "bad", "cleared", "minor"),
    ]
    body = body_of(came.alerts[0])
    assert body["class"] == "equipment"
    assert body["detail"] == "flooding"


def test_what_waited_while_nothing_could_come_is_no_flood() -> None:
    """Ten minutes of a device's readings come at once: from the broker's queue at the first start, and later again."""
    first, later = [pm("a", 1 + i / 1000) for i in range(ALL)], [pm("a", 600 + i / 1000) for i in range(ALL - 1)]
    core = core_of(AIR)

    came = run(core, [*start(), *first, *later], [50])

    assert taken(came.series) == ["a"] * (2 * ALL - 1)
    assert core.counts["thing_flooding/air"] == 0


def test_a_flood_is_remembered_over_a_restart() -> None:
    core = core_of(AIR)
    first = run(core, [*start(), *[pm("bad", 1 + i / 100) for i in range(ALL + 4)]], [3])
    again = core_of(AIR)
    again.restore(None, first.deltas)
    begun = [at(Restart("", "b3f1", 2), T0 + 3 * S), at(Configured("sha", ""), T0 + 3 * S)]

    later = run(again, [*begun, pm("bad", 4), pm("good", 4), *ticks(T0 + 5 * S, T0 + 70 * S)], n0=99)

    assert taken(later.series) == ["good"]
    assert [row.change for row in later.alerts] == ["cleared"]


def test_a_sensor_that_is_gone_takes_the_alert_with_it() -> None:
    core = core_of(AIR)
    run(core, [*start(), *[pm("bad", 1) for _ in range(ALL + 4)]])
    other = core_of(AIR.replace("air: {", "dust: {"))
    other.restore(core.snapshot(), [])

    came = run(other, [at(Configured("sha", ""), T0 + 3 * S), *ticks(T0 + 3 * S, T0 + 90 * S)], n0=99)

    assert came.brief() == [("health", FLOODING % "bad", "closed", "minor")]
