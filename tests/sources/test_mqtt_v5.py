"""What only MQTT 5 has: aliases, properties, reasons in words, shared subscriptions; and bytes that are none of it."""

from __future__ import annotations

import asyncio
import random
import socket
from typing import TYPE_CHECKING

import aiomqtt
import mqtt5
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from gateway.config.model import Broker
from gateway.config.scalars import Duration, Size
from gateway.sources import mqtt_v5, mqtt_v5_wire
from gateway.sources.mqtt_v5_packets import ALIASES, Malformed, Reader, puback
from tests.sources.door import VERSIONS, Door, broker_at, publish, running
from tests.sources.mqtt5_broker import ScriptedBroker, scripted
from tests.sources.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gateway.events import Message
    from tests.servers.certificates import Authority
    from tests.servers.mosquitto import Mosquitto

NS = 10**9
ONCE = mqtt5.QoS.AT_LEAST_ONCE


@pytest.fixture
async def broker() -> AsyncIterator[ScriptedBroker]:
    async with scripted() as one:
        yield one


def sent(topic: str, body: bytes, packet_id: int, **more: object) -> bytes:
    return mqtt5.PublishPacket(topic, body, qos=ONCE, packet_id=packet_id, **more).write()  # type: ignore[arg-type]  its own keywords


async def test_it_asks_for_its_session_and_offers_what_it_can_do_and_no_will(broker: ScriptedBroker) -> None:
    """The will is the sink's client's."""
    configured = Broker(url=broker.url, keepalive=Duration(20 * NS), session=Duration(3600 * NS), receive_maximum=77)
    async with running(configured, Door(), [("b/#", 0), ("a/#", 1)], "gw"):
        pass
    (hello,) = broker.of(mqtt5.ConnectPacket)
    assert (hello.client_id, hello.clean_start, hello.will) == ("gw", False, None)
    assert (hello.keep_alive, hello.session_expiry_interval, hello.receive_max) == (20, 3600, 77)
    assert (hello.topic_alias_max, hello.max_packet_size) == (ALIASES, None)
    (asked,) = broker.of(mqtt5.SubscribePacket)
    assert [
        (f.pattern, f.max_qos.value, f.retain_as_published, f.retain_handling.value) for f in asked.topic_filters
    ] == [
        ("a/#", 1, False, 1),
        ("b/#", 0, False, 1),
    ]
    await until(lambda: broker.of(mqtt5.DisconnectPacket))


async def test_topic_aliases_are_resolved_and_end_with_their_connection(broker: ScriptedBroker) -> None:
    door = Door()
    broker.then = sent("a/long/topic", b"1", 1, topic_alias=7) + sent("", b"2", 2, topic_alias=7)
    broker.then += sent("a/other", b"3", 3, topic_alias=7) + sent("", b"4", 4, topic_alias=7)
    async with running(Broker(url=broker.url), door, [("a/#", 1)], "alias") as source:
        await until(lambda: len(door.messages) == 4)
        assert [m.topic for m in door.messages] == ["a/long/topic", "a/long/topic", "a/other", "a/other"]
        broker.send(mqtt5.DisconnectPacket().write())
        await until(lambda: source.stats()["reconnects_total"] == 1)
        await until(lambda: len(broker.of(mqtt5.SubscribePacket)) == 2)
        broker.send(sent("", b"5", 5, topic_alias=7))
        await until(lambda: "topic alias 7 before it says the topic" in door.said[-1].detail)
    assert len(door.messages) == 4


async def test_properties_come_along_and_so_does_where_an_answer_is_wanted(mosquitto: Mosquitto) -> None:
    door = Door()
    properties = Properties(PacketTypes.PUBLISH)
    properties.UserProperty = [("unit", "m"), ("site", "江口")]
    async with (
        running(Broker(url=mosquitto.url), door, [("props/+", 1)], "props"),
        aiomqtt.Client(mosquitto.host, mosquitto.port, protocol=aiomqtt.ProtocolVersion.V5) as client,
    ):
        await client.publish("props/a", b"1", qos=1, properties=properties)
        properties.ResponseTopic, properties.CorrelationData = "answers/here", b"\x00\xff"
        await client.publish("props/a", b"2", qos=0, properties=properties)
        await until(lambda: len(door.messages) == 2)
    users = (("unit", "m"), ("site", "江口"))
    assert door.messages[0].properties == users
    assert door.messages[1].properties == (
        *users,
        ("$response_topic", "answers/here"),
        ("$correlation_data", "00ff"),
    )


