"""Starting always succeeds where it can."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

from gateway.clock import WallClock
from gateway.outbox import Outbox, budget
from gateway.outbox.schema import FILE
from tests.outbox.conftest import alert, transaction, write
from tests.outbox.mounted import mounted

if TYPE_CHECKING:
    from pathlib import Path

    from tests.outbox.conftest import Open


async def test_a_torn_file_is_set_aside_and_said(opened: Open, tmp_path: Path) -> None:
    """Given a file cut in the middle, when it is opened, then it is kept beside a fresh one with another epoch."""
    async with opened() as outbox:
        for n in range(50):
            await write(outbox, transaction(b"x" * 10_000, deltas=[b"d"], next_n=n))
        epoch = outbox.epoch
    path = tmp_path / FILE
    torn = path.read_bytes()[: path.stat().st_size // 2 - 1000]
    path.write_bytes(torn)
    async with opened() as outbox:
        assert outbox.durable
        assert outbox.epoch != epoch
        assert outbox.resumed.next_n == 0
        told = {notice.condition: notice for notice in outbox.notices}
        assert not told["sound"].ok
        assert "outbox.sqlite.damaged-1" in told["sound"].detail
        assert (tmp_path / "outbox.sqlite.damaged-1").read_bytes() == torn
        await write(outbox, transaction(b"a"))


@pytest.mark.parametrize("content", [b"this is no database at all" * 100, b"SQLite format 3\x00" + b"\xff" * 5000])
async def test_a_file_that_is_no_store_is_set_aside(opened: Open, tmp_path: Path, content: bytes) -> None:
    """Given something else under that name, twice, when it is opened, then each is kept under its own name."""
    for n in (1, 2):
        (tmp_path / FILE).write_bytes(content)
        async with opened() as outbox:
            assert outbox.durable
            assert f"damaged-{n}" in outbox.notices[1].detail
        assert (tmp_path / f"outbox.sqlite.damaged-{n}").read_bytes() == content


async def test_a_store_of_a_newer_program_is_set_aside(opened: Open, tmp_path: Path) -> None:
    """Given a store with another version, when it is opened, then what was found and expected is said."""
    async with opened():
        pass
    with sqlite3.connect(tmp_path / FILE) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    async with opened() as outbox:
        assert "version 99" in outbox.notices[1].detail


async def test_a_folder_of_that_name_is_set_aside(opened: Open, tmp_path: Path) -> None:
    """Given a folder where the file should be, when it is opened, then it is renamed."""
    (tmp_path / FILE).mkdir()
    async with opened() as outbox:
        assert outbox.durable
    assert (tmp_path / "outbox.sqlite.damaged-1").is_dir()


async def test_a_place_that_cannot_be_made_means_memory(opened: Open) -> None:
    """Given a state folder that cannot be made, when it is opened, then everything works in memory, and says so."""
    from pathlib import Path  # noqa: PLC0415 - only this test names a place outside its folder

    async with opened(Path("/proc/zhiwang/state")) as outbox:
        assert not outbox.durable
        assert not outbox.notices[0].ok
        assert "/proc/zhiwang/state" in outbox.notices[0].detail
        await write(outbox, transaction(b"a", alerts=[alert(1)]))
        rows = await outbox.read("series", "influx", 10, 100)
        assert [row.body for row in rows] == [b"a"]
        await outbox.advance("series", "influx", rows, [])
        assert await outbox.read("series", "influx", 10, 100) == []
        await outbox.keep_subscriptions("here", ["a"])
        assert await outbox.subscriptions("here") == {"a"}


async def test_a_read_only_disk_means_memory_with_the_state_it_holds(opened: Open, tmp_path: Path) -> None:
    """Given a store on a disk that became read-only, then memory has its state and its waiting alerts, a new epoch."""
    folder = tmp_path / "state"
    folder.mkdir()
    async with opened(folder) as outbox:
        epoch = outbox.epoch
        await write(outbox, transaction(b"a", alerts=[alert(5)], deltas=[b"d1"], next_n=3))
    with mounted(folder, "--bind", str(folder)), mounted(folder, "-o", "remount,ro,bind", undo=False):
        async with opened(folder) as outbox:
            assert not outbox.durable
            assert outbox.epoch != epoch
            assert (outbox.resumed.next_n, outbox.resumed.next_seq) == (3, 1)
            assert outbox.resumed.checkpoints[0].deltas == [b"d1"]
            assert [row.key for row in await outbox.read("alerts", "mqtt", 10, 1000)] == ["flood-1/5"]
            await write(outbox, transaction(b"b"))
    async with opened(folder) as outbox:
        assert outbox.epoch == epoch, "only a restart with a sound disk leaves memory"


async def test_a_full_disk_at_the_start_means_memory(opened: Open, tmp_path: Path) -> None:
    """Given a disk without room, when a store is to be made on it, then everything is in memory."""
    folder = tmp_path / "full"
    with mounted(folder, "-t", "tmpfs", "-o", "size=16k", "tmpfs"):
        async with opened(folder) as outbox:
            assert not outbox.durable
            assert "free some room" in outbox.notices[0].detail


async def test_memory_is_bounded_series_go_first_and_are_counted(
    opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given memory's bound, when series exceed it, then the oldest go, counted, and alerts stay."""
    monkeypatch.setattr(budget, "MEMORY_BYTES", 3000)
    async with opened(tmp_path, memory="the disk failed") as outbox:
        await write(outbox, transaction(alerts=[alert(1)]))
        for n in range(5):
            await write(outbox, transaction(b"%d" % n * 1000))
        assert [row.body[:1] for row in await outbox.read("series", "influx", 10, 10_000)] == [b"2", b"3", b"4"]
        assert outbox.stats().dropped_rows == 2
        assert len(await outbox.read("alerts", "mqtt", 10, 10_000)) == 1
    assert not (tmp_path / FILE).exists()


async def test_an_unread_journal_row_is_told_and_the_state_before_it_taken(opened: Open, tmp_path: Path) -> None:
    """Given a journal row with a flipped bit, when the store opens, then the changes before it are the state."""
    async with opened() as outbox:
        for n in range(1, 5):
            await write(outbox, transaction(deltas=[b"d%d" % n], next_n=n))
    with sqlite3.connect(tmp_path / FILE) as db:
        body = bytearray(db.execute("SELECT body FROM journal WHERE id = 3").fetchone()[0])
        body[-2] ^= 1
        db.execute("UPDATE journal SET body = ? WHERE id = 3", (bytes(body),))
    db.close()
    outbox = Outbox.open(tmp_path, WallClock())
    assert outbox.resumed.checkpoints[0].deltas == [b"d1", b"d2"]
    assert outbox.resumed.next_n == 4, "numbers go on all the same"
    assert "1 rows of the state could not be read" in outbox.notices[1].detail
    await outbox.close()
