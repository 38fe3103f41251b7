"""A span of a recording as one file that stands alone: checkpoint, inputs, holes, alerts and what stands beside them.

Pieces ─▶ FileWriter, with the recording's later checkpoints between (so that reading may start in the middle)
       └▶ readable.Readable: one record a message as well
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from gateway.errors import GatewayError, RecordingError
from gateway.recording.besides import beside, checkpoints
from gateway.recording.channels import ALERTS, OWN
from gateway.recording.columns import part_of
from gateway.recording.parts import Begin, Gap, Part
from gateway.recording.readable import Readable, is_readable
from gateway.recording.reader import Recording
from gateway.recording.writer import FileWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from gateway.events import Cut
    from gateway.recording.besides import Shown
    from gateway.recording.parts import About, Checkpoint, Made, Piece

LEVEL = 6  # zstd: a quarter smaller than at 1, and 3 is no smaller; an export is made once, and carried about
FOREVER_NS = 2**63 - 1
DURABLE_NS = 60 * 10**9  # an alert stands in a recording when it is durable: within a second, on a slow disk a minute


class Form(NamedTuple):
    """What goes along with the inputs.

    readable: each message as a record of its own, too; beside: video, boxes, positions; states: the recording's later
    checkpoints. last_seq: the last alert that belongs to the inputs, where that is known.
    """

    readable: bool = True
    beside: bool = True
    states: bool = True
    last_seq: int | None = None


WHOLE = Form()


class _Numbered(msgspec.Struct, frozen=True):
    """An alert's number."""

    seq: int
    epoch: str = ""


class Exported(msgspec.Struct):
    """What was written. begun_ns, ended_ns: admission of the first input and of the last.

    `files` has more than one where the configuration changed meanwhile: a recording's file has one.
    """

    files: list[Path]
    inputs: int = 0
    messages: int = 0
    alerts: int = 0
    beside: int = 0
    begun_ns: int = 0
    ended_ns: int = 0
    bytes: int = 0
    holes: list[str] = []


def refuse_to_overwrite(recording: Recording, path: Path) -> None:
    """Raises GatewayError where `path` is no name for a new file: a folder, or a file that is about to be read."""
    if path.is_dir():
        raise GatewayError(f"{path}: found a folder; expected the name of a file to write, such as day.mcap")
    if any(path.resolve() == file.path.resolve() for file in recording.files):
        raise GatewayError(f"{path}: is part of the recording that is read; write to another file")


