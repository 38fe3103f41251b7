"""What is stored stays stored, each sink gets it from where it was, and what all have is deleted."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import TYPE_CHECKING

import msgspec
import pytest

from gateway.clock import WallClock
from gateway.errors import ConfigError, OutboxError
from gateway.events import AlertRow, DeadLetter, RequestRow
from gateway.outbox import Outbox, dead, writing
from gateway.outbox.schema import FILE
from gateway.ports import Rejected
from tests.outbox.conftest import SINKS, alert, transaction, write

if TYPE_CHECKING:
    from pathlib import Path

    from tests.outbox.conftest import Open


async def test_a_sink_reads_from_its_cursor_also_after_a_restart(opened: Open) -> None:
    """Given three rows, one delivered, when the outbox is opened again, then the sink gets the other two."""
    async with opened() as outbox:
        await write(outbox, transaction(b"a 1", b"b 2\nc 3"))
        await write(outbox, transaction(b"d 4"))
        rows = await outbox.read("series", "influx", 1, 1000)
        assert [(row.position, row.body, row.count) for row in rows] == [(1, b"a 1", 1)]
        await outbox.advance("series", "influx", rows, [])
    async with opened() as outbox:
        rows = await outbox.read("series", "influx", 10, 1000)
        assert [(row.position, row.body, row.count) for row in rows] == [(2, b"b 2\nc 3", 2), (3, b"d 4", 1)]


async def test_a_read_is_bounded_by_bytes_but_never_empty(opened: Open) -> None:
    """Given rows of 10 bytes, when 25 bytes are allowed, two come; when 5 are, one comes."""
    async with opened() as outbox:
        await write(outbox, transaction(*[b"0123456789"] * 4))
        assert len(await outbox.read("series", "influx", 10, 25)) == 2
        assert len(await outbox.read("series", "influx", 10, 5)) == 1


async def test_alerts_and_requests_are_rows_of_their_own(opened: Open) -> None:
    """Given an alert and a request, when sinks read them, then they decode to what was given, with their keys."""
    request = RequestRow("cmd-1", "reply", "mqtt", 99, b"{}")
    async with opened() as outbox:
        await write(outbox, transaction(alerts=[alert(7), alert(8)], requests=[request]))
        rows = await outbox.read("alerts", "mqtt", 10, 10_000)
        assert [row.key for row in rows] == ["flood-1/7", "flood-1/8"]
        assert [msgspec.msgpack.decode(row.body, type=AlertRow) for row in rows] == [alert(7), alert(8)]
        [row] = await outbox.read("requests", "replies", 10, 10_000)
        assert (row.key, msgspec.msgpack.decode(row.body, type=RequestRow)) == ("cmd-1", request)
    async with opened() as outbox:
        assert outbox.resumed.next_seq == 9


async def test_a_new_sink_starts_at_now_or_oldest_and_a_removed_one_is_released(
    opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    """Given rows, when sinks change, then `now` gets none of them, `oldest` all, and a removed cursor is said."""
    async with opened() as outbox:
        await write(outbox, transaction(b"a"))
        await outbox.declare([*SINKS, ("now", "series", "now"), ("oldest", "series", "oldest")])
        assert await outbox.read("series", "now", 10, 100) == []
        assert len(await outbox.read("series", "oldest", 10, 100)) == 1
        await outbox.declare(SINKS)
        assert "sink now is no longer configured" in caplog.text
        with pytest.raises(KeyError):
            outbox.cursor("series", "now")


async def test_two_sinks_of_one_name_and_stream_are_refused_and_take_nothing_from_each_other(opened: Open) -> None:
    """Given sinks, when another of the same name and stream is declared with them, then what was declared stays."""
    async with opened() as outbox:
        await write(outbox, transaction(b"a 1"))
        with pytest.raises(ConfigError, match=r"sinks\.influx: two sinks of this name take series; rename one"):
            await outbox.declare([*SINKS, ("influx", "series", "now")])
        await outbox.declare([*SINKS, ("influx", "alerts", "now")])
        assert len(await outbox.read("series", "influx", 10, 1000)) == 1


async def test_what_every_sink_has_is_deleted_and_nothing_else(opened: Open, tmp_path: Path) -> None:
    """Given two sinks of one stream, when one is behind, then only what both have goes, and positions go on."""
    async with opened() as outbox:
        await outbox.declare([*SINKS, ("slow", "series", "oldest")])
        await write(outbox, transaction(b"a", b"b", b"c"))
        await outbox.advance("series", "influx", await outbox.read("series", "influx", 3, 100), [])
        await outbox.advance("series", "slow", await outbox.read("series", "slow", 1, 100), [])
    assert _count(tmp_path, "series") == 2
    async with opened() as outbox:  # `slow` is gone
        await write(outbox, transaction(b"d"))
        [row] = await outbox.read("series", "influx", 10, 100)
        assert (row.position, row.body) == (4, b"d")
        await outbox.advance("series", "influx", [row], [])
    assert _count(tmp_path, "series") == 0
    async with opened() as outbox:
        assert await outbox.read("series", "influx", 10, 100) == [], "an empty outbox resends nothing"
        await write(outbox, transaction(b"e"))
        assert [row.position for row in await outbox.read("series", "influx", 10, 100)] == [5]


async def test_the_file_gives_room_back(opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a large backlog that was delivered, when the outbox is idle, then the file shrinks."""
    monkeypatch.setattr(writing, "VACUUM_FROM_PAGES", 100)
    monkeypatch.setattr("gateway.outbox.disk.IDLE_S", 0.01)
    async with opened() as outbox:
        for _ in range(20):
            await write(outbox, transaction(b"x" * 200_000))
        grown = outbox.stats().bytes
        while rows := await outbox.read("series", "influx", 100, 1_000_000):
            await outbox.advance("series", "influx", rows, [])
        with sqlite3.connect(tmp_path / FILE) as other:
            while other.execute("PRAGMA freelist_count").fetchone()[0] > 100 or _count(tmp_path, "series"):  # noqa: ASYNC110 - another thread tidies
                await asyncio.sleep(0.01)
        other.close()
        assert grown > 4_000_000
    assert outbox.path.stat().st_size < 1_000_000


