"""MQTT 5 packets to messages and back, over `mqtt5`, which reads and writes single packets and knows no connection.

What one packet cannot say is added here: topic aliases, a packet that is not all there yet, and what to call an error.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

import mqtt5
from mqtt5 import DisconnectReasonCode as Code

from gateway.config.urls import login_of
from gateway.errors import GatewayError
from gateway.events import Message
from gateway.sources.intake import OVERHEAD

if TYPE_CHECKING:
    import enum
    from collections.abc import Sequence
    from pathlib import Path

    from gateway.config.model import Broker

ALIASES = 1000  # that a broker may use (MQTT 5 §3.1.2.11.5): of names of 100 bytes they take 100 kB
RESPONSE_TOPIC, CORRELATION_DATA = (
    "$response_topic",
    "$correlation_data",
)  # beside user properties; $: not a publisher's
_RETAIN = mqtt5.RetainHandling.SEND_IF_SUBSCRIPTION_NOT_EXISTS
_RETAIN_SHARED = mqtt5.RetainHandling.SEND_NEVER
_MOST = 2**32 - 1
_LENGTH_BYTES = 4  # of a remaining length at most (MQTT 5 §2.1.4)
_QOS_2 = 1 << 16  # in an acknowledgement's number, above the packet id
_PUBACK, _PUBREC = 0x4002, 0x5002  # their type, and two bytes that follow


class Malformed(GatewayError):
    """What the broker sent is no MQTT 5; `code` says so to it."""

    def __init__(self, words: str, code: Code = Code.MALFORMED_PACKET) -> None:
        super().__init__(words)
        self.code = code


class Taken(NamedTuple):
    """What stood at the beginning of the bytes.

    acks: packet ids, as `puback` takes them, of the messages that want it; then, where the next packet is no PUBLISH,
    that `packet`. end: where the first byte stands that was not taken; needed: how many bytes have to be there from
    `end` on before it is worth looking again, 0 where the next packet may be whole.
    """

    messages: list[Message]
    acks: list[int]
    packet: mqtt5.Packet | None
    end: int
    needed: int


class Reader:
    """Reads one connection's packets; remembers its topic aliases."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._aliases: dict[int, str] = {}

    def take(self, view: memoryview, *, above: int, room: int, most: int) -> Taken:
        """The packets at the beginning of `view`: PUBLISH packets in a row, and one of another kind.

        No more are taken once they fill `room`, in bytes with what their objects take, or are `most`. above: is set in
        each number of `acks`. Raises Malformed, once all before it is taken.
        """
        messages: list[Message] = []
        acks: list[int] = []
        at, needed, size, source, read, publish = 0, 0, len(view), self._source, mqtt5.read, mqtt5.PublishPacket
        wrong: Malformed | None = None
        try:
            while at < size and room > 0 and len(messages) < most:
                packet, used = read(view[at:])
                if type(packet) is not publish:
                    return Taken(messages, acks, packet, at + used, 0)
                topic = packet.topic
                if packet.topic_alias is not None:
                    topic = self._alias(packet.topic_alias, topic)
                qos, packet_id = packet.qos.value, packet.packet_id or 0
                message = Message(
                    source,
                    topic,
                    packet.payload,
                    qos,
                    packet.retain,
                    packet.duplicate,
                    None,
                    _properties(packet),
                    packet_id,
                )
                if qos:
                    acks.append(above | _number(qos, packet_id))
                messages.append(message)
                at += used
                room -= used + OVERHEAD
        except IndexError:  # not all there yet
            needed = _whole(view, at)
            wrong = None if needed else Malformed("a packet that is shorter than what it holds")
        except ValueError as error:
            wrong = Malformed(str(error))
        except Malformed as error:
            wrong = error
        except BaseException as error:
            if type(error).__name__ != "PanicException":  # mqtt5 0.8.0 panics at text that is no UTF-8
                raise
            wrong = Malformed("text that is not UTF-8")
        if wrong and not messages:  # else these come first, and it is met again
            raise wrong
        return Taken(messages, acks, None, at, needed)

    def _alias(self, alias: int, topic: str) -> str:
        """The topic that is meant; given with a topic, it is remembered (MQTT 5 §3.3.2.3.4)."""
        if not 0 < alias <= ALIASES:
            raise Malformed(f"it uses topic alias {alias}; it was allowed 1 to {ALIASES}", Code.TOPIC_ALIAS_INVALID)
        if topic:
            self._aliases[alias] = topic
            return topic
        known = self._aliases.get(alias)
        if known is None:
            raise Malformed(f"it uses topic alias {alias} before it says the topic", Code.PROTOCOL_ERROR)
        return known


