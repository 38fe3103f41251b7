"""Whatever is written, read, refused, asked for again and reopened: each sink gets every row, in order."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway.ports import Rejected
from tests.outbox.driven import Driven

SINKS = [("one", "series", "oldest"), ("two", "series", "oldest")]


class AnyOrder(RuleBasedStateMachine):
    """The model: all bodies ever written, how far each sink is, what it refused and is to get again."""

    def __init__(self) -> None:
        super().__init__()
        self.driven = Driven(SINKS)
        self.written: list[bytes] = []
        self.at = {"one": 0, "two": 0}
        self.refused: dict[str, list[bytes]] = {"one": [], "two": []}
        self.again: dict[str, list[bytes]] = {"one": [], "two": []}

    @initialize()
    def start(self) -> None:
        """Open it for the first time."""
        self.driven.open()

    @rule(bodies=st.lists(st.binary(min_size=1, max_size=50), max_size=5))
    def append(self, bodies: list[bytes]) -> None:
        """Store some rows."""
        self.driven.append(*bodies)
        self.written += bodies

    @rule(sink=st.sampled_from(["one", "two"]), rows=st.integers(1, 4), size=st.integers(1, 120), refuse=st.booleans())
    def deliver(self, sink: str, rows: int, size: int, *, refuse: bool) -> None:
        """Read some, and take them all but, perhaps, the first."""
        got = self.driven.do(self.driven.outbox.read("series", sink, rows, size))
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
        self.driven.do(self.driven.outbox.advance("series", sink, got, rejected))

    @rule()
    def ask_again(self) -> None:
        """People ask for everything refused once more."""
        self.driven.do(self.driven.outbox.retry())
        for sink in ("one", "two"):
            self.again[sink] += self.refused[sink]
            self.refused[sink] = []

    @rule()
    def reopen(self) -> None:
        """Stop in order and start again."""
        self.driven.reopen()

    @invariant()
    def knows_where_it_is(self) -> None:
        """Positions count rows."""
        outbox = self.driven.outbox
        assert outbox.last("series") == len(self.written)
        assert {sink: outbox.cursor("series", sink) for sink in self.at} == self.at

    def teardown(self) -> None:
        """Leave nothing."""
        self.driven.remove()


AnyOrder.TestCase.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
TestAnyOrder = AnyOrder.TestCase
