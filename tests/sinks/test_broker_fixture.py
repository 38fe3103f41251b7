"""The shipped broker configuration keeps what its defaults would drop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

if TYPE_CHECKING:
    from tests.servers.mosquitto import Mosquitto


async def test_the_shipped_queue_limits_keep_every_message_for_a_subscriber_who_is_away(
    own_mosquitto: Mosquitto,
) -> None:
    """3,000 messages for a stopped gateway outlive a restart of the broker; its default would drop two thirds."""
    keep = Properties(PacketTypes.CONNECT)
    keep.SessionExpiryInterval = 3600

    def subscriber() -> aiomqtt.Client:
        return aiomqtt.Client(
            own_mosquitto.host,
            own_mosquitto.port,
            identifier="away",
            protocol=aiomqtt.ProtocolVersion.V5,
            clean_start=False,  # mosquitto 2.0.11 saves no session that was once started clean
            properties=keep,
        )

    async with subscriber() as client:
        await client.subscribe("many/#", qos=1)
    async with aiomqtt.Client(own_mosquitto.host, own_mosquitto.port) as client:
        for n in range(3000):
            await client.publish("many/a", str(n), qos=1)
    own_mosquitto.restart()
    async with subscriber() as client:
        got = [int(bytes((await anext(client.messages)).payload)) for _ in range(3000)]
    assert got == list(range(3000))