def _whole(view: memoryview, at: int) -> int:
    """How many bytes the packet at `at` has, as its remaining length says; one more where that is cut off.

    0 where they are all there, or the length is no length.
    """
    length = 0
    for place in range(_LENGTH_BYTES):
        if at + 1 + place >= len(view):
            return len(view) - at + 1
        byte = view[at + 1 + place]
        length |= (byte & 0x7F) << 7 * place
        if not byte & 0x80:
            whole = 2 + place + length
            return whole if whole > len(view) - at else 0
    return 0


def _number(qos: int, packet_id: int) -> int:
    """What `puback` makes an acknowledgement of."""
    if not packet_id:
        raise Malformed("packet identifier 0", Code.PROTOCOL_ERROR)
    return packet_id if qos == 1 else _QOS_2 | packet_id


def _properties(packet: mqtt5.PublishPacket) -> tuple[tuple[str, str], ...]:
    """Its user properties; where an answer is wanted, and what it is to carry, in hex digits."""
    users, topic, carried = packet.user_properties, packet.response_topic, packet.correlation_data
    if not users and topic is None and carried is None:
        return ()
    if topic is not None:
        users.append((RESPONSE_TOPIC, topic))
    if carried is not None:
        users.append((CORRELATION_DATA, carried.hex()))
    return tuple(users)


def connect(broker: Broker, client_id: str, base: Path, keepalive_s: int) -> bytes:
    """CONNECT with the session kept. Raises OSError or KeyError where the password cannot be read.

    There is no will: the sink's client owns it. No maximum packet size either: a broker drops what is larger, silently.
    """
    user, password = login_of(broker, client_id, base)
    return mqtt5.ConnectPacket(
        client_id,
        username=user,
        password=None if password is None else password.encode(),
        clean_start=False,
        keep_alive=keepalive_s,
        session_expiry_interval=min(_MOST, round(broker.session / 1e9)),
        receive_max=broker.receive_maximum,
        topic_alias_max=ALIASES,
    ).write()


def subscribe(packet_id: int, filters: Sequence[tuple[str, int]]) -> bytes:
    """SUBSCRIBE to filters with their QoS.

    Retained messages come only with a new subscription, and never with a shared one: §4.8.2 says so, but mosquitto
    2.0.11 sends them to each of the group.
    """
    return mqtt5.SubscribePacket(
        packet_id,
        [
            mqtt5.TopicFilter(
                topic_filter,
                max_qos=mqtt5.QoS(qos),
                retain_as_published=False,
                retain_handling=_RETAIN_SHARED if topic_filter.startswith("$share/") else _RETAIN,
            )
            for topic_filter, qos in filters
        ],
    ).write()


def puback(acks: Sequence[int]) -> bytes:
    """A PUBACK for each, in order, without reason and properties (MQTT 5 §3.4); a PUBREC where it is QoS 2."""
    words = [word for ack in acks for word in ((_PUBREC, ack ^ _QOS_2) if ack & _QOS_2 else (_PUBACK, ack))]
    return struct.pack(f"!{len(words)}H", *words)


def named(code: enum.IntEnum) -> str:
    """A reason code as the standard writes it."""
    return code.name.replace("_", " ").capitalize().replace("Qos", "QoS")
