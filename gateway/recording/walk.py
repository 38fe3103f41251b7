"""From record to record through a file that has no summary: what is understood is kept, damage is stepped over."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from typing import BinaryIO

import msgspec
from mcap.data_stream import ReadDataStream
from mcap.exceptions import EndOfFile
from mcap.opcode import Opcode
from mcap.records import Attachment, Header, Metadata

from gateway.recording import mcap_records
from gateway.recording.chunks import ChunkAt
from gateway.recording.described import CONFIGURATION, END, MODELS, Head, end_of, head_of, models_of
from gateway.recording.parts import PROFILE, ModelNote

_BLOCK = 1 << 20
_U32 = struct.Struct("<I")


class Walk:
    """Goes from record to record and keeps what it understands."""

    def __init__(self, file: BinaryIO, size: int, damage: list[str]) -> None:
        self._file, self._size, self._damage = file, size, damage
        self.profile: str | None = None
        self.head: Head | None = None
        self.config: str | None = None
        self.models: tuple[ModelNote, ...] = ()
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
            if found is None:
                self._damage.append(f"it ends in the middle of a record, at byte {at} of {self._size}")
                return
            self._damage.append(f"nothing can be read from byte {at} to byte {found}")
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
                if place >= at and Walk(self._file, self._size, []).take(place):
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
