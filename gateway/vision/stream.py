"""A camera's video as PyAV opens it. PyAV's errors become ours here and nowhere else; no error or log shows a login."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self
from urllib.parse import quote, urlsplit, urlunsplit

import av
import av.error

from gateway.config import urls
from gateway.errors import CameraError, LoginRefused
from gateway.vision.hardware import accelerated
from gateway.vision.sleep import Step

if TYPE_CHECKING:
    from collections.abc import Iterator
    from fractions import Fraction

    from gateway.vision.sleep import Sleep
    from gateway.vision.tap import CameraTap

OPEN_TIMEOUT_S = 5.0  # describe, set up and the first packets of a slow camera; also how long closing may wait for it
READ_TIMEOUT_S = 0.5  # a reader looks up this often, to see whether it is over, or silent for too long
_RATES = (0.1, 240.0)  # descriptions also hold clocks (90,000) and noughts
_LIVE_OPTIONS = {
    "timeout": "5000000",  # µs, of libav's own socket calls
    "analyzeduration": "2000000",  # µs: the picture's size comes with its first frame anyhow
    "fflags": "nobuffer",
}


class Silence(NamedTuple):
    """Nothing came for READ_TIMEOUT_S; or `packet`: one came that gave no picture yet."""

    packet: bool = False


class Skipped(NamedTuple):
    """A packet came while the camera sleeps, and was not decoded: its time in the stream (DTS) and the sender's."""

    at_ns: int
    told_ns: int | None


class Corrupt(NamedTuple):
    """A packet or frame that cannot be used, and why."""

    reason: str


def is_file(detect: str) -> bool:
    """Whether a camera's `detect` names a file rather than a stream or a device."""
    return "://" not in detect and not detect.startswith("/dev/")


def shown(detect: str) -> str:
    """A camera's address for people: without login, and without the query, where some cameras keep one."""
    return detect if is_file(detect) else urls.shown(detect)


def with_login(detect: str, user: str, password: str) -> str:
    """The address with its login, for the moment of opening."""
    parts = urlsplit(detect)
    host = parts.netloc.rpartition("@")[2]
    login = f"{quote(user, safe='')}:{quote(password, safe='')}@"
    return urlunsplit((parts.scheme, login + host, parts.path, parts.query, parts.fragment))


