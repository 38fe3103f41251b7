"""What every importer gives, and what it finds on the way."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Generator

    from gateway.events import Input
    from gateway.recording.beside import Beside as Channel

LONGEST_SHOWN = 60


class Given(NamedTuple):
    """An input and when it came, or when it would have."""

    admitted_ns: int
    input: Input


class Beside(NamedTuple):
    """A message of a channel beside the inputs."""

    channel: Channel
    log_ns: int
    message: bytes


class Importer(Protocol):
    """One way in.

    `inputs` gives inputs in time order, once; it raises GatewayError where nothing at all can be read. `done` is the
    share that was read, 0–1.
    """

    @property
    def name(self) -> str: ...  # noqa: D102 - the Protocol's docstring
    def inputs(self) -> Generator[Given]: ...  # noqa: D102 - as above
    def done(self) -> float: ...  # noqa: D102 - as above


class Bad(NamedTuple):
    """What could not be used for one reason: how often, and the first of it."""

    times: int
    example: str


class Findings:
    """What an import has to say: bad lines by reason, each counted and shown once; notes on what was guessed."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.notes: dict[str, None] = {}
        self._bad: dict[str, Bad] = {}

    def bad(self, where: str, found: str, expected: str) -> None:
        """Something at `where` (file:line) cannot be used: what was found there, and what is expected."""
        was = self._bad.get(expected)
        if was is None:
            self._bad[expected] = Bad(1, f"{where}: found {found}; {expected}")
        else:
            self._bad[expected] = Bad(was.times + 1, was.example)

    def note(self, text: str) -> None:
        """Something to know: said once."""
        self.notes[text] = None

    @property
    def unread(self) -> int:
        """How many lines could not be used."""
        return sum(bad.times for bad in self._bad.values())

    def lines(self) -> list[str]:
        """One line a reason, with how many more there were like its example."""
        return [bad.example + (f" (and {bad.times - 1} more)" if bad.times > 1 else "") for bad in self._bad.values()]


def shown(text: str | bytes) -> str:
    """A piece of a file for an error's line, short and printable."""
    words = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    words = words.rstrip("\r\n")
    return ascii(words if len(words) <= LONGEST_SHOWN else words[: LONGEST_SHOWN - 1] + "…") if words else "nothing"
