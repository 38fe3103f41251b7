"""A recording from a moment on, with the state that the gateway had then: worked out from the checkpoint before it."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from gateway.app import Replay, Replayed, replay
from gateway.clock import ReplayClock
from gateway.errors import RecordingError
from gateway.recording.columns import part_of
from gateway.recording.parts import Begin, Checkpoint, Part
from gateway.registry import registry
from gateway.replaying.configurations import Configurations

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Sequence

    from gateway.events import Cut, Stepped
    from gateway.recording.parts import Piece
    from gateway.recording.reader import Recording


def from_state_at(
    recording: Recording, at_ns: int, to_ns: int | None = None, progress: Callable[[int, int], None] | None = None
) -> Iterator[Piece]:
    """The pieces of [at_ns, to_ns): a Begin whose checkpoint stands right before the first input, then that and so on.

    What was admitted between the recording's last checkpoint and `at_ns` is stepped for it, with the recorded
    configuration. Raises RecordingError, ConfigError.
    """
    return _Restepping(recording, at_ns, to_ns, progress).pieces()


class _Restepping:
    """Steps until the moment is reached; then hands on what is left."""

    def __init__(
        self, recording: Recording, at_ns: int, to_ns: int | None, progress: Callable[[int, int], None] | None
    ) -> None:
        self._given = recording.pieces(at_ns, to_ns)
        self._at_ns = at_ns
        self._of = recording.bytes
        self._progress = progress
        self._next: Begin | None = None  # another configuration or a hole came before the moment
        self._rest: Part | None = None  # the first inputs from the moment on
        self._known = Checkpoint(0, 0, 0, 1, None)

    def pieces(self) -> Iterator[Piece]:
        """See from_state_at."""
        begin = next((piece for piece in self._given if isinstance(piece, Begin)), None)
        configurations = Configurations(registry(), None, {})
        while begin is not None and self._rest is None:
            if begin.checkpoint is not None:
                self._known = begin.checkpoint
            first = next(self._given, None)
            self._next = None
            cuts = self._before(first)
            step = next(cuts, None)
            if step is not None:
                config = configurations.of(begin.about).config
                models = {note.camera: note for note in begin.about.models}
                what = Replay(models, self._known.state, self._known.n, _again(step, cuts), self._keep)
                clock = ReplayClock(begin.about.began_ns)
                replayed = _in_a_thread(replay(config, registry(), clock, asyncio.Event(), what))
                if replayed.wrong:
                    raise RecordingError(f"its checkpoint at input {self._known.n} cannot be used: {replayed.wrong}")
                self._known = Checkpoint(*self._stamps, self._known.next_seq, replayed.state)
            if self._rest is None:
                begin = self._next
        if begin is None or self._rest is None:
            return
        yield Begin(begin.about, self._known, "")
        yield self._rest
        yield from self._given

    def _before(self, piece: Piece | None) -> Iterator[Cut]:
        """What was admitted before the moment, until it or the next Begin comes. In the reading thread, too."""
        while piece is not None:
            if isinstance(piece, Begin):
                self._next = piece
                return
            if isinstance(piece, Part):
                behind = np.flatnonzero(piece.cut.admitted_ns >= self._at_ns)
                at = int(behind[0]) if len(behind) else len(piece.cut.inputs)
                if at:
                    yield self._stepping(part_of(piece.cut, 0, at), piece.done_bytes)
                if len(behind):
                    self._rest = Part(part_of(piece.cut, at, len(piece.cut.inputs)), piece.done_bytes)
                    return
            piece = next(self._given, None)

    def _stepping(self, cut: Cut, done_bytes: int) -> Cut:
        self._stamps = (cut.n0 + len(cut.inputs), int(cut.admitted_ns[-1]), int(cut.elapsed_ns[-1]))
        if self._progress is not None:
            self._progress(done_bytes, self._of)
        return cut

    def _keep(self, stepped: Sequence[Stepped]) -> None:
        rows = [row for one in stepped for row in one.alerts]
        if rows:
            self._known = msgspec.structs.replace(self._known, next_seq=rows[-1].seq + 1)


def _in_a_thread(replaying: Coroutine[object, object, Replayed]) -> Replayed:
    """In a loop of its own: whoever takes the pieces may be in one."""
    with ThreadPoolExecutor(1, thread_name_prefix="restep") as thread:
        return thread.submit(asyncio.run, replaying).result()


def _again(first: Cut, rest: Iterator[Cut]) -> Iterator[Cut]:
    yield first
    yield from rest
