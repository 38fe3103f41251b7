"""One write to InfluxDB, and what its answer means. Here, and only here, HTTP errors become ours."""

from __future__ import annotations

import asyncio
import base64
import gzip
import re
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

import aiohttp
import msgspec

from gateway.config.urls import shown
from gateway.errors import GatewayError, LoginRefused, Throttled, Unreachable

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from influxdb_client.client.influxdb_client import InfluxDBClient

TIMEOUT_S = 10.0  # a server that accepts and never answers is left after this
GZIP_FROM_BYTES = 1_000  # below it compressing costs more than it saves
# Words by which servers say that lines, not the request, are wrong (InfluxDB 1.x, 2.x, 3.x; VictoriaMetrics).
_ABOUT_LINES = re.compile(
    r"partial write|unable to parse|cannot parse|line protocol|field type conflict|beyond retention|"
    r"outside retention|outside of retention|invalid (field|tag|number|boolean|timestamp|time)|missing (fields|tag)|"
    r"schema|max-values-per-tag|max-series-per-database|time outside range|duplicate tag",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"unable to parse '(.*?)': ([^\n]*)", re.DOTALL)
_DROPPED = re.compile(r"dropped[=: ]+(\d+)")


class LinesRefusedError(GatewayError):
    """The server took the request and refused lines of it.

    `words` are the server's; `named`: lines it quoted, with its reason; `numbered`: places (from 0) it stated;
    `dropped`: how many it says it refused, 0 where it does not say.
    """

    def __init__(self, words: str, named: dict[bytes, str], numbered: dict[int, str], dropped: int) -> None:
        super().__init__(words)
        self.words = words
        self.named = named
        self.numbered = numbered
        self.dropped = dropped


class TooLargeError(GatewayError):
    """The request is larger than the server takes."""


class Post(Protocol):
    """Write one body of line protocol, or raise TransientError, LoginRefused, LinesRefusedError or TooLargeError."""

    async def __call__(self, body: bytes) -> None:
        """Write it."""
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...


class _Problem(msgspec.Struct):
    """One line in the answer of InfluxDB 3."""

    line_number: int = 0
    error_message: str = ""


class _Answer(msgspec.Struct):
    """The JSON an InfluxDB answers an error with: 1.x and 3.x `error`, 2.x `message` and `line`."""

    error: str = ""
    message: str = ""
    line: int | None = None
    data: list[_Problem] | _Problem | None = None


def check(status: int, body: bytes, retry_after: str | None, where: str) -> None:
    """Return if the write was taken, else raise what the answer means."""
    if 200 <= status < 300:
        return
    answer = _answer(body)
    words = " ".join((answer.error or answer.message or body.decode("utf-8", "replace")).split())[:500]
    said = f"{where} answered {status}: {words or 'nothing more'}"
    if status in (401, 403):
        raise LoginRefused(f"{said}. Check the token, or user and password, and what they may write")
    if status in (429, 503) and retry_after is not None and retry_after.isdigit():
        raise Throttled(said, float(retry_after))
    if status == 429:
        raise Throttled(said, 1.0)
    if status == 413:
        raise TooLargeError(said)
    if status in (400, 422) and (status == 422 or _ABOUT_LINES.search(words)):
        named = {line.encode(): why for line, why in _QUOTED.findall(answer.error or answer.message)}
        problems = [answer.data] if isinstance(answer.data, _Problem) else answer.data or []
        numbered = {p.line_number - 1: p.error_message or words for p in problems if p.line_number > 0}
        if answer.line:
            numbered[answer.line - 1] = words
        dropped = _DROPPED.search(words)
        raise LinesRefusedError(words, named, numbered, int(dropped[1]) if dropped else 0)
    # Anything else is about the request (no such database, a proxy's page, a server in trouble): nothing is given up.
    raise Unreachable(f"{said}. What waits is kept and tried again")


