"""Looking into a store from outside, beside the running gateway or after it: what the verb `outbox` prints."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING

import msgspec

from gateway.errors import OutboxError
from gateway.events import AlertRow, RequestRow
from gateway.outbox import dead, gaps, reading, restart, schema

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from gateway.events import Stream
    from gateway.ports import Row

UNFIT = "do not fit their checksum"
BUSY_S = 10.0  # the gateway's own transactions take milliseconds


class SinkState(msgspec.Struct, frozen=True):
    """How far a sink is. `lag_s`: age of its next row; 0 where nothing waits."""

    sink: str
    stream: str
    position: int
    waiting_rows: int
    waiting_bytes: int
    lag_s: float


class State(msgspec.Struct, frozen=True):
    """A store in numbers. `free_bytes` are kept in the file for reuse."""

    epoch: str
    bytes: int
    free_bytes: int
    next_n: int
    next_seq: int
    sinks: list[SinkState]
    letters: int
    letters_bytes: int
    letters_asked_again: int
    gaps: list[gaps.Gap]


class Peeked(msgspec.Struct, frozen=True):
    """One row that waits. `body` is line protocol, or the alert's or request's own JSON."""

    sink: str
    stream: str
    position: int
    at_ns: int
    key: str
    count: int
    bytes: int
    body: str


class Rejection(msgspec.Struct, frozen=True):
    """One dead letter. `where`: a route's or a sink's name; `asked_again`: it is on its way once more."""

    id: int
    at_ns: int
    where: str
    topic: str
    key: str
    reason: str
    bytes: int
    asked_again: bool
    body: str


class Checked(msgspec.Struct, frozen=True):
    """What a check found; no problems: the store is sound."""

    problems: list[str]
    bytes: int


@contextlib.contextmanager
def connected(folder: Path, *, write: bool = False) -> Generator[sqlite3.Connection]:
    """A connection to the store in a state folder. Raises OutboxError where there is none, or it cannot be read."""
    path = folder / schema.FILE
    if not path.is_file():
        raise OutboxError(
            f"found no {schema.FILE} in {folder}; a gateway makes it when it runs. Is this its state folder?"
        )
    mode = "rw" if write else "ro"
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=BUSY_S)
    except sqlite3.Error as error:
        raise schema.ours(error, f"{path} cannot be opened") from error
    try:
        yield connection
    except sqlite3.Error as error:
        raise schema.ours(error, f"{path} cannot be read") from error
    finally:
        connection.close()


def state(connection: sqlite3.Connection, now_ns: int) -> State:
    """The store in numbers."""
    found = restart.read(connection)
    page, pages, free = (
        int(connection.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("page_size", "page_count", "freelist_count")
    )
    letters, letters_bytes, again = dead.counted(connection)
    sinks = reading.places(connection)
    return State(
        epoch=schema.epoch(connection),
        bytes=pages * page,
        free_bytes=free * page,
        next_n=found.resumed.next_n,
        next_seq=found.resumed.next_seq,
        sinks=[_sink_state(connection, sink, stream, has, now_ns) for (sink, stream), has in sinks.items()],
        letters=letters,
        letters_bytes=letters_bytes,
        letters_asked_again=again,
        gaps=gaps.listed(connection),
    )


def _sink_state(connection: sqlite3.Connection, sink: str, stream: Stream, has: gaps.Has, now_ns: int) -> SinkState:
    rows, size, oldest = 0, 0, now_ns
    for begin, end in (*has.waiting(), (has.head or has.upto, 2**62)):
        some, held, first = connection.execute(
            f"SELECT count(*), ifnull(sum(length(body)), 0), ifnull(min(at_ns), ?) FROM {stream} "  # noqa: S608 - our names
            "WHERE position > ? AND position <= ?",
            (now_ns, begin, end),
        ).fetchone()
        rows, size, oldest = rows + some, size + held, min(oldest, first)
    lag_s = max(0.0, (now_ns - oldest) / 1e9)
    return SinkState(sink, stream, has.upto, rows, size, round(lag_s, 1))


def peek(connection: sqlite3.Connection, sink: str | None, limit: int) -> list[Peeked]:
    """The next rows of a sink, or of every sink."""
    places = reading.places(connection)
    known = sorted({name for name, _ in places})
    if sink is not None and sink not in known:
        raise OutboxError(f"found no sink {sink!r} in the store; there are: {', '.join(known) or 'none yet'}")
    out: list[Peeked] = []
    for (name, stream), has in places.items():
        if sink not in {None, name}:
            continue
        rows = reading.next_rows(connection, stream, name, has, limit, 10_000_000).rows
        out += [
            Peeked(name, stream, row.position, row.at_ns, row.key, row.count, len(row.body), _shown(stream, row))
            for row in rows
        ]
    return out


def gaps_of(connection: sqlite3.Connection, sink: str | None, limit: int) -> list[gaps.Gap]:
    """What a sink, or every sink, will never get; the newest first."""
    return [gap for gap in gaps.listed(connection) if sink in {None, gap.sink}][:limit]


def _shown(stream: Stream, row: Row) -> str:
    if stream == "alerts":
        return text_of(msgspec.msgpack.decode(row.body, type=AlertRow).body)
    if stream == "requests":
        return text_of(msgspec.msgpack.decode(row.body, type=RequestRow).body)
    return text_of(row.body)


def text_of(body: bytes) -> str:
    """A body as text; what is no text is escaped."""
    return body.decode("utf-8", "backslashreplace")


def rejected(connection: sqlite3.Connection, limit: int) -> list[Rejection]:
    """The newest dead letters."""
    return [
        Rejection(
            id=one.id,
            at_ns=one.letter.at_ns,
            where=one.letter.where,
            topic=one.letter.topic,
            key=one.key,
            reason=one.letter.reason,
            bytes=len(one.letter.body),
            asked_again=one.retry,
            body=text_of(one.letter.body),
        )
        for one in dead.listed(connection, limit)
    ]


def retry(connection: sqlite3.Connection, ids: Sequence[int] | None) -> int:
    """Mark dead letters to be delivered or stepped again; a running gateway takes them up within seconds.

    One small transaction beside the gateway's own: SQLite keeps the two apart.
    """
    with connection:
        return dead.ask_again(connection, ids)


def check(connection: sqlite3.Connection) -> Checked:
    """Read every page and every row that a restart needs."""
    problems: list[str] = []
    connection.text_factory = schema.lenient
    try:
        schema.verify(connection, whole=False)
        found = [row[0] for row in connection.execute("PRAGMA integrity_check(20)").fetchall()]
        problems += found if found != ["ok"] else []
        if unreadable := restart.read(connection).unreadable:
            problems.append(f"{unreadable} rows of the state {UNFIT}")
        for stream in schema.STREAMS:
            if count := reading.spoiled(connection, stream):
                problems.append(f"{count} rows of {stream} {UNFIT}")
        size = (
            connection.execute("PRAGMA page_count").fetchone()[0] * connection.execute("PRAGMA page_size").fetchone()[0]
        )
    except (schema.DamagedError, sqlite3.DatabaseError) as error:
        return Checked([*problems, str(error)], 0)
    return Checked(problems, size)
