"""One write to InfluxDB. Here, and only here, HTTP errors become ours."""

from __future__ import annotations

import asyncio
import base64
import gzip
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

import aiohttp

from gateway.config.urls import shown
from gateway.errors import GatewayError, Unreachable
from gateway.sinks.influx_answers import check

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from influxdb_client.client.influxdb_client import InfluxDBClient

TIMEOUT_S = 10.0  # a server that accepts and never answers is left after this
GZIP_FROM_BYTES = 1_000  # below it compressing costs more than it saves
BACKFILL = "X-Zhiwang-Backfill"  # `1` on a write of what waited while newer series went first


class Post(Protocol):
    """Write one body of line protocol, or raise TransientError, LoginRefused, LinesRefusedError or TooLargeError."""

    async def __call__(self, body: bytes, *, backfill: bool = False) -> None:
        """Write it; `backfill`: say so in a header."""
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...


def _packed(body: bytes) -> bytes:
    return gzip.compress(body, 1, mtime=0)  # level 1: lines shrink to a fifth at a tenth of level 9's time


class PostV1:
    """`/write?db=…&precision=ns` of InfluxDB 1.x and of what speaks it.

    `url` is without a login: errors show it. `zipped`: compress, in the thread `sink-<name>`.
    """

    def __init__(
        self,
        name: str,
        url: str,
        parameters: dict[str, str],
        user: str | None,
        password: str | None,
        context: ssl.SSLContext | None,
        *,
        zipped: bool,
    ) -> None:
        self._url = f"{url.rstrip('/')}/write"
        self._parameters = {**parameters, "precision": "ns"}
        login = base64.b64encode(f"{user}:{password or ''}".encode()).decode() if user else None
        self._headers = {"Content-Type": "text/plain; charset=utf-8"}
        self._headers |= {"Authorization": f"Basic {login}"} if login else {}  # RFC 7617, in UTF-8
        self._context = context
        self._zipped = zipped
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"sink-{name}")
        self._session: aiohttp.ClientSession | None = None

    async def __call__(self, body: bytes, *, backfill: bool = False) -> None:
        """Write one body."""
        if self._session is None:  # made in the loop that uses it
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S))
        headers = self._headers | ({BACKFILL: "1"} if backfill else {})
        if self._zipped and len(body) >= GZIP_FROM_BYTES:
            headers["Content-Encoding"] = "gzip"
            body = await asyncio.get_running_loop().run_in_executor(self._thread, _packed, body)
        try:
            async with self._session.post(
                self._url,
                params=self._parameters,
                data=body,
                headers=headers,
                ssl=self._context or True,
                allow_redirects=False,
            ) as response:
                check(response.status, await response.read(), response.headers, self._url)
        except TimeoutError as error:
            raise Unreachable(f"{self._url} did not answer within {TIMEOUT_S:.0f} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise Unreachable(f"{self._url} cannot be reached: {error}") from error

    async def aclose(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None
        self._thread.shutdown(wait=False)


class PostV2:
    """`/api/v2/write` through influxdb-client, with a body that is already line protocol, in one named thread.

    influxdb-client's own batching, retries and gzip (level 9) stay off: the outbox keeps, the delivery loop retries.
    """

    def __init__(self, name: str, make: Callable[[], InfluxDBClient], org: str, bucket: str, *, zipped: bool) -> None:
        self._make = make
        self._org = org
        self._bucket = bucket
        self._zipped = zipped
        self._client: InfluxDBClient | None = None
        self._connection: Any = None  # urllib3's newest
        self._late = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"sink-{name}")

    async def __call__(self, body: bytes, *, backfill: bool = False) -> None:
        """Write one body."""
        loop = asyncio.get_running_loop()
        self._late = False
        # The library times each read alone: without this an answer that comes drop by drop would be waited for.
        leave = loop.call_later(TIMEOUT_S * 1.1, self._leave)
        try:
            await loop.run_in_executor(self._thread, self._write, body, backfill)
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

    def _write(self, body: bytes, backfill: bool) -> None:
        import urllib3  # noqa: PLC0415 - with influxdb_client, only where such a sink is configured
        from influxdb_client.rest import ApiException  # noqa: PLC0415 - as above
        from influxdb_client.service.write_service import WriteService  # noqa: PLC0415 - slow to import

        if self._client is None:
            self._client = self._made()
        api: Any = self._client.api_client
        zipped = self._zipped and len(body) >= GZIP_FROM_BYTES
        headers: dict[str, str] = api.default_headers  # of the next request: there is one thread
        headers.pop(BACKFILL, None)
        headers |= {BACKFILL: "1"} if backfill else {}
        where = self._where()
        try:
            WriteService(api).post_write(
                self._org,
                self._bucket,
                _packed(body) if zipped else body,
                precision="ns",
                content_encoding="gzip" if zipped else "identity",
                urlopen_kw={"retries": False, "redirect": False},
            )
        except ApiException as error:
            if not error.status:
                raise Unreachable(f"{where}: {error.reason}") from error
            said = error.body if isinstance(error.body, bytes) else str(error.body or "").encode()
            check(int(error.status), said, error.headers or {}, where)
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
