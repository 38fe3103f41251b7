"""What devices write as time, to int64 nanoseconds UTC: epoch numbers by their magnitude, and ISO 8601.

An epoch number (or a text of digits) is in seconds below 1e11, milliseconds below 1e14, microseconds below 1e17, else
nanoseconds: until the year 5138 in seconds and from 1973 on in milliseconds the unit is told by the magnitude alone.
Fractions of seconds are taken to the microsecond, since a float64 holds no more today. A text of 14 or 17 digits is
YYYYMMDDhhmmss[fff] (HJ 212, GA/T 1400) where that is a date. A text without offset is in the route's zone; an hour that
comes twice when clocks go back is the first one, and one that is left out counts on from before.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from gateway.codecs.values import shown
from gateway.ports import NO_TIME

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_S, _MS, _US = 10**11, 10**14, 10**17  # below which a number is in s, ms, us
_MOST_NS = 2**63 - 1
_NUMBER = re.compile(r"[-+]?[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?")
_COMPACT = {14: "%Y%m%d%H%M%S", 17: "%Y%m%d%H%M%S%f"}
_FINE = re.compile(r"[.,]([0-9]{7,})")  # datetime cuts at microseconds
_OFFSET = re.compile(r"([+-])([0-9]{2}):([0-9]{2})")


def zone_of(name: str) -> tzinfo:
    """A zone by its IANA name (Asia/Shanghai) or its offset (+08:00). Raises ValueError where there is none."""
    offset = _OFFSET.fullmatch(name)
    if offset and int(offset[2]) < 24 and int(offset[3]) < 60:
        minutes = int(offset[2]) * 60 + int(offset[3])
        return timezone(timedelta(minutes=-minutes if offset[1] == "-" else minutes))
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            f"no time zone {name!r}; use a name such as Asia/Shanghai, or an offset such as +08:00"
        ) from None


def to_ns(raw: Sequence[object], zone: tzinfo) -> tuple[NDArray[np.int64], list[tuple[int, str]]]:
    """Times as they came to int64[n] ns, NO_TIME where there is none (None); (place, reason) for each that is bad."""
    kinds = set(map(type, raw))
    if kinds == {int}:
        quick = _integers(raw)
        if quick is not None:
            return quick, []
    out = np.full(len(raw), NO_TIME, np.int64)
    bad: list[tuple[int, str]] = []
    if kinds <= {type(None)}:
        return out, bad
    for place, value in enumerate(raw):
        if value is not None:
            try:
                out[place] = one_ns(value, zone)
            except ValueError as error:
                bad.append((place, str(error)))
    return out, bad


def one_ns(value: object, zone: tzinfo) -> int:
    """One time in ns. Raises ValueError saying what was found."""
    if isinstance(value, str):
        ns = _text_ns(value, zone)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        ns = _number_ns(value)
    else:
        raise ValueError(f"found {shown(value)}; a time is a number since 1970 or ISO 8601")  # noqa: TRY004  device's, not caller's
    if not NO_TIME < ns <= _MOST_NS:
        raise ValueError(f"found {shown(value)}; it is outside 1677 to 2262")
    return ns


def _integers(raw: Sequence[object]) -> NDArray[np.int64] | None:
    """All integers at once; None where one does not fit, for the slow way to find which."""
    try:
        given = np.array(raw, np.int64)
    except OverflowError:
        return None
    first, lowest = int(given[0]), 0
    for below, scale in ((_S, 10**9), (_MS, 10**6), (_US, 10**3)):  # as a rule all are of one kind
        if lowest <= first < below and given.min() >= lowest and given.max() <= _MOST_NS // scale:
            return given * scale
        lowest = below
    size = np.abs(given)
    scale = np.select([size < _S, size < _MS, size < _US], [10**9, 10**6, 10**3], 1).astype(np.int64)
    if np.any(size > _MOST_NS // scale) or np.any(size < 0):  # abs(-2**63) stays negative
        return None
    return given * scale


def _number_ns(value: float) -> int:
    size = abs(value)
    if not size <= _MOST_NS:  # also NaN
        raise ValueError(f"found {shown(value)}; it is outside 1677 to 2262")
    if isinstance(value, int):
        return value * (10**9 if size < _S else 10**6 if size < _MS else 10**3 if size < _US else 1)
    return round(value * (10**6 if size < _S else 10**3 if size < _MS else 1 if size < _US else 1e-3)) * 1000


def _text_ns(text: str, zone: tzinfo) -> int:
    if text[4:5] != "-":
        unusual = _unusual_ns(text.strip(), zone)
        if unusual is not None:
            return unusual
        text = text.strip().replace("/", "-")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"found {shown(text)}; a time is a number since 1970 or ISO 8601, such as 2026-08-14T02:14:00+08:00"
        ) from None
    ns = moment_ns(moment, zone)
    if len(text) > 26:
        fine = _FINE.search(text)
        if fine:
            ns += int((fine[1] + "00")[6:9])
    return ns


def _unusual_ns(text: str, zone: tzinfo) -> int | None:
    layout = _COMPACT.get(len(text)) if text.isascii() and text.isdigit() else None
    if layout:
        try:
            return moment_ns(datetime.strptime(text, layout), zone)  # noqa: DTZ007  its zone is the route's
        except ValueError:
            pass
    if _NUMBER.fullmatch(text):
        if len(text) > 40:
            raise ValueError(f"found {shown(text)}; it is outside 1677 to 2262")
        return _number_ns(int(text) if text.lstrip("+-").isdigit() else float(text))
    return None


def stamp_ns(stamp: str) -> int:
    """UTC ns of an ISO 8601 time with its offset, as alerts have them; exact to the microsecond. Raises ValueError."""
    moment = datetime.fromisoformat(stamp)
    if moment.tzinfo is None:
        raise ValueError(f"found {stamp!r}, a time without its offset, such as +08:00")
    return moment_ns(moment, UTC)


def utc_stamp(at_ns: int) -> str:
    """ISO 8601 in UTC, to the nanosecond."""
    seconds, rest = divmod(at_ns, 10**9)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def moment_ns(moment: datetime, zone: tzinfo) -> int:
    """UTC ns of a moment, exactly; in `zone` where it has none of its own."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone, fold=0)
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1000
