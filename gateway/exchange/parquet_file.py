"""Parquet of readings, read in batches; rows that are not in the order of their times are sorted in memory."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Any

import numpy as np

from gateway.codecs.times import to_ns
from gateway.errors import GatewayError
from gateway.exchange.arrow import arrow, parquet
from gateway.exchange.columns import find_columns
from gateway.exchange.given import shown
from gateway.exchange.readings import TIME
from gateway.ports import NO_TIME

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from gateway.exchange.columns import Columns, Told
    from gateway.exchange.given import Findings, Given
    from gateway.exchange.readings import Readings
    from gateway.exchange.topics import Wanted
    from gateway.ports import Field

_BATCH = 4096
_QUARTER_NS = 900 * 10**9  # clocks change at full quarters of an hour


class ParquetFile:
    """Fulfils given.Importer for one file. Raises GatewayError where it is no Parquet or pyarrow is not installed."""

    def __init__(
        self,
        path: Path,
        wanted: Wanted,
        fields: Sequence[Field],
        readings: Readings,
        findings: Findings,
        *,
        told: Told,
        zone: tzinfo,
    ) -> None:
        self.name = str(path)
        self._readings = readings
        self._findings = findings
        self._zone = zone
        self._share = 0.0
        self._used: set[int] = set()
        module = parquet()
        try:
            self._file = module.ParquetFile(path)
        except arrow().ArrowInvalid as error:
            raise GatewayError(f"{path}: cannot be read as Parquet: {str(error).splitlines()[0]}") from error
        self._names: list[str] = self._file.schema_arrow.names
        self._columns: Columns = find_columns(self.name, self._names, wanted, fields, told, findings)

    def done(self) -> float:
        """The share that was read."""
        return self._share

    def inputs(self) -> Generator[Given]:
        """The readings, in the order of their times."""
        columns = self._columns
        places = (*(place for _, place in columns.tags), *columns.fields, *(columns.named or ()))
        self._used = {place for place in places if isinstance(place, int)}
        total = max(1, self._file.metadata.num_rows)
        done = 0
        for batch, lines in self._batches():
            times = self._times(batch.column(self._columns.time), lines)
            rows = zip(*(self._cells(place, column) for place, column in enumerate(batch.columns)), strict=True)
            for at_ns, line, row in zip(times.tolist(), lines.tolist(), rows, strict=True):
                if at_ns != NO_TIME:
                    given = self._readings.read(at_ns, row, self._columns, f"{self.name}: row {line}")
                    if given is not None:
                        yield given
            done += len(lines)
            self._share = done / total
        self._file.close()

    def _cells(self, place: int, column: Any) -> list[object]:
        """A column's values, where they are wanted; moments as text, for Python's own hold no nanoseconds."""
        if place not in self._used:
            return [None] * len(column)
        module = arrow()
        return (column.cast(module.string()) if module.types.is_temporal(column.type) else column).to_pylist()

    def _batches(self) -> Iterator[tuple[Any, NDArray[np.int64]]]:
        """Batches, and the row of the file that each of their rows is."""
        name = self._names[self._columns.time]
        quiet = self._file.read(columns=[name]).column(0)
        times = self._times(quiet, None)
        if not (times[1:] < times[:-1]).any():
            first = 0
            for batch in self._file.iter_batches(_BATCH):
                yield batch, np.arange(first, first + len(batch)) + 1
                first += len(batch)
            return
        self._findings.note(f"{self.name}: rows were put in the order of their times")
        order = np.argsort(times, kind="stable")
        whole = self._file.read().take(order)
        for first in range(0, len(order), _BATCH):
            yield whole.slice(first, _BATCH), order[first : first + _BATCH] + 1

    def _times(self, column: Any, lines: NDArray[np.int64] | None) -> NDArray[np.int64]:
        """The times of a column, NO_TIME where there is none; what is wrong is told where `lines` say where it is."""
        module = arrow()
        kind = column.type
        if module.types.is_timestamp(kind):
            stamps = column.cast(module.timestamp("ns", kind.tz)).cast(module.int64())
            found = np.array(stamps.fill_null(NO_TIME).to_numpy(zero_copy_only=False), np.int64)
            return found if kind.tz else _in_zone(found, self._zone)
        values: list[object] = [
            one.isoformat() if hasattr(one, "isoformat") else one.strip() or None if isinstance(one, str) else one
            for one in column.to_pylist()
        ]
        times, bad = to_ns(values, self._zone)
        for place, _ in bad if lines is not None else ():
            where = f"{self.name}: row {lines[place]}" if lines is not None else self.name
            self._findings.bad(where, shown(str(values[place])), TIME)
        return times


def _in_zone(times: NDArray[np.int64], zone: tzinfo) -> NDArray[np.int64]:
    """Times that were read as if they were UTC, in the zone that they were written in."""
    known = times != NO_TIME
    quarters, which = np.unique(times[known] // _QUARTER_NS, return_inverse=True)
    offsets = [_offset_ns(int(quarter) * _QUARTER_NS, zone) for quarter in quarters.tolist()]
    out = times.copy()
    out[known] -= np.array(offsets, np.int64)[which]
    return out


def _offset_ns(local_ns: int, zone: tzinfo) -> int:
    local = datetime.fromtimestamp(local_ns // 10**9, UTC).replace(tzinfo=zone, fold=0)
    offset = local.utcoffset()
    return round(offset.total_seconds()) * 10**9 if offset else 0
