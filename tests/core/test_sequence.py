"""Numbers that devices give what they send: what never came is counted, what came late or twice is told apart."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.sequence import FAR, KEPT
from gateway.events import Message
from tests.core.build import T0, S, Stamped, at, core_of, run, start
from tests.core.streams import jiggle, searching

AIR = 'sensors: {air: {mqtt: here, topic: "air/{d}", json: {seq: n, pm: pm}, at_most: 100000/s}}\n'


class Device:
    """One device's numbers, by sets."""

    def __init__(self) -> None:
        self.last: int | None = None
        self.first = 0
        self.came: set[int] = set()

    def take(self, number: int) -> tuple[int, int]:
        """(left out, late) with this number."""
        if self.last is None or number - self.last > FAR or self.last - number >= KEPT:
            self.last = self.first = number
            self.came = {number}
            return 0, 0
        if number > self.last:
            left_out = number - self.last - 1
            self.last = number
            self.came.add(number)
            return left_out, 0
        late = number not in self.came and number >= self.first
        self.came.add(number)
        return 0, int(late)


def message(device: str, number: object, i: int = 0, *, retain: bool = False) -> Stamped:
    """A reading with its number."""
    return at(Message("here", f"air/{device}", b'{"n": %s, "pm": 7}' % str(number).encode(), retain=retain), T0 + S + i)


def counted(numbers: list[int]) -> tuple[int, int]:
    """(left out, late) of one device's numbers, one after another."""
    core = core_of(AIR)
    run(core, [*start(), *[message("a", number, i) for i, number in enumerate(numbers)]])
    return core.counts["sequence_gaps/air"], core.counts["sequence_late/air"]


@st.composite
def sent(draw: st.DrawFn) -> list[tuple[str, int]]:
    """Three devices that count, skip, repeat, come late, restart and come round."""
    now, out = {"a": 0, "b": 250, "c": 2**32 - 3}, list[tuple[str, int]]()
    steps = [1, 1, 1, 1, 2, 3, 70, FAR, FAR + 1, 0, -1, -2, -5, -63, -64, -300]
    for _ in range(draw(st.integers(1, 40))):
        device = draw(st.sampled_from("abc"))
        number = max(0, now[device] + draw(st.sampled_from(steps)))
        now[device] = max(now[device], number) if number > now[device] - KEPT else number
        out.append((device, number))
    return out


@searching(150)
@given(sent=sent(), sizes=jiggle())
def test_gaps_are_those_of_the_reference_however_messages_were_cut(
    sent: list[tuple[str, int]], sizes: list[int]
) -> None:
    core, alone = core_of(AIR), core_of(AIR)
    inputs = [*start(), *[message(device, number, i) for i, (device, number) in enumerate(sent)]]

    run(core, inputs, sizes)

    devices, wanted = {name: Device() for name in "abc"}, Counter[str]()
    for device, number in sent:
        left_out, late = devices[device].take(number)
        wanted["sequence_gaps/air"] += left_out
        wanted["sequence_late/air"] += late
    assert {key: core.counts[key] for key in wanted} == wanted
    run(alone, inputs, [1])
    assert core.snapshot() == alone.snapshot()


@pytest.mark.parametrize(
    ("numbers", "left_out", "late"),
    [
        ([7, 8, 9], 0, 0),
        ([0, 1, 4], 2, 0),
        ([1, 3, 2, 4], 1, 1),
        ([1, 3, 2, 2, 3, 4], 1, 1),
        ([5, 4, 3, 6], 0, 0),  # from before we listened
        ([100, 101, 0, 1], 0, 0),  # a restart
        ([254, 255, 0, 1], 0, 0),
        ([65_534, 65_535, 0, 1, 3], 1, 0),
        ([2**32 - 1, 0, 1], 0, 0),
        ([1, 2, 10_002, 10_004], 9_999 + 1, 0),
        ([1, 2, 10_003, 10_004], 0, 0),  # too far to be a gap
        ([1, 70, 7, 6, 5], 68, 1),  # of 64 numbers it is known whether they came; 6 is too long ago
    ],
)
def test_what_is_a_gap_and_what_is_none(numbers: list[int], left_out: int, late: int) -> None:
    assert counted(numbers) == (left_out, late)


def test_numbers_go_on_over_a_restart() -> None:
    core = core_of(AIR)
    first = run(core, [*start(), message("a", 5)])
    again = core_of(AIR)
    again.restore(None, first.deltas)

    run(again, [*start(), message("a", 8)], n0=9)

    assert again.counts["sequence_gaps/air"] == 2


def test_a_retained_number_is_of_long_ago() -> None:
    core = core_of(AIR)

    run(core, [*start(), message("a", 5, retain=True), message("a", 9), message("a", 10)])

    assert core.counts["sequence_gaps/air"] == 0


def test_a_number_that_cannot_be_used_is_told_and_its_values_are_kept() -> None:
    core = core_of(AIR)
    odd = ["-1", '"x"', "1.5", "true", "[1]"]

    came = run(
        core, [*start(), *[message("a", text, i) for i, text in enumerate(odd)], message("a", '"7"'), message("a", "9")]
    )

    assert came.series.count(b"pm=7.0") == 7
    assert len(came.dead) == len(odd)
    assert all(letter.reason.startswith("seq: found ") for letter in came.dead)
    assert core.counts["sequence_gaps/air"] == 1


def test_a_message_without_any_value_still_has_its_number() -> None:
    core = core_of(AIR)
    empty = at(Message("here", "air/a", b'{"n": 2, "pm": null}'), T0 + S)

    run(core, [*start(), message("a", 1), empty, message("a", 3)])

    assert core.counts["sequence_gaps/air"] == 0
