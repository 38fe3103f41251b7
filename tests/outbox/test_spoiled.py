"""A flipped bit inside a page, which SQLite does not notice: the row is set aside and said, the rest delivered."""

from __future__ import annotations

import asyncio
import random
import shutil
import sqlite3
from typing import TYPE_CHECKING, NamedTuple

import pytest

from gateway.cli import main
from gateway.clock import WallClock
from gateway.errors import DiskBroken, OutboxError
from gateway.outbox import Outbox, look
from gateway.outbox.beside import SUSPECT
from gateway.outbox.schema import FILE
from tests.door.until import until
from tests.outbox.conftest import SINKS, alert, transaction, write

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.events import Health
    from gateway.ports import Row

COUNT = 40


def body(n: int) -> bytes:
    """A row that can be found in the file."""
    return b"air,d=%d pm=%d.%0120d 5\n" % (n, n, n)


async def fill(folder: Path) -> tuple[list[Row], list[Row]]:
    """A store with rows of series and alerts, closed."""
    outbox = Outbox.open(folder, WallClock())
    await outbox.declare([*SINKS, ("mirror", "series", "oldest")])
    for n in range(COUNT):
        await write(outbox, transaction(body(n), alerts=[alert(n + 1)], next_n=n + 1, deltas=[b"d"]))
    rows = await outbox.read("series", "influx", 1000, 10**9), await outbox.read("alerts", "mqtt", 1000, 10**9)
    await outbox.close()
    return rows


def flip(folder: Path, at: int, bit: int = 1) -> None:
    """One bit of the file is another."""
    with (folder / FILE).open("r+b") as file:
        file.seek(at)
        found = file.read(1)[0]
        file.seek(at)
        file.write(bytes([found ^ bit]))


def spoil(folder: Path, what: bytes, offset: int = 0, bit: int = 1) -> None:
    """Flip a bit of these bytes, wherever they stand in the file: a page may hold what has moved elsewhere."""
    whole = (folder / FILE).read_bytes()
    at = whole.index(what)
    while at >= 0:
        flip(folder, at + offset, bit)
        at = whole.find(what, at + 1)


async def test_a_flipped_bit_costs_one_row_which_is_set_aside_and_said(tmp_path: Path) -> None:
    """Given a bit flipped in a row's value, then every sink gets all others, it is a dead letter, and it is said."""
    series, alerts = await fill(tmp_path)
    spoil(tmp_path, b"pm=17.")
    told: list[Health] = []

    async def report(health: Health) -> None:
        if health.condition == "sound":
            told.append(health)

    outbox = Outbox.open(tmp_path, WallClock())
    assert outbox.notices[1].ok, "SQLite sees nothing of it"
    await outbox.declare([*SINKS, ("mirror", "series", "oldest")])
    async with asyncio.TaskGroup() as tasks:
        telling = tasks.create_task(outbox.tell(report))
        for sink in ("influx", "mirror"):
            assert await outbox.read("series", sink, 1000, 10**9) == [row for row in series if row.position != 18]
        await until(lambda: bool(told))
        telling.cancel()
    assert await outbox.read("alerts", "mqtt", 1000, 10**9) == alerts
    [health] = told
    assert (health.component, health.ok) == ("disk/outbox", False)
    assert "1 rows of series were damaged on the disk, the first at position 18" in health.detail
    [letter] = await outbox.letters()
    assert (letter.letter.where, letter.letter.topic, letter.source) == ("outbox", "series #18", "")
    assert letter.letter.body == body(17).replace(b"pm=17.", b"qm=17.")
    assert await outbox.retry() == 0, "it is no payload that could be used again"
    assert outbox.stats().spoiled == 1
    await outbox.close()
    outbox = Outbox.open(tmp_path, WallClock())
    assert outbox.notices[1].ok, "the alert ends with the next start, as for any damage"
    await outbox.close()


