"""Recordings read: files of one gateway in order, as the pieces that replay is fed with."""

from __future__ import annotations

import contextlib
import itertools
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import zstandard

from gateway.errors import RecordingError
from gateway.recording import columns
from gateway.recording.assembly import Assembly
from gateway.recording.channels import ALERTS, CHECKPOINT, GAP, INPUTS, OWN
from gateway.recording.chunks import ChunkAt, read_chunk
from gateway.recording.files import FileFound, copies, found, limits, ordered
from gateway.recording.parts import Checkpoint, Gap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    from gateway.recording.chunks import Chunk
    from gateway.recording.parts import Piece

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

        Raises RecordingError as `of_each` does, and where they are of several gateways.
        """
        each = cls.of_each(paths)
        if len(each) > 1:
            raise RecordingError(f"found recordings of several gateways ({', '.join(each)}); read one at a time")
        return next(iter(each.values()))

    @classmethod
    def of_each(cls, paths: Sequence[Path]) -> dict[str, Recording]:
        """The recording of each gateway, by its name, in these files and folders.

        Raises RecordingError: no such file, no MCAP, empty, of a newer schema. In a folder a file that cannot be read
        is left out and said in the first one's `damage`; so is, anywhere, one that another holds all of.
        """
        files: dict[Path, FileFound] = {}
        left_out: list[str] = []
        for path in paths:
            if not path.is_dir():
                files[path] = found(path)
                continue
            for one in sorted(path.glob("*.mcap")):
                try:
                    files[one] = found(one)
                except RecordingError as error:
                    left_out.append(str(error))
        if not files:
            where = ", ".join(map(str, paths)) or "nothing"
            raise RecordingError("\n".join([f"found no recording in {where}; its files end in .mcap", *left_out]))
        grouped: dict[str, list[FileFound]] = {}
        twice = copies(files.values())
        left_out += [f"{path} is left out: {of.path} holds all of it" for path, of in twice.items()]
        for file in sorted(files.values(), key=lambda one: one.about.gateway):
            if file.path in twice:
                continue
            grouped.setdefault(file.about.gateway, []).append(file)
        damage = iter([tuple(left_out)])
        return {gateway: cls(ordered(mine), next(damage, ())) for gateway, mine in grouped.items()}

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
                scanned = file.scanned
                suspected = [scanned.head.hole] if scanned.head.hole else scanned.damage
                assembly.file(file.about, self._limits[place], suspected)
                first = start.chunk if place == start.file else 0
                yield from self._of_file(assembly, place, first, done)
                if assembly.ended:
                    break
            done += file.bytes
        last = self.files[-1]
        yield from assembly.finish(last.last_n, last.last_ns)

    def alerts(self, from_ns: int | None = None, to_ns: int | None = None) -> Iterator[bytes]:
        """The JSON of /alerts that became durable in [from_ns, to_ns), in order."""
        for _, data in self.messages(OWN[ALERTS].topic, from_ns, to_ns):
            yield data

    def messages(self, topic: str, from_ns: int | None = None, to_ns: int | None = None) -> Iterator[tuple[int, bytes]]:
        """A channel's messages with log times in [from_ns, to_ns), in the order they were written: (log_ns, data)."""
        low, high = from_ns or 0, 2**64 if to_ns is None else to_ns
        for file in self.files:
            known = {number for number, name in file.scanned.topics.items() if name == topic}
            wanted = [at for at in _having(file, known) if at.last_ns >= low and at.first_ns < high]
            for _, chunk in self._chunks(file, wanted):
                ids = {number for number, name in chunk.topics.items() if name == topic}
                for one in chunk.logged:
                    if one.channel in ids and low <= one.log_ns < high:
                        yield one.log_ns, bytes(one.data)

    def _of_file(self, assembly: Assembly, place: int, first: int, done: int) -> Iterator[Piece]:
        file = self.files[place]
        chunks = file.scanned.chunks
        later_file = place + 1 < len(self.files)
        last_state = max((at.at for at in chunks if CHECKPOINT in at.channels), default=-1)
        for at, chunk in self._chunks(file, _having(file, NEEDED, first), assembly.damaged):
            follows = later_file or last_state > at.at
            for one in chunk.logged:
                try:
                    if one.channel == INPUTS:
                        cut = columns.decode(bytes(one.data))
                        yield from assembly.inputs(cut, len(one.data), done + at.at + at.length, follows=follows)
                    elif one.channel == CHECKPOINT:
                        yield from assembly.state(_checkpoints.decode(one.data))
                    elif one.channel == GAP:
                        assembly.missing(_gaps.decode(one.data))
                except (RecordingError, msgspec.MsgspecError) as error:
                    assembly.damaged(self._say(file, f"the chunk at byte {at.at} is damaged: {error}"))
                if assembly.ended or assembly.skip:
                    return

    def _chunks(
        self, file: FileFound, wanted: Iterable[ChunkAt], damaged: Callable[[str], None] = lambda _: None
    ) -> Iterator[tuple[ChunkAt, Chunk]]:
        """Chunks of a file, but for those that cannot be read: they are said, here and to `damaged`."""
        try:
            with file.path.open("rb") as stream:
                for at in wanted:
                    try:
                        yield at, read_chunk(stream, at, self._decompressor)
                    except ValueError as error:
                        damaged(self._say(file, f"the chunk at byte {at.at} is damaged: {error}"))
        except OSError as error:  # the ring removes its oldest files, also while they are read
            damaged(self._say(file, f"{error.strerror or error}"))

    def _say(self, file: FileFound, what: str) -> str:
        why = f"{file.path.name}: {what}"
        if why not in file.damage:
            file.damage = (*file.damage, why)
        return why

    def _start(self, from_ns: int | None) -> _Start:
        """The last checkpoint before the first one that is later than from_ns; the beginning where there is none."""
        if from_ns is None:
            return _Start(0, 0)
        states = [
            (at.first_ns, _Start(place, i))
            for place, file in enumerate(self.files)
            for i, at in enumerate(file.scanned.chunks)
            if CHECKPOINT in at.channels
        ]
        early = itertools.takewhile(lambda state: state[0] <= from_ns, states)
        return self._latest([start for _, start in early], from_ns)

    def _latest(self, candidates: Sequence[_Start], from_ns: int) -> _Start:
        """The last of them that is not after from_ns itself: a chunk may hold what is older than its checkpoint."""
        for start in reversed(candidates):
            file = self.files[start.file]
            checkpoint = self._checkpoint(file, file.scanned.chunks[start.chunk])
            if checkpoint is not None and checkpoint.admitted_ns <= from_ns:
                return start
        return _Start(0, 0)

    def _checkpoint(self, file: FileFound, at: ChunkAt) -> Checkpoint | None:
        for _, chunk in self._chunks(file, [at]):
            for one in chunk.logged:
                if one.channel == CHECKPOINT:
                    with contextlib.suppress(msgspec.MsgspecError):  # reading on finds the same, and says so
                        return _checkpoints.decode(one.data)
        return None


def _having(file: FileFound, channels: AbstractSet[int], first: int = 0) -> list[ChunkAt]:
    """The chunks with any of these channels; all where no summary with a right checksum says which they have."""
    scanned = file.scanned
    return [at for at in scanned.chunks[first:] if not scanned.sure or not channels.isdisjoint(at.channels)]
