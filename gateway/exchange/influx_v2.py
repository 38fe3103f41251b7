"""InfluxDB 2.x: Flux in, annotated CSV out (`/api/v2/query`). Asked for day by day, since the server sorts in memory.

The annotated CSV is read as InfluxData's page "Annotated CSV" describes it: `#datatype`, `#group` and `#default` rows,
tables one after another, an error as a table with the column `error`.
"""

from __future__ import annotations

import csv
import json
from datetime import UTC
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import msgspec

from gateway.codecs.times import one_ns, utc_stamp
from gateway.errors import RefusedError
from gateway.exchange.influx_http import Question, lines

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Iterator, Sequence

    from gateway.exchange.influx_v1 import Table

DAY_NS = 86_400 * 10**9
_BATCH = 10_000


class V2Server(msgspec.Struct, frozen=True):
    """Where to ask: URL, organisation, bucket; headers with the token."""

    url: str
    org: str
    bucket: str
    headers: dict[str, str] = {}


def query_of(bucket: str, measurement: str, fields: Sequence[str], from_ns: int, to_ns: int) -> str:
    """Flux for these fields of a measurement, a row a moment, by time (from_ns ≤ time < to_ns)."""
    wanted = " or ".join(f"r._field == {_text(name)}" for name in fields)
    return (
        f"from(bucket: {_text(bucket)})\n"
        f"  |> range(start: {utc_stamp(from_ns)}, stop: {utc_stamp(to_ns)})\n"
        f"  |> filter(fn: (r) => r._measurement == {_text(measurement)} and ({wanted}))\n"
        '  |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")\n'
        '  |> group()\n  |> sort(columns: ["_time"])'
    )


def days(from_ns: int, to_ns: int) -> Iterator[tuple[int, int]]:
    """The span in parts that end at UTC's midnights."""
    while from_ns < to_ns:
        end = min(to_ns, (from_ns // DAY_NS + 1) * DAY_NS)
        yield from_ns, end
        from_ns = end


def ask(server: V2Server, flux: str, context: ssl.SSLContext | None) -> Iterator[Table]:
    """The answer's tables, in parts. Raises what `lines` raises, and RefusedError."""
    url = f"{server.url.rstrip('/')}/api/v2/query?{urlencode({'org': server.org})}"
    dialect = {"annotations": ["datatype", "group", "default"], "header": True, "delimiter": ","}
    body = json.dumps({"query": flux, "dialect": dialect}).encode()
    headers = {**server.headers, "Accept": "application/csv"}
    text = (
        line.decode("utf-8", "replace") for line in lines(Question(url, body, "application/json", headers), context)
    )
    yield from annotated(text)


def annotated(text: Iterable[str]) -> Iterator[Table]:
    """The tables of annotated CSV, in parts of at most so many rows; values by their #datatype.

    Raises RefusedError where a table holds an error, or where it is no CSV.
    """
    kinds, defaults, columns, rows = list[str](), list[str](), list[str](), list[list[object]]()
    for cells in _rows(text):
        first = cells[0] if cells else ""
        if not any(cells) or first.startswith("#"):
            if rows:
                yield columns[1:], rows
            columns, rows = [], []
            kinds = cells if first == "#datatype" else kinds
            defaults = cells if first == "#default" else defaults
            continue
        if not columns:
            columns = cells
            continue
        if "error" in columns:
            raise RefusedError(f"InfluxDB: {cells[columns.index('error')]}")
        padded = defaults + [""] * (len(cells) - len(defaults))
        whole = [cell or default for cell, default in zip(cells, padded, strict=False)]
        known = kinds + [""] * (len(cells) - len(kinds))
        rows.append([_value(cell, kind) for cell, kind in zip(whole[1:], known[1:], strict=False)])
        if len(rows) == _BATCH:
            yield columns[1:], rows
            rows = []
    if rows:
        yield columns[1:], rows


def _rows(text: Iterable[str]) -> Iterator[list[str]]:
    try:
        yield from csv.reader(text)
    except csv.Error as error:
        raise RefusedError(f"InfluxDB: found an answer that is no annotated CSV: {error}") from error


def _value(cell: str, kind: str) -> object:
    """A cell by its #datatype; empty is absent, whatever is not known stays text."""
    if cell == "":
        return None
    try:
        if kind in {"long", "unsignedLong"}:
            return int(cell)
        if kind == "double":
            return float(cell)
        if kind.startswith("dateTime"):
            return one_ns(cell, UTC)
    except ValueError:
        return cell
    return cell == "true" if kind == "boolean" else cell


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False).replace("${", "\\${")
