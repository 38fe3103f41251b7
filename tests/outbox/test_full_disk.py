"""A full disk costs the oldest series first, then patience, and never an alert."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

import pytest

from gateway.app.recording import spare
from gateway.clock import WallClock
from gateway.errors import DiskFull
from gateway.outbox import Budget, Outbox
from gateway.outbox.room import BALLAST
from gateway.outbox.schema import FILE
from tests.door.until import until
from tests.outbox.conftest import SINKS, alert, transaction, write
from tests.outbox.mounted import fill, mounted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from gateway.events import Health

BALLAST_BYTES = 4_000_000
BOUNDS = Budget(ballast=BALLAST_BYTES)
BODY = b"air,d=1 pm=1.%0100d 5\n" % 7 * 800  # 100 kB


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 20 MB."""
    folder = tmp_path / "disk"
    with mounted(folder, "-t", "tmpfs", "-o", "size=20M", "tmpfs"):
        yield folder


@asynccontextmanager
async def store(folder: Path) -> AsyncIterator[Outbox]:
    """A store with a ballast, closed at the end."""
    outbox = Outbox.open(folder, WallClock(), bounds=BOUNDS)
    try:
        await outbox.declare(SINKS)
        yield outbox
    finally:
        with suppress(DiskFull):
            await outbox.close()


async def test_what_does_not_fit_costs_the_oldest_series_and_nothing_else(disk: Path) -> None:
    """Given a disk of 20 MB and no sink that comes, when 40 MB arrive, then every commit works, the newest are there.

    And alerts are all there, what went is on record, the ballast is back and the file is sound.
    """
    async with store(disk) as outbox:
        assert (disk / BALLAST).stat().st_size == BALLAST_BYTES
        for n in range(400):
            await write(outbox, transaction(BODY, alerts=[alert(n)], next_n=n + 1))
        assert len(await outbox.read("alerts", "mqtt", 1000, 10**9)) == 400
        rows = await outbox.read("series", "influx", 1000, 10**9)
        assert [row.position for row in rows] == list(range(401 - len(rows), 401))
        assert len(rows) > 10
        [gap] = await outbox.gaps()
        assert (gap.why, gap.first_position, gap.last_position) == ("disk", 1, 400 - len(rows))
        assert outbox.stats().dropped_rows == 400 - len(rows)
        assert not outbox.cramped
        assert (disk / BALLAST).stat().st_size == BALLAST_BYTES
    async with store(disk) as outbox:
        assert outbox.notices[1].ok
        assert outbox.resumed.next_n == 400
        assert await outbox.read("series", "influx", 1000, 10**9) == rows
    db = sqlite3.connect(disk / FILE)
    assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()


async def test_recordings_go_before_series_do(disk: Path) -> None:
    """Given recordings that have most of the disk, when it is full, then the oldest of them go and no series does."""
    ring = disk / "recording"
    ring.mkdir()
    for n in range(1, 4):
        (ring / f"0000000{n}-20260101T00000{n}Z.mcap").write_bytes(b"x" * 5_000_000 if n < 3 else b"the newest")
    async with store(disk) as outbox:
        outbox.spare = partial(spare, ring)
        for n in range(60):
            await write(outbox, transaction(BODY, next_n=n + 1))
        assert outbox.stats().dropped_rows == 0
        assert len(await outbox.read("series", "influx", 1000, 10**9)) == 60
    assert [path.name[7] for path in ring.iterdir()] == ["3"]


async def test_others_that_fill_the_disk_are_outlived_and_told(disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a disk that others fill, when commits come, they go on in the ballast's room, said; freed, it is back."""
    monkeypatch.setattr("gateway.outbox.disk.IDLE_S", 0.02)
    told: list[Health] = []

    async def report(health: Health) -> None:
        if health.condition == "room":
            told.append(health)

    async with store(disk) as outbox, asyncio.TaskGroup() as tasks:
        telling = tasks.create_task(outbox.tell(report))
        await until(lambda: [one.ok for one in told] == [True])
        other = fill(disk)
        for n in range(20):
            await write(outbox, transaction(BODY, alerts=[alert(n)]))
        await until(lambda: [one.ok for one in told] == [True, False])
        assert "Free some room" in told[1].detail
        assert len(await outbox.read("series", "influx", 1000, 10**9)) == 20, "nothing had to go"
        other.unlink()
        await until(lambda: [one.ok for one in told] == [True, False, True])
        assert (disk / BALLAST).stat().st_size == BALLAST_BYTES
        telling.cancel()


async def test_a_disk_that_others_keep_full_is_left_and_what_was_acknowledged_is_there(
    disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given others who take every byte, when patience ends, then DiskFull; all that returned before is on the disk."""
    monkeypatch.setattr("gateway.outbox.disk.TRIES", 3)
    monkeypatch.setattr("gateway.outbox.disk.PAUSE_S", 0.01)
    stored = 0
    async with store(disk) as outbox:
        with pytest.raises(DiskFull, match="free some room"):  # noqa: PT012 - which commit it is depends on the journal
            while stored < 1000:
                fill(disk)
                await write(outbox, transaction(alerts=[alert(stored)] * 50, next_n=stored + 1))
                stored += 1
    assert 0 < stored < 1000
    (disk / "other").unlink()
    async with store(disk) as outbox:
        assert outbox.durable
        assert outbox.resumed.next_n == stored
        assert len(await outbox.read("alerts", "mqtt", 10**6, 10**9)) == 50 * stored


async def test_a_disk_that_is_full_at_the_start_gets_the_ballasts_room(disk: Path) -> None:
    """Given a store on a disk that filled up while it was down, when it opens, then it is durable and goes on."""
    async with store(disk) as outbox:
        await write(outbox, transaction(BODY))
        epoch = outbox.epoch
    fill(disk)
    async with store(disk) as outbox:
        assert (outbox.durable, outbox.epoch, outbox.cramped) == (True, epoch, True)
        await write(outbox, transaction(BODY))
        assert len(await outbox.read("series", "influx", 10, 10**9)) == 2
