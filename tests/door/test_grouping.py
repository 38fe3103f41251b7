"""However inputs are cut into commits, grouped into transactions and interrupted: the same stream, the same state."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.clock import ReplayClock
from gateway.door import Door
from gateway.outbox import Outbox
from tests.door.echo import EchoCore, messages
from tests.door.test_times import START_NS

if TYPE_CHECKING:
    from gateway.events import Input

BODIES = st.lists(st.sampled_from(["a", "bcd", "alert", "raise", "ask", "none", "bad"]), min_size=1, max_size=25)
SINKS = [("all", "series", "oldest"), ("all", "alerts", "oldest"), ("all", "requests", "oldest")]


async def _come_to(batches: list[list[Input]], folder: Path, *, linger_ns: int, stops: set[int]) -> list[object]:
    """What the inputs come to: the three streams, and the state. Behind the batches in `stops` is a restart."""
    clock = ReplayClock(START_NS)
    core = EchoCore()
    outbox = Outbox.open(folder, clock)
    await outbox.declare(SINKS)
    door = Door(core, outbox, clock, linger_ns=linger_ns)
    await door.start()
    for number, batch in enumerate(batches):
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(door.commit(batch))
            await asyncio.sleep(0)
            door.seal()
        if number in stops:
            await door.stop()
            await outbox.close()
            core = EchoCore()
            outbox = Outbox.open(folder, clock)
            await outbox.declare(SINKS)
            door = Door(core, outbox, clock, linger_ns=linger_ns)
            await door.start()
    streams = [await outbox.read(stream, "all", 10_000, 10_000_000) for stream in ("series", "alerts", "requests")]
    letters = [one.letter.body for one in await outbox.letters()]
    await door.stop()
    await outbox.close()
    series = [line.rsplit(b" ", 1)[0] for line in b"".join(row.body for row in streams[0]).splitlines()]  # without n
    return [series, [row.body for row in streams[1]], len(streams[2]), letters, core.snapshot()]


@settings(max_examples=30, deadline=None)
@given(bodies=BODIES, cuts=st.sets(st.integers(1, 24)), stops=st.sets(st.integers(0, 5)), linger=st.booleans())
def test_grouping_and_restarts_change_nothing(
    bodies: list[str], cuts: set[int], stops: set[int], *, linger: bool
) -> None:
    """Given any inputs, poisonous ones among them, when cut anywhere and stopped between, then all is the same."""
    inputs = messages(*bodies)
    edges = [0, *sorted(cut for cut in cuts if cut < len(inputs)), len(inputs)]
    batches: list[list[Input]] = [list(inputs[a:b]) for a, b in itertools.pairwise(edges)]
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        whole = asyncio.run(_come_to([list(inputs)], Path(one), linger_ns=0, stops=set()))
        parts = asyncio.run(_come_to(batches, Path(other), linger_ns=10**11 if linger else 0, stops=stops))
    assert parts == whole
