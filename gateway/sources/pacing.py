"""When a source hands over what has come, and when it asks for the transaction to be sealed.

An isolated message goes on at once, a stream in steps: every handover is a cut of the core and costs the same, however
little it holds. A broker that has sent as much as it may waits for acknowledgements, which wait for the transaction:
such a silence is told from the pauses of a slow stream by the pace at which the messages came, since a seal too many is
a write too many for the flash.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.ports import Clock

GATHER_S = 0.001  # messages that come one by one within it are handed over together
SPACING_S = 0.010  # between two handovers of a stream: each costs 1 to 2 ms of CPU, and so a fifth of a core at most
EARLY_S = 0.006  # sooner by this, with each read, while the core has time: else an alert waits for the next of them
SHARE, LOOKED_NS = 0.15, 500_000_000  # of a core that steps may take then, over that time
FLOOD, FLOOD_SPACING_S = 300, 0.050  # where so many come in that time, throughput counts, and no alert's latency
QUIET_S = 0.010  # a full window is no shorter silence than this
PAUSES = 3  # nor than so many mean pauses between the messages that are not acknowledged
WINDOW = 10  # messages that may be a broker's whole window (its default is often 20)


class State(NamedTuple):
    """How a source stands.

    total: messages that ever came; unacknowledged: of them, and oldest_s when the first of these came; waiting: whether
    some are not handed over.
    """

    total: int
    unacknowledged: int
    oldest_s: float
    waiting: bool


class Step(NamedTuple):
    """What to do now, and when to look again; infinity: when something comes."""

    hand_over: bool
    seal: bool
    again_s: float


class Leisure:
    """Whether the core has time for more and smaller steps. `stepped_ns`: the CPU time that steps have taken so far."""

    def __init__(self, clock: Clock, stepped_ns: Callable[[], int]) -> None:
        self._clock, self._stepped_ns = clock, stepped_ns
        self._looked_ns, self._had_ns, self._has = clock.monotonic_ns(), stepped_ns(), True

    def __call__(self) -> bool:
        """Whether they took less than SHARE of a core lately."""
        now_ns = self._clock.monotonic_ns()
        if (passed_ns := now_ns - self._looked_ns) >= LOOKED_NS:
            had_ns = self._stepped_ns()
            self._has = had_ns - self._had_ns < SHARE * passed_ns
            self._looked_ns, self._had_ns = now_ns, had_ns
        return self._has


class Pacing:
    """Looks at a source from time to time. Times are those of one clock, in seconds.

    `leisure`: whether a stream may go on with each read.
    """

    def __init__(self, leisure: Callable[[], bool] = lambda: True) -> None:
        self._leisure = leisure
        self._total = self._handed = 0
        self._came_s = self._handed_s = -math.inf

    def look(self, now_s: float, state: State) -> Step:
        """What is due. Look first when something came to a source that had nothing waiting, or GATHER_S later."""
        came = state.total != self._total
        if came:
            self._total, self._came_s = state.total, now_s
        silent_s = self._silent_s(state)
        seal = now_s >= silent_s
        hand_over = state.waiting and (seal or now_s >= self._step_s(early=came))
        if hand_over:
            self._handed_s, self._handed = now_s, state.total
        if seal:
            return Step(hand_over, seal=True, again_s=math.inf)
        step_s = self._step_s(early=False) if state.waiting and not hand_over else math.inf
        return Step(hand_over, seal=False, again_s=min(silent_s, step_s))

    def _step_s(self, *, early: bool) -> float:
        """When a stream is due again; `early`: with what was just read."""
        if self._total - self._handed >= FLOOD:
            return self._handed_s + FLOOD_SPACING_S
        return self._handed_s + SPACING_S - (EARLY_S if early and self._leisure() else 0.0)

    def _silent_s(self, state: State) -> float:
        """When the silence, if it lasts, is one of a broker that waits."""
        if state.unacknowledged < WINDOW:
            return math.inf
        pause_s = max(0.0, self._came_s - state.oldest_s) / state.unacknowledged
        return self._came_s + max(QUIET_S, PAUSES * pause_s)
