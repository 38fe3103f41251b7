"""Pictures follow their alerts: once each, in order, also where updates were merged or the picture had to go."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from gateway.config.model import Broker
from gateway.sinks.mqtt_pictures import MqttPictures
from tests.sinks.alerts import alert, rows
from tests.sinks.test_mqtt import BASE, Gateway, centre, running

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.events import AlertRow
    from gateway.ports import Row
    from tests.servers.mosquitto import Mosquitto


def with_pieces(row: AlertRow, *pieces: tuple[int, str, int]) -> AlertRow:
    """An alert row that names pictures: number, hash, the change that did so first."""
    body = msgspec.json.decode(row.body, type=dict[str, object])
    named = [{"n": n, "kind": "image/jpeg", "sha256": sha256, "seq": seq} for n, sha256, seq in pieces]
    return msgspec.structs.replace(row, body=msgspec.json.encode({**body, "evidence": named}))


class Kept:
    """The pictures that there are, and how far the alerts are."""

    def __init__(self, gateway: Gateway, files: dict[str, bytes]) -> None:
        self.files, self.upto, self.asked = files, 100, list[tuple[str, str, int]]()
        around = gateway.around._replace(evidence=self.read, cursor=self.cursor)
        self.sink = MqttPictures(gateway.alerts, around, 60_000)

    def cursor(self, _stream: str, _sink: str) -> int:
        """Up to which position the alerts are published."""
        return self.upto

    async def read(self, alert_id: str, sha256: str, most: int) -> bytes | None:
        """One of them."""
        self.asked.append((alert_id, sha256, most))
        return self.files.get(sha256)


async def published(broker: Mosquitto, gateway: Gateway, sink: MqttPictures, batches: list[list[Row]]) -> list[str]:
    """What came of these deliveries on the pictures' topics, by topic and payload."""
    async with centre(broker, f"{BASE}/evidence/#", f"{BASE}/over") as ops:
        for batch in batches:
            assert await sink.deliver(batch) == []
        await gateway.alerts.link.wait_ready()
        await ops.client.publish(f"{BASE}/over", b"", qos=1)
        came: list[str] = []
        async for message in ops.client.messages:
            topic = str(message.topic).removeprefix(f"{BASE}/")
            if topic == "over":
                break
            came.append(f"{topic} {bytes(message.payload).decode()}")
    return came


async def test_each_picture_goes_once_with_the_change_that_names_it_first(
    own_mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """Later changes that name it too send nothing; where updates were merged, the one that is left sends what they
    named; what is kept no longer is left out; and a shadow rule's go nowhere.
    """  # noqa: D205 - one thought
    async with running(Broker(url=own_mosquitto.url), tmp_path) as gateway:
        kept = Kept(gateway, {"aa": b"first", "cc": b"third", "dd": b"shadow"})
        first, gone, third = (1, "aa", 2), (2, "bb", 4), (3, "cc", 5)
        changes = [
            alert(1),
            with_pieces(alert(2, change="updated"), first),
            with_pieces(alert(3, change="acknowledged"), first),
            with_pieces(alert(6, change="updated"), first, gone, third),  # 4 and 5 were merged into it
            with_pieces(alert(7, change="cleared"), first, gone, third),
            with_pieces(alert(8, "shady-1", change="updated", shadow=True), (1, "dd", 8)),
        ]
        came = await published(own_mosquitto, gateway, kept.sink, [rows(changes[:3]), rows(changes[3:])])

    assert came == ["evidence/flood-1/1 first", "evidence/flood-1/3 third"]
    assert kept.sink.gone == 1
    assert {most for _, _, most in kept.asked} == {60_000}


async def test_a_picture_waits_for_its_alert(own_mosquitto: Mosquitto, tmp_path: Path) -> None:
    async with running(Broker(url=own_mosquitto.url), tmp_path) as gateway:
        kept = Kept(gateway, {"aa": b"first"})
        kept.upto = 1
        waiting = asyncio.ensure_future(
            published(
                own_mosquitto, gateway, kept.sink, [rows([with_pieces(alert(2, change="updated"), (1, "aa", 2))])]
            )
        )
        await asyncio.sleep(0.3)  # nothing tells that it waits
        assert kept.asked == []
        kept.upto = 2
        assert await waiting == ["evidence/flood-1/1 first"]
