"""The guard as ASGI middleware in front of the page: login, cookie, headers on every answer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode

from gateway.console import words
from gateway.console.guard import COOKIE, HEADERS, Guard, Verdict

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOGIN_CSS = Path(__file__).parent / "static/login.css"
GATE = "zhiwang.verdict"
"""Where an endpoint finds the verdict in its scope."""
BODY_MAX = 4096  # a login form holds one token
COOKIE_AGE_S = 30 * 86_400

_LOGIN = """<!doctype html><html lang="{lang}"><meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1"><title>智网 zhiwang</title>
<link rel="stylesheet" href="static/login.css"><main><h1>智网 <small>zhiwang</small></h1>
<form method="post" action="login"><label for="token">{label}</label>
<input id="token" name="token" type="password" autocomplete="current-password" autofocus required>
<button>{button}</button><p class="wrong">{wrong}</p></form></main></html>"""
_TEXTS = {
    "zh": ("口令(配置里的 http.token)", "进入", "口令不对"),
    "en": ("Token (http.token of the configuration)", "Enter", "That is not the token"),
}


class GuardedApp:
    """Lets through what the guard passes; answers everything else itself. `app` is what it stands before."""

    def __init__(self, app: ASGIApp, guard: Guard) -> None:
        self.app = app
        self._guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        query = parse_qs(scope["query_string"].decode("latin-1"))
        path = str(scope["path"])
        verdict = self._guard.judge(path, headers, query.get("token", [""])[0])
        if scope["type"] == "websocket":
            if verdict is Verdict.PASS:
                await self.app(scope, receive, send)
            else:
                await receive()
                await send({"type": "websocket.close", "code": 1008})
            return
        if verdict is Verdict.FOREIGN:
            await _answer(send, 403, "text/plain", "this request came from another site\n")
        elif path == "/login":
            await self._login(scope, receive, send, headers)
        elif verdict is Verdict.LOGIN:
            await self._refuse(send, path, headers)
        elif self._guard.wants_token and path == "/" and "token" in query and "html" in headers.get("accept", ""):
            rest = urlencode({key: value for key, value in query.items() if key != "token"}, doseq=True)
            await self._enter(send, f"?{rest}" if rest else "./")  # the token leaves the address bar and the history
        else:
            scope[GATE] = verdict
            await self.app(scope, receive, _with_headers(send))

    async def _refuse(self, send: Send, path: str, headers: dict[str, str]) -> None:
        if path == "/static/login.css":
            await _answer(send, 200, "text/css", LOGIN_CSS.read_text(encoding="utf-8"))
        elif "html" in headers.get("accept", ""):
            await _answer(send, 401, "text/html", _form(headers, wrong=False))
        else:
            await _answer(send, 401, "text/plain", "a token is wanted: Authorization: Bearer …\n")

    async def _login(self, scope: Scope, receive: Receive, send: Send, headers: dict[str, str]) -> None:
        if scope["method"] != "POST":
            await _answer(send, 303, "text/plain", "", [("location", "./")])
            return
        body = b""
        more = True
        while more and len(body) <= BODY_MAX:
            message = await receive()
            body += message.get("body", b"")
            more = bool(message.get("more_body", False))
        token = parse_qs(body.decode("latin-1")).get("token", [""])[0]
        if self._guard.is_token(token):
            await self._enter(send, "./")
        else:
            await _answer(send, 401, "text/html", _form(headers, wrong=True))

    async def _enter(self, send: Send, where: str) -> None:
        # Lax, not Strict: a link with the token in a chat message must lead to a page that is logged in
        cookie = f"{COOKIE}={self._guard.session}; Path=/; Max-Age={COOKIE_AGE_S}; HttpOnly; SameSite=Lax"
        await _answer(send, 303, "text/plain", "", [("location", where), ("set-cookie", cookie)])


def _form(headers: dict[str, str], *, wrong: bool) -> str:
    language = words.of_browser(headers.get("accept-language", ""))
    label, button, said = _TEXTS[language]
    return _LOGIN.format(lang=language, label=label, button=button, wrong=said if wrong else "")


async def _answer(send: Send, status: int, kind: str, text: str, headers: list[tuple[str, str]] | None = None) -> None:
    body = text.encode()
    every = [
        ("content-type", f"{kind}; charset=utf-8"),
        ("content-length", str(len(body))),
        ("cache-control", "no-store"),
        *(headers or []),
    ]
    start = {
        "type": "http.response.start",
        "status": status,
        "headers": [(name.encode(), value.encode()) for name, value in every],
    }
    await _with_headers(send)(start)
    await send({"type": "http.response.body", "body": body})


def _with_headers(send: Send) -> Send:
    ours = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]

    async def sender(message: Message) -> None:
        if message["type"] == "http.response.start":
            started: MutableMapping[str, Any] = message
            started["headers"] = [*started.get("headers", []), *ours]
        await send(message)

    return sender
