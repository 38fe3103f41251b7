"""The little of Protocol Buffers that a recording writes and reads: one message, and its own description.

Field numbers of the description are those of google/protobuf/descriptor.proto, of the message those of
foxglove/CompressedVideo.proto (Foxglove schemas): both are promised not to change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_BYTES = 2  # wire type of strings, bytes and messages
_OPTIONAL, _INT64, _INT32, _STRING, _MESSAGE, _RAW = 1, 3, 5, 9, 11, 12  # FieldDescriptorProto's label and types


def varint(value: int) -> bytes:
    """A number that is not negative, seven bits a byte, the lowest first."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def head(number: int, size: int) -> bytes:
    """What stands before a field of `size` bytes."""
    return varint(number << 3 | _BYTES) + varint(size)


def field(number: int, value: bytes | str | int) -> bytes:
    """One field: bytes and text with their length, whole numbers as they are."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    raw = value.encode() if isinstance(value, str) else value
    return head(number, len(raw)) + raw


def fields(data: bytes) -> Iterator[tuple[int, bytes | int]]:
    """The fields of a message in their order. Raises ValueError where the bytes are none."""
    at = 0
    while at < len(data):
        key, at = _read_varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _read_varint(data, at)
            yield number, value
            continue
        size, at = _read_varint(data, at) if wire == _BYTES else ({1: 8, 5: 4}.get(wire, len(data)), at)
        if at + size > len(data):
            raise ValueError("found a message that is cut off")
        yield number, data[at : at + size]
        at += size


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 70:
        value |= (data[at] & 127) << shift
        if data[at] < 128:
            return value, at + 1
        at, shift = at + 1, shift + 7
    raise ValueError("found a number that does not end")


def _described(name: str, number: int, kind: int, message: str = "") -> bytes:
    """A FieldDescriptorProto."""
    parts = [field(1, name), field(3, number), field(4, _OPTIONAL), field(5, kind)]
    return b"".join([*parts, field(6, message)] if message else parts)


def _file(name: str, package: str, imports: tuple[str, ...], message: str, described: tuple[bytes, ...]) -> bytes:
    """A FileDescriptorProto with one message."""
    whole = field(1, message) + b"".join(field(2, one) for one in described)
    depends = b"".join(field(3, one) for one in imports)
    return field(1, name) + field(2, package) + depends + field(4, whole) + field(12, "proto3")


_TIMESTAMP = "google/protobuf/timestamp.proto"
COMPRESSED_VIDEO = b"".join(
    field(1, file)
    for file in (
        _file(
            _TIMESTAMP,
            "google.protobuf",
            (),
            "Timestamp",
            (_described("seconds", 1, _INT64), _described("nanos", 2, _INT32)),
        ),
        _file(
            "foxglove/CompressedVideo.proto",
            "foxglove",
            (_TIMESTAMP,),
            "CompressedVideo",
            (
                _described("timestamp", 1, _MESSAGE, ".google.protobuf.Timestamp"),
                _described("frame_id", 2, _STRING),
                _described("data", 3, _RAW),
                _described("format", 4, _STRING),
            ),
        ),
    )
)
"""foxglove.CompressedVideo with what it imports, as a FileDescriptorSet."""
