"""What every sink must keep (ports.Sink), checked over all of them; a user's own sink can be given to it too."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, NamedTuple

import pytest

from gateway.errors import TransientError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from gateway.ports import Row, Sink


class Case(NamedTuple):
    """A sink on a working server.

    rows: good rows of its stream; bad: one that is never taken, None where anything is; read: what the other side
    holds, always in the same order; break_: stop the server, mend: start it again (None: nothing that could be away).
    """

    sink: Sink
    rows: Sequence[Row]
    bad: Row | None
    read: Callable[[], Awaitable[Sequence[object]]]
    break_: Callable[[], None] | None = None
    mend: Callable[[], None] | None = None


async def check_sink(case: Case) -> None:
    """Run every check of the contract, in the order in which a gateway would meet them."""
    sink, rows = case.sink, case.rows
    assert sink.stream in ("series", "alerts", "requests")
    assert sink.name
    assert list(await sink.deliver([])) == [], "nothing to deliver is not an error"
    assert list(await sink.deliver(rows[:-1])) == []
    before = await case.read()
    assert len(before) >= len(rows) - 1
    assert list(await sink.deliver(rows[:-1])) == [], "delivering twice is not an error"
    assert await case.read() == before, "delivering twice is harmless"
    if case.bad is not None:
        rejected = await sink.deliver([rows[0], case.bad])
        assert [r.row for r in rejected] == [case.bad], "a bad row is refused alone, and comes back"
        assert rejected[0].reason
        assert rejected[0].body in case.bad.body
    if case.break_ is not None and case.mend is not None:
        case.break_()
        with pytest.raises(TransientError):
            await sink.deliver(rows)
        case.mend()
        await _again(sink, rows)
    assert list(await sink.deliver(rows)) == []
    assert len(await case.read()) > len(before)
    async with AsyncExitStack() as closing:
        closing.push_async_callback(sink.aclose)
        closing.push_async_callback(sink.aclose)


async def _again(sink: Sink, rows: Sequence[Row]) -> None:
    while True:
        try:
            await sink.deliver(rows)
        except TransientError:
            continue
        return
