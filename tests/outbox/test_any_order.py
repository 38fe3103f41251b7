"""Whatever is written, read, refused, asked for again and reopened: each sink gets every row, in order."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway.clock import WallClock
from gateway.outbox import Outbox
from gateway.ports import Rejected
from tests.outbox.conftest import transaction, write

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from gateway.ports import Row

SINKS = [("one", "series", "oldest"), ("two", "series", "oldest")]


class AnyOrder(RuleBasedStateMachine):
    """The model: all bodies ever written, how far each sink is, what it refused and is to get again."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.loop = asyncio.new_event_loop()
        self.written: list[bytes] = []
        self.at = {"one": 0, "two": 0}
        self.refused: dict[str, list[bytes]] = {"one": [], "two": []}
        self.again: dict[str, list[bytes]] = {"one": [], "two": []}
        self.outbox: Outbox | None = None

    def do(self, work: Coroutine[object, object, object]) -> object:
        """Run to the end."""
        return self.loop.run_until_complete(work)

    @initialize()
    def start(self) -> None:
        """Open it for the first time."""
        self.outbox = Outbox.open(self.folder, WallClock())
        self.do(self.outbox.declare(SINKS))

    @rule(bodies=st.lists(st.binary(min_size=1, max_size=50), max_size=5))
    def append(self, bodies: list[bytes]) -> None:
        """Store some rows."""
        assert self.outbox
        self.do(write(self.outbox, transaction(*bodies)))
        self.written += bodies

    @rule(sink=st.sampled_from(["one", "two"]), rows=st.integers(1, 4), size=st.integers(1, 120), refuse=st.booleans())
    def deliver(self, sink: str, rows: int, size: int, *, refuse: bool) -> None:
        """Read some, and take them all but, perhaps, the first."""
        assert self.outbox
        got: list[Row] = self.do(self.outbox.read("series", sink, rows, size))  # pyright: ignore[reportAssignmentType] - what read gives
        if got and got[0].position < 0:
            assert [row.body for row in got] == self.again[sink][: len(got)]
            del self.again[sink][: len(got)]
        else:
            assert not self.again[sink]
            at = self.at[sink]
            assert [row.body for row in got] == self.written[at : at + len(got)]
            assert got or at == len(self.written)
            self.at[sink] += len(got)
        rejected = [Rejected(got[0], got[0].body, "no")] if got and refuse else []
        self.refused[sink] += [one.body for one in rejected]
        self.do(self.outbox.advance("series", sink, got, rejected))

    @rule()
    def ask_again(self) -> None:
        """People ask for everything refused once more."""
        assert self.outbox
        self.do(self.outbox.retry())
        for sink in ("one", "two"):
            self.again[sink] += self.refused[sink]
            self.refused[sink] = []

    @rule()
    def reopen(self) -> None:
        """Stop in order and start again."""
        assert self.outbox
        self.do(self.outbox.close())
        self.start()

    @invariant()
    def knows_where_it_is(self) -> None:
        """Positions count rows."""
        if self.outbox:
            assert self.outbox.last("series") == len(self.written)
            assert {sink: self.outbox.cursor("series", sink) for sink in self.at} == self.at

    def teardown(self) -> None:
        """Leave nothing."""
        if self.outbox:
            self.do(self.outbox.close())
        self.loop.close()
        shutil.rmtree(self.folder)


AnyOrder.TestCase.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
TestAnyOrder = AnyOrder.TestCase