def export(
    recording: Recording,
    path: Path,
    *,
    from_ns: int | None = None,
    to_ns: int | None = None,
    form: Form = WHOLE,
    made: Made = "export",
    pieces: Iterable[Piece] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Exported:
    """Write what was admitted in [from_ns, to_ns), and what replay needs of before, to `path`.

    pieces: instead of the recording's own, from a state that was worked out. Raises RecordingError where nothing was
    recorded in that span, GatewayError where it cannot be written.
    """
    refuse_to_overwrite(recording, path)
    given = recording.pieces(from_ns, to_ns) if pieces is None else pieces
    exporting = _Exporting(recording, path, from_ns, to_ns, made, form)
    try:
        for piece in given:
            exporting.take(piece)
            if progress is not None and isinstance(piece, Part):
                progress(piece.done_bytes, recording.bytes)
        return exporting.finish()
    except OSError as error:
        raise GatewayError(f"{path}: cannot be written ({error.strerror})") from error
    finally:
        exporting.give_up()


class _Exporting:
    """What is being written; nothing has its name before all is."""

    def __init__(
        self, recording: Recording, path: Path, from_ns: int | None, to_ns: int | None, made: Made, form: Form
    ) -> None:
        self._recording, self._path, self._made, self._form = recording, path, made, form
        self._from_ns, self._to_ns = from_ns, to_ns
        self._done = Exported([])
        self._written: list[FileWriter] = []
        self._readable: Readable | None = None
        self._begin: Begin | None = None  # until its first inputs come
        self._next_n = 0
        self._states = checkpoints(recording) if form.states else iter(())
        self._state = next(self._states, None)
        self._beside: Iterator[Shown] = iter(())
        self._waiting: Shown | None = None

    def take(self, piece: Piece) -> None:
        """The next piece."""
        if isinstance(piece, Part):
            self._inputs(piece.cut)
        elif isinstance(piece, Gap):
            self._done.holes.append(f"inputs {piece.from_n} to {piece.to_n - 1} are missing: {piece.why}")
            if self._written:
                self._written[-1].gap(piece)
        elif self._written and self._begin is None and piece.checkpoint and _same(self._about, piece.about):
            self._written[-1].checkpoint(piece.checkpoint)
            self._next_n = piece.checkpoint.n
        else:
            self._begin = piece

    def finish(self) -> Exported:
        """All of it is on the disk, under its name."""
        if not self._written or (self._from_ns is not None and self._done.ended_ns < self._from_ns):
            raise RecordingError(self._nothing())
        self._aside(FOREVER_NS)
        for number, writer in enumerate(self._written):
            writer.close()
            path = self._path if not number else self._path.with_stem(f"{self._path.stem}-{number + 1}")
            writer.path.replace(path)
            self._done.files.append(path)
            self._done.bytes += writer.size
        self._written = []
        return self._done

    def give_up(self) -> None:
        """Leave nothing half behind."""
        for writer in self._written:
            writer.close()
            writer.path.unlink(missing_ok=True)

    def _inputs(self, cut: Cut) -> None:
        self._done.begun_ns = self._done.begun_ns or int(cut.admitted_ns[0])
        self._done.ended_ns = int(cut.admitted_ns[-1])
        self._done.inputs += len(cut.inputs)
        if self._begin is not None:
            self._open(self._begin, cut)
        while (state := self._due(cut)) is not None:
            at = state.n - cut.n0
            self._write(part_of(cut, 0, at))
            self._written[-1].checkpoint(state)
            cut = part_of(cut, at, len(cut.inputs))
        self._write(cut)

    def _write(self, cut: Cut) -> None:
        if cut.inputs:
            self._aside(int(cut.admitted_ns[0]))
            self._written[-1].inputs(cut)
            self._next_n = cut.n0 + len(cut.inputs)
            if self._readable is not None:
                before = self._readable.messages
                self._readable.inputs(cut)
                self._done.messages += self._readable.messages - before

    def _due(self, cut: Cut) -> Checkpoint | None:
        """The recording's next checkpoint, where it stands inside this cut."""
        while self._state is not None and self._state.n <= cut.n0:
            self._state = next(self._states, None)
        return self._state if self._state is not None and self._state.n < cut.n0 + len(cut.inputs) else None

    def _open(self, begin: Begin, cut: Cut) -> None:
        """Begin a file: the first, or the one of another configuration."""
        checkpoint = begin.checkpoint or self._of_file(begin.about, cut.n0)
        about = msgspec.structs.replace(begin.about, made=self._made, serial=0)
        path = self._path.with_name(f".{self._path.name}.{len(self._written)}.part")
        self._written.append(FileWriter(path, about, checkpoint, level=LEVEL))
        self._about, self._begin = begin.about, None
        if self._form.readable:
            self._readable = Readable(self._written[-1])
        if len(self._written) == 1:
            self._first = _Numbered(checkpoint.next_seq, begin.about.epoch)
            until_ns = self._to_ns
            if until_ns is not None and self._form.last_seq is not None:
                until_ns += DURABLE_NS
            self._beside = beside(self._recording, checkpoint.admitted_ns, until_ns)
            self._waiting = next(self._beside, None)

    def _of_file(self, about: About, n: int) -> Checkpoint:
        """The state that a file of the recording begins with: where it only carries on, reading leaves it out."""
        for file in self._recording.files:
            if file.about == about and file.first_n == n:
                for piece in Recording([file]).pieces(most=1):
                    if isinstance(piece, Begin) and piece.checkpoint is not None:
                        return piece.checkpoint
        raise RecordingError(f"found no checkpoint at input {n}, where another configuration began")

    def _aside(self, before_ns: int) -> None:
        """Alerts and what stands beside, up to then, so that the file is in the order of time."""
        while self._waiting is not None and self._waiting.log_ns < before_ns:
            channel, log_ns, data = self._waiting
            if channel.topic == OWN[ALERTS].topic:
                if self._belongs(data):
                    self._written[-1].alert(data, log_ns)
                    self._done.alerts += 1
            elif self._form.beside and not is_readable(channel):  # of an export: its inputs are written anew
                self._written[-1].beside(channel, log_ns, data)
                self._done.beside += 1
            self._waiting = next(self._beside, None)

    def _belongs(self, alert: bytes) -> bool:
        """Whether an alert comes from these inputs: it became durable after them, perhaps beside later ones."""
        try:
            one, last = msgspec.json.decode(alert, type=_Numbered), self._form.last_seq
        except msgspec.MsgspecError:
            return False
        if one.epoch != self._first.epoch:
            return last is None
        return one.seq >= self._first.seq and (last is None or one.seq <= last)

    def _nothing(self) -> str:
        first = next((piece for piece in self._recording.pieces(most=1) if isinstance(piece, Part)), None)
        if first is None:
            return "nothing was recorded yet"
        last = self._recording.files[-1]
        begun, ended = (_words(at_ns, last.about.timezone) for at_ns in (int(first.cut.admitted_ns[0]), last.last_ns))
        return f"nothing was recorded then; what there is goes from {begun} to {ended}"


def _same(one: About, other: About) -> bool:
    return (one.config_sha, one.models, one.epoch) == (other.config_sha, other.models, other.epoch)


def _words(at_ns: int, zone: str) -> str:
    return datetime.fromtimestamp(at_ns // 10**9, ZoneInfo(zone) if zone else UTC).isoformat()
