"""InfluxDB 1.x, and what speaks its `/query`: InfluxQL in, JSON in chunks out, in the order of time."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

import msgspec

from gateway.errors import RefusedError
from gateway.exchange.influx_http import Question, lines

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator, Mapping, Sequence

CHUNK = 10_000  # rows of one chunk: about 1 MB
Table = tuple[list[str], list[list[object]]]
"""Names of columns, and rows."""


class _Series(msgspec.Struct):
    columns: list[str]
    values: list[list[object]]
    tags: dict[str, str] = {}


class _Result(msgspec.Struct):
    series: list[_Series] = []
    error: str = ""


class _Answer(msgspec.Struct):
    results: list[_Result] = []
    error: str = ""


class V1Server(msgspec.Struct, frozen=True):
    """Where to ask: URL without a login, database, retention policy; headers with a login."""

    url: str
    db: str
    rp: str | None = None
    headers: dict[str, str] = {}


def query_of(
    measurement: str, fields: Sequence[str], tags: Sequence[str], from_ns: int | None, to_ns: int | None
) -> str:
    """InfluxQL for these fields and tags of a measurement, by time (from_ns ≤ time < to_ns)."""
    wanted = [f"{_quoted(name)}::field" for name in fields] + [f"{_quoted(name)}::tag" for name in tags]
    bounds = [f"time >= {from_ns}"] if from_ns is not None else []
    bounds += [f"time < {to_ns}"] if to_ns is not None else []
    where = f" WHERE {' AND '.join(bounds)}" if bounds else ""
    names = ", ".join(wanted)
    return f"SELECT {names} FROM {_quoted(measurement)}{where} ORDER BY time"  # noqa: S608 - names are quoted, it only reads


def ask(server: V1Server, influxql: str, context: ssl.SSLContext | None) -> Iterator[Table]:
    """The answer's tables, as chunks of them come. Times are ns. Raises what `lines` raises, and RefusedError."""
    parameters = {"db": server.db, "epoch": "ns", "chunked": "true", "chunk_size": str(CHUNK)}
    parameters |= {"rp": server.rp} if server.rp else {}
    body = urlencode({"q": influxql}).encode()
    url = f"{server.url.rstrip('/')}/query?{urlencode(parameters)}"
    decode = msgspec.json.Decoder(_Answer).decode
    for line in lines(Question(url, body, "application/x-www-form-urlencoded", server.headers), context):
        if not line.strip():
            continue
        try:
            answer = decode(line)
        except msgspec.DecodeError as error:
            raise RefusedError(f"{server.url}: found an answer that is no InfluxDB 1.x result: {error}") from error
        for result in answer.results:
            if result.error:
                raise RefusedError(f"{server.url}: {result.error}; the query was: {influxql}")
            yield from (_table(series) for series in result.series)
        if answer.error:
            raise RefusedError(f"{server.url}: {answer.error}; the query was: {influxql}")


def _table(series: _Series) -> Table:
    """Tags of a GROUP BY become columns."""
    if not series.tags:
        return series.columns, series.values
    tags: Mapping[str, str] = series.tags
    return [*series.columns, *tags], [[*row, *tags.values()] for row in series.values]


def _quoted(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
