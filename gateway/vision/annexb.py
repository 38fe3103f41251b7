"""H.264 and H.265 as a recording keeps them, Annex B with parameter sets before each key frame; and back to frames.

Foxglove asks for this form (foxglove.CompressedVideo); files of cameras (MP4, MKV) have another one, AVCC, in which
lengths part the units and the parameter sets stand apart. libav's own bitstream filters change the one into the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, cast

import av
import av.error
from av.bitstream import BitStreamFilterContext
from av.codec.context import Flags

from gateway.errors import CameraError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Codec = Literal["h264", "h265"]
_LIBAV: dict[Codec, str] = {"h264": "h264", "h265": "hevc"}
_CODECS: dict[str, Codec] = {name: codec for codec, name in _LIBAV.items()}
_HOLE_NS = 1_000_000_000  # longer than between two pictures of most cameras, shorter than a reconnection
_MARK = b"\0\0\1"


class _Kinds(NamedTuple):
    """What tells a codec's units (NAL, ITU-T H.264 table 7-1, H.265 table 7-1) apart."""

    sets: frozenset[int]  # parameter sets, all of which a decoder needs
    delimiter: int
    filter_name: str
    key: bytes  # a unit of a key frame with its length before it, and nothing in it


_KINDS: dict[Codec, _Kinds] = {
    "h264": _Kinds(frozenset((7, 8)), 9, "h264_mp4toannexb", b"\0\0\0\1\x65"),
    "h265": _Kinds(frozenset((32, 33, 34)), 35, "hevc_mp4toannexb", b"\0\0\0\2\x26\1"),
}


class Unit(NamedTuple):
    """One NAL unit: its kind, and where it is in the bytes, its start code included."""

    kind: int
    start: int
    end: int


def head_units(data: bytes, codec: Codec) -> list[Unit]:
    """The units before the picture's own, or all where there is no picture."""
    units: list[Unit] = []
    at = data.find(_MARK)
    while 0 <= at < len(data) - 3:
        first = data[at + 3]
        kind = first & 31 if codec == "h264" else first >> 1 & 63
        if kind < 32 if codec == "h265" else 1 <= kind <= 5:
            break
        after = data.find(_MARK, at + 3)
        start, end = _with_zero(data, at), len(data) if after < 0 else _with_zero(data, after)
        units.append(Unit(kind, start, end))
        at = after
    return units


def _with_zero(data: bytes, at: int) -> int:
    """Where a start code begins: it may have three zeros."""
    return at - 1 if at and not data[at - 1] else at


def codec_of(stream: av.VideoStream) -> Codec | None:
    """The codec of a stream, where it is H.264 or H.265."""
    return _CODECS.get(stream.codec_context.name)


class AnnexB:
    """Turns one connection's packets into Annex B, each key frame with its parameter sets.

    Raises CameraError where libav finds the stream's description wrong.
    """

    def __init__(self, stream: av.VideoStream, codec: Codec) -> None:
        self.codec: Codec = codec
        self._kinds = _KINDS[codec]
        self._filter: BitStreamFilterContext | None = None
        self._sets = b""
        apart = stream.codec_context.extradata or b""
        if apart[:1] == b"\1":  # an AVCC or HVCC record has its version first, Annex B a zero
            self._filter, asked = (self._new_filter(stream) for _ in range(2))
            apart = _filtered(asked, self._kinds.key)  # a filter puts the sets before a key frame, even one of nothing
        self._remember(apart)

    def _new_filter(self, stream: av.VideoStream) -> BitStreamFilterContext:
        try:
            return BitStreamFilterContext(self._kinds.filter_name, stream)
        except av.error.FFmpegError as error:
            raise CameraError(f"{self.codec} whose description is wrong ({error.strerror})") from None

    def convert(self, packet: av.Packet[av.VideoStream]) -> bytes:
        """The packet's bytes, copied; empty where libav finds that they are no such packet."""
        data = bytes(packet)
        if self._filter:
            data = _filtered(self._filter, data)
        return self._with_sets(data) if packet.is_keyframe and data else data

    def _with_sets(self, data: bytes) -> bytes:
        if self._remember(data):
            return data
        units = head_units(data, self.codec)
        at = units[0].end if units and units[0].kind == self._kinds.delimiter else 0
        return b"".join((data[:at], self._sets, data[at:]))

    def _remember(self, data: bytes) -> bool:
        """Keep the parameter sets found here for key frames without; whether all were found."""
        found = [unit for unit in head_units(data, self.codec) if unit.kind in self._kinds.sets]
        if not self._kinds.sets <= {unit.kind for unit in found}:
            return False
        self._sets = b"".join(data[unit.start : unit.end] for unit in found)
        return True


def _filtered(context: BitStreamFilterContext, data: bytes) -> bytes:
    try:
        return b"".join(bytes(packet) for packet in context.filter(av.Packet(data)))
    except av.error.FFmpegError:
        return b""


class Coded(NamedTuple):
    """One recorded picture: when it was taken, its codec, its Annex B bytes, and when it came (UTC)."""

    event_ns: int
    codec: Codec
    data: bytes
    log_ns: int = 0


class Shown(NamedTuple):
    """A picture decoded again: when it was taken, when it came, and the frame."""

    event_ns: int
    log_ns: int
    frame: av.VideoFrame


def is_key(picture: Coded) -> bool:
    """Whether a decoder may begin here: the parameter sets are there."""
    return _KINDS[picture.codec].sets <= {unit.kind for unit in head_units(picture.data, picture.codec)}


def decode(pictures: Iterable[Coded]) -> Iterator[Shown]:
    """Frames in the order they are shown, each with the time of its own picture; what cannot be decoded is left out.

    It begins with a key frame, and anew behind a hole: what was recorded around another alert, or by another
    connection, is nothing that a frame may refer to.
    """
    decoder: av.VideoCodecContext | None = None
    before: Coded | None = None
    usual_ns = 0
    for picture in pictures:
        if before is not None:
            step_ns = max(picture.log_ns - before.log_ns, picture.event_ns - before.event_ns)
            if step_ns > max(_HOLE_NS, 4 * usual_ns) or picture.codec != before.codec:
                yield from _out(decoder, None)
                decoder = None
            usual_ns = step_ns
        before = picture
        if decoder is None:
            if not is_key(picture):
                continue
            decoder = _decoder(picture.codec)
        packet = cast("av.Packet[av.VideoStream]", av.Packet(picture.data))
        packet.opaque = (picture.event_ns, picture.log_ns)
        yield from _out(decoder, packet)
    yield from _out(decoder, None)


def _decoder(codec: Codec) -> av.VideoCodecContext:
    decoder = cast("av.VideoCodecContext", av.CodecContext.create(_LIBAV[codec], "r"))
    decoder.thread_count = 1
    decoder.flags |= Flags.copy_opaque
    return decoder


def _out(decoder: av.VideoCodecContext | None, packet: av.Packet[av.VideoStream] | None) -> Iterator[Shown]:
    if decoder is None:
        return
    try:
        frames = decoder.decode(packet)
    except av.error.FFmpegError:
        return
    for frame in frames:
        if not frame.is_corrupt and frame.opaque is not None:
            event_ns, log_ns = cast("tuple[int, int]", frame.opaque)
            yield Shown(event_ns, log_ns, frame)
