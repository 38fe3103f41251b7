"""What tables of the state have in common: rows of declared columns, and which of them are to be told of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


class Rows:
    """Rows by number, of which a step's delta tells those that were touched. `n`: the numbers below it are in use."""

    def __init__(self, columns: Mapping[str, tuple[Any, ...]]) -> None:
        """`columns`: name → (dtype, value of a new row[, shape])."""
        self.dtype = np.dtype([(name, spec[0], *spec[2:]) for name, spec in columns.items()])
        self._fresh = np.zeros(1, self.dtype)
        for name, spec in columns.items():
            self._fresh[name] = spec[1]
        self.n = 0
        self._told = 0
        self._touched: list[NDArray[np.intp]] = []

    def delta(self) -> list[Any] | None:
        """The touched rows since the last call, as they are now."""
        if not self._touched and self.n == self._told:
            return None
        index = distinct(self._touched)
        self._touched.clear()
        self._told = self.n
        return self._stored(index)

    def _stored(self, index: NDArray[np.int32]) -> list[Any]:
        """These rows, as a delta."""
        return [self.n, index.tobytes(), self._at(index).tobytes()]

    def _at(self, index: NDArray[np.int32]) -> NDArray[np.void]:
        """A copy of these rows."""
        raise NotImplementedError


def distinct(parts: list[NDArray[np.intp]]) -> NDArray[np.int32]:
    """The numbers in some arrays, each once, rising."""
    index = parts[0] if len(parts) == 1 else np.concatenate([np.zeros(0, np.intp), *parts])
    if not (index[1:] > index[:-1]).all():
        index = np.sort(index, kind="stable")
        index = index[np.concatenate([[True], index[1:] != index[:-1]])]
    return index.astype(np.int32)
