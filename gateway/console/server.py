"""The page's server: NiceGUI under uvicorn, inside the gateway's own event loop, behind the guard."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

import uvicorn
from fastapi import FastAPI, Request, Response
from nicegui import core, ui
from starlette.staticfiles import StaticFiles

from gateway.console import evidence, http, words
from gateway.console.gate import GATE, GuardedApp
from gateway.console.guard import Guard, Verdict
from gateway.console.page import Page
from gateway.console.situation import Lookout

if TYPE_CHECKING:
    from collections.abc import Generator

    from gateway.ports import View

STATIC = Path(__file__).parent / "static"
STYLES, SCRIPTS = ("page.css", "camera.css"), ("page.js", "camera.js")
RECONNECT_S = 10.0  # a phone that changes its network keeps its page
DRAIN_S = 2  # open requests when the gateway ends; its own bound is 10 s for everything


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Signals are the gateway's."""
        yield


def _add_endpoints(app: FastAPI, view: View, ready: http.Ready) -> None:
    @app.get("/healthz")
    async def healthz() -> Response:
        return Response(http.health(), media_type=http.JSON)

    @app.get("/readyz")
    async def readyz(request: Request) -> Response:
        status, body = http.readiness(ready, reasons=request.scope[GATE] is Verdict.PASS)
        return Response(body, status, media_type=http.JSON)

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(http.exposition(view), headers=dict(http.metrics_headers()))

    @app.get("/picture/{camera}.jpg")
    async def picture(camera: str) -> Response:
        taken = view.picture(camera)
        if taken is None:
            return Response("no picture of this camera yet\n", 404, media_type="text/plain")
        return Response(taken.jpeg, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=60"})

    @app.get("/evidence/{alert}/{file}")
    async def kept(alert: str, file: str) -> Response:
        sha256, _, ending = file.partition(".")
        body = await view.evidence(alert, sha256) if ending in evidence.TYPES else None
        if body is None:
            return Response("it was not kept, or had to go\n", 404, media_type="text/plain")
        headers = {"Cache-Control": "private, max-age=3600", "X-Content-Type-Options": "nosniff"}
        return Response(body, media_type=evidence.TYPES[ending], headers=headers)


def _add_page(view: View) -> None:
    lookout = Lookout(view)
    version = hashlib.sha256(b"".join((STATIC / name).read_bytes() for name in (*STYLES, *SCRIPTS))).hexdigest()[:12]
    head = "".join(f'<link rel="stylesheet" href="static/{name}?v={version}">' for name in STYLES)
    head += "".join(f'<script src="static/{name}?v={version}"></script>' for name in SCRIPTS)

    @ui.page("/", favicon=STATIC / "icon.svg")
    async def index(request: Request) -> None:
        kept = request.cookies.get("zhiwang_language", "")
        language = words.of_browser(kept or request.headers.get("accept-language", ""))
        ui.add_head_html(f"{head}<script>zw.language({language!r})</script>")
        page = Page(lookout, language, unquote(request.cookies.get("zhiwang_who", ""))[:40])
        await page.build()
        ui.page_title(f"{page.name} · {'智网' if language == 'zh' else 'zhiwang'}")


def _application(view: View, guard: Guard, ready: http.Ready) -> GuardedApp:
    # NiceGUI keeps one app a process; a second serve (a test, a reload) begins with a clean one
    core.app.user_middleware.clear()
    core.app.middleware_stack = None
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    _add_endpoints(app, view, ready)
    app.mount("/static", StaticFiles(directory=STATIC))
    _add_page(view)
    # no storage_secret: nothing of NiceGUI's is kept, in memory or on the disk
    ui.run_with(
        app,
        title="zhiwang",
        dark=None,
        binding_refresh_interval=None,
        reconnect_timeout=RECONNECT_S,
        tailwind=False,
        show_welcome_message=False,
    )
    return GuardedApp(app, guard)


async def serve(view: View, listen: str, token: str | None, ready: http.Ready) -> None:
    """Serve the page, `/metrics`, `/healthz` and `/readyz` at exactly `listen` until cancelled.

    Raises ConfigError where `listen` is reachable for others and no token is set, OSError (EADDRINUSE) where the port
    is taken: the caller decides whether another one will do. One at a time in a process.
    """
    guard = Guard(listen, token)
    sock = http.bind(listen)
    try:
        server = _Server(
            uvicorn.Config(
                _application(view, guard, ready),
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                ws="websockets-sansio",
                ws_max_size=1 << 20,
                timeout_graceful_shutdown=DRAIN_S,
            )
        )
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(server.serve(sockets=[sock]))
            try:
                await asyncio.shield(running)
            except asyncio.CancelledError:
                server.should_exit = True  # uvicorn leaves tasks behind when it is cancelled instead
                await asyncio.wait({running}, timeout=DRAIN_S + 2)
                raise
    finally:
        sock.close()
