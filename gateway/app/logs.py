"""Structured logs on stderr, logfmt or JSON, and a voice for repeated troubles that speaks once a minute."""

from __future__ import annotations

import json
import logging
import sys
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.config.box import Logging
    from gateway.events import DeadLetter, Health, Stepped
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


class Minutes:
    """Lets each trouble be told once a minute."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: Counter[str] = Counter()
        self._told_ns: dict[str, int] = {}

    def due(self, what: str, times: int = 1) -> int:
        """How often it came since it was last told, if it is to be told now; 0: later."""
        self._waiting[what] += times
        now_ns = self._clock.monotonic_ns()
        told_ns = self._told_ns.get(what)
        if told_ns is not None and now_ns - told_ns < MINUTE_NS:
            return 0
        self._told_ns[what] = now_ns
        return self._waiting.pop(what)


class Troubles:
    """Tells of messages set aside, and of stamps not believed: the first at once, then a count once a minute.

    `counts` are the core's.
    """

    def __init__(self, clock: Clock, counts: Mapping[str, int]) -> None:
        self._minutes = Minutes(clock)
        self._counts = counts
        self._adrift = counts.get("clock_adrift", 0)

    def take(self, stepped: Sequence[Stepped]) -> None:
        """What transactions held."""
        for one in stepped:
            for letter in one.dead:
                self._tell(letter)
        adrift, self._adrift = self._adrift, self._counts.get("clock_adrift", 0)
        if self._adrift > adrift and (count := self._minutes.due("stamps not believed", self._adrift - adrift)):
            reason = "ahead of us or before 2020: stored at the time they came, seen by no rule"
            log.warning("stamps not believed", extra={"count": count, "reason": reason})

    def _tell(self, letter: DeadLetter) -> None:
        if count := self._minutes.due(letter.where):
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


CAUSES = 8  # told in a minute: the first is often only that the connection was lost, and the next why it stays so


class Wellness:
    """Tells what parts say of themselves: troubles, each cause at most once a minute, and their end."""

    def __init__(self, clock: Clock) -> None:
        self._minutes = Minutes(clock)
        self._told: set[tuple[str, str]] = set()
        self._causes: dict[tuple[str, str], list[str]] = {}

    def take(self, health: Health) -> None:
        """What a part has said."""
        key = (health.component, health.condition)
        extra = {"component": health.component, "condition": health.condition}
        if health.ok:
            if key in self._told:
                self._told.discard(key)
                log.info("well again", extra=extra)
            return
        causes = self._causes.setdefault(key, [])
        if health.detail not in causes:
            del causes[CAUSES - 1 :]
            causes.append(health.detail)
        if count := self._minutes.due(f"{health.component} {health.condition} {causes.index(health.detail)}"):
            self._told.add(key)
            log.warning("not well", extra={**extra, "detail": health.detail, "count": count})