async def test_who_waits_is_woken_by_new_rows_of_its_stream(opened: Open) -> None:
    """Given a sink that waits, when a row of its stream is stored, then it is woken, and not before."""
    async with opened() as outbox, asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(outbox.changed("alerts", 0, outbox.asks))
        await write(outbox, transaction(b"a"))
        await asyncio.sleep(0)
        assert not waiting.done()
        await write(outbox, transaction(alerts=[alert(1)]))
        await waiting


async def test_what_a_sink_refuses_is_kept_and_offered_again_to_it_alone(opened: Open) -> None:
    """Given a refused line, when people ask again, then that sink reads it once more, and a second refusal is kept."""
    async with opened() as outbox:
        await outbox.declare([*SINKS, ("other", "series", "oldest")])
        await write(outbox, transaction(b"good 1\nbad 2\n"))
        rows = await outbox.read("series", "influx", 10, 100)
        await outbox.advance("series", "influx", rows, [Rejected(rows[0], b"bad 2\n", "out of retention")])
        [letter] = await outbox.letters()
        assert (letter.letter.where, letter.letter.reason, letter.letter.body) == (
            "influx",
            "out of retention",
            b"bad 2\n",
        )
        assert await outbox.read("series", "influx", 10, 100) == []
        assert await outbox.retry([letter.id]) == 1
        await outbox.advance("series", "other", await outbox.read("series", "other", 10, 100), [])
        assert await outbox.read("series", "other", 10, 100) == []
        [again] = await outbox.read("series", "influx", 10, 100)
        assert (again.position, again.body, again.count) == (-letter.id, b"bad 2\n", 1)
        await outbox.advance("series", "influx", [again], [Rejected(again, again.body, "still out of retention")])
        assert await outbox.read("series", "influx", 10, 100) == []
        [letter] = await outbox.letters()
        assert (letter.letter.reason, letter.retry) == ("still out of retention", False)
        await outbox.retry()
        await outbox.advance("series", "influx", await outbox.read("series", "influx", 10, 100), [])
        assert await outbox.letters() == []
        assert outbox.stats().dead_bytes == 0


