"""Video files as wholes: when and how long they were taken, and new ones written of pictures with boxes drawn.

H.264 in MP4 is written as fragments: what was written until a crash or Ctrl-C can be played.
"""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime
from fractions import Fraction
from io import BytesIO
from itertools import chain, islice
from typing import TYPE_CHECKING, NamedTuple, Self

import av
import av.error
import cv2
import numpy as np
from av.video.frame import PictureType

from gateway.errors import CameraError
from gateway.vision.annexb import AnnexB, Coded, codec_of
from gateway.vision.stream import pts_ns

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from av.container import InputContainer
    from numpy.typing import NDArray

    from gateway.vision.annexb import Codec

NS = 1_000_000_000
_REORDERED = 17  # pictures: the first that is shown is among as many (H.264 A.3.1: at most 16 wait)
_TICK = Fraction(1, 90_000)  # of a second: the clock of MPEG
_PALETTE = ((66, 200, 66), (230, 160, 40), (60, 140, 240), (220, 70, 70), (200, 80, 200), (70, 200, 200))  # RGB
_FRAGMENTS = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
_CODING = {"preset": "veryfast", "crf": "26", "bf": "0"}  # in fragments B-frames would begin late


class Film(NamedTuple):
    """What a file says of itself: frames a second (None: nothing one can believe), length, when it was begun (UTC).

    `codec`: that of its video, where a recording can have it as it is.
    """

    rate: float | None
    length_ns: int
    created_ns: int | None
    codec: Codec | None


def film(path: Path) -> Film:
    """What a video file says of itself. Raises CameraError where it cannot be opened or has no video."""
    try:
        with av.open(str(path), "r") as container:
            if not container.streams.video:
                raise CameraError(f"{path}: has no video stream; expected a video file")
            video = container.streams.video[0]
            length_ns = int(container.duration) * 1000 if container.duration else 0
            rate = float(video.average_rate) if video.average_rate else None
            believed = rate if rate and 0.1 <= rate <= 240 else None
            return Film(believed, length_ns, _created(container.metadata), codec_of(video))
    except av.error.FFmpegError as error:
        raise CameraError(f"{path}: cannot be opened ({error.strerror}); a video file is expected") from None


def _created(metadata: dict[str, str]) -> int | None:
    """`creation_time`, as cameras and phones write it; 1904 and 1970 are clocks that were never set."""
    try:
        at = datetime.fromisoformat(metadata.get("creation_time", ""))
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return round(at.timestamp()) * NS if at.year >= 2000 else None


class Box(NamedTuple):
    """A box to draw: x1, y1, x2, y2 as fractions of the picture, its words, a number that chooses the colour."""

    xyxy: tuple[float, float, float, float]
    words: str
    colour: int


def draw(picture: NDArray[np.uint8], boxes: Sequence[Box], corner: str = "") -> None:
    """Draw boxes with their words, and a text in the corner, into uint8[h, w, 3] RGB, in place."""
    height, width = picture.shape[:2]
    size = max(0.4, height / 900)
    thick = max(1, round(height / 360))
    for box in boxes:
        (x1, y1), (x2, y2) = ((round(x * width), round(y * height)) for x, y in (box.xyxy[:2], box.xyxy[2:]))
        colour = _PALETTE[box.colour % len(_PALETTE)]
        cv2.rectangle(picture, (x1, y1), (x2, y2), colour, thick)
        _words(picture, box.words, (x1, max(y1 - 3, round(22 * size))), size, colour)
    if corner:
        _words(picture, corner, (6, round(24 * size)), size, (255, 255, 255))


def _words(
    picture: NDArray[np.uint8], words: str, at: tuple[int, int], size: float, colour: tuple[int, int, int]
) -> None:
    cv2.putText(picture, words, at, cv2.FONT_HERSHEY_SIMPLEX, size, (0, 0, 0), 3, cv2.LINE_AA)  # seen on any ground
    cv2.putText(picture, words, at, cv2.FONT_HERSHEY_SIMPLEX, size, colour, 1, cv2.LINE_AA)


