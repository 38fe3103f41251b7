"""The series in the history's file: at most one value a second each; the last minutes as they came, then by series."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gateway.sinks import lineprotocol

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from numpy.typing import NDArray

NS = 10**9
FOLD_S = 900  # recent values become chunks this often: a chart reads at most this much of the other series' values
FOLD_VALUES = 200_000  # or when there are so many
_VALUE = np.dtype([("t_s", "<i8"), ("series", "<i4"), ("value", "<f8")])


class Last(NamedTuple):
    """A series' newest value, its time to the second."""

    subject: str
    event_ns: int
    value: float


class SeriesTable:
    """The series of one file. Used by the history's thread alone."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._numbers: dict[str, int] = {}
        self._subjects: dict[int, str] = {}
        self._by_field: dict[tuple[bytes, bytes], int] = {}
        self._shapes: dict[bytes, tuple[bytes, ...]] = {}
        self._last: dict[int, Last] = {}
        for n, subject, last_s, last in db.execute("SELECT n, subject, last_s, last FROM series").fetchall():
            self._numbers[subject], self._subjects[n] = n, subject
            if last_s is not None:
                self._last[n] = Last(subject, last_s * NS, last)
        self._next = max(self._subjects, default=0)
        recent = self._recents()
        self._follow(recent)
        self._recent = len(recent)

    def store(self, bodies: Iterable[bytes]) -> None:
        """Store the numbers of line protocol, the last of each second; what came before is replaced by the same."""
        parts = [part for body in bodies for part in self._values(body)]
        batch = np.concatenate(parts) if parts else np.empty(0, _VALUE)
        if not len(batch):
            return
        span = (int(batch["t_s"].min()), int(batch["t_s"].max()))
        self._db.execute("INSERT INTO recent (from_s, to_s, body) VALUES (?, ?, ?)", (*span, batch.tobytes()))
        self._recent += len(batch)
        self._follow(batch)

    def _values(self, body: bytes) -> list[NDArray[np.void]]:
        """What a body's lines say, in the order in which a series' values came."""
        found = lineprotocol.blocks(body, self._shapes)
        if found is None:
            self._shapes.clear()  # they may be those of an earlier configuration
        blocks, rest = found or ([], body)
        rows = [
            (line.at_ns // NS, self._number(line.head, field), value)
            for line in lineprotocol.points(rest)
            for field, value in line.numbers
        ]
        return [*(self._of(block) for block in blocks), np.array(rows, _VALUE)]

    def _of(self, block: lineprotocol.Block) -> NDArray[np.void]:
        """The values of a block, but for those that are none."""
        out = np.empty(block.values.shape, _VALUE)
        out["t_s"] = (np.array(block.at_ns) // NS)[:, None]
        known: dict[bytes, list[int]] = {}
        for head in block.heads:
            if head not in known:
                known[head] = [self._number(head, field) for field in block.fields]
        out["series"] = [known[head] for head in block.heads]
        out["value"] = block.values
        return out[np.isfinite(block.values)]

    def latest(self) -> list[Last]:
        """The newest value of each series, by subject."""
        return sorted(self._last.values())

    def read(self, subject: str, from_s: int, to_s: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Seconds int64[n], rising, and values float64[n] in [from_s, to_s)."""
        n = self._numbers.get(subject)
        if n is None:
            return np.empty(0, np.int64), np.empty(0)
        chunks = self._db.execute(
            "SELECT from_s, body FROM chunk WHERE series = ? AND to_s >= ? AND from_s < ? ORDER BY rowid",
            (n, from_s, to_s),
        ).fetchall()
        recent = self._recents(from_s, to_s)
        recent = recent[recent["series"] == n]
        parts = [_unpack(start, body) for start, body in chunks]
        parts.append((recent["t_s"].astype(np.int64), recent["value"].astype(np.float64)))
        t, values = np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])
        inside = (t >= from_s) & (t < to_s)
        t, values = t[inside][::-1], values[inside][::-1]
        t, first = np.unique(t, return_index=True)  # of equal seconds the one stored last
        return t, values[first]

    def due(self) -> bool:
        """Whether there are so many recent values that they should be folded now."""
        return self._recent >= FOLD_VALUES

    def fold(self) -> None:
        """Pack the recent values into one chunk a series. Call inside a transaction."""
        recent = self._recents()
        if not len(recent):
            return
        recent = recent[np.lexsort((np.arange(len(recent)), recent["t_s"], recent["series"]))]
        same = (recent["series"][1:] == recent["series"][:-1]) & (recent["t_s"][1:] == recent["t_s"][:-1])
        recent = recent[np.r_[~same, True]]  # of equal seconds the one that came last
        series, t_s, values = recent["series"], recent["t_s"].astype(np.int64), recent["value"]
        starts = np.flatnonzero(np.r_[True, series[1:] != series[:-1]])
        for start, end in zip(starts, [*starts[1:], len(series)], strict=True):
            span = slice(int(start), int(end))
            self._db.execute(
                "INSERT INTO chunk VALUES (?, ?, ?, ?)",
                (int(series[start]), int(t_s[start]), int(t_s[end - 1]), _pack(t_s[span], values[span])),
            )
        self._db.execute("DELETE FROM recent")
        self._db.executemany(
            "UPDATE series SET last_s = ?, last = ? WHERE n = ?",
            ((last.event_ns // NS, last.value, n) for n, last in self._last.items()),
        )
        self._recent = 0

    def prune(self, before_s: int) -> None:
        """Forget what is older than `before_s`, and series that had nothing since."""
        self._db.execute("DELETE FROM chunk WHERE to_s < ?", (before_s,))
        self._db.execute("DELETE FROM recent WHERE to_s < ?", (before_s,))
        gone = {n for n, last in self._last.items() if last.event_ns < before_s * NS}
        if gone:
            self._db.executemany("DELETE FROM series WHERE n = ?", ((n,) for n in gone))
            self._numbers = {subject: n for subject, n in self._numbers.items() if n not in gone}
            self._subjects = {n: subject for subject, n in self._numbers.items()}
            self._last = {n: last for n, last in self._last.items() if n not in gone}
            self._by_field.clear()

    def drop_oldest(self) -> bool:
        """Forget the oldest twentieth of the chunks; False where there is none."""
        count = int(self._db.execute("SELECT count(*) FROM chunk").fetchone()[0])
        oldest = "SELECT rowid FROM chunk ORDER BY to_s LIMIT ?"
        self._db.execute(f"DELETE FROM chunk WHERE rowid IN ({oldest})", (max(100, count // 20),))  # noqa: S608 - ours
        return count > 0

    def _recents(self, from_s: int = -(2**62), to_s: int = 2**62) -> NDArray[np.void]:
        """The recent values of batches that touch [from_s, to_s), in the order they came."""
        found = self._db.execute(
            "SELECT body FROM recent WHERE to_s >= ? AND from_s < ? ORDER BY n", (from_s, to_s)
        ).fetchall()
        return np.frombuffer(b"".join(body for (body,) in found), _VALUE)

    def _follow(self, batch: NDArray[np.void]) -> None:
        """Remember each series' newest value, to the second."""
        batch = batch[np.lexsort((np.arange(len(batch)), batch["t_s"], batch["series"]))]
        newest = batch[np.r_[batch["series"][1:] != batch["series"][:-1], np.ones(min(1, len(batch)), bool)]]
        for t_s, n, value in newest.tolist():
            if n not in self._last or t_s * NS >= self._last[n].event_ns:
                self._last[n] = Last(self._subjects[n], t_s * NS, value)

    def _number(self, head: bytes, field: bytes) -> int:
        known = self._by_field.get((head, field))
        if known is not None:
            return known
        subject = lineprotocol.subject(head, field)
        if subject not in self._numbers:
            self._next += 1
            self._db.execute("INSERT INTO series (n, subject) VALUES (?, ?)", (self._next, subject))
            self._numbers[subject], self._subjects[self._next] = self._next, subject
        return self._by_field.setdefault((head, field), self._numbers[subject])


def thin(
    t: NDArray[np.int64], values: NDArray[np.float64], points: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """At most `points` of a series to draw: of each of points / 2 equal spans of time its lowest and highest value.

    t int64[n] rising; a series with no more points than that is returned as it is.
    """
    if len(t) <= points:
        return t, values
    spans = max(1, points // 2)
    span = np.minimum((t - t[0]) * spans // max(1, int(t[-1] - t[0])), spans - 1)
    order = np.lexsort((values, span))
    firsts = np.flatnonzero(np.r_[True, np.diff(span[order]) != 0])
    keep = np.unique(np.r_[order[firsts], order[np.r_[firsts[1:], len(order)] - 1]])
    return t[keep], values[keep]


def _pack(t_s: NDArray[np.int64], values: NDArray[np.float64]) -> bytes:
    steps = np.diff(t_s, prepend=t_s[0]).astype("<u4")
    return zlib.compress(steps.tobytes() + values.astype("<f8").tobytes(), 1)


def _unpack(from_s: int, body: bytes) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    raw = zlib.decompress(body)
    n = len(raw) // 12
    steps = np.frombuffer(raw, "<u4", n).astype(np.int64)
    return from_s + np.cumsum(steps), np.frombuffer(raw, "<f8", n, 4 * n).astype(np.float64)
