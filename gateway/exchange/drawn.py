"""Recorded video with what the detector found drawn into it: one MP4 a camera.

A frame that was looked at has its own boxes; one between two looks has those of the look before it, for as long as a
look answers for (a second at least, as in `Looked`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gateway.config.names import listed, nearest
from gateway.core.texts import stamp
from gateway.errors import GatewayError
from gateway.events import Detections
from gateway.exchange.spans import UNWATCHED, Exported, Span, Watching, cuts, label_of
from gateway.recording import video
from gateway.whole import made_whole

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from gateway.recording.parts import About
    from gateway.recording.reader import Recording
    from gateway.vision.annexb import Coded
    from gateway.vision.film import Box

NS = 1_000_000_000
HELD_NS = NS  # how long a look's boxes stand: SEMANTICS.md §4 counts over looks of two seconds
AHEAD_NS = 10 * NS  # packets are logged when they came: later than their frames were taken


def to_video(
    recording: Recording,
    output: Path,
    span: Span,
    watching: Watching,
    *,
    camera: str | None = None,
    score: float | None = None,
) -> Exported:
    """Write `<camera>.mp4` into a folder, or one camera's video into a file that ends in .mp4.

    score: the least of boxes that are drawn; None: the model's own. Raises GatewayError where the recording has no
    video, or none of that camera.
    """
    cameras = _cameras(recording, camera)
    single = output.suffix.lower() == ".mp4"
    if single and len(cameras) > 1:
        raise GatewayError(f"found video of {listed(cameras)}; name one with --camera, or a folder with -o")
    (output.parent if single else output).mkdir(parents=True, exist_ok=True)
    rows: dict[str, int] = {}
    for name in cameras:
        path = output if single else output / f"{name}.mp4"
        rows[path.name] = _film(recording, name, path, span, watching, score)
    return Exported(rows, interrupted=watching.stop())


def _cameras(recording: Recording, wanted: str | None) -> list[str]:
    """The cameras whose video is there, or the one wanted."""
    begins, ends = video.topic("\0").split("\0")
    topics = {topic for file in recording.files for topic in file.scanned.topics.values()}
    found = sorted(
        topic.removeprefix(begins).removesuffix(ends)
        for topic in topics
        if topic.startswith(begins) and topic.endswith(ends)
    )
    if wanted is not None and wanted not in found:
        there = nearest(wanted, found) or f"; it has video of: {listed(found)}"
        raise GatewayError(f"the recording has no video of camera {wanted}{there}")
    if not found:
        raise GatewayError("the recording has no video; it is recorded where recording: {video: always} or alerts says")
    return [wanted] if wanted is not None else found


def _film(recording: Recording, camera: str, path: Path, span: Span, watching: Watching, score: float | None) -> int:
    """Write one camera's video; how many frames it has."""
    from gateway.vision.film import FilmWriter, draw  # noqa: PLC0415 - OpenCV and PyAV load only when needed

    looks, zone = _Looks(recording, camera, span, score), recording.files[0].about.timezone or "UTC"
    with made_whole(path) as part, FilmWriter(part) as writer:
        for at_ns, picture in _pictures(recording, camera, span, watching):
            if _inside(at_ns, span):
                draw(picture, looks.at(at_ns), f"{camera} {stamp(at_ns, zone)}")
                writer.write(picture, at_ns)
        return writer.frames


def _inside(at_ns: int, span: Span) -> bool:
    return (span.from_ns is None or at_ns >= span.from_ns) and (span.to_ns is None or at_ns < span.to_ns)


def _pictures(
    recording: Recording, camera: str, span: Span, watching: Watching
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Decoded frames with the times that their detections have. They begin at a key frame before the span."""
    from gateway.vision.annexb import decode  # noqa: PLC0415 - as above

    for shown in decode(_packets(recording, camera, span, watching)):
        yield shown.event_ns, np.ascontiguousarray(shown.frame.to_ndarray(format="rgb24"), np.uint8)


def _packets(recording: Recording, camera: str, span: Span, watching: Watching) -> Iterator[Coded]:
    from gateway.vision.annexb import Coded  # noqa: PLC0415 - as above

    from_ns = None if span.from_ns is None else max(0, span.from_ns - AHEAD_NS)
    to_ns = None if span.to_ns is None else span.to_ns + AHEAD_NS
    first_ns = from_ns or min(file.first_ns for file in recording.files)
    last_ns = to_ns or max(file.last_ns for file in recording.files)
    for log_ns, message in recording.messages(video.topic(camera), from_ns, to_ns):
        if watching.stop():
            return
        try:
            yield Coded(*video.decode(message), log_ns)
        except ValueError:
            continue  # of a newer version, or damaged: the frames around it are shown
        watching.progress(max(0, log_ns - first_ns), max(1, last_ns - first_ns))


class _Looks:
    """One camera's looks, in the order of their frames, and what each shows."""

    def __init__(self, recording: Recording, camera: str, span: Span, score: float | None) -> None:
        self._camera = camera
        self._score = score
        earlier = None if span.from_ns is None else span.from_ns - AHEAD_NS
        self._next = self._detections(recording, Span(earlier, None))
        self._ahead = next(self._next, None)
        self._last: tuple[About, Detections] | None = None
        self._boxes: list[Box] = []

    def at(self, at_ns: int) -> list[Box]:
        """What to draw into a frame taken then. Times do not run back."""
        while self._ahead is not None and self._ahead[1].event_ns <= at_ns:
            self._last, self._ahead = self._ahead, next(self._next, None)
            self._boxes = []
        if self._last is None or at_ns - self._last[1].event_ns > HELD_NS:
            return []
        if not self._boxes:
            self._boxes = self._drawn(*self._last)
        return self._boxes

    def _detections(self, recording: Recording, span: Span) -> Iterator[tuple[About, Detections]]:
        for about, cut in cuts(recording, span, UNWATCHED):
            for one in cut.inputs:
                if isinstance(one, Detections) and one.camera == self._camera:
                    yield about, one

    def _drawn(self, about: About, look: Detections) -> list[Box]:
        from gateway.vision.film import Box  # noqa: PLC0415 - as above

        note = next((note for note in about.models if note.camera == look.camera), None)
        least = self._score if self._score is not None else note.score if note else 0.4
        labels = note.labels if note else ()
        size = look.width_px, look.height_px
        boxes: list[Box] = []
        for (x1, y1, x2, y2), score, label in zip(
            look.xyxy.tolist(), look.score.tolist(), look.label.tolist(), strict=True
        ):
            if score >= least:
                sides = (x1 / size[0], y1 / size[1], x2 / size[0], y2 / size[1])
                boxes.append(Box(sides, f"{label_of(labels, label)} {score:.2f}", label))
        return boxes
