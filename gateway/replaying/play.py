"""Plays a recording: piece by piece through `app.replay`, a core for each stretch that one configuration holds.

Recording.pieces ─▶ stretches: Begin, Part … │ Begin, Part … ─▶ app.replay each ─▶ Keeps
                    the state is carried over, or comes from a checkpoint where the recording has a hole
"""

from __future__ import annotations

import asyncio
import hashlib
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from gateway.app import Replay, Summary, replay
from gateway.app.failures import leaves
from gateway.clock import ReplayClock, WallClock
from gateway.errors import GatewayError
from gateway.events import AlertRow, Configured, Cut
from gateway.recording.parts import Begin, Gap, ModelNote, Part
from gateway.registry import registry
from gateway.replaying.configurations import Chosen, Configurations

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from gateway.events import Input, Stepped
    from gateway.recording.parts import Checkpoint, Piece
    from gateway.recording.reader import Recording
    from gateway.replaying.outcome import Keeps

MOST = 5_000  # inputs stepped together: grouping does not change what comes out, and a step has a price of its own


class Played(msgspec.Struct, frozen=True):
    """What a replay came to.

    `alerts`: every change from `from_ns` on, as the core made it. `begun_ns`, `ended_ns`: admission of the first input
    and of the last (0: none). `holes`: where the recording lacks inputs, in words and as `gaps`; what stands across
    one may differ.
    `state_sha`: SHA-256 of the core's state at the end. `configs`: what it ran with, in order; `models`: each camera's,
    at the end. `dead`: inputs set aside. `stopped`: it was interrupted before its end.
    """

    alerts: list[AlertRow]
    points: int
    requests: int
    dead: int
    summary: Summary
    begun_ns: int
    ended_ns: int
    holes: list[str]
    gaps: list[Gap]
    state_sha: str
    configs: list[Chosen]
    models: tuple[ModelNote, ...]
    stopped: bool


def play(
    recording: Recording,
    keeps: Keeps,
    *,
    config: Path | None = None,
    overlay: Mapping[str, str] | None = None,
    speed: float | None = None,
    from_ns: int | None = None,
    to_ns: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    pieces: Iterable[Piece] | None = None,
    interruptible: bool = False,
) -> Played:
    """Play a recording through the core; outputs from `from_ns` (admission, UTC) on go to `keeps`, which is closed.

    config: instead of what was recorded; overlay: dotted path → YAML text, over either. speed: 1 is the recording's own
    pace; None: as fast as it goes. progress(done, of): bytes of the recording. pieces: instead of the recording's own
    (re-inferred). interruptible: SIGINT ends it early, with what came until then kept. Raises RecordingError,
    ConfigError, GatewayError where outputs cannot be written.
    """
    playing = _Playing(keeps, Configurations(registry(), config, overlay or {}), from_ns or 0, speed)
    if progress is not None:
        playing.progress = lambda done: progress(done, recording.bytes)
    given = recording.pieces(from_ns, to_ns, most=MOST if speed is None else 1) if pieces is None else pieces
    try:
        played = _in_a_loop(lambda: playing.run(iter(given), interruptible=interruptible))
    except BaseException:
        keeps.close(whole=False)
        raise
    keeps.close()
    return played


