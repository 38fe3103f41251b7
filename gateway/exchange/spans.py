"""A recording's inputs as an export goes over them: cut by cut, within a span, each with what it was recorded with."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

from gateway.errors import ConfigError, RecordingError
from gateway.events import Cut
from gateway.recording.parts import Begin, Part

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gateway.recording.parts import About
    from gateway.recording.reader import Recording


class Span(NamedTuple):
    """Admission in [from_ns, to_ns), UTC; None: no bound."""

    from_ns: int | None = None
    to_ns: int | None = None


class Watching(NamedTuple):
    """Who watches a long export: `progress(done, of)` is told as it goes, `stop` asked."""

    progress: Callable[[int, int], None]
    stop: Callable[[], bool]


def _nobody(done: int, of: int) -> None:
    """Nobody looks."""


UNWATCHED = Watching(_nobody, lambda: False)


class Exported(msgspec.Struct):
    """What an export came to: rows by file; payloads that no codec could read, messages that no sensor reads."""

    rows: dict[str, int] = {}
    bad: int = 0
    unrouted: int = 0
    interrupted: bool = False


def label_of(labels: tuple[str, ...], number: int) -> str:
    """The model's word for a label, else its number."""
    return labels[number] if 0 <= number < len(labels) and labels[number] else str(number)


def cuts(recording: Recording, span: Span, watching: Watching) -> Iterator[tuple[About, Cut]]:
    """Everything admitted in the span, in order, until asked to stop. What a replay cannot use is there too."""
    about: About | None = None
    for piece in recording.pieces(*span, whole=True):
        if watching.stop():
            return
        if isinstance(piece, Begin):
            about = piece.about
        elif isinstance(piece, Part):
            cut = piece.cut if span.from_ns is None else _since(piece.cut, span.from_ns)
            if about is not None and cut.inputs:
                yield about, cut
            watching.progress(piece.done_bytes, recording.bytes)


def _since(cut: Cut, from_ns: int) -> Cut:
    first = int(np.searchsorted(np.maximum.accumulate(cut.admitted_ns), from_ns)) if len(cut.inputs) else 0
    if not first:
        return cut
    return Cut(cut.n0 + first, cut.inputs[first:], cut.admitted_ns[first:], cut.elapsed_ns[first:])


def unusable(about: About, error: ConfigError) -> RecordingError:
    """What to say of a recorded configuration that this version cannot use."""
    said = "\n  ".join(error.findings)
    return RecordingError(
        f"the configuration that {about.gateway} was recorded with (by zhiwang {about.version}) cannot be used by this "
        f"one; give a mended one with --config:\n  {said}"
    )
