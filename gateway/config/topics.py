"""A topic filter as configuration writes it, `air/{site}/{device}/up`: what is subscribed, and the tags in a topic."""

from __future__ import annotations

import re
from typing import ClassVar, Self

import msgspec

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_LONGEST = 65_535  # bytes, by MQTT 5 §1.5.4


class TopicPattern(msgspec.Struct, frozen=True):
    """A route's topic filter: `{name}` stands for one level and becomes a tag, `+` for one level, `#` for the rest.

    `filter` is the MQTT filter (MQTT 5 §4.7) to subscribe to; `names` are the tags, in order. Before it may stand
    `$share/<group>/` (§4.8.2): the broker hands each message to one of the group's subscribers, on its own topic.
    """

    EXAMPLES: ClassVar = ("air/{site}/{device}/up", "gauges/+/level", "plant/#", "$share/gateways/air/{device}/up")

    text: str
    filter: str
    names: tuple[str, ...]
    regex: re.Pattern[str]

    @classmethod
    def parse(cls, text: object) -> Self:
        """Read `air/{site}/{device}/up`. Raises ValueError saying what was found and what is allowed."""
        if not isinstance(text, str) or not text:
            raise ValueError(f"found {text!r}; a topic is written such as air/{{site}}/{{device}}/up")
        if len(text.encode("utf-8", "surrogatepass")) > _LONGEST:
            raise ValueError(f"found a topic of {len(text)} characters; at most {_LONGEST} bytes are allowed")
        if any(ord(c) < 32 or 0xD800 <= ord(c) < 0xE000 for c in text):
            raise ValueError(f"found {text!r}; a topic has no control characters")
        shared, rest = _shared(text)
        levels = rest.split("/")
        names = [level[1:-1] for level in levels if level.startswith("{") and level.endswith("}")]
        for place, level in enumerate(levels):
            _check_level(text, level, last=place == len(levels) - 1)
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"found {{{twice[0]}}} twice in {text!r}; each name stands once")
        subscribe = shared + "/".join("+" if level.startswith("{") else level for level in levels)
        return cls(text, subscribe, tuple(names), re.compile(_expression(levels), re.DOTALL))

    def match(self, topic: str) -> dict[str, str] | None:
        """The tags in `topic`, or None where it does not fit. A name never stands for an empty level: it is a tag."""
        found = self.regex.fullmatch(topic)
        return found.groupdict() if found else None

    def __str__(self) -> str:
        return self.text


def _shared(text: str) -> tuple[str, str]:
    """The prefix of a shared subscription, with its last slash, and the filter that deliveries match."""
    if text != "$share" and not text.startswith("$share/"):
        return "", text
    group, slash, rest = text[len("$share/") :].partition("/")
    if not group or not slash or not rest or any(c in "+#{}" for c in group):
        raise ValueError(f"found {text!r}; a shared subscription is written such as $share/gateways/air/{{device}}/up")
    return f"$share/{group}/", rest


def _check_level(text: str, level: str, *, last: bool) -> None:
    if level == "#":
        if not last:
            raise ValueError(f"found # inside {text!r}; it stands only at the end, as a level of its own")
        return
    if level == "+":
        return
    if level.startswith("{") and level.endswith("}"):
        if not _NAME.fullmatch(level[1:-1]):
            raise ValueError(f"found {level!r} in {text!r}; a name has letters, digits and _, such as {{device}}")
        return
    wrong = next((c for c in "#+{}" if c in level), None)
    if wrong:
        raise ValueError(
            f"found {wrong} inside the level {level!r} of {text!r}; it takes a whole level between slashes"
        )


def _expression(levels: list[str]) -> str:
    parts: list[str] = []
    for place, level in enumerate(levels):
        slash = "/" if place else ""
        if level == "#":
            parts.append(r"(?:/.*)?" if place else ".*")  # a/# also matches a (MQTT 5 §4.7.1.2)
        elif level == "+":
            parts.append(slash + "[^/]*")
        elif level.startswith("{"):
            parts.append(slash + f"(?P<{level[1:-1]}>[^/]+)")
        else:
            parts.append(slash + re.escape(level))
    # a wildcard in the first level never matches $SYS and its like (MQTT 5 §4.7.2)
    guard = r"(?!\$)" if levels[0] in {"#", "+"} or levels[0].startswith("{") else ""
    return guard + "".join(parts)
