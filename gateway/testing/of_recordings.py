"""What a gateway really got, for checks of rules: the inputs of a recording as they came."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from gateway.events import Configured, Detections, Restart
from gateway.recording.parts import Begin, Part
from gateway.recording.reader import Recording
from gateway.testing.said import Step

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from gateway.events import Input
    from gateway.recording.parts import About

MOST = 1000  # inputs: a check steps them some fifty times, and more often while it looks for the fewest


class Recorded(list[Step]):
    """Inputs as they came. `labels`: those of the models that looked, which detections count by; empty: none did."""

    labels: tuple[str, ...] = ()


def recorded(
    recordings: str | Path | Sequence[str | Path],
    *,
    from_ns: int | None = None,
    to_ns: int | None = None,
    most: int = MOST,
) -> Recorded:
    """The first inputs admitted in [from_ns, to_ns), UTC, with their stamps: for check_rule, which begins with nothing.

    Raises RecordingError.
    """
    given = [recordings] if isinstance(recordings, str | Path) else recordings
    recording = Recording.open([Path(one) for one in given])
    labels = _labels([file.about for file in recording.files])
    tables: dict[str, NDArray[np.int16]] = {}
    steps: list[Step] = []
    for piece in recording.pieces(from_ns, to_ns):
        if isinstance(piece, Begin):
            tables = _tables(piece.about, labels)
        if isinstance(piece, Part):
            inputs = [_of_labels(one, tables) for one in piece.cut.inputs]
            stamped = zip(inputs, piece.cut.admitted_ns.tolist(), piece.cut.elapsed_ns.tolist(), strict=True)
            steps += [Step(*one) for one in stamped if not isinstance(one[0], Restart | Configured)]
            if len(steps) >= most:
                break
    taken = Recorded(step for step in steps[:most] if from_ns is None or step.admitted_ns >= from_ns)
    taken.labels = labels
    return taken


def _labels(abouts: Sequence[About]) -> tuple[str, ...]:
    """One model's labels as they are; of several models what any of them knows, each once."""
    each = list(dict.fromkeys(note.labels for about in abouts for note in about.models))
    return each[0] if len(each) == 1 else tuple(dict.fromkeys(label for labels in each for label in labels if label))


def _tables(about: About, labels: tuple[str, ...]) -> dict[str, NDArray[np.int16]]:
    """For each camera whose model has other labels: the index in `labels` of each of its own, -1 for those unused."""
    places = {label: place for place, label in enumerate(labels) if label}
    return {
        note.camera: np.array([places.get(label, -1) for label in note.labels], np.int16)
        for note in about.models
        if note.labels != labels
    }


def _of_labels(one: Input, tables: Mapping[str, NDArray[np.int16]]) -> Input:
    if not isinstance(one, Detections) or one.camera not in tables:
        return one
    label = tables[one.camera][one.label]
    known = label >= 0
    return msgspec.structs.replace(one, xyxy=one.xyxy[known], score=one.score[known], label=label[known])
