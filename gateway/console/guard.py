"""Who may look: the token, the same-origin rule, and the headers that every answer carries.

Both servers (the page's and the plain one) ask `Guard.judge`.
"""

from __future__ import annotations

import hashlib
import hmac
from enum import Enum
from http.cookies import CookieError, SimpleCookie
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gateway.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

COOKIE = "zhiwang_session"
OPEN_PATHS = frozenset({"/healthz", "/readyz", "/login"})
"""Paths a probe or a person without a token may ask for; /readyz then keeps its reasons to itself."""

HEADERS: dict[str, str] = {
    # Vue compiles its templates in the browser, hence unsafe-eval; nothing may come from, or go to, another host
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'self'; "
        "form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # no-referrer would make the login form's Origin null
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


class Verdict(Enum):
    """What becomes of a request."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    ANONYMOUS = "anonymous"  # an open path, asked without the token
    LOGIN = "login"  # the token is wrong or missing
    FOREIGN = "foreign"  # another web page sent it


def split_listen(listen: str) -> tuple[str, int]:
    """`127.0.0.1:8080`, `[::1]:8080`, `:8080` (all addresses) → (host, port). Raises ConfigError."""
    host, _, port = listen.rpartition(":")
    host = host.strip("[]") or "0.0.0.0"  # noqa: S104 - written out so that the token rule below sees it
    if not port.isdigit() or not 0 <= int(port) <= 65535:
        raise ConfigError([f"http.listen: found {listen!r}; an address and a port are wanted, such as 127.0.0.1:8080"])
    return host, int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


class Guard:
    """Judges requests to a server that listens at `listen`; ConfigError where that needs a token and there is none."""

    def __init__(self, listen: str, token: str | None) -> None:
        host, _ = split_listen(listen)
        if not token and not is_loopback(host):
            raise ConfigError(
                [
                    (
                        f"http.token: not set, but http.listen is {listen}, which others can reach; "
                        "set token: {file: secrets/page-token}, or listen at 127.0.0.1"
                    )
                ]
            )
        self._token = token or None
        # derived, so that the cookie outlives a restart without being the token itself
        self.session = hmac.new(token.encode(), b"zhiwang page", hashlib.sha256).hexdigest() if token else ""

    @property
    def wants_token(self) -> bool:
        """Whether a token is set."""
        return self._token is not None

    def is_token(self, text: str) -> bool:
        """Compare with the token in constant time."""
        return self._token is not None and hmac.compare_digest(text.encode(), self._token.encode())

    def judge(self, path: str, headers: Mapping[str, str], query_token: str = "") -> Verdict:
        """What becomes of a request. `headers` have lower-case names."""
        if self._is_foreign(headers):
            return Verdict.FOREIGN
        if self._token is None or self._knows(headers, query_token):
            return Verdict.PASS
        return Verdict.ANONYMOUS if path in OPEN_PATHS else Verdict.LOGIN

    def _is_foreign(self, headers: Mapping[str, str]) -> bool:
        host = headers.get("host", "")
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            return True  # a page from elsewhere reaches for ours through the operator's browser
        # without a token only loopback is served: another name here is DNS rebinding
        return self._token is None and not is_loopback(urlsplit(f"//{host}").hostname or "localhost")

    def _knows(self, headers: Mapping[str, str], query_token: str) -> bool:
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self.is_token(bearer.strip()):
            return True
        if query_token and self.is_token(query_token):
            return True
        try:
            morsel = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return False
        return morsel is not None and hmac.compare_digest(morsel.value.encode(), self.session.encode())
