"""CSV of readings. Rows may stand in any order, as exports by device do: they are put in the order of their times.

A first reading finds each row's time and place in the file (32 bytes a row), a second one takes the rows in order.
Separators `,` `;` tab and `|` are told from the headings; text is UTF-8, else GB 18030, as Chinese Excel writes.
"""

from __future__ import annotations

import csv
import io
from array import array
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import numpy as np

from gateway.codecs.times import to_ns
from gateway.errors import GatewayError
from gateway.exchange.columns import find_columns
from gateway.exchange.given import shown
from gateway.exchange.readings import TIME
from gateway.ports import NO_TIME

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence
    from datetime import tzinfo
    from pathlib import Path

    from numpy.typing import NDArray

    from gateway.exchange.columns import Columns, Told
    from gateway.exchange.given import Findings, Given
    from gateway.exchange.readings import Readings
    from gateway.exchange.topics import Wanted
    from gateway.ports import Field

SEPARATORS = ",;\t|"
CELLS = "a row has as many cells as there are headings"
_BATCH = 4096


class _Row(NamedTuple):
    """A row: the line it begins at, its place in the file in bytes, its cells."""

    line: int
    begin: int
    end: int
    cells: list[str]


class CsvFile:
    """Fulfils given.Importer for one file."""

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
        self._path = path
        self._readings = readings
        self._findings = findings
        self._zone = zone
        self._size = max(1, path.stat().st_size)
        self._share = 0.0
        with path.open("rb") as file:
            first = _first_line(file)
        self._encoding = _encoding(path)
        heading = first.decode(self._encoding, "replace")
        self._separator = max(SEPARATORS, key=heading.count)
        names = [cell.strip() for cell in next(csv.reader([heading], delimiter=self._separator), list[str]())]
        if len(names) < 2 and not any(names):
            raise GatewayError(f"{self.name}: found no headings; the first line names the columns")
        self._columns: Columns = find_columns(self.name, names, wanted, fields, told, findings)
        self._width = len(names)

    def done(self) -> float:
        """The share that was read: a third for finding the times."""
        return self._share

    def inputs(self) -> Generator[Given]:
        """The readings, in the order of their times."""
        times, places = self._index()
        if not (times[1:] < times[:-1]).any():
            rows = self._rows()
        else:
            self._findings.note(f"{self.name}: rows were put in the order of their times")
            rows = self._in_order(places[np.argsort(times, kind="stable")])
        for number, (row, at_ns) in enumerate(self._timed(rows), 1):
            if number % 1000 == 0:
                self._share = min(1.0, 1 / 3 + 2 / 3 * number / len(times))
            given = self._readings.read(at_ns, row.cells, self._columns, f"{self.name}:{row.line}")
            if given is not None:
                yield given
        self._share = 1.0

    def _index(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(time, place) of every row that has a time; what has none is told here. The place: begin, end, line."""
        times, places = array("q"), array("q")
        for row, at_ns in self._timed(self._rows(tell=True), tell=True):
            if len(times) % 1000 == 0:
                self._share = row.end / self._size / 3
            times.append(at_ns)
            places.extend((row.begin, row.end, row.line))
        return np.array(times, np.int64), np.array(places, np.int64).reshape(-1, 3)

    def _timed(self, rows: Iterator[_Row], *, tell: bool = False) -> Iterator[tuple[_Row, int]]:
        """Rows with their times, in batches, since many times are quickest read together."""
        batch: list[_Row] = []
        for row in rows:
            batch.append(row)
            if len(batch) == _BATCH:
                yield from self._with_times(batch, tell)
                batch = []
        yield from self._with_times(batch, tell)

    def _with_times(self, batch: list[_Row], tell: bool) -> Iterator[tuple[_Row, int]]:
        found = [row.cells[self._columns.time].strip() or None for row in batch]
        times, bad = to_ns(found, self._zone)
        wrong = {place for place, _ in bad}
        for place, (row, at_ns) in enumerate(zip(batch, times.tolist(), strict=True)):
            if place in wrong or at_ns == NO_TIME:
                if tell:
                    self._findings.bad(f"{self.name}:{row.line}", shown(found[place] or ""), TIME)
            else:
                yield row, at_ns

    def _rows(self, *, tell: bool = False) -> Iterator[_Row]:
        """Every row behind the headings, as it stands in the file. `tell`: what is wrong with it."""
        with self._path.open("rb") as file:
            lines = _Lines(file, self._encoding)
            reader = csv.reader(lines, delimiter=self._separator)
            while True:
                begin, line = lines.end, lines.number + 1
                try:
                    cells = next(reader)
                except StopIteration:
                    return
                except csv.Error as error:
                    if tell:
                        self._findings.bad(f"{self.name}:{line}", str(error), "a row as RFC 4180 has it")
                    continue
                if line == 1 or not cells:
                    continue
                if len(cells) != self._width:
                    if tell:
                        self._findings.bad(f"{self.name}:{line}", f"{len(cells)} cells", f"{CELLS}: {self._width}")
                    continue
                yield _Row(line, begin, lines.end, cells)

    def _in_order(self, places: NDArray[np.int64]) -> Iterator[_Row]:
        with self._path.open("rb") as file:
            for begin, end, line in places.tolist():
                file.seek(begin)
                text = file.read(end - begin).decode(self._encoding, "replace")
                cells = next(csv.reader(io.StringIO(text, newline="\n"), delimiter=self._separator))
                yield _Row(line, begin, end, cells)


class _Lines:
    """A file's lines as text, with the place where the last one ended."""

    def __init__(self, file: BinaryIO, encoding: str) -> None:
        self._file = file
        self._encoding = encoding
        self.end = 0
        self.number = 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._file.readline()
        if not line:
            raise StopIteration
        self.end += len(line)
        self.number += 1
        return line.decode(self._encoding, "replace")


def _first_line(file: BinaryIO) -> bytes:
    return file.readline().rstrip(b"\r\n")


def _encoding(path: Path) -> str:
    """UTF-8 where the whole file is, with or without a mark in front; else GB 18030."""
    with path.open("rb") as file:
        try:
            for line in file:
                line.decode("utf-8")
        except UnicodeDecodeError:
            return "gb18030"
        file.seek(0)
        return "utf-8-sig" if file.read(3) == b"\xef\xbb\xbf" else "utf-8"
