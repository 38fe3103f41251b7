"""What tables of the state have in common: a row of declared columns, and which rows are to be told of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


def new_row(columns: Mapping[str, tuple[Any, ...]]) -> NDArray[np.void]:
    """One row as it is declared; `columns`: name → (dtype, value of a new row[, shape])."""
    row = np.zeros(1, np.dtype([(name, spec[0], *spec[2:]) for name, spec in columns.items()]))
    for name, spec in columns.items():
        row[name] = spec[1]
    return row


class Touched:
    """The rows of a table that a step's delta tells of: those that were written since the last one."""

    def __init__(self) -> None:
        self._parts: list[NDArray[np.intp]] = []
        self._told = 0  # how many rows there were

    def add(self, index: NDArray[np.intp]) -> None:
        """These were written."""
        if len(index):
            self._parts.append(index)

    def take(self, n: int) -> NDArray[np.int32] | None:
        """Their numbers, rising, of a table that has `n` rows by now; None where there is nothing to tell."""
        if not self._parts and n == self._told:
            return None
        index = distinct(self._parts)
        self.told(n)
        return index

    def told(self, n: int) -> None:
        """All is told of `n` rows."""
        self._parts.clear()
        self._told = n


def distinct(parts: list[NDArray[np.intp]]) -> NDArray[np.int32]:
    """The numbers in some arrays, each once, rising."""
    index = parts[0] if len(parts) == 1 else np.concatenate([np.zeros(0, np.intp), *parts])
    if not (index[1:] > index[:-1]).all():
        index = np.sort(index, kind="stable")
        index = index[np.concatenate([[True], index[1:] != index[:-1]])]
    return index.astype(np.int32)
