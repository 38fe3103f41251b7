"""What `zhiwang track` reads and writes: detections as JSON lines in, MOT Challenge lines out."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple, TextIO

import msgspec
import numpy as np

from gateway.errors import GatewayError
from gateway.events import Detections

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gateway.core.track import Tracked

HELD_NS = 5 * 10**9
"""How long a box waits for its track to be believed; what is believed later begins with the last five seconds."""


class Box(msgspec.Struct, frozen=True):
    """A box of a line: label, score, (left, top, right, bottom) px."""

    label: str
    score: float
    xyxy: tuple[float, float, float, float]


class Line(msgspec.Struct, frozen=True):
    """One picture, as `zhiwang detect --format jsonl` writes it."""

    source: str
    frame: int
    time_s: float
    width: int
    height: int
    boxes: list[Box]


def labels_of(path: Path) -> tuple[tuple[str, ...], int]:
    """(the labels in a file of JSON lines, how many lines it has). Raises GatewayError where it is something else."""
    labels: dict[str, None] = {}
    lines, sources = 0, dict[str, None]()
    for line in _lines(path):
        lines += 1
        sources[line.source] = None
        labels.update(dict.fromkeys(box.label for box in line.boxes))
    if len(sources) > 1:
        raise GatewayError(f"{path}: found detections of {len(sources)} files; those of one video are expected")
    return tuple(labels), lines


def detections_in(path: Path, labels: tuple[str, ...]) -> Iterator[Detections]:
    """The lines as looks, in order."""
    index = {label: i for i, label in enumerate(labels)}
    for line in _lines(path):
        yield Detections(
            line.source,
            line.frame,
            round(line.time_s * 1e9),
            line.width,
            line.height,
            np.array([box.xyxy for box in line.boxes], np.float32).reshape(-1, 4),
            np.array([box.score for box in line.boxes], np.float32),
            np.array([index[box.label] for box in line.boxes], np.int16),
        )


def _lines(path: Path) -> Iterator[Line]:
    decode = msgspec.json.Decoder(Line).decode
    with path.open("rb") as lines:
        for number, body in enumerate(lines, 1):
            try:
                line = decode(body)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise GatewayError(
                    f"{path}:{number}: {error}; a line of `zhiwang detect --format jsonl` is expected"
                ) from error
            if line.frame < 1:
                raise GatewayError(f"{path}:{number}: found a picture without a frame number; a video's are expected")
            yield line


class Waiting(NamedTuple):
    """A line that is not written yet."""

    track: int
    at_ns: int
    text: str


class TrackLines:
    """Writes boxes of believed tracks, by frame, from each track's first box on: that is why they wait a little."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._waiting: deque[Waiting] = deque()
        self._believed: set[int] = set()
        self._over: set[int] = set()
        self.written = 0
        self.tracks = 0
        """How many tracks have been believed."""

    def write(self, seen: Detections, tracked: Tracked) -> None:
        """The next look."""
        fresh = set(tracked.id[tracked.believed].tolist()) - self._believed
        self.tracks += len(fresh)
        self._believed |= fresh
        mine = np.flatnonzero(tracked.id)
        boxes, ids = seen.xyxy[mine].astype(np.float64).tolist(), tracked.id[mine].tolist()
        scores, labels = seen.score[mine].tolist(), seen.label[mine].tolist()
        rows = sorted(zip(ids, boxes, scores, labels, strict=True))
        for one, (x1, y1, x2, y2), score, label in rows:
            box = f"{x1:.2f},{y1:.2f},{x2 - x1:.2f},{y2 - y1:.2f}"
            self._waiting.append(Waiting(one, seen.event_ns, f"{seen.frame},{one},{box},{score:.5f},{label + 1},-1\n"))
        self._over.update(tracked.ended.tolist())
        self._write(seen.event_ns)

    def close(self) -> None:
        """Write what waits and is believed."""
        while self._waiting:
            self._next()

    def _write(self, now_ns: int) -> None:
        while self._waiting:
            first = self._waiting[0]
            decided = first.track in self._believed or first.track in self._over
            if not decided and now_ns - first.at_ns < HELD_NS:
                return
            self._next()
        self._believed -= self._over  # nothing of them waits
        self._over.clear()

    def _next(self) -> None:
        first = self._waiting.popleft()
        if first.track in self._believed:
            self._out.write(first.text)
            self.written += 1
