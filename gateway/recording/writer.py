"""Writes one recording: an MCAP file of zstd chunks, each of which can be read alone."""

from __future__ import annotations

import contextlib
import os
import zlib
from typing import TYPE_CHECKING

import msgspec
import zstandard
from mcap.opcode import Opcode
from mcap.records import (
    Attachment,
    AttachmentIndex,
    Channel,
    ChunkIndex,
    DataEnd,
    Footer,
    Header,
    MessageIndex,
    MetadataIndex,
    Schema,
    Statistics,
    SummaryOffset,
)

from gateway.recording import columns, mcap_records
from gateway.recording.channels import ALERTS, CHECKPOINT, FIRST_BESIDE, GAP, INPUTS, OWN
from gateway.recording.described import END, described, ended
from gateway.recording.parts import PROFILE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mcap.records import McapRecord

    from gateway.events import Cut
    from gateway.recording.beside import Beside
    from gateway.recording.parts import About, Checkpoint, Gap

CHUNK_BYTES = 1 << 20  # a seek decompresses one: 1 ms; larger ones were not smaller on disk
RECORD_INPUTS = 20_000  # in one record: what is asked for by time is cut out of whole ones
LEVEL = 1  # zstd: levels 2 and 3 cost more CPU and did not make sensor messages smaller

_encoder = msgspec.msgpack.Encoder()


