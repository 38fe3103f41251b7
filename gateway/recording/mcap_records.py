"""MCAP's records as bytes: those of the hot path by hand, the rest through the mcap library, whose own writer cannot.

The library's Writer keeps chunks until they are full, has no zstd level, and takes a microsecond a message; its reader
stops at the first damage. So chunks and messages are packed and unpacked here, by the format's specification, and only
the rare records are the library's.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, NamedTuple

from mcap.data_stream import RecordBuilder
from mcap.opcode import Opcode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mcap.records import McapRecord

MAGIC = b"\x89MCAP0\r\n"
RECORD = struct.Struct("<BQ")  # opcode, length of what follows
MESSAGE = struct.Struct("<BQHIQQ")  # a record's head, channel, sequence, log time, publish time; then the data
CHUNK = struct.Struct("<BQQQQI")  # head, first and last log time, size uncompressed, its CRC; then compression and data
ZSTD = b"\x04\x00\x00\x00zstd"
CHUNK_HEAD = CHUNK.size + len(ZSTD) + 8  # up to the compressed data
FOOTER_SIZE = RECORD.size + 20
_MESSAGE_BODY = MESSAGE.size - RECORD.size
_LENGTH = struct.Struct("<Q")


class ChunkHead(NamedTuple):
    """What a chunk says of itself before its data."""

    first_ns: int
    last_ns: int
    raw: int
    crc: int
    packed: int


class Logged(NamedTuple):
    """One message of a chunk."""

    channel: int
    log_ns: int
    data: memoryview


def packed(*records: McapRecord) -> bytes:
    """Records of the library, one after the other."""
    builder = RecordBuilder()
    for record in records:
        record.write(builder)
    return builder.end()


def message(channel: int, sequence: int, log_ns: int, publish_ns: int, data: bytes) -> tuple[bytes, bytes]:
    """A message record, as its head and its data. Times before 1970 become 0: MCAP has no others."""
    length = _MESSAGE_BODY + len(data)
    log_ns, publish_ns = max(0, log_ns), max(0, publish_ns)
    return MESSAGE.pack(Opcode.MESSAGE, length, channel, sequence & 0xFFFFFFFF, log_ns, publish_ns), data


def chunk(raw: bytes, compressed: bytes, first_ns: int, last_ns: int) -> bytes:
    """The head of a chunk record, to which `compressed` is appended."""
    length = CHUNK_HEAD - RECORD.size + len(compressed)
    head = CHUNK.pack(Opcode.CHUNK, length, first_ns, last_ns, len(raw), zlib.crc32(raw))
    return head + ZSTD + _LENGTH.pack(len(compressed))


def chunk_head(data: bytes) -> ChunkHead | None:
    """What stands before a chunk's data, where these bytes are the head of a zstd chunk whose lengths fit together."""
    if len(data) < CHUNK_HEAD or data[CHUNK.size : CHUNK.size + len(ZSTD)] != ZSTD:
        return None
    opcode, length, first_ns, last_ns, raw, crc = CHUNK.unpack_from(data)
    (size,) = _LENGTH.unpack_from(data, CHUNK.size + len(ZSTD))
    if opcode != Opcode.CHUNK or length != CHUNK_HEAD - RECORD.size + size:
        return None
    return ChunkHead(first_ns, last_ns, raw, crc, size)


def split(data: bytes | memoryview) -> Iterator[tuple[int, memoryview]]:
    """The records in these bytes, as opcode and content. Raises ValueError where one ends behind them."""
    view, at = memoryview(data), 0
    while at < len(view):
        if at + RECORD.size > len(view):
            raise ValueError(f"{len(view) - at} bytes stand where a record begins")
        opcode, length = RECORD.unpack_from(view, at)
        at += RECORD.size
        if at + length > len(view):
            raise ValueError(f"a record of {length} bytes ends behind its chunk")
        yield opcode, view[at : at + length]
        at += length


def logged(content: memoryview) -> Logged:
    """A message record's content, taken apart. Raises ValueError where it is too short."""
    if len(content) < _MESSAGE_BODY:
        raise ValueError(f"a message record of {len(content)} bytes")
    channel, _, log_ns, _ = struct.unpack_from("<HIQQ", content)
    return Logged(channel, log_ns, content[_MESSAGE_BODY:])