class _Playing:
    """One replay: its stretches one after another."""

    def __init__(self, keeps: Keeps, configurations: Configurations, from_ns: int, speed: float | None) -> None:
        self.progress: Callable[[int], None] = lambda _: None
        self._keeps, self._configurations = keeps, configurations
        self._from_ns, self._pace = from_ns, _Pace(speed)
        self._alerts: list[AlertRow] = []
        self._points = self._requests = self._dead = 0
        self._counts = Summary(0, 0, 0, 0, 0, 0)
        self._span_ns = (0, 0)
        self._holes: list[str] = []
        self._gaps: list[Gap] = []
        self._configs: list[Chosen] = []
        self._models: tuple[ModelNote, ...] = ()
        self._next: Begin | None = None

    async def run(self, pieces: Iterator[Piece], *, interruptible: bool) -> Played:
        stop, state = asyncio.Event(), b""
        if interruptible:
            asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop.set)
        self._next = self._first(pieces)
        while self._next is not None and not stop.is_set():
            begin, self._next = self._next, None
            state = await self._stretch(begin, pieces, state, stop)
        return Played(
            alerts=self._alerts,
            points=self._points,
            requests=self._requests,
            dead=self._dead,
            summary=self._counts,
            begun_ns=self._span_ns[0],
            ended_ns=self._span_ns[1],
            holes=self._holes,
            gaps=self._gaps,
            state_sha=hashlib.sha256(state).hexdigest(),
            configs=self._configs,
            models=self._models,
            stopped=stop.is_set(),
        )

    def _first(self, pieces: Iterator[Piece]) -> Begin | None:
        for piece in pieces:
            if isinstance(piece, Begin):
                return piece
            self._note(piece)
        return None

    async def _stretch(self, begin: Begin, pieces: Iterator[Piece], state: bytes, stop: asyncio.Event) -> bytes:
        """Play until the next Begin; gives the state there."""
        chosen = self._configurations.of(begin.about)
        if not self._configs or self._configs[-1].config is not chosen.config:
            self._configs.append(chosen)
        self._models, checkpoint = begin.about.models, begin.checkpoint
        if checkpoint is not None:
            state = checkpoint.state or b""
        what = Replay(
            models={note.camera: note for note in begin.about.models},
            state=state or None,
            next_n=checkpoint.n if checkpoint else 0,
            cuts=self._cuts(pieces, chosen, checkpoint),
            keep=self._keep,
            from_ns=self._from_ns,
            pace=self._pace,
        )
        try:
            replayed = await replay(chosen.config, registry(), ReplayClock(begin.about.began_ns), stop, what)
        except ExceptionGroup as group:
            mine, others = group.split(GatewayError)
            if mine is None or others is not None:
                raise
            raise leaves(mine)[0] from None
        if replayed.wrong:
            self._holes.append(f"a checkpoint could not be used, and it began with nothing: {replayed.wrong}")
        self._dead += replayed.dead
        before, counted = msgspec.structs.asdict(self._counts), msgspec.structs.asdict(replayed.summary)
        self._counts = Summary(**{name: before[name] + count for name, count in counted.items()})
        return replayed.state

    def _cuts(self, pieces: Iterator[Piece], chosen: Chosen, checkpoint: Checkpoint | None) -> Iterator[Cut]:
        """What is stepped until the next Begin. In the reading thread."""
        configured = Configured(chosen.config.sha, chosen.text)
        if chosen.other and checkpoint is not None and checkpoint.state:
            yield _alone(configured, checkpoint)  # it holds from here on: what it does not have any more is closed
        for piece in pieces:
            if isinstance(piece, Begin):
                self._next = piece
                return
            if not isinstance(piece, Part):
                self._note(piece)
                continue
            cut = piece.cut
            first_ns, last_ns = int(cut.admitted_ns[0]), int(cut.admitted_ns[-1])
            if last_ns >= self._from_ns:
                self._span_ns = (self._span_ns[0] or max(first_ns, self._from_ns), last_ns)
            if chosen.other and any(isinstance(one, Configured) for one in cut.inputs):
                cut = _replaced(cut, configured)
            yield from _split(cut, self._from_ns)
            self.progress(piece.done_bytes)

    def _note(self, piece: Piece) -> None:
        if isinstance(piece, Gap):
            self._gaps.append(piece)
            self._holes.append(f"inputs {piece.from_n} to {piece.to_n - 1} are missing: {piece.why}")

    def _keep(self, stepped: Sequence[Stepped]) -> None:
        for one in stepped:
            self._alerts += one.alerts
            self._points += one.points
            self._requests += len(one.requests)
        self._keeps.take(stepped)


class _Pace:
    """How long to wait before a cut, in seconds of real time."""

    def __init__(self, speed: float | None) -> None:
        self._speed = speed
        self._clock = WallClock()
        self._began: tuple[int, int] | None = None

    def __call__(self, cut: Cut) -> float:
        if self._speed is None:
            return 0.0
        now_ns, at_ns = self._clock.monotonic_ns(), int(cut.admitted_ns[0])
        began_ns, first_ns = self._began = self._began or (now_ns, at_ns)
        return ((at_ns - first_ns) / self._speed - (now_ns - began_ns)) / 1e9


def _alone(configured: Configured, checkpoint: Checkpoint) -> Cut:
    """A configuration that holds from a checkpoint on, beside its last input."""
    stamps = (np.array([at], np.int64) for at in (checkpoint.admitted_ns, checkpoint.elapsed_ns))
    return Cut(max(0, checkpoint.n - 1), [configured], *stamps)


def _replaced(cut: Cut, configured: Configured) -> Cut:
    inputs: list[Input] = [configured if isinstance(one, Configured) else one for one in cut.inputs]
    return Cut(cut.n0, inputs, cut.admitted_ns, cut.elapsed_ns)


def _split(cut: Cut, from_ns: int) -> list[Cut]:
    """In two where `from_ns` is inside it, so that what comes before it is not kept."""
    since = np.flatnonzero(cut.admitted_ns >= from_ns)
    at = int(since[0]) if len(since) else 0
    if not at:
        return [cut]
    first = Cut(cut.n0, cut.inputs[:at], cut.admitted_ns[:at], cut.elapsed_ns[:at])
    return [first, Cut(cut.n0 + at, cut.inputs[at:], cut.admitted_ns[at:], cut.elapsed_ns[at:])]


def _in_a_loop(main: Callable[[], Coroutine[object, object, Played]]) -> Played:
    """In a thread of its own where this one has a loop already, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(main())
    with ThreadPoolExecutor(1, thread_name_prefix="replay") as thread:
        return thread.submit(lambda: asyncio.run(main())).result()
