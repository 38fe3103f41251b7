"""Stores that every earlier release wrote open, and all that is in them is delivered and kept.

releases/make.py made them, each with the program of its day: 1: the first; 2: what a restart reads is compressed;
3: pages of 1 kB; 4: records of what had to be dropped; 5: newest first, one stretch ahead; 6: many of them. Where a
change of the tables follows, make one more with the program before it.
"""

from __future__ import annotations

import gzip
import sqlite3
from pathlib import Path

import msgspec
import pytest

from gateway.clock import WallClock
from gateway.events import AlertRow, Message
from gateway.outbox import Outbox, look
from gateway.outbox.schema import FILE, VERSION
from tests.outbox.conftest import transaction, write
from tests.outbox.releases.make import AT_NS, SINKS

STORES = sorted(Path(__file__).with_name("releases").glob("*.sqlite.gz"))
DROPS, STRETCHES = 4, 6  # the first of these stores with records of drops, and with all stretches that are ahead


@pytest.fixture(params=STORES, ids=[path.name.split(".")[0] for path in STORES])
def release(request: pytest.FixtureRequest, tmp_path: Path) -> int:
    """The number of a store that was put into the test's folder."""
    (tmp_path / FILE).write_bytes(gzip.decompress(request.param.read_bytes()))
    return int(request.param.name.split(".")[0])


def test_there_is_a_store_of_every_schema() -> None:
    """Six schemas came before the one with checksums."""
    assert [path.name for path in STORES] == [f"{n}.sqlite.gz" for n in range(1, 7)]


async def test_all_that_waits_is_delivered_and_what_is_known_is_kept(release: int, tmp_path: Path) -> None:
    """Given a store of an earlier release, then each sink gets the rows it had not got, and the state comes back."""
    with sqlite3.connect(tmp_path / FILE) as db:
        epoch = db.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()[0].decode()
    db.close()
    outbox = Outbox.open(tmp_path, WallClock())
    assert (outbox.durable, outbox.epoch, outbox.notices[1].ok) == (True, epoch, True), outbox.notices[1].detail
    await outbox.declare(SINKS)
    ahead = {16, 17} if release >= STRETCHES else set[int]()
    gone = {1, 2} if release >= DROPS else set[int]()
    influx = await outbox.read("series", "influx", 100, 10**6)
    backfill = await _after(outbox, "influx", influx) if ahead else []
    got = [row.position for row in [*influx, *backfill]]
    assert sorted(got) == sorted(set(range(6, 21)) - ahead)
    mirror = await outbox.read("series", "mirror", 100, 10**6)
    assert [row.position for row in mirror] == sorted(set(range(1, 21)) - gone)
    assert all(row.body == b"air,d=%d v=%d %d\n" % (n, n, AT_NS + n) for row in mirror for n in [row.position - 1])
    alerts = await outbox.read("alerts", "mqtt", 100, 10**6)
    assert [msgspec.msgpack.decode(row.body, type=AlertRow).seq for row in alerts] == [2 * n + 1 for n in range(3, 10)]
    assert [row.key for row in await outbox.read("requests", "replies", 100, 10**6)] == ["r1"]
    resumed = outbox.resumed
    assert (resumed.next_n, resumed.next_seq, resumed.admitted_ns, resumed.elapsed_ns) == (20, 20, AT_NS + 19, 20)
    assert resumed.marks == {"here": (b"\x07\0", b"\1\2\3\4")}
    [checkpoint] = resumed.checkpoints
    assert checkpoint.snapshot == b"state after nine"
    assert checkpoint.deltas == [b"delta %d" % n for n in range(10, 20)]
    assert await outbox.subscriptions("here") == {"air/+", "water/#"}
    letters = await outbox.letters()
    assert [(one.letter.where, one.letter.body) for one in letters] == [
        ("influx", b"air,d=1 v=1 %d\n" % (AT_NS + 1)),
        ("air", b"broken 7"),
        ("air", b"broken 3"),
    ]
    assert await outbox.to_step_again() == [(1, Message("here", "air/3", b"broken 3"))]
    assert [(gap.sink, gap.first_position, gap.last_position) for gap in await outbox.gaps()] == (
        [("mirror", 1, 2)] if gone else []
    )
    assert outbox.stats().spoiled == 0
    await outbox.close()


