"""What waits for the recorder's thread: cuts, checkpoints, alerts, and what channels beside show."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from gateway.events import AlertRow, Cut, Detections, Message
from gateway.recording.columns import encode, joined, span

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    """What waits, and how many bytes it keeps. `bytes`: a cut that is packed already (columns)."""

    what: Cut | bytes | State | Shown | Changed
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


def packed(cuts: Sequence[Cut]) -> Entry:
    """Cuts whose numbers follow one another, as one record: their messages are let go while they are in the cache.

    What cannot be packed stays as it is, for the recorder's thread to fail over.
    """
    cut = joined(cuts)
    try:
        data = encode(cut)
    except Exception:  # noqa: BLE001 - whatever its bug is, it must not be the core's
        return waiting(cut)
    return Entry(data, len(data))


def waiting(cut: Cut) -> Entry:
    """A cut as it is, with about how many bytes it keeps in memory."""
    inputs = cut.inputs
    boxes = sum([len(one.score) for one in inputs if type(one) is Detections])
    bodies = sum([len(one.body) for one in inputs if type(one) is Message])
    return Entry(cut, bodies + BOX_BYTES * boxes + INPUT_BYTES * len(inputs))


def beyond(entry: object, n: int) -> int:
    """How many of an entry's inputs have this number or a higher one."""
    if isinstance(entry, bytes):
        n0, n1, _, _ = span(entry)
    elif isinstance(entry, Cut):
        n0, n1 = entry.n0, entry.n0 + len(entry.inputs)
    else:
        return 0
    return min(n1 - n0, max(0, n1 - n))