class Stream:
    """An open video. Raises CameraError where it cannot be opened, LoginRefused where the password is wrong.

    `tap` is shown every packet before it is decoded. `sleep` decides which are. `hardware`: it decodes where there is
    some that can, else the CPU does.
    """

    def __init__(
        self,
        address: str,
        *,
        transport: str = "tcp",
        threads: int = 1,
        tap: CameraTap | None = None,
        sleep: Sleep | None = None,
        hardware: bool = False,
    ) -> None:
        self.shown = shown(address)
        self._live = not is_file(address)
        options = {**_LIVE_OPTIONS, "rtsp_transport": transport} if "://" in address else {}
        container_format = "v4l2" if address.startswith("/dev/video") else None
        timeout = (OPEN_TIMEOUT_S, READ_TIMEOUT_S) if self._live else None
        try:
            accelerator = accelerated() if hardware else None
            self._container = av.open(
                address, "r", format=container_format, options=options, timeout=timeout, hwaccel=accelerator
            )
        except (av.error.HTTPUnauthorizedError, av.error.HTTPForbiddenError) as error:
            raise LoginRefused(f"{self.shown}: refused the login ({error.strerror})") from None
        except av.error.FFmpegError as error:
            hint = "is the camera on, and is this its address?" if self._live else "a video file is expected"
            # Not chained: the cause's text has the login.
            raise CameraError(f"{self.shown}: cannot be opened ({_reason(error)}); {hint}") from None
        videos = self._container.streams.video
        if not videos:
            self._container.close()
            raise CameraError(f"{self.shown}: has no video stream; expected a camera's stream or a video file")
        self._video = videos[0]
        self._video.codec_context.thread_count = threads
        self._told_ns: int | None = None  # sender's UTC − PTS
        self._tap = tap
        self._sleep = sleep
        self._kept: list[av.Packet[av.VideoStream]] = []  # since the key frame, while asleep
        if sleep:
            sleep.again()
        if tap:
            tap.begin(self._video)

    @property
    def frames_promised(self) -> int:
        """How many frames the file says it has; 0 where it does not say."""
        return self._video.frames

    @property
    def rate_promised(self) -> float | None:
        """Frames a second, as the stream's own description has it; None where it says nothing one can believe."""
        rate = self._video.average_rate
        return float(rate) if rate and _RATES[0] <= rate <= _RATES[1] else None

    def pictures(self) -> Iterator[av.VideoFrame | Silence | Corrupt | Skipped]:
        """Frames as they come, until the file ends; `Skipped` only with `sleep`.

        Raises CameraError when the stream breaks off.
        """
        packets = self._container.demux(self._video)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except (av.error.ExitError, av.error.TimeoutError, av.error.BlockingIOError):
                packets = self._container.demux(self._video)
                yield Silence()
                continue
            except av.error.InvalidDataError as error:
                yield Corrupt(_reason(error))
                return
            except av.error.FFmpegError as error:
                raise CameraError(f"{self.shown}: broke off ({_reason(error)})") from None
            came = False
            for got in self._decode(packet):
                came = True
                yield got
            if not came and packet.size:
                yield Silence(packet=True)

    def told_ns(self, frame: av.VideoFrame) -> int | None:
        """When the sender says that it took this frame (UTC, by RTCP sender reports); None where it says nothing."""
        at_ns = pts_ns(frame)
        return None if self._told_ns is None or at_ns is None else at_ns + self._told_ns

    def _decode(self, packet: av.Packet[av.VideoStream]) -> Iterator[av.VideoFrame | Corrupt | Skipped]:
        at_ns = pts_ns(packet)
        if at_ns is not None and packet.has_sidedata("prft"):
            # libav's AVProducerReferenceTime: int64 µs UTC, int32 flags.
            self._told_ns = struct.unpack_from("q", bytes(packet.get_sidedata("prft")))[0] * 1000 - at_ns
        if packet.is_corrupt:
            yield Corrupt("the packet is marked corrupt")
        if self._tap and packet.size:
            self._tap.packet(packet, at_ns)
        dts_ns = _ns(packet.dts, packet.time_base)
        step = Step.DECODE
        if self._sleep and packet.size:
            step = self._sleep.packet(dts_ns, packet.size, key=packet.is_keyframe)
        if step is Step.SKIP:
            self._kept = [packet] if packet.is_keyframe else [*self._kept, packet]
            if self._tap:
                self._tap.skipped()
            yield Skipped(dts_ns or 0, None if self._told_ns is None or dts_ns is None else dts_ns + self._told_ns)
            return
        try:
            frames = self._frames(packet, step)
        except av.error.EOFError:
            return
        except av.error.FFmpegError as error:
            yield Corrupt(_reason(error))
            return
        for frame in frames:
            yield Corrupt("the frame could not be decoded whole") if frame.is_corrupt else frame

    def _frames(self, packet: av.Packet[av.VideoStream], step: Step) -> list[av.VideoFrame]:
        """The frames that a packet gives: a sleeper's key frame by itself; after waking, what it completes."""
        context = self._video.codec_context
        kept, self._kept = self._kept, []
        if step is Step.KEY:
            frames = [] if kept else self._drained()  # it falls asleep: those still in the decoder
            frames += context.decode(packet)
            frames += self._drained()
            self._kept = [packet]
            return frames
        if not kept:
            return context.decode(packet)
        if not packet.size:
            return []
        # Nothing was decoded since the key frame: what led up to this packet first; none of it is shown any more.
        again = [] if packet.is_keyframe else kept
        frames = [frame for one in [*again, packet] for frame in context.decode(one)]
        from_pts = packet.pts if packet.dts is None else packet.dts
        return [frame for frame in frames if frame.pts is None or from_pts is None or frame.pts >= from_pts]

    def _drained(self) -> list[av.VideoFrame]:
        """The frames still in the decoder, which begins anew."""
        context = self._video.codec_context
        frames = context.decode(None)
        context.flush_buffers()
        for frame in frames:
            if frame.time_base is None and self._video.time_base is not None:
                frame.time_base = self._video.time_base  # of what comes without a packet nobody tells it
        return frames

    def close(self) -> None:
        """Let go of the stream."""
        if self._tap:
            self._tap.end()
        self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def pts_ns(frame: av.VideoFrame | av.Packet[av.VideoStream]) -> int | None:
    """A frame's or packet's presentation time in nanoseconds, exactly; None where the stream states none."""
    return _ns(frame.pts, frame.time_base)


def _ns(stamp: int | None, base: Fraction | None) -> int | None:
    if stamp is None or base is None:
        return None
    return stamp * base.numerator * 1_000_000_000 // base.denominator


def resolve(detect: str, base: Path) -> str:
    """The address to open: a file's path starts from the folder of the configuration."""
    return str(base / Path(detect).expanduser()) if is_file(detect) else detect


def _reason(error: av.error.FFmpegError) -> str:
    return error.strerror or type(error).__name__