def _answer(body: bytes) -> _Answer:
    try:
        return msgspec.json.decode(body, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _Answer()


def _packed(body: bytes) -> tuple[bytes, bool]:
    if len(body) < GZIP_FROM_BYTES:
        return body, False
    return gzip.compress(body, 1, mtime=0), True  # level 1: lines shrink to a fifth at a tenth of level 9's time


class PostV1:
    """`/write?db=…&precision=ns` of InfluxDB 1.x and of what speaks it.

    `url` is without a login: errors show it.
    """

    def __init__(
        self,
        url: str,
        parameters: dict[str, str],
        user: str | None,
        password: str | None,
        context: ssl.SSLContext | None,
    ) -> None:
        self._url = f"{url.rstrip('/')}/write"
        self._parameters = {**parameters, "precision": "ns"}
        login = base64.b64encode(f"{user}:{password or ''}".encode()).decode() if user else None
        self._headers = {"Content-Type": "text/plain; charset=utf-8"}
        self._headers |= {"Authorization": f"Basic {login}"} if login else {}  # RFC 7617, in UTF-8
        self._context = context
        self._session: aiohttp.ClientSession | None = None

    async def __call__(self, body: bytes) -> None:
        """Write one body."""
        if self._session is None:  # made in the loop that uses it
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S))
        packed, zipped = _packed(body)
        headers = self._headers | ({"Content-Encoding": "gzip"} if zipped else {})
        try:
            async with self._session.post(
                self._url,
                params=self._parameters,
                data=packed,
                headers=headers,
                ssl=self._context or True,
                allow_redirects=False,
            ) as response:
                check(response.status, await response.read(), response.headers.get("Retry-After"), self._url)
        except TimeoutError as error:
            raise Unreachable(f"{self._url} did not answer within {TIMEOUT_S:.0f} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise Unreachable(f"{self._url} cannot be reached: {error}") from error

    async def aclose(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None


class PostV2:
    """`/api/v2/write` through influxdb-client, with a body that is already line protocol, in one named thread.

    influxdb-client's own batching, retries and gzip (level 9) stay off: the outbox keeps, the delivery loop retries.
    """

    def __init__(self, name: str, make: Callable[[], InfluxDBClient], org: str, bucket: str) -> None:
        self._make = make
        self._org = org
        self._bucket = bucket
        self._client: InfluxDBClient | None = None
        self._connection: Any = None  # urllib3's newest
        self._late = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"sink-{name}")

    async def __call__(self, body: bytes) -> None:
        """Write one body."""
        loop = asyncio.get_running_loop()
        self._late = False
        # The library times each read alone: without this an answer that comes drop by drop would be waited for.
        leave = loop.call_later(TIMEOUT_S * 1.1, self._leave)
        try:
            await loop.run_in_executor(self._thread, self._write, body)
        except GatewayError:
            if not self._late:
                raise
        finally:
            leave.cancel()
        if self._late:  # what was read of the answer until then may look like one, good or bad
            raise Unreachable(f"{self._where()} did not answer within {TIMEOUT_S:.0f} s")

    def _leave(self) -> None:
        """End the connection under the thread that reads from it."""
        self._late = True
        sock: socket.socket | None = getattr(self._connection, "sock", None)
        if sock is not None:
            with suppress(OSError):  # it has ended meanwhile
                sock.shutdown(socket.SHUT_RDWR)

    def _where(self) -> str:
        return f"{shown(self._client.url if self._client else '').rstrip('/')}/api/v2/write"

    def _made(self) -> InfluxDBClient:
        """A client whose newest connection is known."""
        client = self._make()
        api: Any = client.api_client
        pool = api.rest_client.pool_manager.connection_from_url(client.url)
        connect = pool.ConnectionCls

        def noted(*arguments: Any, **more: Any) -> Any:
            self._connection = connect(*arguments, **more)
            return self._connection

        pool.ConnectionCls = noted
        return client

    def _write(self, body: bytes) -> None:
        import urllib3  # noqa: PLC0415 - with influxdb_client, only where such a sink is configured
        from influxdb_client.rest import ApiException  # noqa: PLC0415 - as above
        from influxdb_client.service.write_service import WriteService  # noqa: PLC0415 - slow to import

        if self._client is None:
            self._client = self._made()
        packed, zipped = _packed(body)
        where = self._where()
        try:
            WriteService(self._client.api_client).post_write(
                self._org,
                self._bucket,
                packed,
                precision="ns",
                content_encoding="gzip" if zipped else "identity",
                urlopen_kw={"retries": False, "redirect": False},
            )
        except ApiException as error:
            if not error.status:
                raise Unreachable(f"{where}: {error.reason}") from error
            said = error.body if isinstance(error.body, bytes) else str(error.body or "").encode()
            check(int(error.status), said, (error.headers or {}).get("Retry-After"), where)
        except urllib3.exceptions.ReadTimeoutError as error:
            raise Unreachable(f"{where} did not answer within {TIMEOUT_S:.0f} s") from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise Unreachable(f"{where} cannot be reached: {error}") from error

    async def aclose(self) -> None:
        """Close the connections and end the thread, after the write under way, if there is one."""
        if self._client is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._client.close)
            self._client = None
        self._thread.shutdown(wait=False)