async def _after(outbox: Outbox, sink: str, rows: list[look.Row]) -> list[look.Row]:
    """What comes when these are delivered."""
    await outbox.advance("series", sink, rows, [])
    return await outbox.read("series", sink, 100, 10**6)


async def test_it_goes_on_in_the_same_file(release: int, tmp_path: Path) -> None:
    """Given a store of an earlier release, when more is written and it opens again, then old and new rows are there."""
    for n in range(2):
        outbox = Outbox.open(tmp_path, WallClock())
        await outbox.declare(SINKS)
        await write(outbox, transaction(b"later v=%d\n" % n, next_n=21 + n))
        rows = await outbox.read("series", "mirror", 100, 10**6)
        assert rows[-1].body == b"later v=%d\n" % n
        assert len(rows) == (18 if release >= DROPS else 20) + n + 1
        await outbox.close()
    with look.connected(tmp_path) as connection:
        assert look.check(connection).problems == []


async def test_it_can_be_looked_into_before_this_release_has_run(release: int, tmp_path: Path) -> None:
    """Given a store of an earlier release, when `outbox` looks into it, then that works and it stays as it is."""
    before = (tmp_path / FILE).read_bytes()
    with look.connected(tmp_path) as connection:
        assert look.check(connection).problems == []
        state = look.state(connection, AT_NS)
        assert (state.letters, state.letters_asked_again, state.next_seq) == (3, 1, 20)
        assert len(look.peek(connection, "mqtt", 10)) == 7
        assert len(look.rejected(connection, 10)) == 3
    assert (tmp_path / FILE).read_bytes() == before, release


async def test_where_its_disk_cannot_be_written_memory_has_its_state(release: int, tmp_path: Path) -> None:
    """Given a store of an earlier release on a disk that failed, then memory has its state and its waiting alerts."""
    outbox = Outbox.open(tmp_path, WallClock(), memory="the disk failed")
    await outbox.declare(SINKS)
    assert outbox.resumed.next_n == 20
    assert outbox.resumed.checkpoints[0].snapshot == b"state after nine"
    assert len(await outbox.read("alerts", "mqtt", 100, 10**6)) == 7
    assert await outbox.read("series", "mirror", 100, 10**6) == [], "they wait on the disk"
    assert outbox.waiting("series", "mirror") == 0
    assert outbox.stats().spoiled == 0
    await outbox.close()
    assert release in range(1, 7)


async def test_when_it_is_torn_what_can_be_read_goes_over(release: int, tmp_path: Path) -> None:
    """Given a store of an earlier release that lost its last byte, then it is replaced, with its rows, and said."""
    path = tmp_path / FILE
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 1)
    outbox = Outbox.open(tmp_path, WallClock())
    assert not outbox.notices[1].ok
    assert outbox.resumed.checkpoints[0].snapshot == b"state after nine", release
    await outbox.declare(SINKS)
    assert len(await outbox.read("series", "mirror", 100, 10**6)) >= 10
    assert len(await outbox.read("alerts", "mqtt", 100, 10**6)) == 7
    assert len(await outbox.letters()) == 3
    await outbox.close()


@pytest.mark.parametrize("version", [VERSION + 1, 99])
async def test_a_store_of_a_newer_release_is_kept_as_it_is(tmp_path: Path, version: int) -> None:
    """Given a store of a newer release, when this one starts, it is set aside untouched, and how to go on is said."""
    (tmp_path / FILE).write_bytes(gzip.decompress(STORES[-1].read_bytes()))
    with sqlite3.connect(tmp_path / FILE) as db:
        db.execute(f"PRAGMA user_version = {version}")
    db.close()
    before = (tmp_path / FILE).read_bytes()
    outbox = Outbox.open(tmp_path, WallClock())
    assert outbox.durable
    said = outbox.notices[1].detail
    assert f"version {version}" in said
    assert "newer release" in said
    assert "outbox.sqlite.newer-1" in said
    assert (tmp_path / "outbox.sqlite.newer-1").read_bytes() == before
    await outbox.declare(SINKS)
    assert await outbox.read("series", "mirror", 100, 10**6) == []
    await outbox.close()