async def test_a_damaged_newest_row_keeps_nobody_waiting_or_busy(tmp_path: Path) -> None:
    """Given the newest row damaged, when a sink has read all, then nothing waits, and it waits for what comes next."""
    series, _ = await fill(tmp_path)
    spoil(tmp_path, body(COUNT - 1), 30)
    outbox = Outbox.open(tmp_path, WallClock())
    await outbox.declare(SINKS)
    rows = await outbox.read("series", "influx", 1000, 10**9)
    assert rows == series[:-1]
    await outbox.advance("series", "influx", rows, [])
    assert await outbox.read("series", "influx", 1000, 10**9) == []
    assert outbox.waiting("series", "influx") == 0
    waiting = asyncio.ensure_future(outbox.changed("series", outbox.cursor("series", "influx"), outbox.asks))
    await asyncio.sleep(0)
    assert not waiting.done()
    await write(outbox, transaction(b"later v=1\n"))
    await waiting
    assert [row.body for row in await outbox.read("series", "influx", 1000, 10**9)] == [b"later v=1\n"]
    await outbox.close()


async def test_a_damaged_alert_is_set_aside_and_the_others_keep_their_order(tmp_path: Path) -> None:
    """Given bits flipped in an alert's body and in another's key, then both are letters and the rest come in order."""
    _, alerts = await fill(tmp_path)
    spoil(tmp_path, b"flood-1/7\x9c", 2, 0x80)  # what is no text any more is no trouble for the others
    spoil(tmp_path, b'{"seq":20}', 8)
    outbox = Outbox.open(tmp_path, WallClock())
    await outbox.declare(SINKS)
    assert await outbox.read("alerts", "mqtt", 1000, 10**9) == [one for one in alerts if one.position not in {7, 20}]
    assert len(await outbox.letters()) == 2
    await outbox.close()


async def test_rows_that_are_gone_are_noticed_once_and_on_record(tmp_path: Path) -> None:
    """Given rows of series and an alert that a damaged page lost, then every sink's record says so, and it is told.

    All others are delivered, and the next start finds nothing new.
    """
    series, alerts = await fill(tmp_path)
    with sqlite3.connect(tmp_path / FILE) as db:
        db.execute("DELETE FROM series WHERE position IN (11, 12, 40)")
        db.execute("DELETE FROM alerts WHERE position = 30")
    db.close()
    sinks = [*SINKS, ("mirror", "series", "oldest")]
    for start in range(2):
        outbox = Outbox.open(tmp_path, WallClock())
        await outbox.declare(sinks)
        for sink in ("influx", "mirror"):
            rows = await outbox.read("series", sink, 1000, 10**9)
            assert rows == [row for row in series if row.position not in {11, 12, 40}]
        assert await outbox.read("alerts", "mqtt", 1000, 10**9) == [row for row in alerts if row.position != 30]
        assert outbox.stats().spoiled == (4 if start == 0 else 0)
        gaps = {(gap.sink, gap.first_position, gap.last_position, gap.why) for gap in await outbox.gaps()}
        assert gaps == {(sink, *at, "damage") for sink in ("influx", "mirror") for at in ((11, 12), (40, 40))}
        assert await outbox.letters() == []
        await outbox.close()


async def test_a_check_from_outside_finds_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Given a flipped bit, when `outbox check` reads everything, then it says which stream's rows do not fit."""
    await fill(tmp_path)
    with look.connected(tmp_path) as connection:
        assert look.check(connection).problems == []
    spoil(tmp_path, b"pm=17.")
    with look.connected(tmp_path) as connection:
        assert look.check(connection).problems == ["1 rows of series do not fit their checksum"]
    assert main(["outbox", "check", "--state", str(tmp_path)]) == 3
    assert "do: nothing: the gateway sets such rows aside" in capsys.readouterr().out