async def test_dead_letters_are_bounded_the_oldest_go_and_are_counted(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a bound, when letters exceed it, then the oldest are dropped and counted."""
    monkeypatch.setattr(dead, "BOUND_BYTES", 3000)
    async with opened() as outbox:
        for n in range(10):
            await write(outbox, transaction(dead=[("here", DeadLetter(n, "route", "t", "why", b"x" * 900))]))
        assert [one.letter.at_ns for one in await outbox.letters()] == [9, 8]
        assert (outbox.stats().dead_dropped, outbox.stats().dead_bytes <= 3000) == (8, True)


async def test_another_process_that_asks_again_is_noticed(
    opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a running outbox, when another process marks a letter, then the sink that waits is woken."""
    monkeypatch.setattr("gateway.outbox.disk.IDLE_S", 0.01)
    async with opened() as outbox, asyncio.TaskGroup() as tasks:
        await write(outbox, transaction(b"bad"))
        rows = await outbox.read("series", "influx", 10, 100)
        await outbox.advance("series", "influx", rows, [Rejected(rows[0], b"bad", "no")])
        waiting = tasks.create_task(outbox.changed("series", outbox.cursor("series", "influx"), outbox.asks))
        await asyncio.sleep(0)
        with sqlite3.connect(tmp_path / FILE) as other:
            other.execute("UPDATE dead SET retry = 1")
        other.close()
        await waiting
        assert [row.body for row in await outbox.read("series", "influx", 10, 100)] == [b"bad"]


async def test_state_marks_counters_and_subscriptions_come_back(opened: Open) -> None:
    """Given transactions with state, when the outbox opens again, then it finds snapshots, deltas and marks."""
    async with opened() as outbox:
        epoch = outbox.epoch
        await write(outbox, transaction(deltas=[b"d1"], marks={"here": (b"\1\0", b"\2\0\0\0")}))
        every = {"here": (b"\1\0", b"\2\0\0\0")}
        await write(outbox, transaction(deltas=[b"d2"], snapshot=b"s2", all_marks=every))
        await write(outbox, transaction(deltas=[b"d3", b"d4"], next_n=9, marks={"here": (b"\3\0", b"\4\0\0\0")}))
        await outbox.keep_subscriptions("here", ["a/+", "b/#"])
    async with opened() as outbox:
        assert outbox.epoch == epoch
        [checkpoint] = outbox.resumed.checkpoints
        assert (checkpoint.snapshot, checkpoint.deltas) == (b"s2", [b"d3", b"d4"])
        assert outbox.resumed.marks == {"here": (b"\1\0\3\0", b"\2\0\0\0\4\0\0\0")}
        assert outbox.resumed.next_n == 9
        assert await outbox.subscriptions("here") == {"a/+", "b/#"}
        assert await outbox.subscriptions("there") == frozenset()


async def test_two_snapshots_are_kept_with_what_came_after_the_older(opened: Open, tmp_path: Path) -> None:
    """Given three snapshots, when the newest is spoiled, then the one before it and all later changes are found."""
    async with opened() as outbox:
        for n in range(1, 10):
            snapshot = b"s%d" % n if n % 3 == 0 else None
            await write(outbox, transaction(deltas=[b"d%d" % n], snapshot=snapshot))
    db = sqlite3.connect(tmp_path / FILE)
    db.execute("UPDATE snapshot SET state = CAST(x'00000000' || state AS BLOB) WHERE id = 9")
    db.commit()
    assert db.execute("SELECT id FROM snapshot ORDER BY id").fetchall() == [(6,), (9,)]
    assert db.execute("SELECT min(id) FROM journal").fetchone() == (7,)
    db.close()
    async with opened() as outbox:
        [checkpoint] = outbox.resumed.checkpoints
        assert (checkpoint.snapshot, checkpoint.deltas) == (b"s6", [b"d7", b"d8", b"d9"])
        assert not outbox.notices[1].ok


async def test_one_folder_belongs_to_one_process(opened: Open, tmp_path: Path) -> None:
    """Given an open outbox, when another is opened on its folder, then that is refused, naming the process."""
    async with opened():
        with pytest.raises(OutboxError, match=r"process \d+ uses"):
            Outbox.open(tmp_path, WallClock())


def _count(folder: Path, table: str) -> int:
    db = sqlite3.connect(folder / FILE)
    try:
        return db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608 - our own name
    finally:
        db.close()
