"""How much a sink is given at a time: a little more while its server answers fast, half when it does not (AIMD)."""

from __future__ import annotations

MOST_BYTES = 2_000_000  # about 20,000 points: a larger request costs servers memory and is hardly faster
FIRST_BYTES = 1_000_000
LEAST_BYTES = 10_000  # of a server that fails: what it can take at all
LEAST_SLOW_BYTES = 100_000  # of one that is slow: smaller requests would not make a long way shorter
STEP_BYTES = 100_000
MOST_ROWS = 2000
FIRST_ROWS = 1000
LEAST_SLOW_ROWS = 100
STEP_ROWS = 100
SLOW_S = 2.0  # for an answer; a fifth of the time after which a server is left
FAST_S = 0.5
SMOOTHING = 0.2  # of a new latency; the rest is what it was


class Pace:
    """The bounds of the next delivery (`rows`, `bytes` of bodies), and `latency_s`, smoothed (0: no answer yet).

    `most_bytes`: never more at a time, whatever the server could take.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = max(1, min(MOST_BYTES, most_bytes))
        self.rows = FIRST_ROWS
        self.bytes = min(FIRST_BYTES, self._most_bytes)
        self.latency_s = 0.0

    def answered(self, took_s: float, rows: int, size: int) -> None:
        """The server took `rows` rows of together `size` bytes within `took_s` seconds.

        Only a delivery that the bounds have held back says something about them.
        """
        self.latency_s += (took_s - self.latency_s) * (SMOOTHING if self.latency_s else 1.0)
        if 2 * rows < self.rows and 2 * size < self.bytes:
            return
        if took_s > SLOW_S:
            self._halve(LEAST_SLOW_ROWS, LEAST_SLOW_BYTES)
        elif took_s < FAST_S:
            self.rows = min(MOST_ROWS, self.rows + STEP_ROWS)
            self.bytes = min(self._most_bytes, self.bytes + STEP_BYTES)

    def failed(self) -> None:
        """The server failed for now: it may be that it was given too much."""
        self._halve(1, LEAST_BYTES)

    def refused(self, rows: int) -> None:
        """So many rows were refused together, and none was named: fewer, until the one to blame stands alone."""
        self.rows = max(1, rows // 2)

    def _halve(self, least_rows: int, least_bytes: int) -> None:
        self.rows = max(min(self.rows, least_rows), self.rows // 2)
        self.bytes = max(min(self.bytes, least_bytes), self.bytes // 2)
