"""One question to an InfluxDB server and its answer, line by line as it comes. HTTP's errors become ours here."""

from __future__ import annotations

import base64
import http.client
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import msgspec

from gateway.config.urls import shown
from gateway.errors import GatewayError, LoginRefused, RefusedError, Unreachable

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

TIMEOUT_S = 60.0  # a server sorts a day of many series before its first row


class Question(msgspec.Struct, frozen=True):
    """A POST: `url` without a login, for errors show it; the body with its type; further headers."""

    url: str
    body: bytes
    content_type: str
    headers: dict[str, str] = {}


def basic(user: str | None, password: str | None) -> dict[str, str]:
    """The header of a login (RFC 7617, in UTF-8); none without a user."""
    if not user:
        return {}
    login = f"{user}:{password or ''}".encode()
    return {"Authorization": f"Basic {base64.b64encode(login).decode()}"}


def lines(question: Question, context: ssl.SSLContext | None) -> Iterator[bytes]:
    """The answer's lines. Raises Unreachable, LoginRefused or RefusedError, with the server's words."""
    where = shown(question.url.partition("?")[0])
    headers = {**question.headers, "Content-Type": question.content_type}
    request = urllib.request.Request(question.url, question.body, headers)  # noqa: S310 - http or https: checked where it was given
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S, context=context) as answer:  # noqa: S310 - as above
            yield from answer
    except urllib.error.HTTPError as error:
        with error:
            raise _refused(where, error.code, error.read(2000)) from None
    except TimeoutError as error:
        raise Unreachable(f"{where} did not answer within {TIMEOUT_S:.0f} s") from error
    except (urllib.error.URLError, OSError, http.client.HTTPException) as error:
        raise Unreachable(f"{where} cannot be reached or broke off: {getattr(error, 'reason', error)}") from error


def _refused(where: str, code: int, body: bytes) -> GatewayError:
    words = _words(body)
    if code in {401, 403}:
        return LoginRefused(f"{where}: refused the login ({code}): {words}; see --user, --password-file, --token-file")
    if code >= 500:
        return Unreachable(f"{where}: failed with {code}: {words}")
    return RefusedError(f"{where}: refused the query ({code}): {words}")


class _Said(msgspec.Struct):
    """What a server says of an error: 1.x `error`, 2.x `message`."""

    error: str = ""
    message: str = ""


def _words(body: bytes) -> str:
    try:
        said = msgspec.json.decode(body, type=_Said)
    except msgspec.DecodeError:
        return body.decode("utf-8", "replace").strip()[:200] or "no reason given"
    return said.error or said.message or "no reason given"
