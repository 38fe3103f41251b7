"""Downloads over HTTP into a file that survives an interruption and is continued by Range the next time."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

from gateway.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ATTEMPTS = 4  # a city's uplink drops now and then; each attempt goes on where the last one ended
TIMEOUT_S = 30.0
CHUNK = 1 << 16


class _Interrupted(Exception):
    """The connection ended early."""


def download(url: str, partial: Path, progress: Callable[[str, int, int | None], None]) -> Path:
    """`url` in full, in `partial`, continuing what is there. Raises ModelError; the next call then goes on."""
    reason = ""
    for _ in range(ATTEMPTS):
        try:
            _attempt(url, partial, progress)
        except _Interrupted as error:
            reason = str(error)
        else:
            return partial
    kept = partial.stat().st_size if partial.exists() else 0
    raise ModelError(f"{url}: {reason}; {kept} bytes are kept and the next pull goes on from there")


def _attempt(url: str, partial: Path, progress: Callable[[str, int, int | None], None]) -> None:
    have = partial.stat().st_size if partial.exists() else 0
    headers = {"User-Agent": "zhiwang", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 — the scheme was checked by the caller
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:  # noqa: S310 — as above
            _receive(url, response, partial, have, progress)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and have:
            partial.unlink()  # longer than the server's file: not a beginning of it
            raise _Interrupted("the part that was here did not fit") from error
        if error.code >= http.HTTPStatus.INTERNAL_SERVER_ERROR:
            raise _Interrupted(f"HTTP {error.code} {error.reason}") from error
        raise ModelError(f"{url}: HTTP {error.code} {error.reason}") from error
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        raise _Interrupted(str(getattr(error, "reason", None) or error or type(error).__name__)) from error


def _receive(
    url: str,
    response: http.client.HTTPResponse,
    partial: Path,
    have: int,
    progress: Callable[[str, int, int | None], None],
) -> None:
    if response.status != http.HTTPStatus.PARTIAL_CONTENT:
        have = 0  # the server ignores ranges and sends everything
    length = response.headers.get("Content-Length")
    total = have + int(length) if length is not None and length.isdigit() else None
    try:
        with partial.open("ab" if have else "wb") as file:
            while chunk := response.read(CHUNK):
                file.write(chunk)
                have += len(chunk)
                progress(url, have, total)
    except OSError as error:
        if isinstance(error, (TimeoutError, ConnectionError)):
            raise
        raise ModelError(f"cannot write {partial}: {error.strerror}") from error
    if total is not None and have < total:
        raise _Interrupted(f"the connection ended after {have} of {total} bytes")
