"""Watermarks: which readings are later than what their series had, in the order of their series (SEMANTICS.md §3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

from gateway.core.readings import NO_READINGS, Readings, before, grouped

if TYPE_CHECKING:
    from collections import Counter

    from numpy.typing import NDArray

    from gateway.core.state import State, Table


class Claims(NamedTuple):
    """What the rows of one route say: series int32[f, r], value float64[f, r] (NaN: absent), the others [r].

    `believed` bool[r]: their times are; `untimed` bool[r]: they state none. None: all are, and none is.
    """

    series: NDArray[np.int32]
    n: NDArray[np.int64]
    event_ns: NDArray[np.int64]
    value: NDArray[np.float64]
    admitted_ns: NDArray[np.int64]
    believed: NDArray[np.bool_] | None
    untimed: NDArray[np.bool_] | None


class _Ties(msgspec.Struct, frozen=True, array_like=True):
    """The values met at a series' watermark, where there were several."""

    event_ns: int
    values: tuple[float, ...]


_Columns = tuple[
    "NDArray[np.int32]", "NDArray[np.int64]", "NDArray[np.int64]", "NDArray[np.float64]", "NDArray[np.int64]"
]


class Marks:
    """The watermark and last value of each series, in the columns `wm` and `value` of `series`."""

    def __init__(self, series: Table, state: State, counts: Counter[str]) -> None:
        self._series = series
        self._ties = state.book("ties", _Ties)
        self._counts = counts

    def order(self, claims: list[Claims]) -> Readings:
        """Sort by series, drop what is late or double against the watermarks, and move them."""
        if not claims:
            return NO_READINGS
        parts = [self._flat(claim) for claim in claims]
        series, n, event, value, admitted = (
            parts[0] if len(parts) == 1 else (np.concatenate(columns) for columns in zip(*parts, strict=True))
        )
        order = np.argsort(series, kind="stable")
        readings = grouped(series[order], n[order], event[order], value[order], admitted[order])
        owners = readings.series[readings.start]
        marks = self._series["wm"][owners]
        readings = readings._replace(opening=self._series["value"][owners], opening_ns=marks)
        doubtful = readings.event_ns <= before(readings.event_ns, readings, marks)
        if doubtful.any():
            untimed = np.concatenate([_untimed(claim) for claim in claims])[order]
            readings = self._sift(readings, untimed, doubtful)
            owners = readings.series[readings.start]
        if len(owners):
            last = readings.start + readings.length - 1
            self._series["wm"][owners] = readings.event_ns[last]
            self._series["value"][owners] = readings.value[last]
            self._series.touch(owners.astype(np.intp))
            for one in owners[self._series["tied"][owners] > 0].tolist():
                self._untie(one)
        return readings

    def _flat(self, claim: Claims) -> _Columns:
        """The readings that are there and believed, field by field."""
        present = ~np.isnan(claim.value)
        self._counts["readings"] += int(np.count_nonzero(present))
        if claim.believed is None and present.all():
            fields = len(claim.value)
            n, event, admitted = (np.tile(column, fields) for column in (claim.n, claim.event_ns, claim.admitted_ns))
            return claim.series.reshape(-1), n, event, claim.value.reshape(-1), admitted
        keep = present if claim.believed is None else present & claim.believed
        row = np.nonzero(keep)[1]
        return claim.series[keep], claim.n[row], claim.event_ns[row], claim.value[keep], claim.admitted_ns[row]

    def _untie(self, series: int) -> None:
        """Forget what was met at an older watermark."""
        ties = self._ties.get(str(series))
        if ties is not None and ties.event_ns != int(self._series["wm"][series]):
            self._ties.drop(str(series))
            self._series["tied"][series] = 0

    def _sift(self, readings: Readings, untimed: NDArray[np.bool_], doubtful: NDArray[np.bool_]) -> Readings:
        """One by one through the series in which a reading is not later than the one before it."""
        keep, event = np.ones(len(doubtful), bool), readings.event_ns.copy()
        touched = np.logical_or.reduceat(doubtful, readings.start)
        for group in np.flatnonzero(touched).tolist():
            first, last = int(readings.start[group]), int(readings.start[group] + readings.length[group])
            series = int(readings.series[first])
            mark, seen = int(self._series["wm"][series]), [float(self._series["value"][series])]
            ties = self._ties.get(str(series))
            if ties is not None and ties.event_ns == mark:
                seen = list(ties.values)
            for row in range(first, last):
                at, value = int(event[row]), float(readings.value[row])
                if at < mark and not untimed[row]:
                    keep[row] = False
                    self._counts["late"] += 1
                elif at > mark:
                    mark, seen = at, [value]
                elif value not in seen:
                    event[row] = mark
                    seen.append(value)
                elif untimed[row]:
                    event[row] = mark
                else:
                    keep[row] = False
                    self._counts["duplicate"] += 1
            if len(seen) > 1:
                self._ties.put(str(series), _Ties(mark, tuple(seen)))
                self._series["tied"][series] = 1
        return readings._replace(event_ns=event).take(keep)


def _untimed(claim: Claims) -> NDArray[np.bool_]:
    """For each reading of `_flat`, whether it states no time."""
    untimed = np.zeros(len(claim.n), bool) if claim.untimed is None else claim.untimed
    keep = ~np.isnan(claim.value)
    if claim.believed is not None:
        keep &= claim.believed
    return untimed[np.nonzero(keep)[1]]
