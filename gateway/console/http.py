"""`/metrics`, `/healthz` and `/readyz`: what they answer, and the server for gateways without a page."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

import msgspec
from aiohttp import web

from gateway.console import openmetrics
from gateway.console.guard import HEADERS, Guard, Verdict, split_listen
from gateway.errors import ConfigError

if TYPE_CHECKING:
    from gateway.ports import View

Ready = Callable[[], tuple[bool, dict[str, object]]]
"""Whether the gateway is ready (every source attached once, outbox writable), and the reasons."""

JSON = "application/json; charset=utf-8"


def bind(listen: str) -> socket.socket:
    """A listening socket at exactly `listen`; OSError (EADDRINUSE) where the port is taken, ConfigError if unusable."""
    host, port = split_listen(listen)
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror as error:
        raise ConfigError([f"http.listen: {host!r} is no address of this machine ({error.strerror})"]) from error
    sock = socket.socket(family, kind, proto)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(128)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


def readiness(ready: Ready, *, reasons: bool) -> tuple[int, bytes]:
    """Status code and JSON body of `/readyz`. `reasons`: whether who asks may read them."""
    ok, why = ready()
    body: dict[str, object] = {"ready": ok, **(why if reasons else {})}
    return (200 if ok else 503), msgspec.json.encode(body)


def health() -> bytes:
    """The body of `/healthz`: that it answers is the answer."""
    return b'{"alive":true}'


def exposition(view: View) -> str:
    """The text of `/metrics`."""
    return openmetrics.render(view.metrics())


def metrics_headers() -> Mapping[str, str]:
    """Headers of `/metrics`."""
    return {"Content-Type": openmetrics.CONTENT_TYPE, "Cache-Control": "no-store"}


def _judge(guard: Guard, request: web.Request) -> Verdict:
    headers = {name.lower(): value for name, value in request.headers.items()}
    return guard.judge(request.path, headers, request.query.get("token", ""))


def _middleware(guard: Guard) -> Callable[..., Awaitable[web.StreamResponse]]:
    @web.middleware
    async def middleware(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        verdict = _judge(guard, request)
        if verdict is Verdict.FOREIGN:
            answer: web.StreamResponse = web.Response(status=403, text="this request came from another site\n")
        elif verdict is Verdict.LOGIN:
            answer = web.Response(
                status=401, text="a token is wanted: Authorization: Bearer …\n", headers={"WWW-Authenticate": "Bearer"}
            )
        else:
            try:
                answer = await handler(request)
            except web.HTTPException as error:
                answer = web.Response(status=error.status, text=f"{error.reason}\n")
        answer.headers.update(HEADERS)
        return answer

    return middleware


def _application(view: View, guard: Guard, ready: Ready) -> web.Application:
    async def healthz(_: web.Request) -> web.Response:
        return web.Response(body=health(), headers={"Content-Type": JSON})

    async def readyz(request: web.Request) -> web.Response:
        status, body = readiness(ready, reasons=_judge(guard, request) is Verdict.PASS)
        return web.Response(status=status, body=body, headers={"Content-Type": JSON})

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=exposition(view).encode(), headers=metrics_headers())

    app = web.Application(middlewares=[_middleware(guard)])
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    return app


async def serve_plain(view: View, listen: str, token: str | None, ready: Ready) -> None:
    """Serve `/metrics`, `/healthz` and `/readyz` until cancelled.

    Raises ConfigError where `listen` is reachable for others and no token is set, OSError where the port is taken.
    """
    guard = Guard(listen, token)
    sock = bind(listen)
    runner = web.AppRunner(_application(view, guard, ready), access_log=None, shutdown_timeout=2)
    try:
        await runner.setup()
        await web.SockSite(runner, sock).start()
        await asyncio.get_running_loop().create_future()  # until cancelled
    finally:
        await runner.cleanup()
        sock.close()
