"""The only place that reads the time or draws a random number: time and chance are injected everywhere else."""

from __future__ import annotations

import asyncio
import random
import time
from zoneinfo import ZoneInfo

NS = 1_000_000_000


class WallClock:
    """The machine's clock."""

    def __init__(self) -> None:
        self._random = random.SystemRandom()

    def now_ns(self) -> int:
        """UTC nanoseconds."""
        return time.time_ns()

    def monotonic_ns(self) -> int:
        """Nanoseconds that never go backwards."""
        return time.monotonic_ns()

    def cpu_ns(self) -> int:
        """Nanoseconds that the calling thread has computed."""
        return time.thread_time_ns()

    async def sleep(self, seconds: float) -> None:
        """Wait in the event loop."""
        await asyncio.sleep(seconds)

    def uniform(self, low: float, high: float) -> float:
        """A random number in [low, high), for jitter."""
        return self._random.uniform(low, high)

    def token_hex(self, n_bytes: int) -> str:
        """2 × n_bytes random hex digits, for an epoch or a token."""
        return self._random.randbytes(n_bytes).hex()


class ReplayClock:
    """A clock that a test or a replay moves by hand; its chance comes from a seed."""

    def __init__(self, start_ns: int, seed: int = 0) -> None:
        self._start_ns = start_ns
        self._now_ns = start_ns
        self._random = random.Random(seed)
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []

    def now_ns(self) -> int:
        """UTC nanoseconds."""
        return self._now_ns

    def monotonic_ns(self) -> int:
        """Nanoseconds since the start."""
        return self._now_ns - self._start_ns

    def cpu_ns(self) -> int:
        """As if computing took no time."""
        return 0

    def advance(self, seconds: float) -> None:
        """Move time forward and wake who slept until then. Call it from the event loop's thread."""
        self._now_ns += round(seconds * NS)
        due = [f for at, f in self._waiters if at <= self._now_ns]
        self._waiters = [(at, f) for at, f in self._waiters if at > self._now_ns]
        for future in due:
            if not future.done():
                future.set_result(None)

    async def sleep(self, seconds: float) -> None:
        """Wait until `advance` has moved time that far."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append((self._now_ns + round(seconds * NS), future))
        await future

    def uniform(self, low: float, high: float) -> float:
        """A seeded number in [low, high)."""
        return self._random.uniform(low, high)

    def token_hex(self, n_bytes: int) -> str:
        """2 × n_bytes seeded hex digits."""
        return self._random.randbytes(n_bytes).hex()


def zone_or_utc(name: str) -> ZoneInfo:
    """The time zone of that name, to show times in: UTC where this machine does not know it."""
    try:
        return ZoneInfo(name or "UTC")
    except (KeyError, ValueError, OSError):  # OSError: the name of a folder of zones, such as Asia
        return ZoneInfo("UTC")
