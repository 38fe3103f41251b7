"""The outbox as the door, the deliveries and the app see it.

door ──write(transaction)──▶ disk thread ──▶ outbox.sqlite ──▶ outbox-read thread ──read()──▶ delivery
                                 ▲                                                              │
                                 └─────────────────────── advance() ◀───────────────────────────┘
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Literal, Self, TypeVar

import msgspec

from gateway.errors import ConfigError, OutboxError
from gateway.events import Health, Message
from gateway.outbox import (
    beside,
    dead,
    fresh,
    gaps,
    holes,
    opening,
    reading,
    room,
    schema,
    spoiled,
    telling,
    writing,
)
from gateway.outbox.budget import Budget
from gateway.outbox.disk import Disk
from gateway.outbox.ledger import Ledger
from gateway.outbox.room import Ballast
from gateway.outbox.stats import OutboxStats, soundness, stats_of
from gateway.outbox.waiting import Waiters
from gateway.ports import Row

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence
    from pathlib import Path

    from gateway.events import Stream
    from gateway.outbox.gaps import Has
    from gateway.outbox.records import Resumed, Transaction
    from gateway.ports import Clock, Rejected

T = TypeVar("T")
log = logging.getLogger(__name__)

SOON_S = 0.2  # until every sink of an alert has it: one write for all of them, and none between it and the next alert


class Outbox:
    """One file, one writer, a cursor per sink. Made by `open`; ended by `close`.

    `durable` is False where everything is in memory. `notices` are the Health inputs that opening came to: the app
    commits them once the core is configured. `resumed` is where the store left off; `epoch` was made with the file.
    """

    def __init__(self, opened: opening.Opened, path: Path, clock: Clock, bounds: Budget) -> None:
        self.path = path
        self.durable = opened.lock is not None
        ledger = Ledger(opened.connection, opened.found, clock, path if self.durable else None, bounds)
        self.epoch = ledger.epoch
        # In memory a new epoch begins, and with it seq: what it numbers is not there after the next restart.
        self.resumed: Resumed = ledger.resumed if self.durable else msgspec.structs.replace(ledger.resumed, next_seq=1)
        self.notices = [
            Health("disk/outbox", "durable", self.durable, opened.why),
            soundness(opened, ledger),
        ]
        self.spare: Callable[[int], int] = lambda _: 0  # what else on this disk may go before series do; see room.make
        self._clock = clock
        self._lock = opened.lock
        self._ledger = ledger
        self._last = ledger.positions
        self._fresh = fresh.NOTHING
        self._nothing_again: dict[tuple[Stream, str], int] = {}  # when a sink was last seen to have no letters to retry
        self._spoiled: set[tuple[Stream, int]] = set()  # rows that were set aside
        self._told_spoiled = ""
        self._soon: asyncio.TimerHandle | None = None
        self._waiters = Waiters()
        self._reader = schema.read_only(path) if self.durable else None
        self._read_thread = ThreadPoolExecutor(1, thread_name_prefix="outbox-read")
        self._ballast = Ballast(path.parent, bounds.ballast if self.durable else 0)
        self._disk = Disk(
            opened.connection,
            idle=self._idle,
            broke=self._broke,
            make_room=self._make_room,
            mark=ledger.mark,
            folder=path.parent if self.durable else None,
        )

    @classmethod
    def open(cls, folder: Path, clock: Clock, *, memory: str = "", bounds: Budget | None = None) -> Self:
        """Open or make `outbox.sqlite` in the state folder `folder`.

        A damaged file is set aside. Where the disk cannot be written, or where `memory` says why not to, the outbox is
        in memory, with the state read from the disk if it can be, and `durable` is False. Raises OutboxError where
        another process has the folder.
        """
        opened = opening.find(folder, clock.token_hex(2), memory=memory)
        return cls(opened, folder / schema.FILE, clock, bounds or Budget())

    async def declare(self, sinks: Sequence[tuple[str, Stream, Literal["now", "oldest"]]]) -> None:
        """Say which sinks there are (name, stream, where a new one begins); cursors of all others are released.

        Raises ConfigError where two are of one name and stream: each would take rows away from the other.
        """
        seen: set[tuple[str, str]] = set()
        for name, stream, _ in sinks:
            if (name, stream) in seen:
                raise ConfigError([f"sinks.{name}: two sinks of this name take {stream}; rename one of them"])
            seen.add((name, stream))
        await self._disk.ask(lambda connection: self._ledger.declare(connection, sinks))

    def write(self, transaction: Transaction, done: Callable[[OutboxError | None], None]) -> None:
        """Store a transaction; `done(error)` is called in the disk thread once it is durable or has failed."""

        def stored(_: None, error: OutboxError | None) -> None:
            if error is None:
                self._fresh, self._last = self._ledger.fresh, self._ledger.positions
                if self._lock is not None:
                    beside.note(self._lock, self.epoch, self._ledger.last_id)
                self._waiters.wake(*_touched(transaction), "drops")
            done(error)
            if error is None and self._ledger.tidied():
                with contextlib.suppress(OutboxError):  # whoever waits is told by the disk
                    self._idle()

        self._disk.put(lambda connection: self._ledger.store(connection, transaction), stored)

    async def read(self, stream: Stream, sink: str, limit_rows: int, limit_bytes: int) -> list[Row]:
        """The sink's next rows (a single larger row is still given). Negative positions: asked for again by people."""
        while True:
            has, asks = self._ledger.place(stream, sink), self.asks
            last = self.last(stream)
            if self._nothing_again.get((stream, sink)) == asks:
                if fresh_rows := self._fresh_after(stream, has, limit_rows, limit_bytes):
                    return fresh_rows
                if last == has.upto and not has.ahead:
                    return []
            found = await self._read(
                lambda connection, has=has, known=last: reading.next_rows(
                    connection, stream, sink, has, limit_rows, limit_bytes, known
                )
            )
            if not found.rows or found.rows[0].position > 0:
                self._nothing_again[stream, sink] = asks
            if not self.durable:
                found.missing.clear()  # they are on the disk that broke, or went there, and wait for a restart
            if found.damaged:
                await self._set_aside(stream, found)
            if found.rows:
                return found.rows
            if has.head:
                self._ledger.land(stream, sink)  # and look once more: rows may have come meanwhile
            elif last > has.upto:  # what stood there was dropped or set aside, or is on a disk that broke
                self._ledger.move(stream, sink, Row(last, 0, "", 0, b""))
            elif not found.damaged:
                return []

    def _fresh_after(self, stream: Stream, has: Has, limit_rows: int, limit_bytes: int) -> list[Row]:
        """The sink's next rows, where they were written just now."""
        newest = self._fresh
        return newest.after(stream, has, limit_rows, limit_bytes) if newest.state == self._ledger.removed else []

    async def _set_aside(self, stream: Stream, found: reading.Found) -> None:
        """Make dead letters of damaged rows, each once; where SQLite cannot find them again the file is damaged too."""
        gone = await self._disk.ask(lambda connection: self._ledger.set_aside(connection, stream, found))
        here: set[tuple[Stream, int]] = {(stream, row.position) for row in found.spoiled}
        if any(one not in self._spoiled and one[1] not in gone for one in here):
            error = holes.out_of_place(stream)
            self._broke(error)
            raise error
        self._spoiled |= here
        if gone or found.missing:
            self._told_spoiled = spoiled.told(stream, found)
            self._waiters.wake("spoiled")

    async def spoiled_rows(self, after: int) -> tuple[int, str]:
        """Wait until more than `after` rows were found damaged; returns how many were, and what is said of the latest.

        Raises OutboxError once the disk has failed.
        """
        while self._ledger.spoiled <= after:
            await self._waiters.wait("spoiled", lambda: self._ledger.spoiled > after)
        return self._ledger.spoiled, self._told_spoiled

    def leapt(self, stream: Stream, sink: str) -> bool:
        """Whether the sink has newer rows than some that wait."""
        return self._ledger.place(stream, sink).head > 0

    def may_leap(self, sink: str, over: int) -> bool:
        """Whether there are series beyond position `over` that those up to it may be left behind for."""
        last = self.last("series")
        return last > over and self._ledger.place("series", sink).may_leap(last)

    def leap(self, sink: str) -> None:
        """Give the sink new series first from now on, and what waits, marked `backfill`, when nothing newer does."""
        self._ledger.leap(sink, self.last("series"))

    def waiting(self, stream: Stream, sink: str) -> int:
        """How many rows the sink has not got."""
        has = self._ledger.place(stream, sink)
        return self.last(stream) - has.upto - has.held

    def backlog(self, stream: Stream, sink: str) -> int:
        """How many of them wait behind newer ones that the sink has got."""
        return sum(end - begin for begin, end in self._ledger.place(stream, sink).waiting())

    async def advance(self, stream: Stream, sink: str, rows: Sequence[Row], rejected: Sequence[Rejected]) -> None:
        """The sink has `rows` (as `read` gave them), but for `rejected`, which become dead letters.

        A cursor of alerts or of series alone is stored with a later transaction, soon or 10 s on at most; the rest is
        durable on return.
        """
        if rows and (rejected or rows[0].position < 0 or stream == "requests"):
            await self._disk.ask(lambda connection: self._ledger.settle(connection, stream, sink, rows, rejected))
        elif rows:
            self._ledger.move(stream, sink, rows[-1])
            if stream == "alerts" and self._soon is None:
                self._soon = asyncio.get_running_loop().call_later(SOON_S, self._keep_up)

    def _keep_up(self) -> None:
        """Store cursors of alerts that did not ride on another transaction: a crash has an alert published again."""
        self._soon = None
        self._disk.put(self._ledger.keep_up, lambda _stored, _error: None)

    def last(self, stream: Stream) -> int:
        """The position of the stream's newest row; 0 before the first."""
        return self._last[writing.PLACE[stream]]

    def cursor(self, stream: Stream, sink: str) -> int:
        """The position of the row up to which the sink has everything; beyond it, it may have newer series."""
        return self._ledger.cursor(stream, sink)

    @property
    def asks(self) -> int:
        """How often people may have asked for letters again: read it before looking, wait with it after."""
        return self._waiters.calls

    async def changed(self, stream: Stream, after: int, asks: int) -> None:
        """Wait for a row of `stream` beyond `after`, or for people to ask for letters again.

        Raises OutboxError once the disk has failed.
        """
        await self._waiters.wait(stream, lambda: self.last(stream) > after or self.asks != asks)

    async def asked_again(self, asks: int) -> None:
        """Wait until people may have asked for letters again. Raises OutboxError once the disk has failed."""
        await self._waiters.wait("letters", lambda: self.asks != asks)

    async def dropped(self, after: int) -> tuple[int, str]:
        """Wait until more than `after` rows of series were dropped; returns how many were, and what for.

        Raises OutboxError once the disk has failed.
        """
        while self._ledger.dropped_rows <= after:  # woken after each transaction: looking is cheap
            await self._waiters.wait("drops", lambda: self._ledger.dropped_rows > after)
        return self._ledger.dropped_rows, self._ledger.dropped_why

    @property
    def full(self) -> bool:
        """Whether alerts that wait have used up their reserve: the door takes no messages until some are delivered."""
        return self._ledger.full

    @property
    def cramped(self) -> bool:
        """Whether the disk is so full that the ballast is missing."""
        return self._ballast.missing

    async def cramped_changed(self, *, known: bool) -> bool:
        """Wait until `cramped` is no longer `known`; returns what it is. Raises OutboxError once the disk failed."""
        while self._ballast.missing == known:
            await self._waiters.wait("drops", lambda: self._ballast.missing != known)
        return not known

    async def tell(self, report: Callable[[Health], Awaitable[None]]) -> None:
        """Report a full disk, series that had to be dropped, the end of both, and damaged rows, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(telling.tell_room(self, report))
            tasks.create_task(telling.tell_spoiled(self, report))
            tasks.create_task(telling.tell_drops(self, self._clock, report, dropping=self._ledger.dropped_lately()))

    async def gaps(self, limit: int = 100) -> list[gaps.Gap]:
        """What sinks will never get, the newest first."""
        return await self._read(lambda connection: gaps.listed(connection, limit))

    async def subscriptions(self, source: str) -> frozenset[str]:
        """The topic filters that this source's session was left with."""

        def work(connection: sqlite3.Connection) -> frozenset[str]:
            row = connection.execute("SELECT value FROM meta WHERE key = ?", (f"subscriptions/{source}",)).fetchone()
            return frozenset(msgspec.json.decode(row[0], type=list[str])) if row else frozenset()

        return await self._read(work)

    async def keep_subscriptions(self, source: str, filters: Iterable[str]) -> None:
        """Remember the topic filters of this source's session."""
        row = (f"subscriptions/{source}", msgspec.json.encode(sorted(filters)))
        await self._disk.ask(lambda connection: connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", row))

    async def letters(self, limit: int = 1000) -> list[dead.SetAside]:
        """The newest dead letters."""
        return await self._read(lambda connection: dead.listed(connection, limit))

    async def to_step_again(self, limit: int = 200) -> list[tuple[int, Message]]:
        """Messages among the dead letters that people asked to be stepped again, with the letters' ids."""
        letters = await self._read(lambda connection: dead.listed(connection, limit, only_retry=True))
        return [(one.id, Message(one.source, one.letter.topic, one.letter.body)) for one in letters]

    async def retry(self, ids: Sequence[int] | None = None) -> int:
        """Ask for dead letters to be delivered or stepped again (None: all that can be); returns how many."""
        marked = await self._disk.ask(lambda connection: dead.ask_again(connection, ids))
        self._waiters.wake()
        return marked

    async def forget(self, ids: Sequence[int]) -> None:
        """Remove dead letters that were taken up again."""
        await self._disk.ask(lambda connection: self._ledger.forget(connection, ids))

    def stats(self) -> OutboxStats:
        """Sizes and counters, without touching the file's contents."""
        return stats_of(self._ledger, self.path if self.durable else None, self._last)

    async def close(self) -> None:
        """Store the cursors, end both threads, close the file. A disk that fails over it costs the cursors only."""
        if self._soon is not None:
            self._soon.cancel()
        if self._disk.broken is None:
            try:
                await self._disk.ask(self._ledger.tidy)
            except OutboxError as error:  # what sinks have is read again at the next start, and delivered twice
                log.error("the cursors were not stored at the end: %s", error)  # noqa: TRY400 - the disk's words
        self._read_thread.shutdown()
        if self._reader is not None:
            self._reader.close()  # before the writer: the last to leave moves the journal into the file
        self._disk.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    async def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run in the reading thread on a connection of its own; in memory, between two transactions."""
        if self._reader is None:
            return await self._disk.ask(work, write=False)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._read_thread, work, self._reader)
        except (sqlite3.Error, *schema.NOT_AS_WRITTEN) as error:
            ours = schema.ours(error, "reading the outbox failed")
            if isinstance(ours, schema.FoundDamageError):
                self._broke(ours)
            raise ours from error
        except schema.FoundDamageError as error:
            self._broke(error)
            raise

    def _broke(self, error: OutboxError) -> None:
        """Any thread: nobody waits any longer, and the next start knows of damage."""
        if self.durable and isinstance(error, schema.FoundDamageError):
            beside.suspect(self.path.parent, str(error))
        self._waiters.fail(error)

    def _make_room(self, connection: sqlite3.Connection) -> None:
        """In the disk thread, while the disk is full."""
        if self.durable:
            room.make(connection, self._ballast, lambda db, free: self._ledger.drop(db, "disk", free=free), self.spare)
            self._waiters.wake("drops")

    def _idle(self) -> bool:
        """In the disk thread, when nothing else is to do: tidy, and look whether people asked for something."""
        if self._disk.outside(self._ledger.changed_by_others):
            self._waiters.wake()
        more = self._ledger.moved() and self._disk.transact(self._ledger.tidy)
        if self._ballast.missing:
            self._ballast.restore()
        self._waiters.wake("drops")
        return self._disk.outside(writing.vacuum) or more


def _touched(transaction: Transaction) -> list[str]:
    """Which streams have new rows, in the order in which who waits for them goes on."""
    rows = {"alerts": transaction.alerts, "requests": transaction.requests, "series": transaction.series}
    return [stream for stream, new in rows.items() if new]
