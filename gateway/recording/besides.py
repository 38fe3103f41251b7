"""What a recording holds beside its inputs, with each channel's description; and its checkpoints: for an export."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import zstandard
from mcap.data_stream import ReadDataStream
from mcap.opcode import Opcode
from mcap.records import Channel, Schema

from gateway.recording import mcap_records
from gateway.recording.beside import Beside
from gateway.recording.channels import CHECKPOINT, GAP, INPUTS
from gateway.recording.chunks import chunk_bytes
from gateway.recording.files import limits
from gateway.recording.parts import Checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gateway.recording.files import FileFound
    from gateway.recording.reader import Recording

REPLAYED = frozenset({INPUTS, CHECKPOINT, GAP})
_checkpoints = msgspec.msgpack.Decoder(Checkpoint)


class Shown(NamedTuple):
    """A message beside the inputs."""

    channel: Beside
    log_ns: int
    data: bytes


def beside(recording: Recording, from_ns: int, to_ns: int | None = None) -> Iterator[Shown]:
    """The alerts, and all that stands beside, with log times in [from_ns, to_ns); file by file, as it was written."""
    high = 2**64 if to_ns is None else to_ns
    for file in recording.files:
        for raw in _chunks(file, lambda ids: bool(ids - REPLAYED), from_ns, high):
            for one in _shown(raw):
                if from_ns <= one.log_ns < high:
                    yield one


def checkpoints(recording: Recording) -> Iterator[Checkpoint]:
    """The states that the recording holds, in order, without those of inputs that do not count."""
    for file, limit in zip(recording.files, limits(recording.files), strict=True):
        for raw in _chunks(file, lambda ids: CHECKPOINT in ids, 0, 2**64):
            for opcode, content in mcap_records.split(raw):
                if opcode == Opcode.MESSAGE and (one := mcap_records.logged(content)).channel == CHECKPOINT:
                    checkpoint = _checkpoints.decode(one.data)
                    if checkpoint.n < limit:
                        yield checkpoint


def _chunks(file: FileFound, wanted: Callable[[set[int]], bool], from_ns: int, high: int) -> Iterator[bytes]:
    """The chunks of a file that may hold what is wanted; damaged ones are left out: reading the inputs says so."""
    decompressor, scanned = zstandard.ZstdDecompressor(), file.scanned
    with file.path.open("rb") as stream:
        for at in scanned.chunks:
            if at.last_ns < from_ns or at.first_ns >= high or not (wanted(set(at.channels)) or not at.channels):
                continue
            try:
                yield chunk_bytes(stream, at, decompressor)
            except ValueError:
                continue


def _shown(raw: bytes) -> Iterator[Shown]:
    """Every message of a chunk but those that replay reads; each chunk describes the channels that it uses."""
    schemas: dict[int, Schema] = {}
    channels: dict[int, Beside] = {}
    for opcode, content in mcap_records.split(raw):
        if opcode == Opcode.MESSAGE:
            one = mcap_records.logged(content)
            if one.channel not in REPLAYED:
                yield Shown(channels[one.channel], one.log_ns, bytes(one.data))
        elif opcode == Opcode.SCHEMA:
            schema = Schema.read(ReadDataStream(BytesIO(content)))
            schemas[schema.id] = schema
        elif opcode == Opcode.CHANNEL:
            channel = Channel.read(ReadDataStream(BytesIO(content)))
            channels[channel.id] = _beside(channel, schemas.get(channel.schema_id))


def _beside(channel: Channel, schema: Schema | None) -> Beside:
    if schema is None:
        return Beside(channel.topic, message_encoding=channel.message_encoding)
    return Beside(channel.topic, schema.name, schema.encoding, schema.data, channel.message_encoding)
