"""What is wrong with a configuration: one printable line each, collected so that all are told at once."""

from __future__ import annotations

import re

import msgspec

Path = tuple[str | int, ...]
"""Where something stands in a configuration: ("rules", "flood", "levels")."""

URL_PASSWORD = re.compile(r"(://[^/\s:@]*):[^/\s]*@")


def dotted(path: Path) -> str:
    """`rules.flood.levels`, `cameras.river.zones.bank[2]`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def redacted(text: str) -> str:
    """The text with the password of any URL in it made unreadable."""
    return URL_PASSWORD.sub(r"\1:***@", text)


class Finding(msgspec.Struct, frozen=True):
    """One thing an operator has to know: `file:line  path: problem`. A warning does not stop the gateway."""

    file: str
    line: int
    path: Path
    problem: str
    warning: bool = False

    def __str__(self) -> str:
        where = f"{dotted(self.path)}: " if self.path else ""
        return f"{self.file}:{self.line}  {'warning: ' if self.warning else ''}{where}{self.problem}"
