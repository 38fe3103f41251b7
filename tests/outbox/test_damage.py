"""A torn store: the start succeeds, what can be read is delivered, and what happened is said."""

from __future__ import annotations

import random
import shutil
from typing import TYPE_CHECKING, NamedTuple

import pytest

from gateway.clock import WallClock
from gateway.outbox import Outbox
from gateway.outbox.schema import FILE
from tests.outbox.conftest import SINKS, alert, transaction, write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gateway.ports import Row

COUNT = 60


class Sound(NamedTuple):
    """A store as it was: its folder and all that waited."""

    folder: Path
    series: list[Row]
    alerts: list[Row]
    epoch: str


class Found(NamedTuple):
    """What a damaged copy of it came to."""

    series: list[Row]
    alerts: list[Row]
    epoch: str
    next_n: int
    said: str


async def _fill(folder: Path, *, close: bool) -> tuple[Outbox, list[Row], list[Row]]:
    outbox = Outbox.open(folder, WallClock())
    await outbox.declare(SINKS)
    for n in range(COUNT):
        snapshot = b"s%d" % n if n % 20 == 19 else None
        body = b"air,d=%d pm=%d.%0300d 5\n" % (n, n, 7)
        await write(outbox, transaction(body, alerts=[alert(n + 1)], deltas=[b"d%d" % n], next_n=n, snapshot=snapshot))
    series = await outbox.read("series", "influx", 1000, 10**9)
    alerts = await outbox.read("alerts", "mqtt", 1000, 10**9)
    if close:
        await outbox.close()
    return outbox, series, alerts


@pytest.fixture
async def sound(light: Path) -> Sound:
    """A store that was closed in order: all is in one file."""
    outbox, series, alerts = await _fill(light / "sound", close=True)
    return Sound(light / "sound", series, alerts, outbox.epoch)


@pytest.fixture
async def killed(light: Path) -> Sound:
    """A store as a kill leaves it: everything is in the journal beside the file."""
    outbox, series, alerts = await _fill(light / "running", close=False)
    shutil.copytree(light / "running", light / "sound")
    await outbox.close()
    return Sound(light / "sound", series, alerts, outbox.epoch)


async def opened(sound: Sound, damage: Callable[[Path], None]) -> Found:
    """Open a copy that was damaged, write to it, open it again."""
    folder = sound.folder.with_name("copy")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(sound.folder, folder)
    damage(folder)
    outbox = Outbox.open(folder, WallClock())
    assert outbox.durable
    await outbox.declare(SINKS)
    series = await outbox.read("series", "influx", 1000, 10**9)
    alerts = await outbox.read("alerts", "mqtt", 1000, 10**9)
    told = outbox.notices[1]
    assert told.ok is not bool(told.detail)
    await write(outbox, transaction(b"later v=1\n"))
    assert (await outbox.read("series", "influx", 1000, 10**9))[-1].body == b"later v=1\n"
    found = Found(series, alerts, outbox.epoch, outbox.resumed.next_n, told.detail)
    await outbox.close()
    again = Outbox.open(folder, WallClock())
    assert (again.durable, again.epoch, again.notices[1].ok) == (True, outbox.epoch, True)
    await again.close()
    return found


def cut(name: str, size: int) -> Callable[[Path], None]:
    """The file ends after so many bytes."""

    def damage(folder: Path) -> None:
        with (folder / name).open("r+b") as file:
            file.truncate(size)

    return damage


def spoil(name: str, at: int, length: int, seed: int) -> Callable[[Path], None]:
    """Some bytes in it are others."""

    def damage(folder: Path) -> None:
        with (folder / name).open("r+b") as file:
            file.seek(at)
            file.write(random.Random(seed).randbytes(length))

    return damage


async def _torn(sound: Sound, sizes: list[int]) -> list[int]:
    """Open it cut to each of these sizes; returns how many alerts each still had."""
    counts: list[int] = []
    for size in sizes:
        found = await opened(sound, cut(FILE, size))
        assert found.said, f"cut to {size} bytes, and nothing said"
        assert "damaged-1" in found.said
        assert found.epoch != sound.epoch
        assert set(found.series) <= set(sound.series)
        assert set(found.alerts) <= set(sound.alerts)
        counts.append(len(found.alerts) + len(found.series))
    return counts


