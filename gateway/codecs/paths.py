"""Where in a JSON payload a value sits: `a.b`, `a[0].b`, `["a.b"].c`, `[-1]`; a `$` in front is the top level."""

from __future__ import annotations

import re
from typing import cast

import msgspec

_STEP = re.compile(
    r"""\.?(?P<key>[^.\[\]"'$\s][^.\[\]"']*)|\[(?P<index>-?[0-9]{1,6})\]|\[(?P<quoted>"[^"]+"|'[^']+')\]"""
)


class Path(msgspec.Struct, frozen=True):
    """Steps into a payload: keys and indices. `top`: from the top level also where `each` gives the place to start."""

    steps: tuple[str | int, ...]
    top: bool = False

    @property
    def plain(self) -> bool:
        """Whether it goes through objects only."""
        return all(isinstance(step, str) for step in self.steps)


def parse_path(text: object) -> Path:
    """Read `a[0].b`. Raises ValueError saying what was found and how a path is written."""
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"found {text!r}; a path is written such as data.pm2_5 or readings[0].value")
    text = text.strip()
    top = text.startswith("$")
    place = 1 if top else 0
    steps: list[str | int] = []
    while place < len(text):
        step = _STEP.match(text, place)
        dotted = text[place] == "."
        if not step or (dotted and place == 0) or (not dotted and text[place] != "[" and place != 0):
            raise ValueError(f"found {text!r}; at {text[place:]!r} a key, [0] or a dot and a key is expected")
        if step["index"] is not None:
            steps.append(int(step["index"]))
        else:
            steps.append(step["quoted"][1:-1] if step["quoted"] else step["key"].rstrip())
        place = step.end()
    return Path(tuple(steps), top)


def find(value: object, steps: tuple[str | int, ...]) -> object:
    """What stands there, or None: a missing key, a short list and null are all absent."""
    for step in steps:
        if isinstance(step, str):
            if not isinstance(value, dict):
                return None
            value = cast("dict[str, object]", value).get(step)
        else:
            if not isinstance(value, list):
                return None
            items = cast("list[object]", value)
            if not -len(items) <= step < len(items):
                return None
            value = items[step]
    return value
