"""The coded packets of a camera on their way to a recording, each with the event time of its own frame.

A frame's time is known when it was decoded, and with B-frames that is packets later: packets wait here until then, and
leave in the order they came (decoding order), with the times of the order in which they are shown.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol

from av.codec.context import Flags

from gateway.errors import CameraError
from gateway.vision.annexb import AnnexB, codec_of

if TYPE_CHECKING:
    import av

    from gateway.vision.annexb import Codec

_MOST_WAITING = 32  # pictures wait for at most 16 others (H.264 A.3.1): beyond it, this one was not decoded


class TakesVideo(Protocol):
    """Who records what cameras send. Called in the cameras' threads: it must not wait."""

    def wants(self, camera: str) -> bool:
        """Whether this camera's packets are asked for at all."""
        ...

    def began(self, camera: str) -> None:
        """A connection begins: what comes now does not go on from what came before."""
        ...

    def packet(self, camera: str, event_ns: int, codec: Codec, data: bytes, *, key: bool) -> None:
        """One picture in Annex B, in decoding order, with the time at which its frame was taken."""
        ...

    def unfit(self, camera: str, codec: str) -> None:
        """The camera sends something else than H.264 and H.265, `codec`; or what is wrong with it."""
        ...


class _Waiting:
    """A packet whose frame's time is not known yet."""

    __slots__ = ("data", "event_ns", "key", "number", "pts_ns")

    def __init__(self, number: int, data: bytes, pts_ns: int | None, *, key: bool) -> None:
        self.number = number
        self.data = data
        self.key = key
        self.pts_ns = pts_ns
        self.event_ns: int | None = None


class CameraTap:
    """Hands one camera's packets over. `begin` for each connection, `packet` before and `timed` after decoding."""

    def __init__(self, camera: str, taker: TakesVideo) -> None:
        self._camera = camera
        self._taker = taker
        self._annexb: AnnexB | None = None
        self._number = 0
        self._waiting: deque[_Waiting] = deque()
        self._last: tuple[int, int | None] | None = None  # event time and PTS of the last that was timed

    def begin(self, stream: av.VideoStream) -> None:
        """A connection was opened; nothing of it was decoded yet."""
        codec = codec_of(stream)
        self._annexb = None
        if codec is None:
            self._taker.unfit(self._camera, stream.codec_context.name)
            return
        try:
            self._annexb = AnnexB(stream, codec)
        except CameraError as error:  # costs the recording, not the detections
            self._taker.unfit(self._camera, str(error))
            return
        stream.codec_context.flags |= Flags.copy_opaque  # so a frame tells which packet it is from
        self._taker.began(self._camera)

    def packet(self, packet: av.Packet[av.VideoStream], pts_ns: int | None) -> None:
        """A packet that is decoded next; it is left as it is but for its number."""
        if self._annexb is None:
            return
        self._number += 1
        packet.opaque = self._number
        data = self._annexb.convert(packet)
        if not data:
            return
        self._waiting.append(_Waiting(self._number, data, pts_ns, key=packet.is_keyframe))
        if len(self._waiting) > _MOST_WAITING:
            self._estimate(self._waiting[0])
            self._hand_over()

    def timed(self, frame: av.VideoFrame, event_ns: int) -> None:
        """A frame was decoded and has its time."""
        number = frame.opaque
        for waiting in self._waiting:
            if waiting.number == number:
                waiting.event_ns = event_ns
                self._last = (event_ns, waiting.pts_ns)
                break
        self._hand_over()

    def skipped(self) -> None:
        """The last packet is not decoded: its time is what its PTS says."""
        for waiting in self._waiting:
            if waiting.event_ns is None:
                self._estimate(waiting)
        self._hand_over()

    def end(self) -> None:
        """The connection is closed: no more frames come of it."""
        for waiting in self._waiting:
            if waiting.event_ns is None:
                self._estimate(waiting)
        self._hand_over()
        self._waiting.clear()
        self._annexb = None
        self._last = None

    def _estimate(self, waiting: _Waiting) -> None:
        """The time of a packet that gave no frame: what its PTS says, beside one that did."""
        if self._last is not None:
            event_ns, pts_ns = self._last
            later_ns = 1 if waiting.pts_ns is None or pts_ns is None else waiting.pts_ns - pts_ns
            waiting.event_ns = event_ns + later_ns

    def _hand_over(self) -> None:
        codec = self._annexb.codec if self._annexb else None
        while codec and self._waiting and (self._waiting[0].event_ns is not None or self._is_lost()):
            first = self._waiting.popleft()
            if first.event_ns is not None:
                self._taker.packet(self._camera, first.event_ns, codec, first.data, key=first.key)

    def _is_lost(self) -> bool:
        """Whether the first neither has a time nor can be given one: nothing of the connection was decoded yet."""
        return len(self._waiting) > _MOST_WAITING
