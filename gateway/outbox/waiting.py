"""Who waits for new rows: tasks of one event loop, woken from the disk thread."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.errors import OutboxError


class Waiters:
    """Tasks parked until something changes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._parked: list[tuple[str, asyncio.Future[None]]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._broken: OutboxError | None = None
        self.calls = 0  # how often everyone was woken: who saw fewer has something to look at

    async def wait(self, subject: str, ready: Callable[[], bool]) -> None:
        """Wait until `wake` names `subject`, or return at once where `ready` says so. Raises what `fail` was given."""
        with self._lock:
            if self._broken is not None:
                raise self._broken
            if ready():
                return
            self._loop = asyncio.get_running_loop()
            waiter: asyncio.Future[None] = self._loop.create_future()
            self._parked.append((subject, waiter))
        await waiter

    def wake(self, *subjects: str) -> None:
        """Let go who waits for one of the subjects (none given: everyone), in their order.

        From any thread, after the change.
        """
        with self._lock:
            self.calls += not subjects
            named = subjects or tuple(dict.fromkeys(subject for subject, _ in self._parked))
            due = [future for name in named for subject, future in self._parked if subject == name]
            self._parked = [parked for parked in self._parked if parked[1] not in due and not parked[1].done()]
            loop = self._loop
        if due and loop is not None:
            loop.call_soon_threadsafe(_settle, due, None)

    def fail(self, error: OutboxError) -> None:
        """Raise `error` in everyone who waits, and who will. From any thread."""
        with self._lock:
            self._broken = error
            due, self._parked = [future for _, future in self._parked], []
            loop = self._loop
        if due and loop is not None:
            loop.call_soon_threadsafe(_settle, due, error)


def _settle(futures: list[asyncio.Future[None]], error: OutboxError | None) -> None:
    for future in futures:
        if future.done():
            continue
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)