async def test_damage_found_while_running_replaces_the_file_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a page of zeros in a file too large to be read whole at the start, when a sink comes to it, it is said.

    And the start after it, told to go on in memory, goes on with a fresh file and all that could be read.
    """
    series, _ = await fill(tmp_path)
    monkeypatch.setattr("gateway.outbox.schema.CHECKED_BYTES", 0)
    with (tmp_path / FILE).open("r+b") as file:
        file.seek((tmp_path / FILE).read_bytes().rindex(body(20)) // 1024 * 1024)
        file.write(bytes(1024))
    outbox = Outbox.open(tmp_path, WallClock())
    assert outbox.notices[1].ok
    await outbox.declare(SINKS)
    with pytest.raises(DiskBroken, match="malformed") as broken:
        await outbox.read("series", "influx", 1000, 10**9)
    with pytest.raises(DiskBroken):
        await outbox.changed("series", 10**6, outbox.asks)
    await outbox.close()
    asked = Outbox.open(tmp_path, WallClock(), memory="asked for with --memory")
    assert not asked.durable, "only the damage itself is no reason for memory"
    await asked.close()
    outbox = Outbox.open(tmp_path, WallClock(), memory=str(broken.value))
    assert outbox.durable
    assert not outbox.notices[1].ok
    assert "damage while it was used" in outbox.notices[1].detail
    assert not (tmp_path / SUSPECT).exists()
    await outbox.declare(SINKS)
    rows = await outbox.read("series", "influx", 1000, 10**9)
    assert set(rows) < set(series)
    assert len(rows) > COUNT - 10
    await outbox.close()


class Came(NamedTuple):
    """What came of a damaged copy, and whether anything was said."""

    series: list[Row]
    alerts: list[Row]
    said: bool


async def came_of(folder: Path) -> Came:
    """Read all of a store as a gateway does: where it is found damaged, start again."""
    said, memory = False, ""
    for _ in range(3):
        outbox = Outbox.open(folder, WallClock(), memory=memory)
        assert outbox.durable, outbox.notices[0].detail
        said = said or not outbox.notices[1].ok
        try:
            await outbox.declare(SINKS)
            series = await _all(outbox, "series", "influx")
            alerts = await _all(outbox, "alerts", "mqtt")
        except OutboxError as error:
            memory = str(error)
        else:
            return Came(series, alerts, said or outbox.stats().spoiled > 0)
        finally:
            await outbox.close()
    raise AssertionError(memory)


async def _all(outbox: Outbox, stream: str, sink: str) -> list[Row]:
    got: list[Row] = []
    while rows := await outbox.read(stream, sink, 7, 10**9):  # pyright: ignore[reportArgumentType] - a stream's name
        got += rows
        await outbox.advance(stream, sink, rows, [])  # pyright: ignore[reportArgumentType] - as above
    return got


async def _flipped(folder: Path, places: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    series, alerts = await fill(folder / "sound")
    monkeypatch.setattr("gateway.outbox.schema.CHECKED_BYTES", 0)
    whole, chance = (folder / "sound" / FILE).stat().st_size, random.Random(4)
    for at in places or range(whole):
        copy = folder / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(folder / "sound", copy)
        flip(copy, at % whole, 1 << chance.randrange(8))
        came = await came_of(copy)
        assert set(came.series) <= set(series), f"something else was delivered (byte {at % whole})"
        assert set(came.alerts) <= set(alerts), f"something else was delivered (byte {at % whole})"
        if not came.said:
            assert (came.series, came.alerts) == (series, alerts), f"lost, and nothing said (byte {at % whole})"


async def test_a_bit_flipped_anywhere_is_harmless_or_said(light: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a bit flipped at many places of a file that no start reads whole, then all comes, or it is said."""
    chance = random.Random(5)
    await _flipped(light, [chance.randrange(2**31) for _ in range(60)], monkeypatch)


@pytest.mark.soak
async def test_a_bit_flipped_in_any_byte_is_harmless_or_said(light: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same in every byte of the file."""
    await _flipped(light, [], monkeypatch)
