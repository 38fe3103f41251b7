"""Accepted readings as columns, sorted by series: what numeric rules are stepped with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from gateway.core.exact import ends_of
from gateway.ports import NO_TIME

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gateway.core.state import Table


class Readings(NamedTuple):
    """Readings in the order of their series, and of admission within one.

    series int32[r]; n int64[r] the message's admission number; event_ns int64[r], never decreasing within a series;
    value float64[r]; admitted_ns int64[r]. `start` intp[g] is the first row of each series' group, `length` intp[g];
    `opening` float64[g] and `opening_ns` int64[g] are each series' last value and watermark before these readings.
    """

    series: NDArray[np.int32]
    n: NDArray[np.int64]
    event_ns: NDArray[np.int64]
    value: NDArray[np.float64]
    admitted_ns: NDArray[np.int64]
    start: NDArray[np.intp]
    length: NDArray[np.intp]
    opening: NDArray[np.float64]
    opening_ns: NDArray[np.int64]

    def owners(self) -> NDArray[np.int32]:
        """The series of each group, ascending: int32[g]."""
        return self.series[self.start]

    def take(self, mask: NDArray[np.bool_]) -> Readings:
        """The rows where `mask` holds."""
        left = grouped(self.series[mask], self.n[mask], self.event_ns[mask], self.value[mask], self.admitted_ns[mask])
        whose = np.searchsorted(self.owners(), left.owners())
        return left._replace(opening=self.opening[whose], opening_ns=self.opening_ns[whose])


T = TypeVar("T", bound=np.generic)


def starts_of(sorted_column: NDArray[np.integer[Any]]) -> NDArray[np.intp]:
    """Where each group of equal numbers begins: intp[g]."""
    edge = np.ones(len(sorted_column), bool)
    np.not_equal(sorted_column[1:], sorted_column[:-1], out=edge[1:])
    return np.flatnonzero(edge)


def grouped(
    series: NDArray[np.int32],
    n: NDArray[np.int64],
    event_ns: NDArray[np.int64],
    value: NDArray[np.float64],
    admitted_ns: NDArray[np.int64],
) -> Readings:
    """Readings from columns already sorted by series, as if nothing was before them."""
    start = starts_of(series)
    count = lengths_of(start, len(series))
    nothing = np.full(len(start), np.nan)
    return Readings(series, n, event_ns, value, admitted_ns, start, count, nothing, np.full(len(start), NO_TIME))


def lengths_of(start: NDArray[np.intp], end: int) -> NDArray[np.intp]:
    """How long groups are that begin at `start`, the last one up to `end`: intp[g]."""
    length = np.empty_like(start)
    length[:-1] = start[1:] - start[:-1]
    length[-1:] = end - start[-1:]
    return length


_NONE = np.zeros(0, np.int64)
NO_READINGS = grouped(_NONE.astype(np.int32), _NONE, _NONE, _NONE.astype(np.float64), _NONE)


def ragged(start: NDArray[np.intp], count: NDArray[np.intp]) -> NDArray[np.intp]:
    """Indices start[i], start[i] + 1, … of every group, one after another: intp[sum(count)]."""
    ends = ends_of(count)
    out = np.arange(int(ends[-1]) if len(ends) else 0, dtype=np.intp)
    return out + np.repeat(start - (ends - count), count)


def before(column: NDArray[T], readings: Readings, first: NDArray[T]) -> NDArray[T]:
    """The column shifted down by one within each group; `first`[g] stands before each group's first row."""
    out = np.empty_like(column)
    out[1:] = column[:-1]
    out[readings.start] = first
    return out


def as_of(series: int, n: int, readings: Readings, last: Table) -> float:
    """A series' last accepted value when input `n` was taken. `last`: the values after all of `readings`."""
    owners = readings.owners()
    group = int(np.searchsorted(owners, series))
    if group == len(owners) or owners[group] != series:
        return float(last["value"][series])
    first, length = int(readings.start[group]), int(readings.length[group])
    known = int(np.searchsorted(readings.n[first : first + length], n, side="right"))
    return float(readings.value[first + known - 1] if known else readings.opening[group])
