"""MQTT in, against a real mosquitto, seen through a relay."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import aiomqtt
import pytest

from gateway.clock import WallClock
from gateway.config.names import Names
from gateway.sources.mqtt import Mqtt, MqttSource
from tests.sources.door import VERSIONS, Door, broker_at, publish, running
from tests.sources.waiting import until
from tests.sources.wire import DISCONNECT, PUBACK, PUBLISH, SUBACK, Packet, wired

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.events import Input
    from tests.servers.mosquitto import Mosquitto


def numbered(prefix: str, n: int) -> list[tuple[str, bytes]]:
    """So many messages on topics below the prefix."""
    return [(f"{prefix}/{i % 7}", b"%d" % i) for i in range(n)]


@VERSIONS
async def test_messages_are_acknowledged_in_order_and_only_after_their_commit_returned(
    mosquitto: Mosquitto, version: str
) -> None:
    door = Door()
    door.shut = True
    async with wired(mosquitto.host, mosquitto.port) as wire:
        broker = broker_at(wire.url, version)
        async with running(broker, door, [(f"ack{version}/#", 1)], f"ack{version}") as source:
            await publish(mosquitto.host, mosquitto.port, numbered(f"ack{version}", 20))
            await until(lambda: len(door.messages) == 20)
            assert wire.mids(PUBACK, ours=True) == []
            assert source.stats()["unacknowledged"] == 20
            door.open()
            await until(lambda: len(wire.mids(PUBACK, ours=True)) == 20)
            assert wire.mids(PUBACK, ours=True) == wire.mids(PUBLISH, ours=False)
            assert source.stats()["unacknowledged_bytes"] == 0
        assert wire.count(DISCONNECT) == 1
    assert [m.packet_id for m in door.messages] == wire.mids(PUBLISH, ours=False)
    assert door.bodies == [b"%d" % i for i in range(20)]
    assert not [t for t in threading.enumerate() if t.name == "mqtt-here"]


@VERSIONS
async def test_commits_that_return_out_of_order_are_still_acknowledged_in_order(
    mosquitto: Mosquitto, version: str
) -> None:
    door, topic = Door(), f"o{version}/a"
    door.shut = True
    async with (
        wired(mosquitto.host, mosquitto.port) as wire,
        running(broker_at(wire.url, version), door, [(topic, 1)], f"order{version}"),
    ):
        for n in range(3):
            await publish(mosquitto.host, mosquitto.port, [(topic, b"%d" % n)])
            await until(lambda n=n: len(door.waiting) == n + 1)
        door.waiting[2].set_result(None)
        door.waiting[1].set_result(None)
        await publish(mosquitto.host, mosquitto.port, [(topic, b"3")])  # a round trip later, still none
        await until(lambda: len(door.waiting) == 4)
        assert wire.mids(PUBACK, ours=True) == []
        door.open()
        await until(lambda: len(wire.mids(PUBACK, ours=True)) == 4)
        assert wire.mids(PUBACK, ours=True) == wire.mids(PUBLISH, ours=False)


@VERSIONS
async def test_what_was_not_acknowledged_comes_again_to_the_next_process_and_nothing_else(
    mosquitto: Mosquitto, version: str
) -> None:
    broker = broker_at(mosquitto.url, version)
    first, second, third = Door(), Door(), Door()
    filters = [(f"again{version}/#", 1)]
    async with running(broker, first, filters, f"again{version}") as source:
        await publish(mosquitto.host, mosquitto.port, numbered(f"again{version}", 5))
        await until(lambda: len(first.messages) == 5 and not source.stats()["unacknowledged"])
        first.shut = True
        await publish(mosquitto.host, mosquitto.port, [(f"again{version}/x", b"kept")])
        await until(lambda: len(first.messages) == 6)
    await publish(mosquitto.host, mosquitto.port, [(f"again{version}/x", b"while away")])
    async with running(broker, second, filters, f"again{version}") as source:
        await until(lambda: len(second.messages) >= 2 and not source.stats()["unacknowledged"])
    assert second.bodies == [b"kept", b"while away"]
    assert [m.duplicate for m in second.messages] == [True, False]
    assert second.messages[0].packet_id == first.messages[5].packet_id
    async with running(broker, third, filters, f"again{version}"):
        await publish(mosquitto.host, mosquitto.port, [(f"again{version}/x", b"end")])
        await until(lambda: third.bodies[-1:] == [b"end"])
    assert third.bodies == [b"end"]


@VERSIONS
async def test_acknowledgements_of_an_older_connection_are_dropped(mosquitto: Mosquitto, version: str) -> None:
    """They would acknowledge whatever has that number now."""
    door = Door()
    door.shut = True
    async with wired(mosquitto.host, mosquitto.port) as wire:
        broker = broker_at(wire.url, version)
        async with running(broker, door, [(f"gen{version}/#", 1)], f"gen{version}") as source:
            await publish(mosquitto.host, mosquitto.port, numbered(f"gen{version}", 8))
            await until(lambda: len(door.messages) == 8)
            wire.cut()
            await until(lambda: len(door.messages) == 16)
            assert all(m.duplicate for m in door.messages[8:])
            door.open()
            await until(lambda: source.stats()["stale_acknowledgements_total"] == 8)
            await until(lambda: len(wire.mids(PUBACK, ours=True)) == 8)
            assert wire.mids(PUBACK, ours=True, connection=1) == []
            assert wire.mids(PUBACK, ours=True) == wire.mids(PUBLISH, ours=False, connection=wire.connections)
            assert source.stats()["reconnects_total"] == 1
            assert source.stats()["unacknowledged_bytes"] == 0
    assert door.health("connected") == [True, False, True]
    assert door.health("login") == [True]


@VERSIONS
async def test_a_broker_with_a_small_window_is_kept_going_by_asking_for_the_seal(
    own_mosquitto: Mosquitto, version: str
) -> None:
    """The door holds its transaction for a linger; the source says when nothing more will come before its answer."""
    own_mosquitto.stop()
    own_mosquitto.configure("max_inflight_messages 20")
    own_mosquitto.start()
    door = Door()
    door.shut = True
    sealed = 0

    def seal() -> None:
        nonlocal sealed
        sealed += 1
        for future in door.waiting:
            if not future.done():
                future.set_result(None)

    broker = broker_at(own_mosquitto.url, version, receive_maximum=20)
    async with running(broker, door, [("w/#", 1)], "window", seal=seal) as source:
        await publish(own_mosquitto.host, own_mosquitto.port, numbered("w", 95))
        await until(lambda: len(door.messages) == 95)
        assert sealed  # 2.0.11 then sends more than its window; without a seal the 21st would never come
        await until(lambda: source.stats()["unacknowledged"] < 20)


@VERSIONS
async def test_flags_and_qos_0_come_along(mosquitto: Mosquitto, version: str) -> None:
    door, top = Door(), f"flags{version}"
    await publish(mosquitto.host, mosquitto.port, [(f"{top}/kept", b"old")], retain=True)
    filters = [(f"{top}/+", 1), (f"{top}/+", 0)]
    async with running(broker_at(mosquitto.url, version), door, filters, top) as source:
        await until(lambda: door.messages)
        async with aiomqtt.Client(mosquitto.host, mosquitto.port, protocol=aiomqtt.ProtocolVersion.V5) as client:
            await client.publish(f"{top}/a", b"\xff\x00", qos=0)
            await client.publish(f"{top}/a", b"", qos=1)
            await client.publish(f"{top}/a", b"live", qos=1, retain=True)
            await client.publish(f"{top}/a", b"x" * 1_000_000, qos=2)
        await until(lambda: len(door.messages) == 5 and not source.stats()["unacknowledged"])
    kept, first, empty, live, large = door.messages
    assert (kept.retain, kept.duplicate, kept.body) == (True, False, b"old")
    assert (first.qos, first.packet_id, first.body, first.retain) == (0, 0, b"\xff\x00", False)
    assert (empty.qos, empty.body, empty.source, empty.topic) == (1, b"", "here", f"{top}/a")
    assert (live.body, live.retain) == (b"live", False)  # retained means: from before
    assert (large.qos, len(large.body)) == (1, 1_000_000)  # QoS 2 is never asked for


@VERSIONS
async def test_what_is_no_longer_wanted_is_unsubscribed(mosquitto: Mosquitto, version: str) -> None:
    first, second = Door(), Door()
    broker, top = broker_at(mosquitto.url, version), f"set{version}"
    async with running(broker, first, [(f"{top}/a/#", 1), (f"{top}/b/#", 1)], top) as source:
        remembered = source.subscribed
    assert remembered == {f"{top}/a/#", f"{top}/b/#"}
    async with running(broker, second, [(f"{top}/b/#", 1), (f"{top}/c/#", 1)], top, remembered=remembered) as source:
        assert source.subscribed == {f"{top}/b/#", f"{top}/c/#"}
        await publish(
            mosquitto.host, mosquitto.port, [(f"{top}/a/1", b"a"), (f"{top}/b/1", b"b"), (f"{top}/c/1", b"c")]
        )
        await until(lambda: b"c" in second.bodies)
    assert second.bodies == [b"b", b"c"]


@VERSIONS
async def test_a_subscription_that_the_broker_refuses_is_told_and_so_is_its_return(
    mosquitto: Mosquitto, version: str
) -> None:
    code, words = (b"\x87", "Not authorized") if version == "5" else (b"\x80", "Unspecified error")

    def refuse(packet: Packet) -> bytes:
        return packet.body[:-1] + code if packet.kind == SUBACK else packet.body

    door = Door()
    async with wired(mosquitto.host, mosquitto.port) as wire:
        wire.alter = refuse
        async with running(
            broker_at(wire.url, version),
            door,
            [("secret/a", 1), ("secret/b", 1)],
            f"refused{version}",
            subscribed=False,
        ) as source:
            await until(lambda: door.health("subscribed"))
            told = door.said[-1]
            assert (told.component, told.ok) == ("source/here", False)
            assert f"secret/b ({words})" in told.detail
            assert "secret/a" not in told.detail
            assert source.subscribed == {"secret/a"}
            wire.alter = None
            wire.cut()
            await until(lambda: door.said[-1].condition == "subscribed" and door.said[-1].ok)
            assert source.subscribed == {"secret/a", "secret/b"}


def source_of(mosquitto: Mosquitto, version: str) -> MqttSource:
    """A source that nobody runs yet."""
    broker = broker_at(mosquitto.url, version)
    return MqttSource("here", broker, [("f/#", 1)], client_id=f"failing{version}", clock=WallClock(), base=Path("/"))


@VERSIONS
async def test_an_error_of_the_door_ends_the_source_with_it_and_leaves_no_thread(
    mosquitto: Mosquitto, version: str
) -> None:
    class Failing(Door):
        async def commit(self, batch: Sequence[Input]) -> None:
            raise LookupError(f"the door is broken, {len(batch)} inputs")

    with pytest.raises(ExceptionGroup, match="unhandled errors") as caught:
        await source_of(mosquitto, version).run(Failing().commit)
    assert caught.group_contains(LookupError)
    assert not [t for t in threading.enumerate() if t.name == "mqtt-here"]


def test_a_route_checks_its_broker_and_topic() -> None:
    names = Names(brokers=frozenset({"here"}))
    assert Mqtt(mqtt="here", topic="air/{site}/up").check(names) == []
    assert Mqtt(mqtt="here", topic="air/{site}/{device}").tags() == ("site", "device")
    wrong = Mqtt(mqtt="her", topic="a/{x}/{x}")
    assert [key for key, _ in wrong.check(names)] == ["mqtt", "topic"]
    assert wrong.tags() == ()
