"""Who follows closely gets what was written just now from memory, as the file has it, and never what is gone."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from gateway.clock import WallClock
from gateway.outbox import Budget, Outbox, reading
from gateway.outbox.fresh import MOST_BYTES
from gateway.outbox.schema import FILE
from gateway.ports import Rejected
from tests.outbox.conftest import SINKS, alert, transaction, write

if TYPE_CHECKING:
    from pathlib import Path

    from tests.outbox.conftest import Open


@pytest.fixture
def file_reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which streams were read from the file."""
    asked: list[str] = []
    read = reading.next_rows

    def noting(connection: object, stream: str, *more: object) -> reading.Found:
        asked.append(stream)
        return read(connection, stream, *more)  # pyright: ignore[reportArgumentType, reportCallIssue] - passed on

    monkeypatch.setattr(reading, "next_rows", noting)
    return asked


async def test_a_sink_that_follows_closely_reads_no_file(opened: Open, file_reads: list[str]) -> None:
    """Given a sink that has everything, when a transaction is stored, then it gets the file's rows without the file."""
    async with opened() as outbox:
        await outbox.declare([("mqtt", "alerts", "oldest"), ("other", "alerts", "oldest")])
        assert await outbox.read("alerts", "mqtt", 10, 10_000) == []
        await write(outbox, transaction(b"a 1", alerts=[alert(7), alert(8), alert(9)]))
        file_reads.clear()
        two, one = await outbox.read("alerts", "mqtt", 2, 10_000), await outbox.read("alerts", "mqtt", 9, 1)
        assert two[:1] == one, "the first alone where it is larger than what is allowed"
        await outbox.advance("alerts", "mqtt", two, [])
        last = await outbox.read("alerts", "mqtt", 2, 10_000)
        await outbox.advance("alerts", "mqtt", last, [])
        assert await outbox.read("alerts", "mqtt", 2, 10_000) == []
        assert file_reads == []
        assert await outbox.read("alerts", "other", 10, 10_000) == [*two, *last], "the file, for who has not looked yet"


async def test_who_is_behind_reads_the_file_first(opened: Open, file_reads: list[str]) -> None:
    """Given a sink that missed a transaction, when another is stored, then it gets both, in order."""
    async with opened() as outbox:
        assert await outbox.read("series", "influx", 10, 10_000) == []
        await write(outbox, transaction(b"a 1"))
        await write(outbox, transaction(b"b 2"))
        file_reads.clear()
        assert [row.body for row in await outbox.read("series", "influx", 10, 10_000)] == [b"a 1", b"b 2"]
        assert file_reads == ["series"]


async def test_letters_that_people_ask_for_again_come_before_what_is_new(opened: Open) -> None:
    """Given a refused row, when people ask for it again and something new is stored, then the letter comes first."""
    async with opened() as outbox:
        await write(outbox, transaction(b"a 1\nbad 2"))
        rows = await outbox.read("series", "influx", 10, 10_000)
        await outbox.advance("series", "influx", rows, [Rejected(rows[0], b"bad 2", "no")])
        assert await outbox.read("series", "influx", 10, 10_000) == []
        assert await outbox.retry() == 1
        await write(outbox, transaction(b"c 3"))
        again = await outbox.read("series", "influx", 10, 10_000)
        assert [(row.body, row.position < 0) for row in again] == [(b"bad 2", True)]
        assert await outbox.read("series", "influx", 10, 10_000) == again, "and again, until it is delivered"
        await outbox.advance("series", "influx", again, [])
        assert [row.body for row in await outbox.read("series", "influx", 10, 10_000)] == [b"c 3"]


async def test_what_was_dropped_since_is_not_delivered_from_memory(tmp_path: Path) -> None:
    """Given rows in memory, when the budget takes them from the file, then the sink does not get them."""
    outbox = Outbox.open(tmp_path, WallClock(), bounds=Budget(bytes=1))
    await outbox.declare(SINKS)
    assert await outbox.read("series", "influx", 10, 10_000) == []
    await write(outbox, transaction(b"a 1" * 1000))
    assert [gap.rows for gap in await outbox.gaps()] == [1]
    assert await outbox.read("series", "influx", 10, 10_000) == []
    await outbox.close()


async def test_a_transaction_of_many_megabytes_is_not_kept(opened: Open, file_reads: list[str]) -> None:
    """Every buffer is bounded: what is larger is read from the file."""
    async with opened() as outbox:
        assert await outbox.read("series", "influx", 10, 10_000) == []
        await write(outbox, transaction(*[b"a" * (MOST_BYTES // 2)] * 3))
        file_reads.clear()
        assert len(await outbox.read("series", "influx", 10, 10**7)) == 3
        assert file_reads == ["series"]


@pytest.mark.parametrize("rides", [True, False])
async def test_cursors_of_alerts_are_stored_together_with_the_next_transaction_or_soon(
    opened: Open, tmp_path: Path, rides: bool
) -> None:
    """Given an alert that two sinks have, then both cursors reach the file in one write, and before the next alert's.

    Until then a crash has it delivered again.
    """

    def stored() -> dict[str, int]:
        with closing(sqlite3.connect(tmp_path / FILE)) as file:
            return dict(file.execute("SELECT sink, position FROM cursors").fetchall())

    async with opened() as outbox:
        await outbox.declare([("mqtt", "alerts", "oldest"), ("history", "alerts", "oldest")])
        await write(outbox, transaction(alerts=[alert(7)]))
        for sink in ("mqtt", "history"):
            await outbox.advance("alerts", sink, await outbox.read("alerts", sink, 10, 10_000), [])
        assert stored() == {"mqtt": 0, "history": 0}
        if rides:
            await write(outbox, transaction(b"a 1"))
            assert stored() == {"mqtt": 1, "history": 1}
        else:
            seen = [stored()]
            async with asyncio.timeout(10):
                while seen[-1] != {"mqtt": 1, "history": 1}:
                    await asyncio.sleep(0.01)
                    seen.append(stored())
            assert set(map(len, map(set, (one.values() for one in seen)))) == {1}, "both at once"
