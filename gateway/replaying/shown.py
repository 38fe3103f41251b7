"""What comparisons share when they are shown: two languages, colours, times as the gateway tells them."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, NamedTuple

from gateway.events import COLOUR_OF

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import RenderableType

    from gateway.language import Language

STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?[+-]\d\d:\d\d")
MOST = 40  # lines of details: a screen; --json has all
BEFORE = 20  # characters
CLIPPED = 60  # characters of one value
STYLE = {"minor": "blue", "moderate": "yellow", "severe": "dark_orange", "extreme": "red"}


COLOURS = {"minor": "蓝", "moderate": "黄", "severe": "橙", "extreme": "红"}


class Words(NamedTuple):
    """Says a thing in the reader's language."""

    language: Language

    def __call__(self, en: str, zh: str) -> str:
        """One of the two."""
        return zh if self.language == "zh" else en

    def colour(self, severity: object) -> str:
        """`orange`; `橙`. What is no severity stays as it is."""
        known = COLOURS if self.language == "zh" else COLOUR_OF
        return known.get(str(severity), brief(severity))

    def many(self, number: int, noun: str, zh: str) -> str:
        """`1 alert`, `3 alerts`; `3 条告警`."""
        return f"{number} {zh}" if self.language == "zh" else f"{number} {noun}{'' if number == 1 else 's'}"


def rendered(parts: Iterable[RenderableType], *, colour: bool, width: int = 110) -> str:
    """Renderables as text; with terminal colours where asked for."""
    from rich.console import Console  # noqa: PLC0415 - who only asks whether two are the same need not load it
    from rich.text import Text  # noqa: PLC0415 - as above

    out = io.StringIO()
    system = "standard" if colour else None
    console = Console(file=out, force_terminal=colour, color_system=system, width=width, highlight=False)
    for part in parts:
        console.print(part, soft_wrap=isinstance(part, str | Text), markup=False)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def clock(stamp: str) -> str:
    """`08-14 02:14:00`: a time for people, milliseconds only where there are some."""
    date, _, rest = stamp.partition("T")
    time, _, fraction = rest[:12].partition(".")
    return f"{date[5:]} {time[:8]}" + (f".{fraction[:3]}" if fraction[:3].strip("0") else "")


def lasting(ns: int) -> str:
    """`3.2 s`, `12 min 05 s`, `2 h 03 min`, for people."""
    seconds = abs(ns) / 1e9
    if seconds < 60:
        return f"{seconds:.3f}".rstrip("0").rstrip(".") + " s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def signed(ns: int) -> str:
    """`+3 s`, `−12 min 00 s`."""
    return f"{'+' if ns >= 0 else '−'}{lasting(ns)}"


def pair(old: object, new: object) -> tuple[str, str]:
    """Two values, short: long ones from shortly before where they part."""
    one, two = str(old), str(new)
    if max(len(one), len(two)) <= CLIPPED:
        return brief(old), brief(new)
    apart = next((i for i, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), min(len(one), len(two)))
    begin = max(0, apart - BEFORE)
    return tuple(brief(("…" if begin else "") + text[begin:]) for text in (one, two))  # pyright: ignore[reportReturnType] - two of two


def brief(value: object) -> str:
    """A value of an alert, short."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.6g}"
    text = " ⏎ ".join(str(value).splitlines())
    if STAMP.fullmatch(text):
        return clock(text)
    return text if len(text) <= CLIPPED else f"{text[: CLIPPED - 1]}…"
