"""Named threads whose end, and whose failure, the event loop hears of."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LOG = logging.getLogger(__name__)


class Worker:
    """A thread that runs `work`. What it raises is set on `failed`, so that nothing dies unheard.

    It is a daemon: one that is stuck inside a library keeps no process from ending.
    """

    def __init__(
        self, name: str, work: Callable[[], None], loop: asyncio.AbstractEventLoop, failed: asyncio.Future[None]
    ) -> None:
        self._work = work
        self._loop = loop
        self._failed = failed
        self.ended = asyncio.Event()
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001 - carried over to the event loop, which raises it there
            self._in_loop(self._fail, error)
        finally:
            self._in_loop(self.ended.set)

    def _fail(self, error: BaseException) -> None:
        if not self._failed.done():
            self._failed.set_exception(error)

    def _in_loop(self, call: Callable[..., object], *args: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is gone: this thread outlived its time limit
            self._loop.call_soon_threadsafe(call, *args)


async def wait_ended(workers: Sequence[Worker], timeout_s: float) -> None:
    """Wait until all have ended, at most so long; those still busy are logged and end by themselves."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            for worker in workers:
                await worker.ended.wait()
    for worker in workers:
        if worker.ended.is_set():
            worker.thread.join()
        else:
            LOG.warning("thread %s is still inside a library call; it ends with that call", worker.thread.name)
