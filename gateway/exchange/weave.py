"""What a live run would have admitted around imported inputs: a start, ticks, and whether its sources were there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.events import Health, Message, Tick
from gateway.exchange.order import span

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from gateway.events import Input
    from gateway.exchange.given import Findings, Given

NS = 1_000_000_000
LONGEST_NS = 366 * 86_400 * NS  # beyond it a time is a clock that was never set: a tick a second would fill the disk
TICK = Tick()
Stamped = tuple[int, "Input"]


def began_ns(first_ns: int) -> int:
    """The whole second before the first input: when the recording begins."""
    return (first_ns - 1) // NS * NS


class Weave:
    """Puts ticks and health between inputs that come in time order.

    What was admitted at a whole second goes before the second's tick. A source is connected from its first message on:
    one of which there is none says nothing of its sensors. With `hole_ns` one from which nothing came for so long is
    taken as not connected until it is heard again, so that nobody is called silent while the file itself has nothing.
    `last_ns` is the time of the last tick.
    """

    def __init__(self, findings: Findings, hole_ns: int | None = None) -> None:
        self.last_ns = 0
        self.ticks = 0
        self.topics: set[tuple[str, str]] = set()
        self._findings = findings
        self._hole_ns = hole_ns
        self._deaf_ns: dict[str, int] = {}  # when a source that is up is taken for deaf
        self._up: set[str] = set()

    def of(self, given: Iterable[Given], start: Sequence[Input], start_ns: int) -> Iterator[Stamped]:
        """Everything with its admission time. `start` comes first, at `start_ns`, a whole second."""
        for one in start:
            yield start_ns, one
        self.last_ns = now_ns = start_ns
        topics = self.topics
        for at_ns, item in given:
            if at_ns > self.last_ns + NS:
                yield from self._until(at_ns - 1)
            if type(item) is Message:
                topics.add((item.source, item.topic))
                if item.source not in self._up:
                    self._up.add(item.source)
                    yield at_ns, Health(f"source/{item.source}", "connected", ok=True)
                if self._hole_ns is not None:
                    self._deaf_ns[item.source] = at_ns + self._hole_ns
            yield at_ns, item
            now_ns = at_ns
        yield from self._until(now_ns + NS - 1)

    def _until(self, to_ns: int) -> Iterator[Stamped]:
        """The ticks after the last one, up to and with `to_ns`."""
        begin, end = self.last_ns + NS, to_ns // NS * NS
        if end - begin > LONGEST_NS:
            self._findings.note(f"nothing for {span((end - begin) / NS)}: no ticks stand there; look at the times")
            begin = end
        for at_ns in range(begin, end + 1, NS):
            if self._hole_ns is not None:
                yield from self._deafened(at_ns)
            yield at_ns, TICK
        self.ticks += max(0, (end - begin) // NS + 1)
        self.last_ns = max(self.last_ns, end)

    def _deafened(self, at_ns: int) -> Iterator[Stamped]:
        for source, deaf_ns in self._deaf_ns.items():
            if deaf_ns <= at_ns and source in self._up:
                self._up.discard(source)
                detail = "nothing is in the imported file for so long (--hole)"
                yield at_ns, Health(f"source/{source}", "connected", ok=False, detail=detail)
