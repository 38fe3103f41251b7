"""`watch` on a terminal: a table that stays current, and keys; elsewhere one line a change."""

from __future__ import annotations

import asyncio
import os
import sys
import termios
import tty
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from gateway.console import words
from gateway.console.words import Language, pick, say

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from rich.console import Console, RenderableType

    from gateway.console.alert import Alert
    from gateway.console.board import Board

STYLE = {
    "red": "bold white on red",
    "orange": "black on dark_orange",
    "yellow": "black on yellow",
    "blue": "white on blue",
}
FIRST_LINE = 140  # characters: experience.md §2
ARROWS = {b"\x1b[A": "up", b"\x1b[B": "down", b"\x1bOA": "up", b"\x1bOB": "down"}


def state_words(language: Language, alert: Alert) -> str:
    """Whether somebody has it, and whether it still holds."""
    parts = [say(language, "cleared")] if alert.is_cleared else []
    parts += [say(language, "unknown")] if alert.unknown else []
    said = words.verdict(language, alert.verdict, alert.label.who if alert.label else "")
    if alert.is_closed:
        return " · ".join(part for part in (say(language, "closed"), said) if part)
    if alert.is_shelved:
        by, until = (alert.shelved.by, alert.shelved.until[11:16]) if alert.shelved else ("", "")
        parts.append(say(language, "shelved_until", who=by, until=until) if until else say(language, "shelved_plain"))
    elif alert.is_acknowledged:
        by = alert.acknowledged.by if alert.acknowledged else ""
        parts.append(say(language, "acknowledged", who=by) if by else say(language, "acknowledged_plain"))
    else:
        parts.append(say(language, "unacknowledged"))
    parts += [said] if said else []
    return " · ".join(parts)


def _what(language: Language, alert: Alert) -> str:
    return " ".join(part for part in (pick(language, alert.title, alert.rule), alert.which) if part)


def line(language: Language, alert: Alert) -> str:
    """A change in one line: time, colour, code, what, where, state."""
    arrow = {"raised_level": "↑", "lowered_level": "↓", "raised": "+", "closed": "×"}.get(alert.change, " ")
    what = f"{_what(language, alert)} {words.quantity(alert.value, alert.unit or '')}".strip()
    where = " ".join(part for part in (alert.gateway, pick(language, alert.place)) if part)
    changed = alert.label.at if alert.change == "labelled" and alert.label else alert.changed  # nothing else moved
    text = f"{changed[11:19]} {say(language, alert.colour)} {arrow} {alert.code} {what}"
    rest = " · ".join(part for part in (where, state_words(language, alert)) if part)
    return f"{text} · {rest}"[:FIRST_LINE]


def table(language: Language, board: Board, now_ns: int, chosen: str, told: str) -> RenderableType:
    """The whole screen."""
    alerts = board.shown()
    if not alerts:
        return Group(Text(f"✓ {say(language, 'nothing')}", style="bold green"), Text(told, style="dim"))
    rows = Table(expand=True, box=None, header_style="dim", padding=(0, 1), show_edge=False)
    for key in ("column_severity", "column_code", "column_what"):
        rows.add_column(say(language, key), no_wrap=True)
    rows.add_column(say(language, "column_value"), justify="right", no_wrap=True)
    rows.add_column(say(language, "column_where"), ratio=1, overflow="ellipsis", no_wrap=True)
    rows.add_column(say(language, "column_since"), justify="right", no_wrap=True)
    rows.add_column(say(language, "column_state"), no_wrap=True)
    for alert in alerts:
        arrow = " ↑" if alert.change == "raised_level" else " ↓" if alert.change == "lowered_level" else ""
        rows.add_row(
            Text(f" {say(language, alert.colour)}{arrow} ", style=STYLE[alert.colour]),
            alert.code,
            _what(language, alert),
            words.quantity(alert.value, alert.unit or ""),
            " ".join(part for part in (alert.gateway, pick(language, alert.place)) if part),
            words.length(language, now_ns - alert.started_ns),
            state_words(language, alert),
            style="reverse" if alert.id == chosen else "dim" if alert.is_acknowledged or alert.is_shelved else "",
        )
    one = board.find(chosen)
    detail = [Text("")]
    if one:
        detail.append(Text(pick(language, one.text)))
        if do := pick(language, one.do):
            detail.append(Text(f"{say(language, 'do')}: {do}", style="bold"))
    return Group(rows, *detail, Text(told or say(language, "keys"), style="dim"))


@contextmanager
def keys(on_key: Callable[[str], None]) -> Generator[None]:
    """Call `on_key` with each key pressed (letters, digits, up, down), without echo, until the end."""
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    loop = asyncio.get_running_loop()

    def read() -> None:
        pressed = os.read(descriptor, 64)
        if pressed in ARROWS:
            on_key(ARROWS[pressed])
        elif not pressed.startswith(b"\x1b"):
            for letter in pressed.decode("ascii", "ignore"):
                on_key(letter.lower())

    tty.setcbreak(descriptor)
    loop.add_reader(descriptor, read)
    try:
        yield
    finally:
        loop.remove_reader(descriptor)
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


class Screen:
    """The live table on a terminal."""

    def __init__(self, console: Console, language: Language, board: Board) -> None:
        self._language: Language = language
        self._board = board
        # no thread of its own: it is drawn when something is heard and once a second
        self._live = Live(console=console, auto_refresh=False, screen=True)
        self.chosen = ""
        self.told = ""

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.__exit__(None, None, None)

    def draw(self, now_ns: int) -> None:
        """Draw what holds now."""
        shown = [alert.id for alert in self._board.shown()]
        if self.chosen not in shown:
            self.chosen = shown[0] if shown else ""
        self._live.update(table(self._language, self._board, now_ns, self.chosen, self.told), refresh=True)

    def move(self, by: int) -> None:
        """Choose another one."""
        shown = [alert.id for alert in self._board.shown()]
        if shown:
            at = shown.index(self.chosen) if self.chosen in shown else 0
            self.chosen = shown[(at + by) % len(shown)]
