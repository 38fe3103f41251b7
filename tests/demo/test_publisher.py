"""The embedded broker and what the counters publish to it, as paho hears it."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import msgspec
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from gateway.clock import WallClock
from gateway.demo.broker import embedded_broker
from gateway.demo.footfall import Counter, Hour
from gateway.demo.publisher import Payload, play

if TYPE_CHECKING:
    from collections.abc import Sequence

COUNTERS = [Counter("45 Queen Street", "45-queen-street", 174.77, -36.84), Counter("1 Elm", "1-elm", 174.76, -36.85)]


def hours(count: int) -> list[Hour]:
    """Hours of two counters with values that tell them apart."""
    return [Hour("2019-11-24", f"{6 + n}:00", {"45-queen-street": 100 + n, "1-elm": n}) for n in range(count)]


class Listener:
    """A subscriber with a persistent session that acknowledges nothing before `wanted` messages are there."""

    def __init__(self, port: int, wanted: int) -> None:
        self.messages: list[paho.MQTTMessage] = []
        self.wanted = wanted
        self.subscribed, self.complete = threading.Event(), threading.Event()
        self.client = paho.Client(
            CallbackAPIVersion.VERSION2, "listener", clean_session=False, protocol=paho.MQTTv311, manual_ack=True
        )
        self.client.on_message = self._on_message
        self.client.on_subscribe = lambda *_: self.subscribed.set()
        self.client.on_connect = lambda client, *_: client.subscribe("footfall/+", qos=1)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def _on_message(self, _client: paho.Client, _userdata: object, message: paho.MQTTMessage) -> None:
        self.messages.append(message)
        if len(self.messages) == self.wanted:
            for each in self.messages:
                self.client.ack(each.mid, each.qos)
            self.complete.set()

    def stop(self) -> None:
        """Leave, and end the client's thread."""
        self.client.disconnect()
        self.client.loop_stop()


async def published(played: Sequence[Hour], wanted: int) -> tuple[int, list[paho.MQTTMessage]]:
    """What `play` says it published, and what a subscriber got of it."""
    async with embedded_broker() as port:
        listener = await asyncio.to_thread(Listener, port, wanted)
        try:
            assert await asyncio.to_thread(listener.subscribed.wait, 10)
            said = await play(played, COUNTERS, port=port, clock=WallClock())
            assert await asyncio.to_thread(listener.complete.wait, 10)
        finally:
            await asyncio.to_thread(listener.stop)
    return said, listener.messages


async def test_each_counter_publishes_each_hour_on_its_own_topic_at_qos_1() -> None:
    """Counter by counter, in the order of the hours, with position and the hour it was recorded."""
    said, messages = await published(hours(2), wanted=4)
    assert said == 4
    assert [(message.topic, message.qos) for message in messages] == [
        ("footfall/45-queen-street", 1),
        ("footfall/1-elm", 1),
    ] * 2
    payloads = [msgspec.json.decode(message.payload, type=Payload) for message in messages]
    assert [payload.people for payload in payloads] == [100, 0, 101, 1]
    assert (payloads[0].lon, payloads[0].lat, payloads[0].recorded) == (174.77, -36.84, "2019-11-24 6:00")


async def test_hours_are_stamped_now_and_exactly_a_second_apart() -> None:
    """The spacing does not depend on when the messages got out."""
    before_ms = WallClock().now_ns() // 1_000_000
    _, messages = await published(hours(3), wanted=6)
    stamps = [msgspec.json.decode(message.payload, type=Payload).time for message in messages]
    assert before_ms <= stamps[0] <= WallClock().now_ns() // 1_000_000
    assert [stamp - stamps[0] for stamp in stamps] == [0, 0, 1000, 1000, 2000, 2000]


async def test_the_broker_goes_on_handing_out_messages_to_one_who_acknowledges_late() -> None:
    """A gateway acknowledges a transaction's messages together: 21 counters' messages wait for one fsync."""
    wide = [Counter(f"{n} Elm", f"{n}-elm", 174.0, -36.0) for n in range(100)]
    async with embedded_broker() as port:
        listener = await asyncio.to_thread(Listener, port, 100)
        try:
            assert await asyncio.to_thread(listener.subscribed.wait, 10)
            hour = Hour("2019-11-24", "6:00", {counter.name: 1 for counter in wide})
            await play([hour], wide, port=port, clock=WallClock())
            assert await asyncio.to_thread(listener.complete.wait, 10), len(listener.messages)
        finally:
            await asyncio.to_thread(listener.stop)