class FilmWriter:
    """Writes one MP4 of pictures at their own times; the first picture fixes the size. Raises CameraError."""

    def __init__(self, path: Path | BytesIO) -> None:
        self._path = "the clip" if isinstance(path, BytesIO) else path
        self._container = av.open(
            path if isinstance(path, BytesIO) else str(path), "w", format="mp4", options=_FRAGMENTS
        )
        self._stream: av.VideoStream | None = None
        self._first_ns = 0
        self._last = -1
        self.frames = 0

    def write(self, picture: NDArray[np.uint8], at_ns: int) -> None:
        """Append uint8[h, w, 3] RGB, taken then; one that is not later than the one before is left out."""
        even = picture[: picture.shape[0] // 2 * 2, : picture.shape[1] // 2 * 2]  # 4:2:0 has no odd sides
        if self._stream is None:
            stream = self._container.add_stream("libx264", rate=30, options=_CODING)
            stream.width, stream.height, stream.pix_fmt = even.shape[1], even.shape[0], "yuv420p"
            stream.codec_context.time_base = _TICK
            self._stream, self._first_ns = stream, at_ns
        stream = self._stream
        if (even.shape[1], even.shape[0]) != (stream.width, stream.height):
            even = cv2.resize(even, (stream.width, stream.height)).astype(np.uint8)
        pts = (at_ns - self._first_ns) * _TICK.denominator // NS
        if pts <= self._last:
            return
        self._last = pts
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")
        frame.pts, frame.time_base = pts, _TICK
        self._mux(frame)
        self.frames += 1

    def close(self) -> None:
        """Write what the encoder holds back, and the end."""
        try:
            if self._stream is not None:
                self._mux(None)
        finally:
            self._container.close()

    def _mux(self, frame: av.VideoFrame | None) -> None:
        assert self._stream is not None  # noqa: S101 - made with the first picture
        try:
            self._container.mux(self._stream.encode(frame))
        except av.error.FFmpegError as error:
            raise CameraError(f"{self._path}: cannot be written ({error.strerror})") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def packets(path: Path) -> Iterator[Coded]:
    """The pictures of a video file as a recording keeps them, in decoding order.

    H.264 and H.265 stay as they are, anything else is coded anew as H.264. `event_ns` counts from the file's first
    frame. Raises CameraError where the file cannot be opened.
    """
    try:
        with av.open(str(path), "r") as container:
            if not container.streams.video:
                raise CameraError(f"{path}: has no video stream; expected a video file")
            codec = codec_of(container.streams.video[0])
            yield from _from_zero(_coded_anew(container) if codec is None else _as_they_are(container, codec))
    except av.error.FFmpegError as error:
        raise CameraError(f"{path}: cannot be read ({error.strerror})") from None


def _as_they_are(container: InputContainer, codec: Codec) -> Iterator[Coded]:
    stream = container.streams.video[0]
    converter = AnnexB(stream, codec)
    for packet in container.demux(stream):
        at_ns = pts_ns(packet)
        data = converter.convert(packet) if packet.size else b""
        if data and at_ns is not None:
            yield Coded(at_ns, codec, data)


def _coded_anew(container: InputContainer) -> Iterator[Coded]:
    encoder: av.VideoCodecContext | None = None
    times: deque[int] = deque()  # of the frames that the encoder holds: without B-frames they come out in order
    last = -1
    for frame in container.decode(video=0):
        at_ns = pts_ns(frame)
        tick = -1 if at_ns is None else at_ns * _TICK.denominator // NS
        if at_ns is None or tick <= last:
            continue
        last = tick
        if encoder is None:
            encoder = av.CodecContext.create("libx264", "w")
            encoder.width, encoder.height = frame.width // 2 * 2, frame.height // 2 * 2  # 4:2:0 has no odd sides
            encoder.pix_fmt, encoder.time_base, encoder.options = "yuv420p", _TICK, {**_CODING, "g": "50"}
        again = frame.reformat(encoder.width, encoder.height, "yuv420p")
        again.pts, again.time_base, again.pict_type = tick, _TICK, PictureType.NONE
        times.append(at_ns)
        for packet in encoder.encode(again):
            yield Coded(times.popleft(), "h264", bytes(packet))
    for packet in encoder.encode(None) if encoder is not None else ():
        yield Coded(times.popleft(), "h264", bytes(packet))


def _from_zero(pictures: Iterator[Coded]) -> Iterator[Coded]:
    """Times from the first picture that is shown on, which need not be the first that is coded."""
    ahead = list(islice(pictures, _REORDERED))
    first_ns = min((one.event_ns for one in ahead), default=0)
    for one in chain(ahead, pictures):
        yield one._replace(event_ns=one.event_ns - first_ns)