async def test_a_file_cut_anywhere_opens_and_what_is_left_is_delivered(sound: Sound) -> None:
    """Given a store cut at many places, then it opens, says so, and delivers what is left, and nothing else."""
    whole = (sound.folder / FILE).stat().st_size
    near = [whole - 1, whole - 700, whole - 1024, whole - 3000]
    counts = await _torn(sound, [*near, *range(0, whole - 4000, whole // 12)])
    assert min(counts[:4]) >= COUNT, "of 2 × 60 rows at least half can be read where a page or three are missing"


@pytest.mark.parametrize("step", [101, pytest.param(1, marks=pytest.mark.soak)], ids=["some", "every"])
async def test_a_file_cut_at_a_byte_of_its_tail_opens(sound: Sound, step: int) -> None:
    """The same at bytes of the last 4096."""
    whole = (sound.folder / FILE).stat().st_size
    await _torn(sound, list(range(whole - 4096, whole, step)))


@pytest.mark.parametrize("step", [331, pytest.param(1, marks=pytest.mark.soak)], ids=["some", "every"])
async def test_a_journal_cut_at_a_byte_of_its_tail_loses_nothing_unsaid(killed: Sound, step: int) -> None:
    """Given a kill and a journal that lost up to 12 kB, when it opens, then what was acknowledged is there, or said.

    The program noted beside the file how far it had been: a cut that leaves whole transactions is no other way seen.
    """
    wal = f"{FILE}-wal"
    whole = (killed.folder / wal).stat().st_size
    short = 0
    for size in range(whole - 12_000, whole, step):
        found = await opened(killed, cut(wal, size))
        lost = COUNT - len(found.series)
        assert found.series == killed.series[: len(found.series)]
        assert len(found.alerts) == len(found.series)
        assert bool(found.said) is (lost > 0), f"cut to {size}: {lost} lost, said {found.said!r}"
        assert f"the last {lost} transactions that were acknowledged" in found.said or lost == 0
        short += lost > 0
    assert short > 12_000 // step // 2


async def test_an_older_copy_in_its_place_is_said(killed: Sound, tmp_path: Path) -> None:
    """Given a store that somebody replaced by a copy of an hour ago, then what is missing in it is said."""
    older = tmp_path / "older"
    outbox = Outbox.open(killed.folder, WallClock())
    await outbox.declare(SINKS)
    shutil.copytree(killed.folder, older)
    for _ in range(3):
        await write(outbox, transaction(b"later v=1\n"))
    await outbox.close()
    for name in (FILE, f"{FILE}-wal"):
        shutil.copy(older / name, killed.folder / name)
    (killed.folder / f"{FILE}-shm").unlink(missing_ok=True)
    found = await opened(killed, lambda _: None)
    assert "the last 3 transactions that were acknowledged are not in the file" in found.said


async def test_a_cut_journal_gives_all_that_was_whole_before_the_cut(killed: Sound) -> None:
    """Given a kill and a journal cut at many places, when it opens, what is there is a prefix of what was written."""
    wal = f"{FILE}-wal"
    whole = (killed.folder / wal).stat().st_size
    assert whole > 100_000
    counts: list[int] = []
    for size in [whole, whole - 1, whole - 5000, *range(whole // 3, whole - 6000, whole // 10)]:
        found = await opened(killed, cut(wal, size))
        assert found.series == killed.series[: len(found.series)]
        assert found.alerts == killed.alerts[: len(found.series)], "a transaction is whole or not there"
        assert bool(found.said) is (len(found.series) < COUNT)
        counts.append(len(found.series))
    assert counts[0] == COUNT
    assert counts[1] >= COUNT - 1
    assert counts[3:] == sorted(counts[3:])


async def test_a_spoiled_journal_gives_all_before_the_spoiled_place(killed: Sound) -> None:
    """Given garbage in the journal, when it opens, then what came before it is delivered, and nothing after it."""
    wal = f"{FILE}-wal"
    whole = (killed.folder / wal).stat().st_size
    for seed, at in enumerate(range(whole // 2, whole - 100, whole // 8)):
        found = await opened(killed, spoil(wal, at, 64, seed))
        assert found.series == killed.series[: len(found.series)]
        assert len(found.alerts) == len(found.series) < COUNT
        assert found.said


async def test_garbage_in_the_file_is_said_or_harmless(sound: Sound) -> None:
    """Given pages of garbage, when it opens, then it opens; what is delivered is what was written, or it was said."""
    whole = (sound.folder / FILE).stat().st_size
    for seed, at in enumerate(range(100, whole - 1024, whole // 14)):
        found = await opened(sound, spoil(FILE, at, 1024, seed))
        keys = {row.position for row in sound.alerts}
        assert found.said or found.alerts == sound.alerts
        assert {row.position for row in found.alerts} <= keys or found.said


async def test_the_state_of_a_torn_store_is_taken_over(sound: Sound) -> None:
    """Given a store that lost its last page, when it opens, then the core's state and numbers go on from it."""
    whole = (sound.folder / FILE).stat().st_size
    found = await opened(sound, cut(FILE, whole - 1))
    assert found.next_n > 0


async def test_a_bit_in_the_first_bytes_costs_no_row(sound: Sound) -> None:
    """Given a bit flipped in what is the same in every store of ours, then all rows are delivered."""
    for at in (0, 7, 15, 17, 18, 19, 20, 21, 22, 47, 59):
        found = await opened(sound, flip(at))
        assert (found.series, found.alerts) == (sound.series, sound.alerts), f"byte {at}"


def flip(at: int) -> Callable[[Path], None]:
    """A bit of one byte is another."""

    def damage(folder: Path) -> None:
        with (folder / FILE).open("r+b") as file:
            file.seek(at)
            found = file.read(1)[0]
            file.seek(at)
            file.write(bytes([found ^ 4]))

    return damage
