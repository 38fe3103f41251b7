"""What waits for the recorder's thread: cuts, checkpoints, alerts, and what channels beside show."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from gateway.events import AlertRow, Cut, Detections, Message

if TYPE_CHECKING:
    from gateway.recording.beside import Beside
    from gateway.recording.parts import Checkpoint, Gap

INPUT_BYTES = 150  # what an input weighs in memory beside its body
BOX_BYTES = 22  # xyxy, score and label: a look may have 300 boxes


class State(NamedTuple):
    """A checkpoint for the file; `hole`: the inputs before it that were let go."""

    checkpoint: Checkpoint
    hole: Gap | None
    roll: bool


class Shown(NamedTuple):
    """What a channel beside shows."""

    channel: Beside
    log_ns: int
    body: bytes


class Changed(NamedTuple):
    """A change of an alert, durable at log_ns."""

    row: AlertRow
    log_ns: int


class Entry(NamedTuple):
    """What waits, and how many bytes it keeps."""

    what: Cut | State | Shown | Changed
    weight: int


class Hole(msgspec.Struct):
    """Inputs that are not recorded, from from_n on; not before again_ns (monotonic) is a checkpoint wanted."""

    from_n: int
    from_ns: int
    why: str
    again_ns: int


class Counts(msgspec.Struct):
    """Since the start: inputs dropped, messages of other channels dropped, holes."""

    dropped: int = 0
    dropped_beside: int = 0
    gaps: int = 0


def weight_of(cut: Cut) -> int:
    """About how many bytes a cut keeps in memory."""
    inputs = cut.inputs
    boxes = sum([len(one.score) for one in inputs if type(one) is Detections])
    return (
        sum([len(one.body) for one in inputs if type(one) is Message]) + BOX_BYTES * boxes + INPUT_BYTES * len(inputs)
    )


def beyond(entry: object, n: int) -> int:
    """How many of an entry's inputs have this number or a higher one."""
    return min(len(entry.inputs), max(0, entry.n0 + len(entry.inputs) - n)) if isinstance(entry, Cut) else 0
