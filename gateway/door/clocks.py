"""The door's stamps: UTC as the clock says, elapsed time that never goes backwards, and steps of the clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.events import ClockStep

if TYPE_CHECKING:
    from gateway.outbox import Resumed
    from gateway.ports import Clock

RELEASED_NS = 1_767_225_600_000_000_000
"""2026-01-01: no clock that says less can be right, for this program was not there yet."""

STEP_NS = 1_000_000_000  # a wall clock that moves by more than this against the monotonic one was stepped, not slewed


async def wait_for_clock(clock: Clock, resumed: Resumed, seconds: float = 60.0) -> bool:
    """Wait until the clock is believable (not before this release, nor before the last input); False if it never was.

    For live running, before `Door.start`: a box without a battery boots in 1970 and gets its time from the network.
    """
    earliest = max(RELEASED_NS, resumed.admitted_ns)
    ends = clock.monotonic_ns() + round(seconds * 1e9)
    while clock.now_ns() < earliest:
        if clock.monotonic_ns() >= ends:
            return False
        await clock.sleep(0.5)
    return True


class Stamps:
    """Gives each cut its times. Used by the core thread alone."""

    def __init__(self, clock: Clock, resumed: Resumed) -> None:
        """Elapsed time goes on from the last input by the difference of believable UTC times, else by nothing."""
        self._clock = clock
        now_ns, monotonic_ns = clock.now_ns(), clock.monotonic_ns()
        away_ns = now_ns - resumed.admitted_ns if resumed.admitted_ns else 0
        self._base_ns = resumed.elapsed_ns + max(0, away_ns) - monotonic_ns
        self._offset_ns = now_ns - monotonic_ns

    def take(self) -> tuple[int, int, ClockStep | None]:
        """(admitted_ns, elapsed_ns, the step that the wall clock made since the last call)."""
        now_ns, monotonic_ns = self._clock.now_ns(), self._clock.monotonic_ns()
        offset_ns, before_ns = now_ns - monotonic_ns, self._offset_ns
        self._offset_ns = offset_ns
        stepped = abs(offset_ns - before_ns) > STEP_NS
        step = ClockStep(before_ns=monotonic_ns + before_ns, after_ns=now_ns) if stepped else None
        return now_ns, self._base_ns + monotonic_ns, step
