"""What one transaction holds, and how the part of it that only a restart reads is packed into one blob.

One row a transaction keeps the flash alive: counters, the state's changes and the redelivery marks touch one page,
where a table each would touch four.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import msgspec

from gateway.events import AlertRow, DeadLetter, RequestRow

if TYPE_CHECKING:
    from collections.abc import Iterable

SERIES_ROW_BYTES = 256_000
"""A row of the series stream is closed at this size, at the border of a cut, so that sinks can bound what they take."""

MarksOf = dict[str, tuple[bytes, bytes]]
"""By source: packet ids (little-endian uint16) and, as many, CRC-32s of topic and body (little-endian uint32)."""


class SeriesRow(msgspec.Struct, frozen=True):
    """Line protocol of `points` points, admitted at `at_ns`."""

    at_ns: int
    points: int
    body: bytes


class Transaction(msgspec.Struct, frozen=True):
    """All outputs since the last transaction and the state's changes with them: one consistent moment.

    `next_n`, `admitted_ns` and `elapsed_ns` are those after its last input; `dead` pairs each letter with the source
    its message came from; `lost_sessions` names sources whose marks ended before `marks` were made; a `snapshot` is
    the core's whole state after the last input, with `all_marks` beside it.
    """

    next_n: int
    admitted_ns: int
    elapsed_ns: int
    series: list[SeriesRow] = []
    alerts: list[AlertRow] = []
    requests: list[RequestRow] = []
    dead: list[tuple[str, DeadLetter]] = []
    deltas: list[bytes] = []
    marks: MarksOf = {}
    lost_sessions: list[str] = []
    snapshot: bytes | None = None
    all_marks: MarksOf = {}


class Journal(msgspec.Struct, frozen=True, array_like=True):
    """The row that each transaction leaves for a restart. `positions` are the last ones of series, alerts, requests."""

    next_n: int
    next_seq: int
    admitted_ns: int
    elapsed_ns: int
    positions: tuple[int, int, int]
    deltas: list[bytes]
    marks: MarksOf
    lost_sessions: list[str]


class Checkpoint(msgspec.Struct, frozen=True):
    """A state to go on from: a snapshot (None: the beginning) and the changes after it."""

    snapshot: bytes | None
    deltas: list[bytes]


class Resumed(msgspec.Struct, frozen=True):
    """Where the store left off. `admitted_ns` is 0 where nothing was ever admitted; `checkpoints` come best first."""

    next_n: int
    next_seq: int
    admitted_ns: int
    elapsed_ns: int
    marks: MarksOf
    checkpoints: list[Checkpoint]


def seal(body: bytes) -> bytes:
    """A blob that tells whether it is still what was written: CRC-32 (4 bytes, little-endian) of `body` compressed.

    Deltas of small cuts repeat their tables' names and hold rows of few numbers: they shrink to a quarter, and with
    them the pages that each transaction writes. Level 1 takes 1 % of what was spent on making them.
    """
    packed = zlib.compress(body, 1)
    return zlib.crc32(packed).to_bytes(4, "little") + packed


def unseal(blob: bytes) -> bytes | None:
    """The body of a sealed blob, or None where a bit of it has changed."""
    packed = blob[4:]
    if zlib.crc32(packed).to_bytes(4, "little") != blob[:4]:
        return None
    try:
        return zlib.decompress(packed)
    except zlib.error:
        return packed  # of the first releases, which did not compress


def crc_of(stream: str, position: int, at_ns: int, key: str, count: int, body: bytes) -> int:
    """CRC-32 of a row: SQLite notices no damage to what its structures hold.

    With the stream's name: one bit in a page's number, and the rows of another table stand there.
    """
    return zlib.crc32(body, zlib.crc32(f"{stream} {position} {at_ns} {count} {key}".encode()))


def pack(journal: Journal) -> bytes:
    """A journal row's blob."""
    return seal(msgspec.msgpack.encode(journal))


def unpack(blob: bytes) -> Journal | None:
    """The journal row in a blob, or None where it cannot be read."""
    body = unseal(blob)
    if body is None:
        return None
    try:
        return msgspec.msgpack.decode(body, type=Journal)
    except msgspec.MsgspecError:
        return None


def merge_marks(marks: MarksOf, rows: Iterable[Journal]) -> MarksOf:
    """The marks after `rows`: a lost session's end, later ones follow the earlier."""
    merged = dict(marks)
    for row in rows:
        for source in row.lost_sessions:
            merged.pop(source, None)
        for source, (ids, crcs) in row.marks.items():
            before = merged.get(source, (b"", b""))
            merged[source] = (before[0] + ids, before[1] + crcs)
    return merged
