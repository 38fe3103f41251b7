"""Structured logs on stderr, logfmt or JSON, and a voice for repeated troubles that speaks once a minute."""

from __future__ import annotations

import json
import logging
import sys
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.config.model import Logging
    from gateway.events import DeadLetter, Stepped
    from gateway.ports import Clock

MINUTE_NS = 60 * 10**9
LONGEST = 200  # bytes of a payload shown as an example
STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
log = logging.getLogger("zhiwang")


class _Formatter(logging.Formatter):
    def __init__(self, *, as_json: bool) -> None:
        super().__init__()
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        """One line a record: time, level, logger, message, and what was given as `extra`."""
        fields: dict[str, object] = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "msg": record.getMessage(),
        }
        fields |= {key: value for key, value in vars(record).items() if key not in STANDARD}
        if record.exc_info:
            fields["error"] = self.formatException(record.exc_info)
        if self._as_json:
            return json.dumps(fields, ensure_ascii=False, default=str)
        return " ".join(f"{key}={_quoted(str(value))}" for key, value in fields.items())


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False) if not text or set(text) & set(' "=\n\t\\') else text


def set_up(settings: Logging) -> None:
    """Send all logs to stderr, as configured."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter(as_json=settings.format == "json"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.level.upper())
    for chatty in ("paho", "asyncio", "mqtt", "uvicorn", "nicegui", "httpx", "urllib3"):
        logging.getLogger(chatty).setLevel("WARNING")


class Troubles:
    """Tells of messages set aside: the first at once with an example, then a count once a minute for each sensor."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: Counter[str] = Counter()
        self._told_ns: dict[str, int] = {}

    def take(self, stepped: Sequence[Stepped]) -> None:
        """What transactions held."""
        for one in stepped:
            for letter in one.dead:
                self._tell(letter)

    def _tell(self, letter: DeadLetter) -> None:
        self._waiting[letter.where] += 1
        now_ns = self._clock.monotonic_ns()
        told_ns = self._told_ns.get(letter.where)
        if told_ns is not None and now_ns - told_ns < MINUTE_NS:
            return
        self._told_ns[letter.where] = now_ns
        count = self._waiting.pop(letter.where)
        log.warning(
            "messages set aside",
            extra={
                "where": letter.where,
                "count": count,
                "topic": letter.topic,
                "reason": letter.reason,
                "example": letter.body[:LONGEST].decode("utf-8", "replace"),
            },
        )
