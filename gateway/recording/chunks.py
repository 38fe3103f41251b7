"""One chunk of a file: where it lies, and what it holds."""

from __future__ import annotations

import zlib
from io import BytesIO
from typing import BinaryIO, NamedTuple

import zstandard
from mcap.data_stream import ReadDataStream
from mcap.opcode import Opcode
from mcap.records import Channel

from gateway.recording import mcap_records

RAW_AT_MOST = 1 << 30  # an MQTT payload has at most 256 MB; a greater size is damage, not data


class ChunkAt(NamedTuple):
    """A chunk's place in the file: `length` bytes from `at`, log times, and the ids of its channels."""

    at: int
    length: int
    first_ns: int
    last_ns: int
    channels: tuple[int, ...]


class Chunk(NamedTuple):
    """A chunk's messages, in order, and the topics of its channels."""

    logged: list[mcap_records.Logged]
    topics: dict[int, str]


def chunk_bytes(file: BinaryIO, chunk: ChunkAt, decompressor: zstandard.ZstdDecompressor) -> bytes:
    """A chunk's records. Raises ValueError, saying why, where it is damaged; OSError as the disk does."""
    file.seek(chunk.at)
    data = file.read(chunk.length)
    head = mcap_records.chunk_head(data)
    if head is None or len(data) != chunk.length:
        raise ValueError("no chunk stands there")
    packed = memoryview(data)[mcap_records.CHUNK_HEAD :]
    try:
        if not zstandard.frame_content_size(packed) == head.raw <= RAW_AT_MOST:
            raise ValueError("its size is not the one it was written with")
        raw = decompressor.decompress(packed)
    except (zstandard.ZstdError, MemoryError) as error:
        raise ValueError(f"it cannot be decompressed ({error})") from error
    if zlib.crc32(raw) != head.crc:
        raise ValueError("its checksum is not the one it was written with")
    return raw


def read_chunk(file: BinaryIO, chunk: ChunkAt, decompressor: zstandard.ZstdDecompressor) -> Chunk:
    """What a chunk holds. Raises as `chunk_bytes`."""
    raw = chunk_bytes(file, chunk, decompressor)
    found: list[mcap_records.Logged] = []
    topics: dict[int, str] = {}
    for opcode, content in mcap_records.split(raw):
        if opcode == Opcode.MESSAGE:
            found.append(mcap_records.logged(content))
        elif opcode == Opcode.CHANNEL:
            channel = Channel.read(ReadDataStream(BytesIO(content)))
            topics[channel.id] = channel.topic
    return Chunk(found, topics)
