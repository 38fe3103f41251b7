"""Where the chunks of a file lie: from its summary, or where that is missing or damaged from record to record.

Nothing is decompressed for it. Behind damage the next record is found by what chunks and descriptions look like.
"""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec
from mcap.data_stream import ReadDataStream
from mcap.exceptions import EndOfFile
from mcap.opcode import Opcode
from mcap.records import Channel, Footer, Metadata

from gateway.errors import RecordingError
from gateway.recording import mcap_records
from gateway.recording.chunks import ChunkAt
from gateway.recording.described import END, Head, end_of
from gateway.recording.parts import PROFILE
from gateway.recording.walk import Walk


class Scanned(msgspec.Struct):
    """A file as `scan` found it. `sure`: the chunks' channels come from a summary whose checksum was right.

    `topics`: of the channels, by id, where the summary says so; `end`: the number after the last input and its stamp.
    """

    path: Path
    size: int
    head: Head
    config: str | None
    chunks: list[ChunkAt]
    sure: bool
    topics: dict[int, str]
    end: tuple[int, int] | None
    damage: list[str]


def scan(path: Path) -> Scanned:
    """What is in this file and where. Raises RecordingError where it is no recording, or of a newer schema."""
    try:
        with path.open("rb") as file:
            return _scan(path, file, file.seek(0, 2))
    except OSError as error:
        raise RecordingError(f"{path}: {error.strerror or error}") from error
    except RecordingError as error:
        raise RecordingError(f"{path}: {error}") from None


def _scan(path: Path, file: BinaryIO, size: int) -> Scanned:
    if not size:
        raise RecordingError("the file is empty; a recording is an MCAP file of at least its own description")
    file.seek(0)
    magic = file.read(len(mcap_records.MAGIC))
    damage: list[str] = []
    if magic != mcap_records.MAGIC:
        raise RecordingError(f"found {magic!r} at its beginning: this is no MCAP file; a recording is one")
    summary = _summary(file, size)
    walk = Walk(file, size, damage)
    walk.go(to_first_chunk=summary is not None)
    if walk.head is None:
        raise RecordingError(_no_head(walk, size))
    if walk.config is None:
        damage.append("the configuration's text cannot be read: name one (--config)")
    head = walk.head._replace(
        about=msgspec.structs.replace(walk.head.about, config=walk.config or "", models=walk.models)
    )
    if summary is None:
        return Scanned(path, size, head, walk.config, walk.chunks, False, {}, walk.end, damage)
    return Scanned(path, size, head, walk.config, summary.chunks, True, summary.topics, summary.end, damage)


def _no_head(walk: Walk, size: int) -> str:
    if walk.profile not in {None, PROFILE}:
        return (
            f"found an MCAP file of profile {walk.profile!r}; a recording has profile {PROFILE!r}: "
            "`zhiwang import` makes one of other data"
        )
    return f"found {size} bytes without a recording's own description: it was cut off or damaged there"


class _Summary(NamedTuple):
    chunks: list[ChunkAt]
    topics: dict[int, str]
    end: tuple[int, int] | None


def _summary(file: BinaryIO, size: int) -> _Summary | None:
    """What stands at the end of a closed file; None where nothing does, or not as it was written."""
    tail = mcap_records.FOOTER_SIZE + len(mcap_records.MAGIC)
    if size < tail:
        return None
    file.seek(size - tail)
    data = file.read(tail)
    footer = data[: mcap_records.FOOTER_SIZE]
    if data[-len(mcap_records.MAGIC) :] != mcap_records.MAGIC or footer[0] != Opcode.FOOTER:
        return None
    found = Footer.read(ReadDataStream(BytesIO(footer[mcap_records.RECORD.size :])))
    if not 0 < found.summary_start < size - tail:
        return None
    file.seek(found.summary_start)
    summary = file.read(size - tail - found.summary_start)
    if zlib.crc32(footer[:-4], zlib.crc32(summary)) != found.summary_crc:
        return None
    return _understood(file, summary)


def _understood(file: BinaryIO, summary: bytes) -> _Summary | None:
    chunks: list[ChunkAt] = []
    topics: dict[int, str] = {}
    end: tuple[int, int] | None = None
    try:
        for opcode, content in mcap_records.split(summary):
            if opcode == Opcode.CHUNK_INDEX:
                chunks.append(_chunk_at(content))
            elif opcode == Opcode.CHANNEL:
                channel = Channel.read(ReadDataStream(BytesIO(content)))
                topics[channel.id] = channel.topic
            elif opcode == Opcode.METADATA_INDEX and END.encode() in bytes(content):
                at, length = struct.unpack_from("<QQ", content)
                file.seek(at + mcap_records.RECORD.size)
                content_there = file.read(length - mcap_records.RECORD.size)
                end = end_of(Metadata.read(ReadDataStream(BytesIO(content_there))).metadata)
    except (ValueError, EndOfFile, struct.error, KeyError):
        return None
    return _Summary(chunks, topics, end)


def _chunk_at(content: memoryview) -> ChunkAt:
    first_ns, last_ns, at, length, size = struct.unpack_from("<QQQQI", content)
    channels = tuple(struct.unpack_from("<H", content, 36 + place)[0] for place in range(0, size, 10))
    return ChunkAt(at, length, first_ns, last_ns, channels)
