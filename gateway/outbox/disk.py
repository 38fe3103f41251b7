"""The thread `disk`: the only writer of the file, one transaction at a time, and never again after an error.

A full disk is no error yet: room is made, and the same transaction repeated.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
from typing import TYPE_CHECKING, TypeVar

from gateway.errors import DiskFull, OutboxError
from gateway.outbox.schema import NOT_AS_WRITTEN, ours

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T = TypeVar("T")

TRIES, PAUSE_S = 50, 0.2  # a disk that others keep full for longer than 10 s is left for memory
IDLE_S = 5.0  # how long cursors wait for somebody else's transaction before they get one of their own


class Disk:
    """Runs work inside transactions, in the order it was put.

    After the first error nothing is written any more and every piece of work fails with it: a failed fsync leaves the
    kernel believing that the pages are clean, so a second one would lie. `idle` runs after 5 s without work, and again
    at once while it returns True. `make_room` is called while the disk is full, outside any transaction; `mark` gives
    what takes back what a transaction noted outside the file. `folder`: where the file is, on a disk.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        *,
        idle: Callable[[], bool],
        broke: Callable[[OutboxError], None],
        make_room: Callable[[sqlite3.Connection], None],
        mark: Callable[[], Callable[[], None]],
        folder: Path | None = None,
    ) -> None:
        self.broken: OutboxError | None = None
        self._folder = folder
        self._connection = connection
        self._idle = idle
        self._broke = broke
        self._make_room, self._mark = make_room, mark
        self._pause = threading.Event()  # never set: waiting for it is a pause
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
        """Run `work` in a transaction and commit it; on a full disk again, while room is made for up to 10 s.

        Only for this thread. Raises OutboxError.
        """
        if self.broken is not None:
            raise self.broken
        for attempt in range(TRIES + 1):
            try:
                if attempt:
                    self._make_room(self._connection)
                return self._once(work)
            except sqlite3.Error as error:
                if attempt == TRIES or not isinstance(ours(error, "", self._folder), DiskFull):
                    raise self._fail(error) from error
            except NOT_AS_WRITTEN as error:
                raise self._fail(error) from error
            if attempt:
                self._pause.wait(PAUSE_S)
        raise AssertionError  # the last try returns or raises

    def _once(self, work: Callable[[sqlite3.Connection], T]) -> T:
        undo = self._mark()
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            result = work(self._connection)
            self._connection.execute("COMMIT")
        except (sqlite3.Error, *NOT_AS_WRITTEN):
            undo()
            if self._connection.in_transaction:
                with contextlib.suppress(sqlite3.Error):  # the error that matters is on its way
                    self._connection.execute("ROLLBACK")
            raise
        return result

    def outside(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` that makes its own transaction, and may wait where the disk is full.

        Only for this thread. Raises OutboxError.
        """
        if self.broken is not None:
            raise self.broken
        try:
            return work(self._connection)
        except sqlite3.Error as error:
            if isinstance(full := ours(error, "tidying the outbox failed", self._folder), DiskFull):
                raise full from error
            raise self._fail(error) from error

    def _idled(self) -> bool:
        if self.broken is not None:
            return False
        try:
            return self._idle()
        except OutboxError:
            return False

    def _fail(self, error: Exception) -> OutboxError:
        self.broken = ours(error, "writing the outbox failed", self._folder)
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
