"""Payloads of lines with separated values: `csv: [time, level, _, flow]`; each line is a row.

Columns by their order: `time` and `seq` (the device's own counter) are reserved, `_` skips one. An empty cell is
absent. A line with more or fewer cells than columns is refused whole, since a line cut short would pass off the head
of a number as the number. Quotes as in RFC 4180; empty lines do not count.
"""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from gateway.codecs.rows import Rows, assemble, fields_of, name_problems
from gateway.codecs.times import zone_of
from gateway.codecs.values import stored
from gateway.config.common import Struct

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo

    from gateway.config.model import SensorCommon
    from gateway.config.names import Names
    from gateway.ports import Decoded, Field

TIME, SEQ, SKIP = "time", "seq", "_"


class Csv(Struct, frozen=True):
    """Column names in order, what separates them, and how many lines at the top of each payload are headings."""

    csv: tuple[str, ...]
    separator: str = ","
    header: int = 0

    def values(self) -> tuple[str, ...]:
        """The values it takes out of a payload, in order."""
        return tuple(name for name in self.csv if name not in {TIME, SEQ, SKIP})

    def check(self, names: Names) -> list[tuple[str, str]]:
        """What is wrong with its columns: (key, problem)."""
        del names
        problems = name_problems("csv", self.values())
        if not self.values():
            problems.append(("csv", "no value is named; write such as [time, level]"))
        twice = sorted({name for name in self.csv if name != SKIP and self.csv.count(name) > 1})
        if twice:
            problems.append(("csv", f"found {twice[0]} twice; each column has its own name"))
        if len(self.separator) != 1 or self.separator in '"\r\n':
            problems.append(("separator", f"found {self.separator!r}; it is one character, such as , ; or a tab"))
        if self.header < 0:
            problems.append(("header", f"found {self.header}; it is a number of lines, 0 or more"))
        return problems


def build(config: Csv, common: SensorCommon, timezone: str) -> CsvDecoder:
    """The decoder of a checked route."""
    fields = fields_of({name: name for name in config.values()}, common)
    return CsvDecoder(config, fields, zone_of(common.zone or timezone))


class CsvDecoder:
    """Fulfils ports.Decoder."""

    pure = True

    def __init__(self, config: Csv, fields: tuple[Field, ...], zone: tzinfo) -> None:
        self.fields = fields
        self._config = config
        self._zone = zone
        self._time = config.csv.index(TIME) if TIME in config.csv else None
        self._seq = config.csv.index(SEQ) if SEQ in config.csv else None
        self._cells = [config.csv.index(field.name) for field in fields]

    def decode(self, bodies: Sequence[bytes]) -> Decoded:
        """Payloads to rows."""
        rows = Rows(len(self.fields))
        for place, body in enumerate(bodies):
            self._payload(place, body, rows)
        return assemble(self.fields, rows, self._zone, numbered=self._seq is not None)

    def _payload(self, place: int, body: bytes, rows: Rows) -> None:
        try:
            lines = body.decode("utf-8-sig").splitlines()[self._config.header :]
        except UnicodeDecodeError as error:
            rows.problem(place, f"the payload is not UTF-8: byte {error.start} is 0x{body[error.start]:02x}")
            return
        lines = [line for line in lines if line.strip()]
        if not lines:
            rows.problem(place, "the payload is empty" if not self._config.header else "no line after the headings")
            return
        try:
            for number, cells in enumerate(csv.reader(lines, delimiter=self._config.separator, strict=True), 1):
                self._line(place, number, cells, rows)
        except csv.Error as error:
            rows.problem(place, f"invalid CSV: {error}")

    def _line(self, place: int, number: int, cells: list[str], rows: Rows) -> None:
        if len(cells) != len(self._config.csv):
            rows.problem(place, f"line {number} has {len(cells)} cells; expected {len(self._config.csv)}")
            return
        values: list[float | str | None] = []
        for field, cell in zip(self.fields, self._cells, strict=True):
            text = cells[cell].strip()
            try:
                values.append(stored(text, field.kind) if text else None)
            except ValueError as error:
                values.append(None)
                rows.problem(place, f"line {number} {field.name}: {error}")
        time, counter = (cells[at].strip() or None if at is not None else None for at in (self._time, self._seq))
        rows.add(place, time, values, counter)
