"""Alerts that waited through outages arrive in order, with the times at which they happened, and marked beside it."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from gateway.config.model import Broker
from gateway.delivery import Delivery
from gateway.outbox import Outbox
from tests.door.until import until
from tests.outbox.conftest import transaction, write
from tests.sinks.alerts import NS, alert
from tests.sinks.test_mqtt import BASE, centre, running

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

    from gateway.events import Health
    from tests.servers.mosquitto import Mosquitto
    from tests.servers.proxy import Proxy


async def _report(_: Health) -> None:
    return


async def test_alerts_of_two_outages_come_in_order_with_their_times_and_marked(
    own_mosquitto: Mosquitto, proxy_to: Callable[[int], Proxy], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given changes from two outages, when the broker is back, then all come in order, each chain unbroken.

    `changed` is when it happened, `published` is now; what waited for over a minute says so in a user property.
    """
    monkeypatch.setattr("gateway.delivery.LAST_RETRY_S", 0.2)
    monkeypatch.setattr("gateway.sinks.mqtt_link._LONGEST_S", 0.2)
    monkeypatch.setattr("gateway.sinks.mqtt_link.ANSWER_S", 1.0)
    proxy = proxy_to(own_mosquitto.port)
    broker = Broker(url=f"mqtt://127.0.0.1:{proxy.port}")
    async with running(broker, tmp_path / "g") as gateway, centre(own_mosquitto, f"{BASE}/alert/#") as ops:
        await gateway.history.begin("e1")
        clock = gateway.around.clock
        outbox = Outbox.open(tmp_path / "o", clock)
        await outbox.declare([("city", "alerts", "oldest")])
        delivery = Delivery(outbox, gateway.alerts, clock, _report, 5_000_000)

        async def store(first: int, last: int, ago_s: int) -> None:
            for seq in range(first, last):
                at_ns = clock.now_ns() - ago_s * NS
                await write(outbox, transaction(alerts=[alert(seq, f"flood-{seq}")], admitted_ns=at_ns))

        got: list[dict[str, Any]] = []
        async with asyncio.TaskGroup() as tasks:
            running_ = tasks.create_task(delivery.run())
            for first, ago_s in ((1, 600), (21, 300)):
                proxy.refuse()
                await store(first, first + 15, ago_s)
                await until(lambda: delivery.stats()["retries_total"] > 0)
                proxy.mend()
                await store(first + 15, first + 20, 0)
                async with asyncio.timeout(30):
                    while len(got) < first + 19:
                        message = await anext(ops.client.messages)
                        marks = getattr(message.properties, "UserProperty", [])
                        got.append({**json.loads(bytes(message.payload)), "_marks": marks})
                await until(lambda: outbox.waiting("alerts", "city") == 0)
            running_.cancel()
        await outbox.close()
    assert [one["seq"] for one in got] == list(range(1, 41))
    assert [one["prev"] for one in got] == [None, *range(1, 40)]
    assert {one["changed"] for one in got} == {"2026-08-14T02:14:00+08:00"}
    assert all(one["published"] > one["changed"] for one in got)
    waited = [one["seq"] for one in got if one["_marks"] == [("backfill", "1")]]
    assert waited == [*range(1, 16), *range(21, 36)]
