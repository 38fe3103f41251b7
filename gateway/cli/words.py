"""What the command line says, in the terminal's language.

Sentences stand in English where they are made; under a Chinese locale they are put into Chinese as they are shown, by
chinese.toml: whole ones, and the fragments that findings are made of. What has no Chinese stays as it is, and so does
what is for machines (`--json`, the log).
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

import msgspec

from gateway.language import of_environment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.language import Language

FINDING = re.compile(r"(?s)(?P<place>[^\n]*?:\d+  )(?P<warning>warning: )?(?P<path>[\w.\[\]-]+: )?(?P<problem>.*)")
ROW = re.compile(r"(.*\S {2,})(\S.*)")
PLACE = re.compile(r"\{(\w)\}")
NUMBERS = ("n", "m")  # placeholders of these names stand for digits alone


def chinese() -> bool:
    """Whether the terminal's language is Chinese."""
    return of_environment() == "zh"


def told(text: str) -> str:
    """The text in the terminal's language."""
    return _in_chinese(text) if text and chinese() else text


def finding(text: str) -> str:
    """A finding, `file:line  path: problem`, in the terminal's language; its place and path stay as they are."""
    parts = FINDING.fullmatch(text)
    if parts is None or not chinese():
        return told(text)
    warning = told("warning: ") if parts["warning"] else ""
    return f"{parts['place']}{warning}{parts['path'] or ''}{told(parts['problem'])}"


def laid_out(text: str) -> str:
    """A text of several lines in the terminal's language: what `paragraphs` finds in it, each for itself."""
    if not chinese():
        return text
    return "\n".join(kept + _in_chinese(said) if said else kept for kept, said in paragraphs(text))


def paragraphs(text: str) -> list[tuple[str, str]]:
    """(what stays, what is said) of each part of a text of several lines; either may be empty.

    Lines that begin at the margin are one paragraph, said in one line. Two spaces or more part a row of a table, whose
    last column is said and the others stay. Other lines, indented or empty, stay.
    """
    parts: list[tuple[str, str]] = []
    flowing = False
    for line in text.split("\n"):
        row = ROW.fullmatch(line)
        flows = not row and line[:1].strip() != ""
        if row:
            parts.append((row[1], row[2]))
        elif flows and flowing:
            parts[-1] = ("", f"{parts[-1][1]} {line}")
        else:
            parts.append(("", line) if flows else (line, ""))
        flowing = flows
    return parts


def counted(language: Language, count: int, noun: str) -> str:
    """`2 sensors`, `1 rule`, `no errors`; `2 个传感器`."""
    if language == "en":
        return f"{count or 'no'} {noun}{'' if count == 1 else 's'}"
    measure, word = table().nouns[noun]
    return f"{count} {measure}{word}" if count else f"没有{word}"


def listed(language: Language, parts: Sequence[str]) -> str:
    """Parts of an enumeration."""
    return (", " if language == "en" else "、").join(parts)


def summed(name: str) -> str:
    """What a number of the demo's summary counts: `points delivered`."""
    return table().summary[name] if chinese() else name.replace("_", " ")


def _in_chinese(text: str) -> str:
    whole = table().sentences.get(text)
    if whole is not None:
        return whole
    for pattern, replacement in _patterns():
        text = pattern.sub(replacement, text)
    return text


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """chinese.toml."""

    nouns: dict[str, tuple[str, str]]
    summary: dict[str, str]
    sentences: dict[str, str]
    fragments: dict[str, str]


@cache
def table() -> Table:
    """The command line's Chinese."""
    text = files("gateway.cli").joinpath("chinese.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), Table)


@cache
def _patterns() -> list[tuple[re.Pattern[str], str]]:
    return [(pattern_of(english), replacement_of(ours)) for english, ours in table().fragments.items()]


def pattern_of(english: str) -> re.Pattern[str]:
    """The expression that finds a fragment. `{x}` stands for any text; one at either end takes all that is there."""
    literals, names = _parted(english)
    begins = "" if (literals[0] or names[0] in NUMBERS) and not english.startswith("^") else r"\A"
    ends = "" if literals[-1] or names[-1] in NUMBERS else r"\Z"
    body = re.escape(literals[0])
    for name, literal in zip(names, literals[1:], strict=True):
        body += rf"(?P<{name}>{'[0-9]+' if name in NUMBERS else '.+?'})" + re.escape(literal)
    return re.compile(begins + body + ends, re.DOTALL)


def replacement_of(ours: str) -> str:
    """A fragment's Chinese for `re.sub`."""
    return PLACE.sub(r"\\g<\1>", ours.replace("\\", r"\\"))


def _parted(english: str) -> tuple[list[str], list[str]]:
    """What a fragment says literally, and the names of the places between."""
    parts = PLACE.split(english.removeprefix("^"))
    return parts[0::2], parts[1::2]
