"""The thread `disk`: the only writer of the file, one transaction at a time, and never again after an error."""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from typing import TYPE_CHECKING, TypeVar

from gateway.errors import OutboxError
from gateway.outbox.schema import ours

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

IDLE_S = 5.0  # how long cursors wait for somebody else's transaction before they get one of their own


class Disk:
    """Runs work inside transactions, in the order it was put.

    After the first error nothing is written any more and every piece of work fails with it: a failed fsync leaves the
    kernel believing that the pages are clean, so a second one would lie. `idle` runs after 5 s without work, and again
    at once while it returns True.
    """

    def __init__(
        self, connection: sqlite3.Connection, idle: Callable[[], bool], broke: Callable[[OutboxError], None]
    ) -> None:
        self.broken: OutboxError | None = None
        self._connection = connection
        self._idle = idle
        self._broke = broke
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="disk", daemon=True)
        self._thread.start()

    def put(
        self, work: Callable[[sqlite3.Connection], T], done: Callable[[T | None, OutboxError | None], None]
    ) -> None:
        """Have `work` done in a transaction of its own; `done(result, error)` is called in this thread when durable."""

        def job() -> None:
            try:
                result = self.transact(work)
            except OutboxError as error:
                done(None, error)
            else:
                done(result, None)

        self._jobs.put(job)

    async def ask(self, work: Callable[[sqlite3.Connection], T], *, write: bool = True) -> T:
        """Have `work` done and wait for it; with `write` False outside any transaction. Raises OutboxError."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()

        def settle(result: T | None, error: OutboxError | None) -> None:
            if answer.done():
                return
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(result)  # pyright: ignore[reportArgumentType] - None only where T allows it

        def job() -> None:
            try:
                result = self.transact(work) if write else self._read(work)
            except OutboxError as error:
                loop.call_soon_threadsafe(settle, None, error)
            else:
                loop.call_soon_threadsafe(settle, result, None)

        self._jobs.put(job)
        return await answer

    def transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in a transaction and commit it. Only for this thread. Raises OutboxError."""
        if self.broken is not None:
            raise self.broken
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            result = work(connection)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._fail(error) from error
        return result

    def outside(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` that makes its own transaction. Only for this thread. Raises OutboxError."""
        if self.broken is not None:
            raise self.broken
        try:
            return work(self._connection)
        except sqlite3.Error as error:
            raise self._fail(error) from error

    def _idled(self) -> bool:
        if self.broken is not None:
            return False
        try:
            return self._idle()
        except OutboxError:
            return False

    def _fail(self, error: sqlite3.Error) -> OutboxError:
        self.broken = ours(error, "writing the outbox failed")
        self._broke(self.broken)
        return self.broken

    def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return work(self._connection)
        except sqlite3.Error as error:
            raise ours(error, "reading the outbox failed") from error

    def close(self) -> None:
        """Do what was put, then end the thread and close the file. Blocks until then."""
        self._jobs.put(None)
        self._thread.join()
        self._connection.close()

    def _run(self) -> None:
        again = False
        while True:
            try:
                job = self._jobs.get(timeout=0.0 if again else IDLE_S)
            except queue.Empty:
                again = self._idled()
                continue
            if job is None:
                return
            job()
