"""Rows by number, of which only those are kept that differ from a new one: state that follows what happens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gateway.core.arrays import GROWTH, grown
from gateway.core.rows import Touched, new_row

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


class Sparse:
    """Stored as a `Table` is: which rows are kept, and where, is nobody's business.

    `by`: the column that tells: a row is kept while its (first) value there is not a new row's. Without, every row that
    was ever made is, until it is dropped.
    """

    def __init__(self, columns: Mapping[str, tuple[Any, ...]], by: str = "") -> None:
        """`columns`: name → (dtype, value of a new row[, shape])."""
        self._fresh = new_row(columns)
        self.dtype = self._fresh.dtype
        self._by = by
        self._rows: NDArray[np.void] = np.zeros(0, self.dtype)
        self._used = 0  # of these rows, the free ones included
        self._free: list[int] = []
        self._place = np.zeros(0, np.int32)  # 1 + where each number's row is kept; 0: it is as new
        self._touched = Touched()
        self.n = 0

    def __len__(self) -> int:
        """How many rows are kept."""
        return self._used - len(self._free)

    def grow(self, n: int) -> None:
        """Have the numbers below `n`."""
        self._place = grown(self._place, n, 0)
        self.n = max(n, self.n)

    def has(self, numbers: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
        """Which of these rows are kept: bool[k]."""
        return self._place[numbers] > 0

    def holds(self, number: int) -> bool:
        """Whether one row is kept."""
        return self._place[number] > 0

    def get(self, numbers: NDArray[np.integer[Any]], column: str) -> NDArray[Any]:
        """A column of these rows; where a row is not kept, a new row's value."""
        if not self._used:
            return np.repeat(self._fresh[column], len(numbers), axis=0)
        place = self._place[numbers] - 1
        values = self._rows[column][place]
        values[place < 0] = self._fresh[column][0]
        return values

    def row(self, number: int) -> np.void:
        """One row, to be read: as it is kept, or a new one."""
        place = int(self._place[number]) - 1
        return self._fresh[0] if place < 0 else self._rows[place]

    def open(self, number: int) -> np.void:
        """One row, to be written; call `close` when that is done."""
        place = int(self._place[number]) - 1
        if place < 0:
            place = self._make(number)
        return self._rows[place]

    def close(self, number: int) -> None:
        """The row was written: let it go where it is as new."""
        self._touched.add(np.array([number], np.intp))
        if self._by and _first(self.row(number)[self._by]) == _first(self._fresh[self._by]):
            self._drop(number)

    def put(self, numbers: NDArray[np.integer[Any]], **columns: NDArray[Any]) -> None:
        """Write columns of many rows, each number once; they are kept whatever they hold."""
        place = self._place[numbers] - 1
        if (place < 0).any():
            for number in numbers[place < 0].tolist():
                self._make(number)
            place = self._place[numbers] - 1
        for column, values in columns.items():
            self._rows[column][place] = values
        self._touched.add(numbers.astype(np.intp))

    def drop(self, numbers: NDArray[np.integer[Any]]) -> None:
        """Let rows go."""
        gone = numbers[self._place[numbers] > 0]
        if len(gone):
            self._touched.add(gone.astype(np.intp))
            for number in gone.tolist():
                self._drop(number)

    def where(self, column: str) -> list[tuple[int, Any]]:
        """(number, value) of a column of all rows that are kept, by number."""
        numbers = self._kept()
        return list(zip(numbers.tolist(), self._rows[column][self._place[numbers] - 1].tolist(), strict=True))

    def clear(self) -> None:
        """Every row is as new."""
        numbers = self._kept()
        self.void()
        self._touched.add(numbers)

    def void(self) -> None:
        """Every row is as new, and nothing is to be told of it."""
        self._place[:] = 0
        self._used = 0
        self._free.clear()

    def delta(self) -> list[Any] | None:
        """The rows written since the last call, new ones for those that are no longer kept."""
        index = self._touched.take(self.n)
        return None if index is None else self._stored(index)

    def apply(self, delta: list[Any]) -> None:
        """Write stored rows back, but for those that are as new."""
        self.grow(int(delta[0]))
        index, rows = np.frombuffer(delta[1], np.int32), np.frombuffer(delta[2], self.dtype)
        if len(index):
            same = self._as_new(rows)
            self.drop(index[same])
            if not same.all():
                index, rows = index[~same], rows[~same]
                self.put(index, **{name: rows[name] for name in self.dtype.names or ()})
        self._touched.told(self.n)

    def whole(self) -> list[Any]:
        """Every row that is kept, as a delta to an empty table."""
        return self._stored(self._kept().astype(np.int32))

    def _as_new(self, rows: NDArray[np.void]) -> NDArray[np.bool_]:
        """bool[k]: which of these rows need not be kept."""
        if self._by:
            return rows[self._by].reshape(len(rows), -1)[:, 0] == _first(self._fresh[self._by])
        raw = np.ascontiguousarray(rows).view(np.uint8).reshape(len(rows), self.dtype.itemsize)
        return (raw == self._fresh.view(np.uint8)).all(axis=1)

    def _kept(self) -> NDArray[np.intp]:
        return np.flatnonzero(self._place[: self.n])

    def _stored(self, index: NDArray[np.int32]) -> list[Any]:
        """These rows as a delta, new ones for those that are not kept."""
        place = self._place[index] - 1
        rows = np.repeat(self._fresh, len(index))
        kept = place >= 0
        rows[kept] = self._rows[place[kept]]
        return [self.n, index.tobytes(), rows.tobytes()]

    def _make(self, number: int) -> int:
        if self._free:
            place = self._free.pop()
        else:
            place = self._used
            if place == len(self._rows):
                rows = np.empty(max(2 * place, GROWTH), self.dtype)
                rows[:place] = self._rows
                self._rows = rows
            self._used += 1
        self._rows[place] = self._fresh[0]
        self._place[number] = place + 1
        return place

    def _drop(self, number: int) -> None:
        self._free.append(int(self._place[number]) - 1)
        self._place[number] = 0


def _first(value: Any) -> Any:
    return np.ravel(value)[0]