async def test_the_servers_keep_alive_holds_and_a_broker_that_does_not_answer_is_left(broker: ScriptedBroker) -> None:
    door = Door()
    broker.hello = mqtt5.ConnAckPacket(server_keep_alive=1).write()
    async with running(Broker(url=broker.url, keepalive=Duration(3600 * NS)), door, [("a/#", 1)], "beat"):
        await until(lambda: broker.of(mqtt5.PingReqPacket))
        broker.send(mqtt5.PingRespPacket().write())
        await until(lambda: len(broker.of(mqtt5.PingReqPacket)) >= 2)
        assert broker.connections == 1
        await until(lambda: not door.said[-1].ok)
        assert door.said[-1].detail == "Keep alive timeout"
        (told,) = broker.of(mqtt5.DisconnectPacket)
        assert told.reason_code is mqtt5.DisconnectReasonCode.KEEP_ALIVE_TIMEOUT


CODE = mqtt5.ConnAckReasonCode


@pytest.mark.parametrize(
    ("hello", "words", "login"),
    [
        (mqtt5.ConnAckPacket(reason_code=CODE.NOT_AUTHORIZED).write(), "login refused (Not authorized)", True),
        (mqtt5.ConnAckPacket(reason_code=CODE.BANNED, reason_str="go away").write(), "(it says: go away)", True),
        (mqtt5.ConnAckPacket(reason_code=CODE.QUOTA_EXCEEDED).write(), "Quota exceeded", False),
        (
            mqtt5.ConnAckPacket(reason_code=CODE.USE_ANOTHER_SERVER, server_reference="b.example:8883").write(),
            "the broker sends us to b.example:8883 (Use another server): change its url",
            False,
        ),
        (b"\x20\x02\x00\x01", "try version: 3.1.1", False),
        (b"\x20\x02\x00\x00", "try version: 3.1.1", False),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "no MQTT 5: it begins with another packet than CONNACK", False),
        (sent("a/b", b"early", 1), "no MQTT 5: it begins with another packet than CONNACK", False),
        (b"\x20\x03\x00\x77\x00", "no MQTT 5: Invalid ConnAckReasonCode", False),
    ],
)
async def test_a_broker_that_does_not_let_us_in_is_told_in_words(
    broker: ScriptedBroker, hello: bytes, words: str, *, login: bool
) -> None:
    door = Door()
    broker.hello = hello
    async with running(Broker(url=broker.url), door, [("a/#", 1)], "out", subscribed=False) as source:
        await until(lambda: door.health("connected"))
        assert words in door.said[-1].detail
        assert door.health("login") == ([False] if login else [])
        assert not door.messages
        assert not source.stats()["connected"]


