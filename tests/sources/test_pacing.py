"""When a source hands over what came and when it asks for the seal: streams, pauses, and windows that are full."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.clock import NS, ReplayClock
from gateway.sources.pacing import EARLY_S, FLOOD_SPACING_S, GATHER_S, QUIET_S, SHARE, SPACING_S, Leisure, Pacing, State

if TYPE_CHECKING:
    from collections.abc import Callable

STEP_S = 0.001
COMMIT_S = 0.005  # a transaction


class Source:
    """A source on a clock of its own: messages arrive, are handed over, and are acknowledged by linger or seal."""

    def __init__(self, window: int = 10**9, linger_s: float = 1.0, *, leisure: bool = True) -> None:
        self.window, self.linger_s = window, linger_s
        self.now_s = 0.0
        self.waiting: list[float] = []
        self.committing: list[float] = []
        self.backlog = 0
        self.total = self.acknowledged = 0
        self.handed: list[int] = []
        self.latency_s: list[float] = []
        self.seals = 0
        self.transactions = 0
        self._pacing, self._again_s, self._due_s = Pacing(lambda: leisure), float("inf"), float("inf")

    def run(self, seconds: float, arrivals: Callable[[float], int]) -> None:
        """`arrivals`: how many messages come to the broker at a step."""
        for _ in range(round(seconds / STEP_S)):
            self.now_s += STEP_S
            self.backlog += arrivals(self.now_s)
            self._arrive()
            if self.now_s >= self._again_s:
                self._look()
            if self.committing and self.now_s >= min(self._due_s, self.committing[0] + self.linger_s):
                self.acknowledged += len(self.committing)
                self.committing, self._due_s = [], float("inf")
                self.transactions += 1

    def _arrive(self) -> None:
        room = self.window - len(self.waiting) - len(self.committing)
        for _ in range(min(room, self.backlog)):
            if not self.waiting:
                self._again_s = self.now_s + GATHER_S
            self.waiting.append(self.now_s)
            self.total += 1
            self.backlog -= 1

    def _look(self) -> None:
        unacknowledged = [*self.committing, *self.waiting]
        oldest_s = unacknowledged[0] if unacknowledged else 0.0
        step = self._pacing.look(
            self.now_s, State(self.total, len(unacknowledged), oldest_s, waiting=bool(self.waiting))
        )
        if step.hand_over:
            self.handed.append(len(self.waiting))
            self.latency_s += [self.now_s - came_s for came_s in self.waiting]
            self.committing += self.waiting
            self.waiting = []
        if step.seal:
            self.seals += 1
            self._due_s = self.now_s + COMMIT_S
        self._again_s = step.again_s


def every(pause_s: float) -> Callable[[float], int]:
    return lambda now_s: int(round(now_s / STEP_S) % round(pause_s / STEP_S) == 0)


def test_an_isolated_message_goes_on_at_once() -> None:
    source = Source()
    source.run(5, every(0.5))
    assert source.handed in ([1] * 10, [1] * 9)
    assert max(source.latency_s) <= GATHER_S + STEP_S


@pytest.mark.parametrize("pause_s", [0.001, 0.005, 0.010, 0.016, 0.030, 0.090])
def test_a_stream_is_handed_over_in_steps_and_sealed_by_its_linger_alone(pause_s: float) -> None:
    """Given messages at an even pace that nobody holds back, then no seal is asked for: each is a write of flash."""
    source = Source()
    source.run(10, every(pause_s))
    assert not source.seals
    assert source.transactions <= 10
    assert len(source.handed) <= 10 / (SPACING_S - EARLY_S)
    assert max(source.latency_s) <= SPACING_S + 2 * QUIET_S


@pytest.mark.parametrize(("a_step", "spacing_s"), [(10, SPACING_S), (25, SPACING_S), (50, FLOOD_SPACING_S)])
def test_the_faster_a_stream_the_larger_its_steps(a_step: int, spacing_s: float) -> None:
    """10,000 messages a second are handed over every 10 ms, for their alerts' sake; 50,000 in steps of 50 ms."""
    source = Source(leisure=False)
    source.run(5, lambda _: a_step)
    assert 0.7 * 5 / spacing_s <= len(source.handed) <= 5 / spacing_s + 1
    assert max(source.latency_s) <= spacing_s + 2 * STEP_S


@pytest.mark.parametrize("window", [10, 20, 100, 1000])
def test_a_full_window_never_waits_for_the_linger(window: int) -> None:
    """Given a backlog behind a window, when it is full, then its acknowledgements are asked for within 20 ms or so."""
    source = Source(window)
    source.backlog = 10**6
    source.run(2, lambda _: 0)
    assert source.acknowledged / 2 >= window / 0.025


def test_a_slow_stream_behind_a_small_window_is_kept_up_with() -> None:
    """Given 60 messages a second and a window of 20, when it fills before the linger ends, then no backlog grows."""
    source = Source(20)
    source.run(20, every(0.016))
    assert source.backlog <= 10
    assert source.transactions <= 20 * 4


@pytest.mark.parametrize("leisure", [True, False])
def test_a_stream_goes_on_with_each_read_while_the_core_has_time(leisure: bool) -> None:
    """Given reads every 5.2 ms, then each is handed over at once; where the core is busy, every 10 ms."""
    pacing, handed, waiting, again_s = Pacing(lambda: leisure), 0, False, float("inf")
    for read in range(1, 1001):
        now_s = read * 0.0052
        if waiting and again_s <= now_s:
            handed += pacing.look(again_s, State((read - 1) * 50, 5, again_s, waiting=True)).hand_over
        step = pacing.look(now_s, State(read * 50, 5, now_s, waiting=True))
        handed, waiting, again_s = handed + step.hand_over, not step.hand_over, step.again_s
    assert handed == 1000 if leisure else handed <= 520


def test_the_core_has_no_leisure_while_its_steps_take_much_of_a_core() -> None:
    """Given steps that take twice their share, then half of it, then it has time for more of them again."""
    clock, stepped_ns = ReplayClock(0), 0
    leisure = Leisure(clock, lambda: stepped_ns)
    said: list[bool] = []
    for share in (SHARE * 2, SHARE * 2, SHARE / 2, SHARE / 2):
        clock.advance(1)
        stepped_ns += round(share * NS)
        said.append(leisure())
    assert said == [False, False, True, True]
