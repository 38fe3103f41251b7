"""PUBLISH packets taken straight from the bytes: the same as paho's, and nothing that is paho's to judge."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt._packet import decode_publish
from paho.mqtt.enums import MQTTProtocolVersion
from paho.mqtt.exception import MalformedPacket, MQTTException

from gateway.sources.mqtt_v311_publish import take

SOURCE = "here"
ROOM = 10**9
topics = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
bodies = st.one_of(st.binary(max_size=40), st.integers(0, 20_000).map(bytes))


def packet(first: int, body: bytes) -> bytes:
    left, size = len(body), bytearray()
    while True:
        left, seven = left >> 7, left & 0x7F
        size.append(seven | (0x80 if left else 0))
        if not left:
            return bytes([first]) + bytes(size) + body


def publish(topic: bytes, body: bytes, *, qos: int = 1, mid: int = 7, flags: int = 0) -> bytes:
    name = len(topic).to_bytes(2) + topic
    ident = mid.to_bytes(2) if qos else b""
    return packet(0x30 | qos << 1 | flags, name + ident + body)


@given(
    st.lists(
        st.tuples(topics, bodies, st.sampled_from([0, 1]), st.integers(1, 65_535), st.sampled_from([0, 1, 8, 9])),
        max_size=6,
    ),
    st.integers(0, 10),
)
def test_what_is_taken_is_what_was_sent(sent: list[tuple[str, bytes, int, int, int]], missing: int) -> None:
    """Whole packets are taken in order; one that is not all there yet stays, and so does everything after it."""
    parts = [publish(topic.encode(), body, qos=qos, mid=mid, flags=flags) for topic, body, qos, mid, flags in sent]
    read = b"".join(parts)
    whole = len(parts) - (missing > 0 and len(parts) > 0)
    last = parts[-1][: max(0, len(parts[-1]) - missing)] if whole < len(parts) else b""
    taken = take(b"??" + b"".join(parts[:whole]) + last, 2, SOURCE, room=ROOM)
    assert len(taken.messages) == whole
    assert taken.end == 2 + sum(map(len, parts[:whole]))
    assert taken.packet_ids == [mid for _, _, qos, mid, _ in sent[:whole] if qos]
    for message, (topic, body, qos, mid, flags) in zip(taken.messages, sent[:whole], strict=True):
        assert (message.source, message.topic, message.body, message.qos) == (SOURCE, topic, body, qos)
        assert (message.packet_id, message.retain, message.duplicate) == (mid if qos else 0, flags & 1 > 0, flags > 1)
    assert len(read) >= taken.end - 2


@given(st.binary(max_size=60))
def test_of_any_bytes_only_that_is_taken_which_paho_reads_the_same_way(rest: bytes) -> None:
    read = packet(0x32, rest)
    taken = take(read, 0, SOURCE, room=ROOM)
    try:
        theirs = decode_publish(0x32, bytearray(rest), MQTTProtocolVersion.MQTTv311)
    except (MalformedPacket, MQTTException):
        assert not taken.messages
        return
    for message in taken.messages:
        assert (message.topic.encode(), message.body, message.packet_id) == (theirs.topic, theirs.payload, theirs.mid)


def test_what_is_not_simple_stays_for_paho() -> None:
    for stays in (
        packet(0x34, b"\x00\x01a\x00\x07body"),  # QoS 2
        packet(0xD0, b""),  # a PINGRESP
        publish(b"", b"body"),  # no topic
        publish(b"\xff\xfe", b"body"),  # not UTF-8
        publish(b"a", b"body", mid=0),
        packet(0x32, b"\x00\x09a"),  # a topic longer than its packet
        b"\x32\xff\xff\xff\xff\x01",  # a remaining length of five bytes
    ):
        first = publish(b"a", b"1")
        taken = take(first + stays + publish(b"a", b"2"), 0, SOURCE, room=ROOM)
        assert [message.body for message in taken.messages] == [b"1"]
        assert taken.end == len(first)


def test_no_more_is_taken_than_there_is_room_for_and_a_message() -> None:
    read = publish(b"a", bytes(1_000)) * 10
    assert len(take(read, 0, SOURCE, room=1).messages) == 1
    taken = take(read, 0, SOURCE, room=5_000)
    assert len(taken.messages) == 4  # of about 1,300 bytes each
    assert len(take(read, taken.end, SOURCE, room=ROOM).messages) == 6
