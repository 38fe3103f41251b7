"""Series that an InfluxDB has, asked for again: a measurement is a sensor's, its fields and tags are the sensor's."""

from __future__ import annotations

import ssl
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from gateway.config.names import listed
from gateway.config.urls import login, without_login
from gateway.errors import GatewayError
from gateway.exchange import influx_v1, influx_v2
from gateway.exchange.columns import find_columns
from gateway.exchange.influx_http import basic
from gateway.sinks.influx import V1, V2

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from gateway.config.common import Secret
    from gateway.config.model import Config
    from gateway.exchange.columns import Columns, Told
    from gateway.exchange.given import Findings, Given
    from gateway.exchange.influx_v1 import Table
    from gateway.exchange.readings import Readings
    from gateway.exchange.topics import Wanted
    from gateway.ports import Field

SCHEME = "influx:"
TIME = "InfluxDB's own column `time`, in ns"


class Server(msgspec.Struct, frozen=True):
    """Where to ask, and whose certificate to trust."""

    at: influx_v1.V1Server | influx_v2.V2Server
    context: ssl.SSLContext | None = None


class Login(msgspec.Struct, frozen=True):
    """What the command line says of a server: `db` (1.x), or `bucket`, `org`, `token` (2.x); `ca`: whom to trust."""

    db: str | None = None
    bucket: str | None = None
    org: str = ""
    user: str | None = None
    password: str | None = None
    token: str | None = None
    ca: Path | None = None


def server_of_sink(name: str, config: Config) -> Server:
    """The server that a sink of the configuration writes to; an empty name: the only one. Raises GatewayError."""
    found = {sink.name: sink.kind for sink in config.sinks.values() if isinstance(sink.kind, V1 | V2)}
    if not name and len(found) == 1:
        name = next(iter(found))
    kind = found.get(name)
    if kind is None:
        raise GatewayError(f"found {SCHEME}{name}; the InfluxDB sinks of the configuration: {listed(found)}")
    context = None if kind.ca is None else _context(f"sinks.{name}.ca", config.base / kind.ca)
    if isinstance(kind, V1):
        user, inline = login(kind.v1)
        password = _secret(name, kind.password, config.base) if kind.password else inline
        headers = basic(kind.user or user, password)
        return Server(influx_v1.V1Server(without_login(kind.v1), kind.db, kind.rp, headers), context)
    token = _secret(name, kind.token, config.base) if kind.token else None
    return Server(influx_v2.V2Server(kind.v2, kind.org, kind.bucket, _token(token)), context)


def server_at(url: str, told: Login) -> Server:
    """The server at a URL. Raises GatewayError where it is no URL, or neither db nor bucket is given."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise GatewayError(f"found {url!r}; a server is written http://host:8086 or https://host")
    context = None if told.ca is None else _context("--ca", told.ca)
    if told.bucket:
        return Server(influx_v2.V2Server(without_login(url), told.org, told.bucket, _token(told.token)), context)
    if not told.db:
        raise GatewayError(f"{without_login(url)}: say --db NAME (InfluxDB 1.x), or --bucket NAME and --org NAME (2.x)")
    user, password = login(url)
    headers = basic(told.user or user, told.password or password)
    return Server(influx_v1.V1Server(without_login(url), told.db, None, headers), context)


class InfluxQuery:
    """Fulfils given.Importer for one sensor.

    from_ns, to_ns bound the times. `query`: InfluxQL or Flux in place of ours; its rows may come in any order.
    """

    def __init__(
        self,
        server: Server,
        wanted: Wanted,
        fields: Sequence[Field],
        readings: Readings,
        findings: Findings,
        *,
        told: Told,
        from_ns: int | None,
        to_ns: int,
        query: str | None = None,
    ) -> None:
        self.name = f"{server.at.url}/{wanted.sensor.name}"
        self._server = server
        self._wanted = wanted
        self._fields = fields
        self._readings = readings
        self._findings = findings
        self._told = told
        self._from_ns = from_ns
        self._to_ns = to_ns
        self._query = query
        self._share = 0.0
        if from_ns is None and not query and isinstance(server.at, influx_v2.V2Server):
            raise GatewayError("InfluxDB 2.x is asked for a span: say --from, such as --from 2026-08-01")

    def done(self) -> float:
        """The share of the span that was read; 0 where there is no --from."""
        return self._share

    def inputs(self) -> Generator[Given]:
        """The readings, in the order of their times."""
        given = self._read(self._tables())
        rows = iter(sorted(given, key=lambda one: one.admitted_ns)) if self._query else given
        first = next(rows, None)
        if first is None:
            self._findings.note(f"{self.name}: no reading in that span")
            return
        for one in chain([first], rows):
            if self._from_ns is not None:
                self._share = (one.admitted_ns - self._from_ns) / max(1, self._to_ns - self._from_ns)
            yield one
        self._share = 1.0

    def _tables(self) -> Iterator[Table]:
        at, context = self._server.at, self._server.context
        names = [field.name for field in self._fields]
        measurement, tags = self._wanted.sensor.name, self._wanted.pattern.names
        if isinstance(at, influx_v1.V1Server):
            query = self._query or influx_v1.query_of(measurement, names, tags, self._from_ns, self._to_ns)
            yield from influx_v1.ask(at, query, context)
        elif self._query:
            yield from influx_v2.ask(at, self._query, context)
        elif self._from_ns is not None:
            for from_ns, to_ns in influx_v2.days(self._from_ns, self._to_ns):
                query = influx_v2.query_of(at.bucket, measurement, names, from_ns, to_ns)
                yield from influx_v2.ask(at, query, context)

    def _read(self, tables: Iterator[Table]) -> Iterator[Given]:
        known: dict[tuple[str, ...], Columns] = {}
        number = 0
        for names, rows in tables:
            key = tuple(names)
            if key not in known:
                known[key] = find_columns(self.name, names, self._wanted, self._fields, self._told, self._findings)
            columns = known[key]
            for row in rows:
                number += 1
                at_ns = row[columns.time]
                if not isinstance(at_ns, int):
                    self._findings.bad(f"{self.name}: row {number}", repr(at_ns), TIME)
                    continue
                given = self._readings.read(at_ns, row, columns, f"{self.name}: row {number}")
                if given is not None:
                    yield given


def _token(token: str | None) -> dict[str, str]:
    return {"Authorization": f"Token {token}"} if token else {}


def _secret(name: str, secret: Secret, base: Path) -> str:
    try:
        return secret.read(base)
    except KeyError as error:
        raise GatewayError(f"sinks.{name}: the environment has no {error.args[0]}; set it, or use a file") from error
    except OSError as error:
        raise GatewayError(f"sinks.{name}: cannot read {error.filename}: {error.strerror}") from error


def _context(where: str, ca: Path) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(ca))
    except OSError as error:  # an ssl.SSLError is one
        raise GatewayError(f"{where}: {ca} holds no certificates that can be read: {error}") from error