class FileWriter:
    """One file, from its first byte to its last; an old one of that name is replaced. Used by one thread.

    Nothing is written before a chunk is full or `flush` is called, but the beginning, at once. Raises OSError when the
    disk does: what waits is kept, `flush` may be tried again, or the file left as it is (`abandon`). `hole`: why inputs
    before the checkpoint are missing, where they are. `size`, `pending`: bytes written, and not yet compressed;
    `written`: the number after the last input that is written, and its admission; `count`: of inputs written.
    """

    def __init__(
        self,
        path: Path,
        about: About,
        checkpoint: Checkpoint,
        *,
        hole: str = "",
        level: int = LEVEL,
        chunk_bytes: int = CHUNK_BYTES,
    ) -> None:
        self.path = path
        self._chunk_bytes = chunk_bytes
        self.size = 0
        self.pending = 0
        self.count = self._counted = 0
        self._began_ns = about.began_ns
        self._zstd = zstandard.ZstdCompressor(level=level)
        self._raw: list[bytes] = []
        self._indices: dict[int, MessageIndex] = {}
        self._declared: set[int] = set()
        self._chunks: list[ChunkIndex] = []
        self._counts: dict[int, int] = {}
        self._times: tuple[int, int] | None = None
        self._beside: dict[str, int] = {}
        self._channels: dict[int, Beside] = dict(OWN)
        self._last = self.written = (checkpoint.n, checkpoint.admitted_ns)
        self._attachments: list[AttachmentIndex] = []
        self._metadata: list[MetadataIndex] = []
        self._file = path.open("wb", buffering=0)
        try:
            self._begin(about, checkpoint, hole)
        except OSError:
            self.abandon()
            raise

    def inputs(self, cut: Cut) -> None:
        """Inputs, in the order of admission; a cut's number follows the one before, or comes behind a gap."""
        for start in range(0, len(cut.inputs), RECORD_INPUTS):
            part = columns.part_of(cut, start, start + RECORD_INPUTS)
            self.packed(columns.encode(part))

    def packed(self, data: bytes) -> None:
        """Inputs as `columns.encode` gives them."""
        n0, n1, first_ns, last_ns = columns.span(data)
        self._last = (n1, last_ns)
        self._counted += n1 - n0
        self._add(INPUTS, n0, first_ns, data)

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        """The core's state, at the beginning of a chunk of its own."""
        self.flush()
        self._checkpoint(checkpoint)

    def gap(self, gap: Gap) -> None:
        """Inputs that are not here; a checkpoint comes next."""
        self._add(GAP, gap.from_n, gap.to_ns or self._began_ns, _encoder.encode(gap))

    def alert(self, body_json: bytes, at_ns: int) -> None:
        """A change of an alert, as its JSON with `status`."""
        self._add(ALERTS, 0, at_ns, body_json)

    def beside(self, channel: Beside, log_ns: int, data: bytes) -> None:
        """What a channel beside the inputs has to show."""
        number = self._beside.get(channel.topic)
        if number is None:
            number = self._beside[channel.topic] = FIRST_BESIDE + len(self._beside)
            self._channels[number] = channel
        self._add(number, 0, log_ns, data)

    def flush(self) -> None:
        """Hand what was added to the operating system: it outlives this process."""
        if not self._raw:
            return
        raw = b"".join(self._raw)
        compressed = self._zstd.compress(raw)
        times = [at for index in self._indices.values() for at, _ in index.records]
        first_ns, last_ns = min(times), max(times)
        head = mcap_records.chunk(raw, compressed, first_ns, last_ns)
        at, length = self.size, len(head) + len(compressed)
        offsets: dict[int, int] = {}
        parts, behind = [head, compressed], at + length
        for number, index in self._indices.items():
            offsets[number] = behind
            parts.append(mcap_records.packed(index))
            behind += len(parts[-1])
            self._counts[number] = self._counts.get(number, 0) + len(index.records)
        self._write(b"".join(parts))
        index_length = behind - at - length
        self._chunks.append(
            ChunkIndex(length, at, "zstd", len(compressed), last_ns, index_length, offsets, first_ns, len(raw))
        )
        first, last = self._times or (first_ns, last_ns)
        self._times = (min(first, first_ns), max(last, last_ns))
        self._raw, self._indices, self._declared, self.pending = [], {}, set(), 0
        self.written, self.count = self._last, self._counted

    def close(self) -> None:
        """Write the rest and the summary, and close the file. Raises OSError, with the file closed all the same."""
        try:
            self.flush()
            self._write(self._summary())
        finally:
            self._file.close()

    def abandon(self) -> None:
        """Close the file as it is, at its last good chunk."""
        self._file.close()

    def _begin(self, about: About, checkpoint: Checkpoint, hole: str) -> None:
        library = f"zhiwang {about.version}"
        start = mcap_records.MAGIC + mcap_records.packed(Header(PROFILE, library))
        parts = [start]
        size = len(start)
        description, attachments = described(about, checkpoint, hole)
        for record in (description, *attachments, description):  # twice: without it nothing else can be understood
            data = mcap_records.packed(record)
            if isinstance(record, Attachment):
                self._attachments.append(_attachment_index(record, size, len(data)))
            else:
                self._metadata.append(MetadataIndex(size, len(data), record.name))
            parts.append(data)
            size += len(data)
        self._write(b"".join(parts))
        self._checkpoint(checkpoint)
        self.flush()

    def _checkpoint(self, checkpoint: Checkpoint) -> None:
        log_ns = checkpoint.admitted_ns or self._began_ns
        self._add(CHECKPOINT, checkpoint.n, log_ns, _encoder.encode(checkpoint))
        self._last = (checkpoint.n, checkpoint.admitted_ns)

    def _add(self, channel: int, sequence: int, log_ns: int, data: bytes) -> None:
        if channel not in self._declared:
            self._declared.add(channel)
            self._raw_bytes(mcap_records.packed(*_channel(channel, self._channels[channel])))
        log_ns = max(0, log_ns)
        index = self._indices.get(channel)
        if index is None:
            index = self._indices[channel] = MessageIndex(channel, [])
        index.records.append((log_ns, self.pending))
        for part in mcap_records.message(channel, sequence, log_ns, log_ns, data):
            self._raw_bytes(part)
        if self.pending >= self._chunk_bytes:
            self.flush()

    def _raw_bytes(self, data: bytes) -> None:
        self._raw.append(data)
        self.pending += len(data)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[self._file.write(view) :]
        except OSError:
            with contextlib.suppress(OSError):  # the error that matters is on its way; a reader skips a torn chunk
                os.ftruncate(self._file.fileno(), self.size)
                self._file.seek(self.size)
            raise
        self.size += len(data)

    def _summary(self) -> bytes:
        end = mcap_records.packed(ended(*self._last))
        self._metadata.append(MetadataIndex(self.size, len(end), END))
        data_end = mcap_records.packed(DataEnd(0))
        at = start = self.size + len(end) + len(data_end)
        used = {number: self._channels[number] for number in self._counts}
        records = [record for number, channel in used.items() for record in _channel(number, channel)]
        schemas = [record for record in records if isinstance(record, Schema)]
        first_ns, last_ns = self._times or (0, 0)
        statistics = Statistics(
            attachment_count=len(self._attachments),
            channel_count=len(used),
            channel_message_counts=self._counts,
            chunk_count=len(self._chunks),
            message_count=sum(self._counts.values()),
            message_end_time=last_ns,
            message_start_time=first_ns,
            metadata_count=len(self._metadata),
            schema_count=len(schemas),
        )
        groups: list[tuple[Opcode, Sequence[McapRecord]]] = [
            (Opcode.SCHEMA, schemas),
            (Opcode.CHANNEL, [record for record in records if isinstance(record, Channel)]),
            (Opcode.STATISTICS, [statistics]),
            (Opcode.CHUNK_INDEX, self._chunks),
            (Opcode.ATTACHMENT_INDEX, self._attachments),
            (Opcode.METADATA_INDEX, self._metadata),
        ]
        parts: list[bytes] = []
        offsets: list[SummaryOffset] = []
        for opcode, group in groups:
            if group:
                parts.append(mcap_records.packed(*group))
                offsets.append(SummaryOffset(opcode, at, len(parts[-1])))
                at += len(parts[-1])
        summary = b"".join([*parts, mcap_records.packed(*offsets)])
        footer = mcap_records.packed(Footer(start, at, 0))
        crc = zlib.crc32(footer[:-4], zlib.crc32(summary))
        footer = footer[:-4] + crc.to_bytes(4, "little")
        return b"".join([end, data_end, summary, footer, mcap_records.MAGIC])


def _channel(number: int, channel: Beside) -> list[McapRecord]:
    records: list[McapRecord] = []
    schema = number if channel.schema_name else 0
    if schema:
        records.append(Schema(schema, channel.schema, channel.schema_encoding, channel.schema_name))
    records.append(Channel(number, channel.topic, channel.message_encoding, {}, schema))
    return records


def _attachment_index(record: Attachment, at: int, length: int) -> AttachmentIndex:
    return AttachmentIndex(
        offset=at,
        length=length,
        log_time=record.log_time,
        create_time=record.create_time,
        data_size=len(record.data),
        name=record.name,
        media_type=record.media_type,
    )
