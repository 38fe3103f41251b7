"""A new alert is published before anything is written but the outbox, and says the same `prev` whenever it is asked."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import TYPE_CHECKING

import pytest

from gateway.config.model import Broker
from gateway.errors import Unreachable
from tests.sinks.alerts import alert, rows
from tests.sinks.test_mqtt import BASE, Gateway, centre
from tests.sources.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.servers.mosquitto import Mosquitto


def when(free: threading.Event) -> Iterator[bytes]:
    """Series that are long in coming."""
    free.wait(20)
    yield b"air v=1 5"


@pytest.fixture
async def gateway(own_mosquitto: Mosquitto, tmp_path: Path) -> AsyncIterator[Gateway]:
    """A connected gateway in epoch e1, which had alerts 1 and 2."""
    made = Gateway(Broker(url=own_mosquitto.url), tmp_path)
    await made.history.begin("e1")
    await made.history.note("city", [alert(1), alert(2)])
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(made.alerts.run())
        await until(lambda: any(one.condition == "connected" and one.ok for one in made.said))
        try:
            yield made
        finally:
            await made.alerts.aclose()
    await made.history.aclose()


async def test_a_new_alert_does_not_wait_for_a_busy_history(own_mosquitto: Mosquitto, gateway: Gateway) -> None:
    """Given a history that is busy, when an alert comes, then it is out, with its `prev`, before the history is free.

    It counts as delivered once the history has it: then a request for what was missed is answered with its chain.
    """
    free = threading.Event()
    try:
        async with centre(own_mosquitto, f"{BASE}/alert/#", "answers/me") as ops, asyncio.TaskGroup() as tasks:
            busy = tasks.create_task(gateway.history.store_series(when(free)))  # pyright: ignore[reportArgumentType] - read once
            delivery = tasks.create_task(gateway.alerts.deliver(rows([alert(3), alert(4, severities=("severe",))])))
            got = [await ops.next("/flood") for _ in range(2)]
            assert [(one["seq"], one["prev"]) for one in got] == [(3, 2), (4, None)]
            await ops.send("request", {"since_seq": 0}, "answers/me")
            assert not delivery.done()
            assert not busy.done()
            free.set()
            answer = await ops.next("answers/me")
            assert [one["prev"] for one in answer["alerts"]] == [None, 1, 2, None]
    finally:
        free.set()
    assert await gateway.history.chain("city", [alert(3), alert(4, severities=("severe",))]) == [(2,), (None,)]


@pytest.mark.parametrize("epoch", ["e1", "e0"])
async def test_what_is_delivered_again_says_what_the_history_kept(
    own_mosquitto: Mosquitto, gateway: Gateway, epoch: str
) -> None:
    """Given changes that were published, or come from an earlier outbox, then the history says their `prev`."""
    again = [alert(1, epoch=epoch), alert(2, epoch=epoch), alert(3, epoch=epoch)]
    async with centre(own_mosquitto, f"{BASE}/alert/#") as ops:
        await gateway.alerts.deliver(rows(again[:2]))
        await gateway.alerts.deliver(rows(again))
        await gateway.alerts.deliver(rows(again[2:]))
        await gateway.alerts.deliver(rows([alert(4 if epoch == "e1" else 3)]))
        got = [await ops.next("/flood") for _ in range(7)]
    before = [(1, None), (2, 1), (1, None), (2, 1), (3, 2), (3, 2)]
    assert [(one["seq"], one["prev"]) for one in got[:6]] == before
    assert (got[6]["epoch"], got[6]["seq"], got[6]["prev"]) == ("e1", *((4, 3) if epoch == "e1" else (3, 2)))


async def test_an_older_state_of_an_alert_that_has_closed_is_not_retained(
    own_mosquitto: Mosquitto, gateway: Gateway
) -> None:
    """Given a history that is ahead of the sink, when a connection begins, then what it has counts as old."""
    await gateway.history.store_alerts([alert(3), alert(4, change="closed", open_=False)])
    await gateway.alerts._chains.learn()  # pyright: ignore[reportPrivateUsage] - as at a connection's beginning
    async with centre(own_mosquitto, f"{BASE}/#") as ops:
        await gateway.alerts.deliver(rows([alert(3), alert(4, change="closed", open_=False), alert(5, "dust-1")]))
        seen: list[str] = []
        while not seen or not seen[-1].endswith("open/dust-1"):
            message = await anext(ops.client.messages)
            if "/open/" in str(message.topic) and message.payload:
                seen.append(str(message.topic))
    assert [topic for topic in seen if topic.endswith("open/flood-1")] == [f"{BASE}/open/flood-1"], "of its beginning"


async def test_a_try_that_failed_breaks_no_chain(
    own_mosquitto: Mosquitto, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a publication that failed, when the same change comes again with a new one, then both say the same."""

    async def fail(*_: object) -> None:
        raise Unreachable("the connection was lost")

    with monkeypatch.context() as patched:
        patched.setattr(gateway.alerts.link, "publish", fail)
        with pytest.raises(Unreachable):
            await gateway.alerts.deliver(rows([alert(3)]))
    async with centre(own_mosquitto, f"{BASE}/alert/#") as ops:
        await gateway.alerts.deliver(rows([alert(3), alert(4)]))
        await gateway.alerts.deliver(rows([alert(5)]))
        got = [json.loads(bytes((await anext(ops.client.messages)).payload)) for _ in range(3)]
    assert [(one["seq"], one["prev"]) for one in got] == [(3, 2), (4, 3), (5, 4)]
