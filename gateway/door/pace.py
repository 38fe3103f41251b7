"""How much goes into one cut: what the core steps in about 5 ms beyond what every step costs."""

from __future__ import annotations

STEP_NS = 5_000_000  # a megabyte in one go would stall everything else for 50 ms
FIRST, LEAST, MOST = 100_000, 2_000, 4_000_000  # weight of a cut; 2,000: a handful of messages
MEMORY = 0.95  # of what was measured before: a load that changes is followed within some twenty cuts


class Pace:
    """Fits step time = fixed + slope × weight to the last cuts, and makes the slope's part 5 ms.

    The fixed part is left out: where a step costs 6 ms whatever it holds, smaller cuts would only make more of them.
    """

    def __init__(self) -> None:
        self.budget = FIRST
        self._n = self._weight = self._time = self._weight_2 = self._weight_time = 0.0

    def learn(self, weight: int, took_ns: int) -> None:
        """Take in a cut's weight and time, and set the next `budget`, at most half or double this one."""
        self._n = self._n * MEMORY + 1
        self._weight = self._weight * MEMORY + weight
        self._time = self._time * MEMORY + took_ns
        self._weight_2 = self._weight_2 * MEMORY + weight * weight
        self._weight_time = self._weight_time * MEMORY + weight * took_ns
        fitting = STEP_NS / self._slope()
        wanted = min(max(fitting, self.budget / 2), self.budget * 2)
        if wanted < self.budget or weight * 2 >= self.budget:  # nothing is learned about large cuts from small ones
            self.budget = int(min(max(wanted, LEAST), MOST))

    def _slope(self) -> float:
        """Nanoseconds a unit of weight; the mean where all cuts were alike."""
        spread = self._n * self._weight_2 - self._weight**2
        mean = self._time / self._weight
        if spread <= 0.01 * self._weight**2:
            return max(mean, 1e-3)
        slope = (self._n * self._weight_time - self._weight * self._time) / spread
        return min(max(slope, 1e-3), max(mean, 1e-3))
