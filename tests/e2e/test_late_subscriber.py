"""A subscriber that joins late, misses messages and outlives a kill -9 of the gateway still knows everything."""

from __future__ import annotations

import asyncio
import random
import threading
from typing import TYPE_CHECKING

import msgspec
import pytest

from gateway.clock import WallClock
from gateway.config.box import HistoryConfig
from gateway.sinks.history import FILE, History
from tests.e2e.centre import Centre, Heard, Json, Peer
from tests.servers.gateway import Gateway, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.servers.mosquitto import Mosquitto

BASE = "zhiwang/v1/_/missed"
CONFIG = """
gateway: missed
brokers: {{here: {{url: "{broker}"}}}}
sensors: {{box: {{mqtt: here, topic: "box/{{device}}", plain: v}}}}
rules: {{high: {{threshold: box.v, levels: {{yellow: 10, red: 20}}}}}}
sinks: {{ops: {{mqtt: here, from: oldest}}}}
"""
DEVICES, FLIPS, DROPPED = 40, 9, 100


class Boxes(threading.Thread):
    """Forty boxes whose value goes up and down, one after another, at 150 messages a second."""

    def __init__(self, peer: Peer) -> None:
        super().__init__(daemon=True)
        self._peer = peer

    def run(self) -> None:
        """Until every box has flipped often enough and the broker has all of it."""
        pause, last = threading.Event(), None
        for flip in range(FLIPS):
            for device in range(DEVICES):
                last = self._peer.say(f"box/{device:02}", str((15, 25, 5)[flip % 3]))
                pause.wait(1 / 150)
        assert last is not None
        last.wait_for_publish(30)


class Rebuilt:
    """The list as a subscriber rebuilds it: `open/+` tells what is open, `since_seq` what was missed, nothing else."""

    def __init__(self, centre: Centre) -> None:
        self.changes: dict[int, Json] = {}
        self.open: dict[str, Json] = {}
        self._centre = centre
        self._asked = 0

    def take(self, heard: Heard) -> None:
        """A message that was not dropped."""
        if heard.topic.startswith(f"{BASE}/open/"):
            alert_id = heard.topic.rpartition("/")[2]
            self.open.pop(alert_id, None)
            if heard.body:
                self.open[alert_id] = heard.body
        elif heard.topic.startswith(f"{BASE}/alert/"):
            self.changes[heard.body["seq"]] = heard.body

    def ask_since(self, seq: int) -> None:
        """Have what came after `seq` sent again, and take it."""
        self._asked += 1
        mine = f"rebuilt-{self._asked}"
        self._centre.say(f"{BASE}/request", {"since_seq": seq, "id": mine})

        def pages() -> list[Json]:
            answers = [one.body for one in list(self._centre.heard) if one.topic == f"{BASE}/request/reply"]
            got = [body for body in answers if body.get("id") == mine]
            return got if got and not got[-1]["more"] else []

        for page in until(pages, 20, "the answer to a request"):
            self.changes |= {alert["seq"]: alert for alert in page["alerts"]}

    def missed(self, heard: list[Heard]) -> int | None:
        """The seq after which a chain has a hole, as `prev` tells it; None: there is none."""
        holes = [
            one.body["prev"]
            for one in heard
            if one.topic.startswith(f"{BASE}/alert/") and one.body["prev"] not in self.changes and one.body["prev"]
        ]
        return min(holes) - 1 if holes else None


async def _stored(state: Path) -> tuple[list[Json], list[Json]]:
    """(every change, what is open) of the history's file."""
    history = History(state / FILE, HistoryConfig(), WallClock())
    try:
        changes = [msgspec.json.decode(row.body) for row in await history.since(0, 100_000)]
        return changes, [msgspec.json.decode(row.body) for row in await history.open_alerts()]
    finally:
        await history.aclose()


def _core(alert: Json) -> Json:
    """Without what sinks add."""
    return {key: value for key, value in alert.items() if key not in {"prev", "status", "published", "topics"}}


@pytest.mark.timeout(120)
def test_a_late_subscriber_that_drops_messages_rebuilds_the_history_s_list(
    own_mosquitto: Mosquitto, gateway_of: Callable[[str], Gateway]
) -> None:
    """Given open/+ and since_seq alone, over a kill -9, then its list is the history's, change for change."""
    gateway = gateway_of(CONFIG.format(broker=own_mosquitto.url))
    gateway.start()
    with Peer(own_mosquitto, "boxes") as sensors:
        boxes = Boxes(sensors)
        boxes.start()
        until(lambda: gateway.metric("zhiwang_door_alerts_total") > 60, 20, "changes before anyone listens")
        with Centre(own_mosquitto, BASE, "late") as centre:
            rebuilt = Rebuilt(centre)
            until(lambda: len(centre.changes()) > 60, 20, "changes to be heard")
            gateway.kill()
            gateway.start()
            boxes.join(60)
            until(
                lambda: gateway.metric("zhiwang_core_messages_total") and _idle(gateway), 30, "the gateway to be done"
            )
            for alert in gateway.open_alerts()[:10]:
                gateway.ask(command={"target": alert["id"], "verb": "acknowledge"})
            until(lambda: _idle(gateway), 20, "the acknowledgements to be published")
            centre.say(f"{BASE}/open/sync", {"id": "sync"})
            heard = centre.heard[: centre.heard.index(centre.wait(lambda one: one.topic.endswith("/sync"), "the rest"))]
            unheard = set(random.Random(7).sample([i for i, m in enumerate(heard) if "/alert/" in m.topic], DROPPED))
            kept = [message for i, message in enumerate(heard) if i not in unheard]
            for message in kept:
                rebuilt.take(message)
            assert len(rebuilt.changes) < len({m.body["seq"] for m in heard if "/alert/" in m.topic})
            hole = rebuilt.missed(kept)
            assert hole is not None, "the chains show that something is missing"
            rebuilt.ask_since(0)
            assert rebuilt.missed(kept) is None
            assert gateway.stop() == 0
    changes, open_now = asyncio.run(_stored(gateway.folder / "state"))
    assert [change["seq"] for change in changes] == list(range(1, len(changes) + 1))
    assert len(changes) > DEVICES * FLIPS * 0.9
    assert [_core(rebuilt.changes[seq]) for seq in sorted(rebuilt.changes)] == changes
    assert sorted(map(str, rebuilt.open)) == sorted(alert["id"] for alert in open_now)
    assert all(_core(rebuilt.open[alert["id"]]) == alert for alert in open_now)


def _idle(gateway: Gateway) -> bool:
    """Whether everything is delivered and acknowledged."""
    return gateway.metric("zhiwang_sink_lag_rows") == 0 and gateway.metric("zhiwang_source_unacknowledged") == 0
