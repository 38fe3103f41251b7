"""InfluxDB 1.x, 2.x and 3.x, and what speaks their line protocol (VictoriaMetrics, QuestDB, …)."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from gateway.config.common import Secret, Struct
from gateway.config.urls import login, without_login
from gateway.errors import LoginRefused
from gateway.ports import Rejected, Row
from gateway.sinks import lineprotocol
from gateway.sinks.influx_answers import LinesRefusedError, TooLargeError
from gateway.sinks.influx_http import TIMEOUT_S, Post, PostV1, PostV2
from gateway.sinks.influx_marks import mark

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from influxdb_client.client.influxdb_client import InfluxDBClient

    from gateway.events import Stream

REQUEST_BYTES = 1_000_000  # what one request holds at most: about 10,000 points, which servers advise


class V2(Struct, frozen=True, kw_only=True):
    """InfluxDB 2.x or 3.x: its URL, organisation, bucket and token. `ca`: a file with the certificates to trust.

    `gzip`: compress what is written; by default unless the server is on this machine.
    """

    v2: str
    org: str = ""
    bucket: str
    token: Secret | None = None
    ca: str | None = None
    gzip: bool | None = None

    def problems(self) -> list[tuple[str, str]]:
        """What is wrong with the values themselves."""
        problems = _url_problems("v2", self.v2)
        if not problems and login(self.v2) != (None, None):
            problems.append(
                ("v2", "has a login, which InfluxDB 2.x does not take; write token: {file: secrets/influx}")
            )
        return problems


class V1(Struct, frozen=True, kw_only=True):
    """InfluxDB 1.x: its URL, database and, where it asks, user and password. `rp`: a retention policy by name.

    `gzip`: compress what is written; by default unless the server is on this machine.
    """

    v1: str
    db: str
    rp: str | None = None
    user: str | None = None
    password: Secret | None = None
    ca: str | None = None
    gzip: bool | None = None

    def problems(self) -> list[tuple[str, str]]:
        """What is wrong with the values themselves."""
        return _url_problems("v1", self.v1)


class _Piece(NamedTuple):
    """One line and the row it came in."""

    row: Row
    line: bytes


class InfluxSink:
    """Writes series rows; of what a server refuses it finds the very lines.

    A write of backfill holds nothing else, has a header that says so, and a point of `gateway`'s own beside the data.
    """

    stream: Stream = "series"

    def __init__(self, name: str, post: Post, gateway: str = "") -> None:
        self.name = name
        self._post = post
        self._gateway = gateway

    async def deliver(self, rows: Sequence[Row]) -> Sequence[Rejected]:
        """Write the rows, in requests of at most REQUEST_BYTES; the refused lines, each with the server's words.

        Raises Unreachable, Throttled, LoginRefused; what was written before is then written again, which is harmless.
        """
        rejected: list[Rejected] = []
        for part in _parts(rows):
            try:
                await self._write(part)
            except (LinesRefusedError, TooLargeError) as refusal:
                pieces = [_Piece(row, line) for row in part for line in lineprotocol.split(row.body)]
                rejected.extend(await self._sift(pieces, refusal))
        return rejected

    async def aclose(self) -> None:
        """Close the connections."""
        await self._post.aclose()

    async def _write(self, rows: Sequence[Row]) -> None:
        """Write rows that are all backfill, or none of them."""
        lines, backfill = [_ended(row.body) for row in rows], rows[0].backfill
        if backfill and self._gateway:
            lines.append(mark(self._gateway, self.name, rows))
        await self._post(b"".join(lines), backfill=backfill)

    async def _settle(self, pieces: list[_Piece]) -> list[Rejected]:
        """Write the pieces; what of them is refused."""
        if not pieces:
            return []
        try:
            await self._post(b"".join(piece.line + b"\n" for piece in pieces), backfill=pieces[0].row.backfill)
        except (LinesRefusedError, TooLargeError) as refusal:
            return await self._sift(pieces, refusal)
        return []

    async def _sift(self, pieces: list[_Piece], refusal: LinesRefusedError | TooLargeError) -> list[Rejected]:
        """The lines to blame for a refused request: those the server names, else by halves; the others are written."""
        if len(pieces) == 1:
            return [Rejected(pieces[0].row, pieces[0].line, str(refusal))]
        if isinstance(refusal, LinesRefusedError):
            if refusal.dropped == len(pieces):  # a backlog older than the retention is refused in one go
                return _together(pieces, refusal.words)
            blamed = {n: why for n, why in refusal.numbered.items() if n < len(pieces)}
            blamed |= {n: refusal.named[piece.line] for n, piece in enumerate(pieces) if piece.line in refusal.named}
            if blamed:
                bad = [Rejected(pieces[n].row, pieces[n].line, why) for n, why in sorted(blamed.items())]
                return bad + await self._settle([piece for n, piece in enumerate(pieces) if n not in blamed])
            if refusal.too_old and 0 < refusal.dropped < len(pieces):  # a guess, which the server's next answer proves
                pieces = sorted(pieces, key=lambda piece: lineprotocol.stamp(piece.line))
                return await self._settle(pieces[: refusal.dropped]) + await self._settle(pieces[refusal.dropped :])
        middle = len(pieces) // 2
        return await self._settle(pieces[:middle]) + await self._settle(pieces[middle:])


class _LatePost:
    """A Post that is made when it is needed, and anew after a refused login: a secret that was mended is found.

    A secret that is missing is the sink's trouble alone: what it has to deliver waits, everything else goes on.
    """

    def __init__(self, make: Callable[[], Post]) -> None:
        self._make = make
        self._post: Post | None = None

    async def __call__(self, body: bytes, *, backfill: bool = False) -> None:
        if self._post is None:
            self._post = self._make()
        try:
            await self._post(body, backfill=backfill)
        except LoginRefused:
            await self.aclose()
            raise

    async def aclose(self) -> None:
        """Close the connections, if there are any."""
        post, self._post = self._post, None
        if post is not None:
            await post.aclose()


def build_v1(name: str, kind: V1, base: Path, gateway: str = "") -> InfluxSink:
    """The sink of a V1; `base`: where relative files start. Secrets and certificates are read when they are needed.

    `gateway`: whose points say which series came late; none does without.
    """
    parameters = {"db": kind.db} | ({"rp": kind.rp} if kind.rp else {})

    def make() -> Post:
        user, password = login(kind.v1)
        user = kind.user or user
        if kind.password is not None:
            password = _secret(name, "password", kind.password, base)
        context = _context(name, kind.ca, base)
        return PostV1(
            name, without_login(kind.v1), parameters, user, password, context, zipped=_zips(kind.gzip, kind.v1)
        )

    return InfluxSink(name, _LatePost(make), gateway)


def build_v2(name: str, kind: V2, base: Path, gateway: str = "") -> InfluxSink:
    """The sink of a V2; as `build_v1`."""

    def make() -> Post:
        token = _secret(name, "token", kind.token, base)
        context = _context(name, kind.ca, base)

        def client() -> InfluxDBClient:
            from influxdb_client.client.influxdb_client import InfluxDBClient  # noqa: PLC0415 - slow to import, and only for such a sink

            timeout_ms = round(TIMEOUT_S * 1000)
            if context is None:
                return InfluxDBClient(kind.v2, token or "", org=kind.org, timeout=timeout_ms)
            return InfluxDBClient(kind.v2, token or "", org=kind.org, timeout=timeout_ms, ssl_context=context)

        return PostV2(name, client, kind.org, kind.bucket, zipped=_zips(kind.gzip, kind.v2))

    return InfluxSink(name, _LatePost(make), gateway)


def _parts(rows: Sequence[Row]) -> Iterator[list[Row]]:
    part: list[Row] = []
    size = 0
    for row in rows:
        if part and (size + len(row.body) > REQUEST_BYTES or row.backfill != part[0].backfill):
            yield part
            part, size = [], 0
        if row.body:
            part.append(row)
            size += len(row.body)
    if part:
        yield part


def _together(pieces: Sequence[_Piece], words: str) -> list[Rejected]:
    """Many lines, one letter a row: what is older than a retention comes by the ten thousand."""
    by_row: dict[int, list[_Piece]] = {}
    for piece in pieces:
        by_row.setdefault(piece.row.position, []).append(piece)
    return [Rejected(some[0].row, b"\n".join(piece.line for piece in some), words) for some in by_row.values()]


def _zips(asked: bool | None, url: str) -> bool:
    """Whether to compress: on the way to another machine it spares the link, within this one it costs both sides."""
    host = urlsplit(url).hostname or ""
    return asked if asked is not None else not (host in {"localhost", "::1"} or host.startswith("127."))


def _ended(body: bytes) -> bytes:
    return body if body.endswith(b"\n") else body + b"\n"


def _url_problems(key: str, url: str) -> list[tuple[str, str]]:
    try:
        parts = urlsplit(url)
        written = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # a port that is no number, brackets without an address
        written = False
    if written and "?" not in url and "#" not in url:
        return []
    return [(key, f"found {url!r}; it is written http://host:8086 or https://host")]


def _secret(name: str, key: str, secret: Secret | None, base: Path) -> str | None:
    if secret is None:
        return None
    try:
        return secret.read(base)
    except KeyError as error:
        raise LoginRefused(
            f"sinks.{name}.{key}: the environment has no {error.args[0]}; set it, or use a file"
        ) from error
    except OSError as error:
        raise LoginRefused(f"sinks.{name}.{key}: cannot read {error.filename}: {error.strerror}") from error


def _context(name: str, ca: str | None, base: Path) -> ssl.SSLContext | None:
    if ca is None:
        return None
    try:
        return ssl.create_default_context(cafile=str(base / ca))
    except OSError as error:  # an ssl.SSLError is one
        raise LoginRefused(f"sinks.{name}.ca: {base / ca} holds no certificates that can be read: {error}") from error
