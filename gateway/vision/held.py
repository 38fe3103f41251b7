"""A condition that must hold for a while before it is said, and be gone for a while before it is taken back."""

from __future__ import annotations

NS = 1_000_000_000
_GAP_NS = 3 * NS  # between two judgements further apart than this nothing is known to have held


class Held:
    """Hysteresis in time, by the frames' own times.

    Not known (None) moves nothing, and what was about to hold begins anew. `bad` is None until it was said
    one way or the other.
    """

    def __init__(self, raise_s: float, clear_s: float) -> None:
        self.bad: bool | None = None
        self._hold_ns = {True: round(raise_s * NS), False: round(clear_s * NS)}
        self._other: bool | None = None  # what it looks like, while that is not what was said
        self._since_ns = 0
        self._last_ns = 0

    def update(self, bad: bool | None, at_ns: int) -> bool:
        """Judge one moment; returns whether `bad` changed by it."""
        gap = at_ns - self._last_ns > _GAP_NS
        self._last_ns = at_ns
        if bad is None or bad is self.bad:
            self._other = None
            return False
        if bad is not self._other or gap:
            self._other, self._since_ns = bad, at_ns
        if at_ns - self._since_ns < self._hold_ns[bad]:
            return False
        self.bad, self._other = bad, None
        return True
