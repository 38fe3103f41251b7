"""One value of a payload to what is stored, by the kind its route declares. Each refusal says what was found.

| kind  | taken                                                            | stored as            |
|-------|------------------------------------------------------------------|----------------------|
| float | a number, or its plain decimal text ("3.20", "-1e-3")            | float64              |
| int   | a whole number up to ±2^53, or its text                          | float64, exact       |
| bool  | true, false, 1, 0, or the texts true false on off 1 0, any case   | 1.0, 0.0             |
| str   | a text up to 64 kB (InfluxDB takes no longer one), a whole number | str                  |

Texts of numbers are taken since many devices print them with a format string; NaN, Inf, hexadecimal and decimal commas
are refused. `true` is refused where a number is stored: a relay's route says `kinds: {relay: bool}`.
"""

from __future__ import annotations

import math
import re

NUMBER = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
EXACT = 2**53  # the greatest whole number up to which float64 holds every one
LONGEST_TEXT = 65_535  # bytes: InfluxDB's bound on a string field
_TRUTH = {"true": 1.0, "on": 1.0, "1": 1.0, "false": 0.0, "off": 0.0, "0": 0.0}
_MANY_DIGITS = 400  # beyond it no number is a float64


def shown(value: object) -> str:
    """A value for an error's line, at most about 40 characters."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, int) and abs(value) >= 10**40:
        return "a number of more than 40 digits"
    text = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
    return text if len(text) <= 40 else f"{text[:36]}… ({len(text)} characters)"


def stored(value: object, kind: str) -> float | str:
    """What is stored of a JSON value. Raises ValueError saying what was found and what is taken."""
    if kind == "str":
        return _text(value)
    if kind == "bool":
        return _truth(value)
    number = _number(value)
    if kind == "int":
        if abs(number) > EXACT:
            raise ValueError(f"found {shown(value)}; whole numbers beyond ±2^53 are not held exactly")
        if number != math.floor(number):
            raise ValueError(f"found {shown(value)}; expected a whole number")
    return float(number)


def _number(value: object) -> float:
    if isinstance(value, str):
        text = value.strip()
        if not NUMBER.fullmatch(text):
            raise ValueError(f"found {shown(value)}; expected a number")
        value = int(text) if len(text) < _MANY_DIGITS and text.lstrip("+-").isdigit() else float(text)
    if isinstance(value, bool):
        raise ValueError(f"found {shown(value)}; expected a number (kinds: {{…: bool}} stores true and false)")  # noqa: TRY004  a device's type, not a caller's
    if isinstance(value, int):
        if abs(value) >= 2**1024 - 2**970:  # rounds beyond the greatest float64
            raise ValueError(f"found {shown(value)}; the number is too large")
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"found {'NaN' if math.isnan(value) else 'a number too large (or Inf)'}; it is not stored")
        return value
    raise ValueError(f"found {shown(value)}; expected a number")


def _truth(value: object) -> float:
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, (int, float)) and value in {0, 1}:
        return float(value)
    if isinstance(value, str) and value.strip().lower() in _TRUTH:
        return _TRUTH[value.strip().lower()]
    raise ValueError(f"found {shown(value)}; expected true or false")


def _text(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**40:
        return str(value)
    if not isinstance(value, str):
        raise ValueError(f"found {shown(value)}; expected a text")  # noqa: TRY004  a device's type, not a caller's
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise ValueError("found a text with half a surrogate pair; it is not UTF-8") from None
    if size > LONGEST_TEXT:
        raise ValueError(f"found a text of {size} bytes; at most {LONGEST_TEXT} are stored")
    return value
