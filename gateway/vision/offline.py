"""Pictures out of files, for the offline detector: images, folders of them, and video, one after the other."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple, cast

import cv2
import numpy as np

from gateway.errors import CameraError
from gateway.vision import tiles
from gateway.vision.detector import Detector
from gateway.vision.heads import FLOOR
from gateway.vision.stream import Corrupt, Silence, Skipped, Stream, pts_ns

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    import av
    from numpy.typing import NDArray

    from gateway.config.manifest import Manifest
    from gateway.vision.heads import Found

IMAGES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}
VIDEOS = {".mp4", ".avi", ".mkv", ".mov", ".ts", ".m4v", ".webm", ".mpg", ".mpeg", ".h264", ".flv"}
_SOI, _SOS, _EOI = b"\xff\xd8", b"\xff\xda", b"\xff\xd9"  # JPEG markers: start, scan, end


class Item(NamedTuple):
    """One picture: its file, its frame (1, 2, …; 0 for an image), seconds into the video.

    `decoded`: uint8[h, w, 3] RGB of an image, a video's frame as the decoder gave it.
    """

    path: Path
    frame: int
    time_s: float
    decoded: NDArray[np.uint8] | av.VideoFrame

    @property
    def picture(self) -> NDArray[np.uint8]:
        """uint8[h, w, 3] RGB."""
        shown = self.decoded
        return shown if isinstance(shown, np.ndarray) else cast("NDArray[np.uint8]", shown.to_ndarray(format="rgb24"))


class Bad(NamedTuple):
    """What could not be read, and why."""

    path: Path
    reason: str


class Looked(NamedTuple):
    """One picture's boxes, without the picture."""

    path: Path
    frame: int
    time_s: float
    width_px: int
    height_px: int
    found: Found


def files_of(sources: Iterable[Path]) -> Iterator[Path]:
    """The files named, and in place of a folder its images and videos, by name."""
    for source in sources:
        if source.is_dir():
            yield from sorted(path for path in source.rglob("*") if path.suffix.lower() in IMAGES | VIDEOS)
        else:
            yield source


def read(paths: Iterable[Path], every: int = 1) -> Iterator[Item | Bad]:
    """Every picture of the files: each image, and each `every`-th frame of a video."""
    for path in paths:
        if path.suffix.lower() in IMAGES:
            yield _image(path)
        else:
            yield from _video(path, every)


def _image(path: Path) -> Item | Bad:
    try:
        body = path.read_bytes()
    except OSError as error:
        return Bad(path, error.strerror or type(error).__name__)
    if body.startswith(_SOI) and body.rfind(_EOI) < body.rfind(_SOS):
        return Bad(path, "the JPEG is cut off: it has no end")  # OpenCV would fill the rest with grey
    decoded = cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_COLOR_RGB) if body else None
    if decoded is None:
        return Bad(path, "not an image that can be decoded")
    return Item(path, 0, 0.0, cast("NDArray[np.uint8]", decoded))


def _video(path: Path, every: int) -> Iterator[Item | Bad]:
    try:
        with Stream(str(path), threads=0) as stream:
            first_ns: int | None = None
            frame = 0
            for got in stream.pictures():
                if isinstance(got, Silence | Skipped):
                    continue
                frame += 1
                if isinstance(got, Corrupt):
                    yield Bad(path, f"frame {frame}: {got.reason}")
                    continue
                at_ns = pts_ns(got) or 0
                first_ns = at_ns if first_ns is None else first_ns
                if (frame - 1) % every == 0:
                    yield Item(path, frame, (at_ns - first_ns) / 1e9, got)
            if frame < stream.frames_promised:
                yield Bad(path, f"ends after {frame} of its {stream.frames_promised} frames")
    except CameraError as error:
        yield Bad(path, str(error).removeprefix(f"{path}: "))


def look(
    items: Iterable[Item | Bad], manifest: Manifest, threads: int = 1, floor: float = FLOOR
) -> Iterator[Looked | Bad]:
    """The boxes of each picture at or above the floor, in order, on so many threads with a session each.

    Raises ModelError when the model does not load or fails.
    """
    sessions = threading.local()
    first = [Detector(manifest, floor=floor)]  # here, so that a bad model is told before any reading

    def detect(item: Item) -> Looked:
        if not hasattr(sessions, "detector"):
            sessions.detector = first.pop() if first else Detector(manifest, floor=floor)
        shown = item.decoded
        if isinstance(shown, np.ndarray):
            [found] = sessions.detector.detect([shown])
            height_px, width_px = shown.shape[:2]
        else:  # as a camera's frame is looked at
            [found] = tiles.look(sessions.detector, [shown], [tiles.EVERYTHING])
            width_px, height_px = shown.width, shown.height
        return Looked(item.path, item.frame, item.time_s, width_px, height_px, found)

    ahead: deque[Future[Looked] | Bad] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="engine") as pool:
        for item in items:
            ahead.append(item if isinstance(item, Bad) else pool.submit(detect, item))
            if len(ahead) > 2 * threads:  # enough to keep every thread busy, and no more pictures in memory
                yield _result(ahead.popleft())
        while ahead:
            yield _result(ahead.popleft())


def _result(waiting: Future[Looked] | Bad) -> Looked | Bad:
    return waiting if isinstance(waiting, Bad) else waiting.result()


def believed(found: Found, score: float) -> Sequence[tuple[list[float], float, int]]:
    """(xyxy px, score, label) of the boxes at or above a score, best first, as plain numbers."""
    good = found.score >= score
    return list(zip(found.xyxy[good].tolist(), found.score[good].tolist(), found.label[good].tolist(), strict=True))