@pytest.mark.parametrize("scheme", ["mqtt", "mqtts"])
async def test_a_broker_that_never_answers_is_told_and_keeps_nobody_from_stopping(
    monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    """Given one that accepts and is silent, at the hello of MQTT or of TLS."""
    monkeypatch.setattr(mqtt_v5_wire, "_CONNACK_S", 0.3)
    monkeypatch.setattr(mqtt_v5, "CONNECT_S", 0.3)
    door = Door()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        broker = Broker(url=f"{scheme}://127.0.0.1:{silent.getsockname()[1]}")
        async with running(broker, door, [("a/#", 1)], "silent", subscribed=False):
            await until(lambda: door.said)
            words = "no answer to CONNECT" if scheme == "mqtt" else "does not answer within"
            assert words in door.said[0].detail
            (await asyncio.to_thread(silent.accept))[0].close()
        async with running(broker, Door(), [("a/#", 1)], "silent", subscribed=False):
            accepted, _ = await asyncio.to_thread(silent.accept)  # and then a stop in the middle of it
        accepted.close()


async def test_a_broker_that_hangs_keeps_nobody_from_stopping_even_over_tls(
    own_mosquitto: Mosquitto, authority: Authority
) -> None:
    served = authority.issue("broker")
    own_mosquitto.stop()
    own_mosquitto.configure(f"certfile {served.crt}\nkeyfile {served.key}")
    own_mosquitto.start()
    broker = Broker(url=own_mosquitto.url.replace("mqtt://", "mqtts://"), ca=str(authority.ca))
    async with asyncio.timeout(15):
        async with running(broker, Door(), [("a/#", 1)], "stuck"):
            own_mosquitto.pause()
    own_mosquitto.resume()


async def test_a_broker_that_says_why_it_disconnects_is_quoted(broker: ScriptedBroker) -> None:
    door = Door()
    async with running(Broker(url=broker.url), door, [("a/#", 1)], "bye"):
        broker.send(
            mqtt5.DisconnectPacket(
                reason_code=mqtt5.DisconnectReasonCode.SERVER_SHUTTING_DOWN, reason_str="back at 6"
            ).write()
        )
        await until(lambda: not door.said[-1].ok)
        assert door.said[-1].detail == "Server shutting down (it says: back at 6)"
        await until(lambda: door.said[-1].ok)


# mqtt5 0.8.0 panics at text that is no UTF-8, and what Python says of that goes to nobody
UNRAISABLE = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@UNRAISABLE
@pytest.mark.parametrize(
    ("wrong", "words", "code"),
    [
        (b"\x32\x07\x00\x01\xff\x00\x09\x00x", "text that is not UTF-8", 129),
        (b"\x32\x0c\x00\x01a\x00\x09\x06\x26\x00\x01\xff\x00\x00", "text that is not UTF-8", 129),  # a user property
        (b"\x32\x0a\x00\x01a\x00\x09\x03\x26\x00\x01u", "no MQTT 5", 129),  # one that is cut off
        (b"\x32\xff\xff\xff\xff\x01", "no MQTT 5", 129),
        (b"\x32\x05\x00\x09abc", "no MQTT 5", 129),
        (b"\x00\x00", "no MQTT 5", 129),
        (b"\x36\x07\x00\x01a\x00\x09\x00x", "no MQTT 5", 129),  # QoS 3
        (b"\x32\x07\x00\x01a\x00\x00\x00x", "packet identifier 0", 130),
        (b"\x32\x07\x00\x00\x00\x09\x00xy", "no MQTT 5", 129),  # no topic and no alias
        (sent("a", b"", 9, topic_alias=ALIASES + 1), f"it was allowed 1 to {ALIASES}", 148),
        (b"\xe0\x01\x63", "no MQTT 5", 129),  # a reason code that there is not
        (mqtt5.ConnAckPacket().write(), "ConnAckPacket to us", 130),
        (mqtt5.PubAckPacket(1).write(), "PubAckPacket to us", 130),
        (random.Random(4).randbytes(100_000), "no MQTT 5", 129),
    ],
)
async def test_bytes_that_are_no_mqtt_end_the_connection_with_a_reason_and_nothing_else(
    broker: ScriptedBroker, wrong: bytes, words: str, code: int
) -> None:
    """What came before them is handed over and acknowledged; the next connection is a new chance."""
    door = Door()
    broker.then = sent("a/1", b"1", 1) + sent("a/2", b"2", 2) + wrong + sent("a/3", b"3", 3)
    async with running(Broker(url=broker.url), door, [("a/#", 1)], "wrong", subscribed=False) as source:
        await until(lambda: False in door.health("connected"))
        assert words in next(h.detail for h in door.said if not h.ok)
        assert door.bodies == [b"1", b"2"]
        await until(lambda: broker.of(mqtt5.DisconnectPacket))
        assert broker.of(mqtt5.DisconnectPacket)[0].reason_code.value == code
        await until(lambda: len(broker.of(mqtt5.SubscribePacket)) >= 2 and door.said[-1].ok)
        broker.send(sent("a/4", b"4", 4))
        await until(lambda: door.bodies == [b"1", b"2", b"4"] and not source.stats()["unacknowledged"])


async def test_a_stream_in_any_pieces_over_a_small_buffer_comes_whole_and_in_order(broker: ScriptedBroker) -> None:
    """Packets cut anywhere, some larger than the receive buffer, and pauses in between."""
    chance = random.Random(11)
    sizes = [chance.choice([0, 10, 130, 3_000, 20_000]) for _ in range(500)]
    sizes[200] = sizes[201] = 700_000
    bodies = [b"%d" % n + bytes(size) for n, size in enumerate(sizes)]
    stream = b"".join(sent(f"a/{n % 9}", body, n + 1) for n, body in enumerate(bodies))
    door = Door()
    async with running(Broker(url=broker.url, buffer=Size(30_000)), door, [("a/#", 1)], "pieces") as source:
        at = 0
        while at < len(stream):
            size = chance.choice([1, 3, 50, 1_000, 70_000, 400_000])
            broker.send(stream[at : at + size])
            await broker.drain()
            at += size
        await until(lambda: len(door.messages) == len(bodies) and not source.stats()["unacknowledged"])
        assert source.stats()["paused_total"] > 5
        await until(lambda: len(broker.of(mqtt5.PubAckPacket)) == len(bodies))
    assert door.bodies == bodies
    assert [ack.packet_id for ack in broker.of(mqtt5.PubAckPacket)] == list(range(1, len(bodies) + 1))


async def test_a_flood_of_packets_that_are_no_messages_hides_none(broker: ScriptedBroker) -> None:
    """They are taken in turns too, and a message at the end needs nothing more to come."""
    door = Door()
    async with running(Broker(url=broker.url), door, [("a/#", 1)], "flood") as source:
        cut = sent("a/b", bytes(500), 2)
        broker.send(sent("a/b", b"before", 1) + cut[:100])
        await until(lambda: door.bodies == [b"before"])
        broker.send(cut[100:] + mqtt5.PingRespPacket().write() * 20_000 + sent("a/b", b"after", 3))
        await until(lambda: door.bodies[2:] == [b"after"] and not source.stats()["unacknowledged"])


async def test_what_an_older_subscription_left_at_qos_2_is_taken_too(mosquitto: Mosquitto) -> None:
    """Given a session that somebody subscribed at QoS 2 before us: committed, then received, then complete."""
    door = Door()
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = 3600
    async with aiomqtt.Client(
        mosquitto.host,
        mosquitto.port,
        identifier="two",
        protocol=aiomqtt.ProtocolVersion.V5,
        clean_start=False,
        properties=properties,
    ) as client:
        await client.subscribe("two/#", qos=2)
    async with aiomqtt.Client(mosquitto.host, mosquitto.port, protocol=aiomqtt.ProtocolVersion.V5) as client:
        for n in range(50):
            await client.publish("two/a", b"%d" % n, qos=2)
    async with running(Broker(url=mosquitto.url), door, [("two/#", 1)], "two") as source:
        await until(lambda: len(door.messages) == 50 and not source.stats()["unacknowledged"])
        await publish(mosquitto.host, mosquitto.port, [("two/a", b"end")])
        await until(lambda: len(door.messages) == 51 and not source.stats()["unacknowledged"])
        assert source.stats()["reconnects_total"] == 0
    assert [(m.qos, m.body) for m in door.messages[:50]] == [(2, b"%d" % n) for n in range(50)]
    again = Door()
    async with running(Broker(url=mosquitto.url), again, [("two/#", 1)], "two"):
        await publish(mosquitto.host, mosquitto.port, [("two/a", b"new")])
        await until(lambda: again.messages)
    assert again.bodies == [b"new"]


@VERSIONS
async def test_a_shared_subscription_hands_each_message_to_one_of_the_group(mosquitto: Mosquitto, version: str) -> None:
    """Mosquitto 2.0.11 sends retained messages to each, against §4.8.2, unless told not to."""
    first, second = Door(), Door()
    top = f"shared{version}"
    broker = broker_at(mosquitto.url, version)
    filters = [(f"$share/g/{top}/+", 1)]
    await publish(mosquitto.host, mosquitto.port, [(f"{top}/kept", b"old")], retain=True)

    def live() -> list[Message]:
        return [m for m in first.messages + second.messages if not m.retain]

    async with running(broker, first, filters, f"{top}-1"), running(broker, second, filters, f"{top}-2"):
        await publish(mosquitto.host, mosquitto.port, [(f"{top}/a", b"%d" % n) for n in range(40)])
        await until(lambda: len(live()) == 40)
    assert first.messages
    assert second.messages
    assert {m.topic for m in live()} == {f"{top}/a"}
    assert sorted(m.body for m in live()) == sorted(b"%d" % n for n in range(40))
    assert sum(m.retain for m in first.messages + second.messages) == (0 if version == "5" else 2)


@UNRAISABLE
@given(st.binary(max_size=80), st.integers(0, 80))
def test_any_bytes_are_messages_or_malformed_or_not_all_there(rest: bytes, at: int) -> None:
    good = sent("a/b", b"good", 5)
    reader = Reader("here")
    view = memoryview(good + rest[:at] + b"\x32" + rest[at:])
    start = 0
    while start < len(view):
        try:
            taken = reader.take(view[start:], above=0, room=10**9, most=1)
        except Malformed:
            break
        if not taken.messages and taken.packet is None:
            assert taken.needed > len(view) - start
            break
        assert taken.end > 0
        start += taken.end
    assert start >= len(good)


def test_a_turn_takes_no_more_than_it_may() -> None:
    """By number, and by what there is room for; the rest stays as it is."""
    stream = memoryview(sent("a", b"", 1) * 5_000)
    taken = Reader("here").take(stream, above=0, room=10**9, most=100)
    assert (len(taken.messages), taken.end, taken.needed) == (100, 100 * len(stream) // 5_000, 0)
    assert len(Reader("here").take(stream, above=0, room=1, most=100).messages) == 1
    assert 1 < len(Reader("here").take(stream, above=0, room=2_000, most=100).messages) < 10


def test_acknowledgements_are_packets_of_four_bytes_in_order() -> None:
    wanted = [mqtt5.PubAckPacket(1).write(), mqtt5.PubRecPacket(65_535).write(), mqtt5.PubAckPacket(2).write()]
    taken = Reader("here").take(
        memoryview(
            sent("a", b"", 1)
            + mqtt5.PublishPacket("a", b"", qos=mqtt5.QoS.EXACTLY_ONCE, packet_id=65_535).write()
            + sent("a", b"", 2)
        ),
        above=0,
        room=10**9,
        most=10,
    )
    assert puback(taken.acks) == b"".join(wanted)
