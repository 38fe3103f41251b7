"""Alerts are never dropped: their updates become one where much waits, and messages wait where nothing more fits."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from gateway.events import Health, Tick
from gateway.outbox import reserve
from tests.door.echo import messages
from tests.door.until import until
from tests.outbox.conftest import alert, transaction, write

if TYPE_CHECKING:
    import pytest

    from gateway.events import AlertRow
    from tests.door.conftest import Open


def _change(seq: int, alert_id: str, change: str) -> AlertRow:
    return msgspec.structs.replace(alert(seq), id=alert_id, change=change, body=b"x" * 200)


async def test_updates_that_wait_become_one_and_all_else_stays(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given two alerts whose updates pile up, when 80 % is reached, each keeps its last one and all else."""
    monkeypatch.setattr(reserve, "RESERVE_BYTES", 10_000)
    monkeypatch.setattr(reserve, "MERGE_FROM_BYTES", 8_000)
    async with opened() as at:
        at.outbox._ledger._merge_from = 8_000
        changes = ["raised", *["updated"] * 6, "raised_level", *["updated"] * 6, "cleared"]
        seq = 0
        for change in changes:
            for alert_id in ("a", "b"):
                seq += 1
                await write(at.outbox, transaction(alerts=[_change(seq, alert_id, change)]))
        seq += 1
        while not at.outbox.stats().merged:
            await write(at.outbox, transaction(alerts=[_change(seq, "c", "raised")]))
            seq += 1
        rows = await at.outbox.read("alerts", "all", 1000, 10**6)
        kept = [msgspec.msgpack.decode(row.body, type=type(alert(1))) for row in rows]
        for alert_id in ("a", "b"):
            mine = [(row.seq, row.change) for row in kept if row.id == alert_id]
            assert [change for _, change in mine] == ["raised", "updated", "raised_level", "updated", "cleared"]
            assert [number for number, _ in mine] == sorted(number for number, _ in mine)
        assert at.outbox.stats().merged == 20
        await at.outbox.advance("alerts", "all", rows, [])
        assert at.outbox.waiting("alerts", "all") == 0


async def test_a_full_reserve_holds_messages_back_and_lets_health_in(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given alerts that fill their reserve, messages wait and health does not; once some are delivered, they go."""
    monkeypatch.setattr(reserve, "RESERVE_BYTES", 4_000)
    monkeypatch.setattr(reserve, "MERGE_FROM_BYTES", 3_000)
    monkeypatch.setattr("gateway.outbox.disk.IDLE_S", 0.05)
    monkeypatch.setattr("gateway.door.worker.FULL_S", 0.05)
    async with opened() as at, asyncio.TaskGroup() as tasks:
        seq = 0
        while not at.outbox.full:
            seq += 1
            await write(at.outbox, transaction(alerts=[_change(seq, f"alert-{seq}", "raised")]))
        waiting = tasks.create_task(at.door.commit(messages("late")))
        await at.door.commit([Health("sink/city", "delivering_alerts", ok=False)])
        await at.door.commit([Tick()])
        assert not waiting.done()
        assert at.door.stats().waiting == 1
        rows = await at.outbox.read("alerts", "all", 1000, 10**6)
        await at.outbox.advance("alerts", "all", rows, [])
        await until(waiting.done)
        assert not at.outbox.full
        assert b"late" in await at.series()


async def test_a_stop_while_it_is_full_ends(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a message that waits for the reserve, when the door stops, it is stepped and stored, and the door ends."""
    monkeypatch.setattr(reserve, "RESERVE_BYTES", 1_000)
    async with opened() as at, asyncio.TaskGroup() as tasks:
        at.outbox._ledger.alert_bytes = 1_000
        waiting = tasks.create_task(at.door.commit(messages("late")))
        await until(lambda: at.door.stats().waiting == 1)
        await at.door.stop()
        await waiting
        assert b"late" in await at.series()
