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
import zstandard
from mcap.data_stream import ReadDataStream
from mcap.exceptions import EndOfFile
from mcap.opcode import Opcode
from mcap.records import Attachment, Channel, Footer, Header, Metadata

from gateway.errors import RecordingError
from gateway.recording import mcap_records
from gateway.recording.described import CONFIGURATION, END, MODELS, Head, end_of, head_of, models_of
from gateway.recording.parts import PROFILE

RAW_AT_MOST = 1 << 30  # an MQTT payload has at most 256 MB; a greater size is damage, not data
_BLOCK = 1 << 20
_U32 = struct.Struct("<I")


class ChunkAt(NamedTuple):
    """A chunk's place in the file: `length` bytes from `at`, log times, and the ids of its channels."""

    at: int
    length: int
    first_ns: int
    last_ns: int
    channels: tuple[int, ...]


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


class _Walk:
    """Goes from record to record and keeps what it understands."""

    def __init__(self, file: BinaryIO, size: int, damage: list[str]) -> None:
        self._file, self._size, self._damage = file, size, damage
        self.profile: str | None = None
        self.head: Head | None = None
        self.config: str | None = None
        self.models: tuple[object, ...] = ()
        self.end: tuple[int, int] | None = None
        self.chunks: list[ChunkAt] = []
        self.ended = False

    def go(self, *, to_first_chunk: bool = False) -> None:
        """Until the data ends, or the first chunk comes."""
        at = len(mcap_records.MAGIC)
        while at < self._size and not self.ended:
            length = self.take(at)
            if length:
                at += length
                if to_first_chunk and self.chunks:
                    return
                continue
            found = self._next(at + 1)
            where = "its end" if found is None else f"byte {found}"
            self._damage.append(f"nothing can be read from byte {at} to {where} (of {self._size})")
            if found is None:
                return
            at = found

    def take(self, at: int) -> int:
        """Take the record there; returns its length, 0 where it is damaged or cut off."""
        self._file.seek(at)
        data = self._file.read(mcap_records.CHUNK_HEAD)
        if len(data) < mcap_records.RECORD.size:
            return 0
        opcode, length = mcap_records.RECORD.unpack_from(data)
        whole = mcap_records.RECORD.size + length
        if at + whole > self._size:
            return 0
        match opcode:
            case Opcode.CHUNK:
                good = self._chunk(at, whole, data)
            case Opcode.MESSAGE_INDEX:
                good = self._index(data, length)
            case Opcode.DATA_END:
                good = self.ended = length == _U32.size
            case Opcode.HEADER | Opcode.METADATA | Opcode.ATTACHMENT:
                self._file.seek(at + mcap_records.RECORD.size)
                good = self._rare(opcode, self._file.read(length))
            case _:
                good = False
        return whole if good else 0

    def _chunk(self, at: int, whole: int, data: bytes) -> bool:
        head = mcap_records.chunk_head(data)
        if head is not None:
            self.chunks.append(ChunkAt(at, whole, head.first_ns, head.last_ns, ()))
        return head is not None

    def _index(self, data: bytes, length: int) -> bool:
        at = mcap_records.RECORD.size
        if len(data) < at + 6 or not self.chunks or _U32.unpack_from(data, at + 2)[0] != length - 6:
            return False
        channel = int.from_bytes(data[at : at + 2], "little")
        last = self.chunks[-1]
        self.chunks[-1] = last._replace(channels=(*last.channels, channel))
        return True

    def _rare(self, opcode: int, content: bytes) -> bool:
        """Understand a record of the library's; False where it is not what it was written as."""
        try:
            stream = ReadDataStream(BytesIO(content))
            if opcode == Opcode.HEADER:
                self.profile = Header.read(stream).profile
            elif opcode == Opcode.METADATA:
                return self._metadata(Metadata.read(stream)) and stream.count == len(content)
            else:
                if zlib.crc32(content[:-4]) != _U32.unpack(content[-4:])[0]:
                    return False
                self._attachment(Attachment.read(stream))
        except (EndOfFile, UnicodeDecodeError, struct.error, msgspec.MsgspecError, MemoryError, OverflowError):
            return False
        return stream.count == len(content)

    def _metadata(self, record: Metadata) -> bool:
        if record.name == PROFILE:
            head = head_of(record.metadata)
            self.head = self.head or head
            return head is not None
        if record.name == END:
            self.end = end_of(record.metadata)
        return True

    def _attachment(self, record: Attachment) -> None:
        if record.name == CONFIGURATION:
            self.config = record.data.decode()
        elif record.name == MODELS:
            self.models = models_of(record.data)

    def _next(self, at: int) -> int | None:
        """The next place that looks like the beginning of a chunk, a description or an attachment."""
        signs = (
            (mcap_records.ZSTD, mcap_records.CHUNK.size),
            *((_prefixed(name), mcap_records.RECORD.size) for name in (PROFILE, END)),
            *((_prefixed(name), mcap_records.RECORD.size + 16) for name in (CONFIGURATION, MODELS)),
        )
        overlap = max(len(sign) for sign, _ in signs)
        for block_at in range(at, self._size, _BLOCK):
            self._file.seek(block_at)
            block = self._file.read(_BLOCK + overlap)
            places = sorted({place for sign, before in signs for place in _all(block, sign, block_at - before)})
            for place in places:
                if place >= at and _Walk(self._file, self._size, []).take(place):
                    return place
        return None


def _prefixed(text: str) -> bytes:
    return _U32.pack(len(text)) + text.encode()


def _all(block: bytes, sign: bytes, shift: int) -> list[int]:
    places: list[int] = []
    found = block.find(sign)
    while found >= 0:
        places.append(found + shift)
        found = block.find(sign, found + 1)
    return places


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
    walk = _Walk(file, size, damage)
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


def _no_head(walk: _Walk, size: int) -> str:
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
