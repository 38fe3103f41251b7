"""Inputs as records of their own, beside the compact form that replay reads: one a message, on a channel of its topic.

So Foxglove and the mcap tools show each message with its topic, time and body. Repeated in one chunk, the bodies cost
little: zstd finds them in the record of their batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gateway.events import Detections, Looked, Message, Tick
from gateway.recording.beside import Beside
from gateway.recording.channels import ANY_OBJECT, OWN

if TYPE_CHECKING:
    from gateway.events import Cut, Input
    from gateway.recording.writer import FileWriter

TOPICS_AT_MOST = 60_000  # MCAP numbers channels by 16 bits
MANY = "/inputs/other-topics"  # those beyond
MESSAGE, INPUT, BYTES = "zhiwang.Message", "zhiwang.Input", "application/octet-stream"
_TAKEN = frozenset(channel.topic for channel in OWN.values())


def is_readable(channel: Beside) -> bool:
    """Whether a channel is one of these."""
    return channel.schema_name in {MESSAGE, INPUT} or channel.message_encoding == BYTES


class Readable:
    """Writes what a cut holds as records of their own. `messages`: how many so far."""

    def __init__(self, writer: FileWriter) -> None:
        self.messages = 0
        self._writer = writer
        self._channels: dict[tuple[str, bool], Beside] = {}

    def inputs(self, cut: Cut) -> None:
        """Each message on the channel of its topic; everything else but ticks and looks on /inputs/<kind>."""
        for one, admitted_ns in zip(cut.inputs, cut.admitted_ns.tolist(), strict=True):
            if isinstance(one, Message):
                self.messages += 1
                self._writer.beside(self._channel(one), admitted_ns, one.body)
            elif not isinstance(one, Tick | Detections | Looked):
                self._writer.beside(_kind(one), admitted_ns, msgspec.json.encode(msgspec.structs.asdict(one)))

    def _channel(self, message: Message) -> Beside:
        json = _is_json(message.body)
        channel = self._channels.get((message.topic, json))
        if channel is None:
            topic = message.topic if len(self._channels) < TOPICS_AT_MOST else MANY
            channel = self._channels[message.topic, json] = _described(topic, json=json)
        return channel


def _described(topic: str, *, json: bool) -> Beside:
    """No topic of MQTT has a #, so that the same topic's other bodies have a name of their own."""
    named = f"{topic}#mqtt" if topic in _TAKEN else topic
    if json:
        return Beside(named, MESSAGE, "jsonschema", ANY_OBJECT)
    return Beside(f"{named}#bytes", message_encoding=BYTES)


def _kind(one: Input) -> Beside:
    return Beside(f"/inputs/{type(one).__name__.lower()}", INPUT, "jsonschema", ANY_OBJECT)


def _is_json(body: bytes) -> bool:
    """Whether it is a JSON object, which is what people look at by its fields."""
    if body[:1] != b"{":
        return False
    try:
        msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True
