"""Recordings read: files of one gateway in order, as the pieces that replay is fed with."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec
import zstandard

from gateway.errors import RecordingError
from gateway.recording import columns
from gateway.recording.assembly import Assembly
from gateway.recording.channels import ALERTS, CHECKPOINT, GAP, INPUTS, OWN
from gateway.recording.files import FileFound, found, limits, ordered
from gateway.recording.parts import Checkpoint, Gap
from gateway.recording.scan import ChunkAt, read_chunk

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from gateway.recording.parts import Piece
    from gateway.recording.scan import Chunk

__all__ = ["FileFound", "Recording"]

NEEDED = frozenset({INPUTS, CHECKPOINT, GAP})
_checkpoints = msgspec.msgpack.Decoder(Checkpoint)
_gaps = msgspec.msgpack.Decoder(Gap)


class _Start(NamedTuple):
    """Where reading begins: a file's place, and a chunk's in it."""

    file: int
    chunk: int


class Recording:
    """Files of one gateway, put in order. `damage`: files that were left out, and why; `bytes`: of all together."""

    def __init__(self, files: list[FileFound], damage: tuple[str, ...] = ()) -> None:
        self.files = files
        self.damage = damage
        self.bytes = sum(file.bytes for file in files)
        self._limits = limits(files)
        self._decompressor = zstandard.ZstdDecompressor()

    @classmethod
    def open(cls, paths: Sequence[Path]) -> Recording:
        """Files, or folders of them, of one gateway. Little more than their ends is read.

        Raises RecordingError: no such file, no MCAP, empty, of a newer schema, of several gateways. In a folder a file
        that cannot be read is left out and said in `damage`.
        """
        files: list[FileFound] = []
        left_out: list[str] = []
        for path in paths:
            if not path.is_dir():
                files.append(found(path))
                continue
            for one in sorted(path.glob("*.mcap")):
                try:
                    files.append(found(one))
                except RecordingError as error:
                    left_out.append(str(error))
        if not files:
            where = ", ".join(map(str, paths)) or "nothing"
            raise RecordingError("\n".join([f"found no recording in {where}; its files end in .mcap", *left_out]))
        gateways = sorted({file.about.gateway for file in files})
        if len(gateways) > 1:
            raise RecordingError(f"found recordings of several gateways ({', '.join(gateways)}); read one at a time")
        return cls(ordered(files), tuple(left_out))

    def pieces(
        self, from_ns: int | None = None, to_ns: int | None = None, *, most: int = 5_000, whole: bool = False
    ) -> Iterator[Piece]:
        """What was admitted in [from_ns, to_ns), in order, in cuts of at most `most` inputs.

        It begins at the last checkpoint at or before from_ns, with the inputs between; it ends before the first input
        admitted at to_ns or later. `whole`: also inputs between a hole and the next checkpoint, which a replay cannot
        use but an export can.
        """
        assembly = Assembly(to_ns, most=most, whole=whole)
        start = self._start(from_ns)
        done = 0
        for place, file in enumerate(self.files):
            if place >= start.file:
                assembly.file(file.about, self._limits[place])
                first = start.chunk if place == start.file else 0
                yield from self._of_file(assembly, place, first, done)
                if assembly.ended:
                    break
            done += file.bytes
        yield from assembly.flush()

    def alerts(self, from_ns: int | None = None, to_ns: int | None = None) -> Iterator[bytes]:
        """The JSON of /alerts that became durable in [from_ns, to_ns), in order."""
        for _, data in self.messages(OWN[ALERTS].topic, from_ns, to_ns):
            yield data

    def messages(self, topic: str, from_ns: int | None = None, to_ns: int | None = None) -> Iterator[tuple[int, bytes]]:
        """A channel's messages with log times in [from_ns, to_ns), in the order they were written: (log_ns, data)."""
        low, high = from_ns or 0, 2**64 if to_ns is None else to_ns
        for file in self.files:
            for chunk_at, chunk in self._chunks_of(file, topic, low, high):
                del chunk_at
                ids = {number for number, name in chunk.topics.items() if name == topic}
                for one in chunk.logged:
                    if one.channel in ids and low <= one.log_ns < high:
                        yield one.log_ns, bytes(one.data)

    def _chunks_of(self, file: FileFound, topic: str, low: int, high: int) -> Iterator[tuple[ChunkAt, Chunk]]:
        scanned = file.scanned
        ids = {number for number, name in scanned.topics.items() if name == topic}
        with file.path.open("rb") as stream:
            for at in scanned.chunks:
                if at.last_ns < low or at.first_ns >= high or (scanned.sure and ids.isdisjoint(at.channels)):
                    continue
                try:
                    yield at, read_chunk(stream, at, self._decompressor)
                except ValueError as error:
                    self._say(file, at, error)

    def _of_file(self, assembly: Assembly, place: int, first: int, done: int) -> Iterator[Piece]:
        file = self.files[place]
        scanned = file.scanned
        states = [i for i, at in enumerate(scanned.chunks) if CHECKPOINT in at.channels]
        later_file = place + 1 < len(self.files)
        for why in [*scanned.damage, *filter(None, [scanned.head.hole])]:
            assembly.damaged(why)
        with file.path.open("rb") as stream:
            for i, at in enumerate(scanned.chunks[first:], first):
                if scanned.sure and NEEDED.isdisjoint(at.channels):
                    continue
                try:
                    logged = read_chunk(stream, at, self._decompressor).logged
                except ValueError as error:
                    assembly.damaged(self._say(file, at, error))
                    continue
                follows = later_file or bool(states and states[-1] > i)
                for one in logged:
                    try:
                        if one.channel == INPUTS:
                            cut = columns.decode(bytes(one.data))
                            yield from assembly.inputs(cut, len(one.data), done + at.at + at.length, follows=follows)
                        elif one.channel == CHECKPOINT:
                            yield from assembly.state(_checkpoints.decode(one.data))
                        elif one.channel == GAP:
                            assembly.missing(_gaps.decode(one.data))
                    except (RecordingError, msgspec.MsgspecError) as error:
                        assembly.damaged(self._say(file, at, error))
                    if assembly.ended or assembly.skip:
                        return

    def _say(self, file: FileFound, at: ChunkAt, error: Exception) -> str:
        why = f"{file.path.name}: the chunk at byte {at.at} is damaged: {error}"
        if why not in file.damage:
            file.damage = (*file.damage, why)
        return why

    def _start(self, from_ns: int | None) -> _Start:
        """The last checkpoint before the first one that is later than from_ns; the beginning where there is none."""
        best = _Start(0, 0)
        if from_ns is None:
            return best
        for place, file in enumerate(self.files):
            for i, at in enumerate(file.scanned.chunks):
                if CHECKPOINT not in at.channels:
                    continue
                if at.first_ns > from_ns and (place, i) != (0, 0):
                    return best
                checkpoint = self._checkpoint(file, at)
                if checkpoint is None or checkpoint.n >= self._limits[place]:
                    continue
                if checkpoint.admitted_ns > from_ns:
                    return best
                best = _Start(place, i)
        return best

    def _checkpoint(self, file: FileFound, at: ChunkAt) -> Checkpoint | None:
        try:
            with file.path.open("rb") as stream:
                for one in read_chunk(stream, at, self._decompressor).logged:
                    if one.channel == CHECKPOINT:
                        return _checkpoints.decode(one.data)
        except (ValueError, msgspec.MsgspecError):
            return None
        return None
