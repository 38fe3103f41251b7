"""What the store says of itself: sizes, counters, and whether it is sound."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gateway.events import Health
from gateway.outbox import beside, schema
from gateway.outbox.budget import size_of

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.outbox.ledger import Ledger
    from gateway.outbox.opening import Opened
    from gateway.outbox.writing import Positions


class OutboxStats(msgspec.Struct, frozen=True):
    """Sizes and counters.

    `bytes` on the disk (the file and its journal); `last` position of each stream; `dropped_rows` and `dropped_points`
    of series that some sink had not got when the budget, the disk or memory was spent; `gaps`: records of them begun;
    `merged` updates of alerts that became one with the next; `spoiled` rows that were damaged on the disk, set aside;
    `full`: no more alerts fit, and messages wait.
    """

    durable: bool
    bytes: int
    last: dict[str, int]
    dead_bytes: int
    dead_dropped: int
    dropped_rows: int
    dropped_points: int
    gaps: int
    transactions: int
    merged: int
    spoiled: int
    full: bool


def stats_of(ledger: Ledger, path: Path | None, last: Positions) -> OutboxStats:
    """The numbers as they are; `path` is the file's, None in memory."""
    return OutboxStats(
        durable=path is not None,
        bytes=sum(size_of(path.with_name(path.name + end)) for end in ("", "-wal")) if path is not None else 0,
        last=dict(zip(schema.STREAMS, last, strict=True)),
        dead_bytes=ledger.dead_bytes,
        dead_dropped=ledger.dead_dropped,
        dropped_rows=ledger.dropped_rows,
        dropped_points=ledger.dropped_points,
        gaps=ledger.gaps,
        transactions=ledger.transactions,
        merged=ledger.merged,
        spoiled=ledger.spoiled,
        full=ledger.full,
    )


def soundness(opened: Opened, ledger: Ledger) -> Health:
    """Whether all that was stored once is there, as opening it has shown."""
    damaged = opened.damaged
    if not damaged and ledger.unreadable:
        damaged = f"{ledger.unreadable} rows of the state could not be read; the state before them was taken"
    lost = beside.missing(opened.lock, ledger.epoch, ledger.last_id) if opened.lock is not None else 0
    if not damaged and lost:
        damaged = f"the last {lost} transactions that were acknowledged are not in the file: it was cut, or is a copy"
    return Health("disk/outbox", "sound", not damaged, damaged)
