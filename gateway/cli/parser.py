"""The command line's parser: argparse in the terminal's language."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any, NoReturn

from gateway.cli.words import laid_out, told

if TYPE_CHECKING:
    from collections.abc import Iterable


class Help(argparse.RawDescriptionHelpFormatter):
    """Help whose headings and texts are in the terminal's language."""

    def add_usage(
        self,
        usage: str | None,
        actions: Iterable[argparse.Action],
        groups: Iterable[argparse._MutuallyExclusiveGroup],  # pyright: ignore[reportPrivateUsage] - argparse's own signature
        prefix: str | None = None,
    ) -> None:
        """The usage, behind its word."""
        super().add_usage(usage, actions, groups, told("usage: ") if prefix is None else prefix)

    def start_section(self, heading: str | None) -> None:
        """A section, under its heading."""
        super().start_section(told(heading) if heading else heading)

    def add_text(self, text: str | None) -> None:
        """A description or epilogue."""
        super().add_text(laid_out(text) if text else text)

    def _expand_help(self, action: argparse.Action) -> str:
        return told(super()._expand_help(action))


class Parser(argparse.ArgumentParser):
    """A parser, and the type of its verbs' parsers."""

    def __init__(self, *, formatter_class: type[argparse.HelpFormatter] = Help, **settings: Any) -> None:
        super().__init__(formatter_class=formatter_class, **settings)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the arguments, and end: exit code 2."""
        self.print_usage(sys.stderr)
        self.exit(2, f"{self.prog}: {told('error: ')}{told(message)}\n")
