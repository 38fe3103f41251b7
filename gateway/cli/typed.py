"""Types of the command line's arguments, whose errors say what was found and what is allowed."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def typed(parse: Callable[[str], T]) -> Callable[[str], T]:
    """An argument's type from a `parse` that raises ValueError."""

    def read(text: str) -> T:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return read


def positive(text: str) -> int:
    """A whole number from 1 up."""
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"found {text!r}; a whole number from 1 up is expected")
    return number
