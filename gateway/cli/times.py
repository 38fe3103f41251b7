"""Moments as people write them on the command line, in the gateway's time zone."""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING

from gateway.clock import NS, zone_or_utc
from gateway.codecs.times import moment_ns
from gateway.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import tzinfo

    from gateway.recording.reader import Recording

EXAMPLES = "2026-11-24T14:00, 14:00, yesterday 14:00"
CLOCK = re.compile(r"[0-9]{1,2}:[0-9]{2}(:[0-9]{2})?")
DAY_NS = 86_400 * NS
_DAYS = {"today": 0, "yesterday": -1}


def moment(text: str, zone: tzinfo, now_ns: int) -> int:
    """UTC nanoseconds of a moment: ISO 8601 with or without an offset, a day, a time of day, `yesterday 14:00`.

    Without an offset it is in `zone`; a day is its beginning; a time of day alone is the last one that has been. Raises
    ValueError with what is allowed.
    """
    words = text.strip().split()
    now = datetime.fromtimestamp(now_ns / NS, zone)
    try:
        if len(words) == 1 and CLOCK.fullmatch(words[0]):
            at = _at(now, 0, words[0], zone)
            return moment_ns(at if at <= now else _at(now, -1, words[0], zone), zone)
        if words and words[0].lower() in _DAYS and len(words) <= 2:
            return moment_ns(_at(now, _DAYS[words[0].lower()], words[1] if len(words) == 2 else "00:00", zone), zone)
        at = datetime.fromisoformat(" ".join(words))
    except ValueError as error:
        raise ValueError(f"found {text!r}; a moment is written as one of {EXAMPLES}") from error
    return moment_ns(at, zone)


def optional_moment(option: str, text: str | None, zone: tzinfo, now_ns: int) -> int | None:
    """A moment that an option gives, None where it is not given. Raises ConfigError naming the option."""
    try:
        return None if text is None else moment(text, zone, now_ns)
    except ValueError as error:
        raise ConfigError([f"{option}: {error}"]) from error


def asked_of(recording: Recording, from_text: str | None, to_text: str | None) -> tuple[int | None, int | None]:
    """--from and --to in a recording's zone; a time of day alone is the last one in it, else the one nearest to it.

    Raises ConfigError for what is no moment, or none after the other.
    """
    about = recording.files[-1].about
    zone, first_ns = zone_or_utc(about.timezone), min(file.first_ns for file in recording.files)
    last_ns = max(recording.files[-1].last_ns, first_ns)

    def at(option: str, text: str | None) -> int | None:
        before = optional_moment(option, text, zone, last_ns)
        if text is None or before is None or before >= first_ns or not CLOCK.fullmatch(text.strip()):
            return before
        after = moment(text, zone, last_ns + DAY_NS)
        return after if after - last_ns < first_ns - before else before

    return in_order(from_text, to_text, at)


def in_order(
    from_text: str | None, to_text: str | None, at: Callable[[str, str | None], int | None]
) -> tuple[int | None, int | None]:
    """--from and --to, each read by `at` (option, text). Raises ConfigError where one is not after the other."""
    from_ns, to_ns = at("--from", from_text), at("--to", to_text)
    if from_ns is not None and to_ns is not None and to_ns <= from_ns:
        raise ConfigError([f"--to: found {to_text}, which is not after --from, {from_text}"])
    return from_ns, to_ns


def shown(at_ns: int, zone: tzinfo) -> str:
    """`2026-11-24 14:00:00`, in the zone."""
    return datetime.fromtimestamp(at_ns / NS, zone).strftime("%Y-%m-%d %H:%M:%S")


def _at(now: datetime, days: int, clock: str, zone: tzinfo) -> datetime:
    hour, minute, second = [*map(int, clock.split(":")), 0][:3]
    return datetime.combine(now.date() + timedelta(days=days), time(hour, minute, second), zone)
