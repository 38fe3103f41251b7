"""What InfluxDB's answer to a write means, and that of its relatives."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import msgspec

from gateway.errors import GatewayError, LoginRefused, Throttled, Unreachable

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST_PAUSE_S = 3600.0  # whatever a server asks for: a wrong date must not stop a sink for days
# Words by which servers say that lines, not the request, are wrong (InfluxDB 1.x, 2.x, 3.x; VictoriaMetrics).
_ABOUT_LINES = re.compile(
    r"partial write|unable to parse|cannot parse|line protocol|field type conflict|beyond retention|"
    r"outside retention|outside of retention|invalid (field|tag|number|boolean|timestamp|time)|missing (fields|tag)|"
    r"schema|max-values-per-tag|max-series-per-database|time outside range|duplicate tag",
    re.IGNORECASE,
)
_TOO_OLD = re.compile(r"(beyond|outside( of)?) retention", re.IGNORECASE)
_QUOTED = re.compile(r"unable to parse '(.*?)': ([^\n]*)", re.DOTALL)
_DROPPED = re.compile(r"dropped[=: ]+(\d+)")


class LinesRefusedError(GatewayError):
    """The server took the request and refused lines of it.

    `words` are the server's; `named`: lines it quoted, with its reason; `numbered`: places (from 0) it stated;
    `dropped`: how many it says it refused, 0 where it does not say; `too_old`: because they are older than it keeps.
    """

    def __init__(self, words: str, named: dict[bytes, str], numbered: dict[int, str], dropped: int) -> None:
        super().__init__(words)
        self.too_old = _TOO_OLD.search(words) is not None and "upper bound" not in words.lower()
        self.words = words
        self.named = named
        self.numbered = numbered
        self.dropped = dropped


class TooLargeError(GatewayError):
    """The request is larger than the server takes."""


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


def check(status: int, body: bytes, headers: Mapping[str, str], where: str) -> None:
    """Return if the write was taken, else raise what the answer means. `headers`: found in any case of letters."""
    if 200 <= status < 300:
        return
    answer = _answer(body)
    words = " ".join((answer.error or answer.message or body.decode("utf-8", "replace")).split())[:500]
    said = f"{where} answered {status}: {words or 'nothing more'}"
    if status in (401, 403):
        raise LoginRefused(f"{said}. Check the token, or user and password, and what they may write")
    pause_s = _retry_after(headers)
    if status in (429, 503) and pause_s is not None:
        raise Throttled(said, min(pause_s, LONGEST_PAUSE_S))
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


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """How many seconds a server asks for (RFC 9110, 10.2.3); None where it says nothing that can be read.

    A date is taken against the server's own `Date`: its clock and ours may be apart.
    """
    asked = (headers.get("Retry-After") or "").strip()
    if asked.isascii() and asked.isdigit():
        return float(asked)
    try:
        until, now = parsedate_to_datetime(asked), parsedate_to_datetime(headers.get("Date") or "")
        return max(0.0, (until - now).total_seconds())
    except (TypeError, ValueError, OverflowError):  # no date, or one with a zone and one without
        return None


def _answer(body: bytes) -> _Answer:
    try:
        return msgspec.json.decode(body, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _Answer()
