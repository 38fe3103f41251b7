"""The core's state: declared tables of rows and books of records, whose touched parts are a step's delta.

Nothing that decides anything lives in an attribute elsewhere. A table or book is declared with its owner's name, a
schema version and a hash of the owner's configuration; what was stored under another version or hash is not restored,
so an owner whose configuration changed starts empty. It also does when it comes back: `settle` notes what is declared,
and a restore forgets what deltas from before hold of what then was not.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import msgspec
import numpy as np

from gateway.core.arrays import GROWTH
from gateway.core.rows import Touched, new_row
from gateway.core.sparse import Sparse
from gateway.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

T = TypeVar("T", bound=msgspec.Struct)
DECLARED = "declared"


class Table:
    """Rows of fixed columns, addressed by index. `rows[:n]` are in use; write through `rows`, then `touch`."""

    def __init__(self, columns: Mapping[str, tuple[Any, ...]]) -> None:
        """`columns`: name → (dtype, value of a new row[, shape])."""
        self._fresh = new_row(columns)
        self.dtype = self._fresh.dtype
        self.rows: NDArray[np.void] = np.zeros(0, self.dtype)
        self._touched = Touched()
        self.n = 0

    def __getitem__(self, column: str) -> NDArray[Any]:
        return self.rows[column]

    def grow(self, n: int) -> None:
        """Have at least `n` rows; new ones hold the declared values."""
        if n <= self.n:
            return
        if n > len(self.rows):
            rows = np.empty(max(n, 2 * len(self.rows), GROWTH), self.dtype)
            rows[: self.n] = self.rows[: self.n]
            self.rows = rows
        self.rows[self.n : n] = self._fresh
        self.n = n

    def touch(self, index: NDArray[np.intp]) -> None:
        """Say that these rows changed."""
        self._touched.add(index)

    def touch_one(self, index: int) -> None:
        """Say that this row changed."""
        self._touched.add(np.array([index], np.intp))

    def clear(self) -> None:
        """Every row is as new."""
        self.rows[: self.n] = self._fresh
        self._touched.add(np.arange(self.n))

    def void(self) -> None:
        """Every row is as new, and nothing is to be told of it."""
        self.rows[: self.n] = self._fresh

    def delta(self) -> list[Any] | None:
        """The touched rows since the last call."""
        index = self._touched.take(self.n)
        return None if index is None else self._stored(index)

    def apply(self, delta: list[Any]) -> None:
        """Write stored rows back."""
        self.grow(int(delta[0]))
        self.rows[np.frombuffer(delta[1], np.int32)] = np.frombuffer(delta[2], self.dtype)
        self._touched.told(self.n)

    def whole(self) -> list[Any]:
        """Every row that differs from a new one, as a delta to an empty table."""
        raw = self.rows[: self.n].view(np.uint8).reshape(self.n, self.dtype.itemsize)
        used = np.flatnonzero((raw != self._fresh.view(np.uint8)).any(axis=1)).astype(np.int32)
        return self._stored(used)

    def _stored(self, index: NDArray[np.int32]) -> list[Any]:
        return [self.n, index.tobytes(), self.rows[index].tobytes()]


class Book(Generic[T]):
    """Records by a text key, for what has no fixed columns. Put a new record to change one."""

    def __init__(self, record: type[T]) -> None:
        self._decode = msgspec.msgpack.Decoder(record).decode
        self._encode = msgspec.msgpack.Encoder().encode
        self._records: dict[str, T] = {}
        self._touched: dict[str, None] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._records

    def __len__(self) -> int:
        return len(self._records)

    def get(self, key: str) -> T | None:
        """The record, or None."""
        return self._records.get(key)

    def items(self) -> list[tuple[str, T]]:
        """All records, by key."""
        return sorted(self._records.items())

    def put(self, key: str, record: T) -> None:
        """Write a record."""
        self._records[key] = record
        self._touched[key] = None

    def drop(self, key: str) -> None:
        """Remove a record."""
        if self._records.pop(key, None) is not None:
            self._touched[key] = None

    def clear(self) -> None:
        """Remove every record."""
        for key in list(self._records):
            self.drop(key)

    def void(self) -> None:
        """Hold nothing, and nothing is to be told of it."""
        self._records.clear()

    def delta(self) -> list[Any] | None:
        """The touched records since the last call; None stands for a removed one."""
        if not self._touched:
            return None
        touched, self._touched = self._touched, {}
        return [[k, self._encode(r) if (r := self._records.get(k)) is not None else None] for k in touched]

    def apply(self, delta: list[Any]) -> None:
        """Write stored records back."""
        for key, body in delta:
            if body is None:
                self._records.pop(key, None)
            else:
                self._records[key] = self._decode(body)

    def whole(self) -> list[Any]:
        """Every record, as a delta to an empty book."""
        return [[key, self._encode(record)] for key, record in self.items()]


class Own(Protocol):
    """A part of another make."""

    def clear(self) -> None:
        """Be as new, and tell so."""
        ...

    def void(self) -> None:
        """Be as new, and nothing is to be told of it."""
        ...

    def delta(self) -> list[Any] | None:
        """What changed since the last call."""
        ...

    def apply(self, delta: list[Any]) -> None:
        """Take back what was told."""
        ...

    def whole(self) -> list[Any]:
        """Everything, as a delta to a new one."""
        ...


Part = Table | Sparse | Book[Any] | Own


class Declared(msgspec.Struct, frozen=True, array_like=True):
    """What a part is declared under."""

    mark: str


def _digest(mark: str) -> str:
    return sha256(mark.encode()).hexdigest()[:8]


class State:
    """All tables and books of a core, by name, with what they were declared under."""

    def __init__(self) -> None:
        self._parts: dict[str, tuple[str, Part]] = {}
        self._short: dict[
            str, str
        ] = {}  # marks as they stand in each delta; in what was stored earlier they are in full
        self._earlier: dict[tuple[str, str], Callable[[list[Any]], None]] = {}
        self._declared = self.book(DECLARED, Declared)

    def table(self, name: str, columns: Mapping[str, tuple[Any, ...]], owner: str = "", version: int = 1) -> Table:
        """Declare a table. `owner`: hash of the owner's configuration."""
        table = Table(columns)
        self._declare(name, f"{version}:{owner}:{table.dtype.descr}", table)
        return table

    def sparse(
        self, name: str, columns: Mapping[str, tuple[Any, ...]], owner: str = "", version: int = 1, by: str = ""
    ) -> Sparse:
        """Declare a table of which only rows are kept that differ from a new one, as `by` tells."""
        table = Sparse(columns, by)
        self._declare(name, f"{version}:{owner}:{table.dtype.descr}", table)
        return table

    def book(self, name: str, record: type[T], owner: str = "", version: int = 1) -> Book[T]:
        """Declare a book of records."""
        book = Book(record)
        self._declare(name, f"{version}:{owner}", book)
        return book

    def own(self, name: str, part: Own, version: int, earlier: Mapping[int, Callable[[list[Any]], None]]) -> None:
        """Declare a part of another make. `earlier`: how what was stored under an earlier version is taken over."""
        self._declare(name, f"{version}:", part)
        for old, take in earlier.items():
            mark = f"{old}:"
            self._earlier[name, mark] = self._earlier[name, _digest(mark)] = take

    def _declare(self, name: str, mark: str, part: Part) -> None:
        if name in self._parts:
            raise StateError(f"two parts of the core declare the state {name!r}")
        self._parts[name] = (mark, part)
        self._short[name] = _digest(mark)

    def settle(self) -> None:
        """A configuration holds: what was stored under any other is no longer anybody's."""
        for name in [name for name, _ in self._declared.items() if name not in self._parts]:
            self._declared.drop(name)
        for name, (mark, _) in self._parts.items():
            if self._declared.get(name) != Declared(mark):
                self._declared.put(name, Declared(mark))

    def _forget(self, changes: list[Any]) -> None:
        """Where a part was not declared, or otherwise, what was restored of it until then is void."""
        for name, body in changes:
            declared = self._parts.get(name)
            if declared is not None and (body is None or msgspec.msgpack.decode(body) != [declared[0]]):
                declared[1].void()

    def delta(self) -> bytes:
        """What changed since the last call; empty when nothing did."""
        marks = self._short
        parts = [(name, marks[name], change) for name, (_, part) in self._parts.items() if (change := part.delta())]
        return msgspec.msgpack.encode(parts) if parts else b""

    def snapshot(self) -> bytes:
        """Everything; equal for equal states."""
        parts = [(name, self._short[name], part.whole()) for name, (_, part) in self._parts.items()]
        return msgspec.msgpack.encode(parts)

    def restore(self, blob: bytes) -> None:
        """Apply a snapshot or delta; parts that are gone or were declared otherwise are left empty."""
        try:
            stored = msgspec.msgpack.decode(blob) if blob else []
        except msgspec.DecodeError as error:
            raise StateError(f"stored state cannot be read: {error}") from error
        for name, mark, change in stored:
            declared = self._parts.get(name)
            if declared is not None and mark in {declared[0], self._short[name]}:
                if name == DECLARED:
                    self._forget(change)
                declared[1].apply(change)
            elif (name, mark) in self._earlier:
                self._earlier[name, mark](change)

    def clear(self, part: Part) -> None:
        """Make a part as new, and those declared under its name with a slash."""
        name = next(name for name, (_, declared) in self._parts.items() if declared is part)
        for other, (_, declared) in self._parts.items():
            if other == name or other.startswith(f"{name}/"):
                declared.clear()
