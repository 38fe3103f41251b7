"""The transaction that steps gather in until it is sealed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.events import Message, Tick
from gateway.outbox import Transaction
from gateway.outbox.records import SERIES_ROW_BYTES, SeriesRow

if TYPE_CHECKING:
    from gateway.door.admission import Pending
    from gateway.door.marks import Marks
    from gateway.door.stepper import Outcome
    from gateway.events import AlertRow, DeadLetter, RequestRow, Stepped

LAZY_AT_MOST = 600  # changes by ticks alone wait for company, but not for ever: ten minutes of them


class Group:
    """Outputs since the last transaction, and who waits for them.

    `worth`: whether a transaction must be written for it. Changes of state by ticks that had no output are not: what
    they lose in a crash, the next ticks bring again.
    """

    def __init__(self) -> None:
        self.worth = False
        self.alerts: list[AlertRow] = []
        self.waiters: list[Pending] = []
        self.stepped: list[Stepped] = []
        self.bytes = 0
        self.oldest_ns = 2**63
        self.first_serial = 2**63
        self._series: list[SeriesRow] = []
        self._chunks: list[bytes] = []
        self._points = 0
        self._chunk_bytes = 0
        self._requests: list[RequestRow] = []
        self._dead: list[tuple[str, DeadLetter]] = []
        self._deltas: list[bytes] = []
        self._lazy = 0

    def add(self, outcome: Outcome) -> bool:
        """Take in what a cut came to; returns whether a transaction must be written for it."""
        cut, stepped = outcome.cut, outcome.stepped
        output = stepped.series or stepped.alerts or stepped.requests or stepped.dead
        if not (output or stepped.delta):
            return False
        self.stepped.append(stepped)
        if stepped.delta:
            self._deltas.append(stepped.delta)
        self.alerts += stepped.alerts
        self._requests += stepped.requests
        if stepped.dead:
            sources = {(one.topic, one.body): one.source for one in cut.inputs if isinstance(one, Message)}
            self._dead += [(sources.get((letter.topic, letter.body), ""), letter) for letter in stepped.dead]
            self.bytes += sum(len(letter.body) for letter in stepped.dead)
        self.bytes += len(stepped.series) + len(stepped.delta)
        if stepped.series:
            self._chunks.append(stepped.series)
            self._points += stepped.points
            self._chunk_bytes += len(stepped.series)
            if self._chunk_bytes >= SERIES_ROW_BYTES:
                self._close_row(int(cut.admitted_ns[-1]))
        if output or not all(isinstance(one, Tick) for one in cut.inputs):
            self.worth = True
            return True
        self._lazy += 1
        if self._lazy >= LAZY_AT_MOST:
            self.worth = True
            return True
        return False

    def since(self, asked_ns: int, serial: int) -> None:
        """Say whose outputs the group holds: for its age, and for sources that ask for theirs."""
        self.oldest_ns = min(self.oldest_ns, asked_ns)
        self.first_serial = min(self.first_serial, serial)

    def seal(self, last: tuple[int, int, int], marks: Marks, snapshot: bytes | None) -> Transaction:
        """The transaction to store; `last` is (next n, admitted_ns, elapsed_ns) after the last input."""
        next_n, admitted_ns, elapsed_ns = last
        self._close_row(admitted_ns)
        fresh, lost = marks.take_fresh()
        return Transaction(
            next_n=next_n,
            admitted_ns=admitted_ns,
            elapsed_ns=elapsed_ns,
            series=self._series,
            alerts=self.alerts,
            requests=self._requests,
            dead=self._dead,
            deltas=self._deltas,
            marks=fresh,
            lost_sessions=lost,
            snapshot=snapshot,
            all_marks=marks.all() if snapshot is not None else {},
        )

    def _close_row(self, at_ns: int) -> None:
        if self._chunks:
            self._series.append(SeriesRow(at_ns, self._points, b"".join(self._chunks)))
            self._chunks, self._points, self._chunk_bytes = [], 0, 0
