"""A small RTSP camera of our own, for what no server of others' does on demand: another film mid-stream, loss, noise.

It sends what a `Film` holds, in a loop and at its pace, to whoever plays it: RTP over TCP or UDP (RFC 2326, 3550, 6184,
7798). Each connection is a thread of its own.
"""

from __future__ import annotations

import random
import re
import select
import socket
import struct
import threading
import time
from contextlib import closing, suppress
from fractions import Fraction
from typing import TYPE_CHECKING, Literal, NamedTuple, Self

import av
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Codec = Literal["h264", "h265"]
PAYLOAD_TYPE: dict[Codec, int] = {"h264": 96, "h265": 97}
CLOCK_HZ = 90_000
PIECE_BYTES = 1200  # of a NAL unit in one packet
_STEP_S = 0.05
_UDP = re.compile(rb"client_port=(\d+)-(\d+)")


class Film(NamedTuple):
    """Coded pictures (Annex B, each key frame with its parameter sets) and how many a second."""

    codec: Codec
    pictures: tuple[bytes, ...]
    fps: int


def film(picture: NDArray[np.uint8], *, codec: Codec = "h264", frames: int = 50, fps: int = 10) -> Film:
    """A standing picture uint8[h, w, 3] RGB with a sensor's noise; a key frame each second."""
    encoder = av.CodecContext.create({"h264": "libx264", "h265": "libx265"}[codec], "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.height, encoder.width = picture.shape[:2]
    encoder.pix_fmt, encoder.framerate, encoder.gop_size, encoder.thread_count = "yuv420p", Fraction(fps), fps, 1
    quiet = {"x265-params": "log-level=none:bframes=0"} if codec == "h265" else {}
    encoder.options = {"tune": "zerolatency", "preset": "ultrafast", **quiet}
    rng = np.random.default_rng(4)
    packets: list[bytes] = []
    for number in range(frames):
        noisy = np.clip(picture.astype(np.int16) + rng.integers(-3, 4, (*picture.shape[:2], 1)), 0, 255)
        frame = av.VideoFrame.from_ndarray(noisy.astype(np.uint8), "rgb24")
        frame.pts = number
        packets += [bytes(packet) for packet in encoder.encode(frame)]
    packets += [bytes(packet) for packet in encoder.encode(None)]
    return Film(codec, tuple(packets), fps)


class BentCamera:
    """The camera, listening at `port`. Attributes may be set while it plays.

    film: what it sends; a new one begins with the next picture, on the connection that is there. lost: the share of RTP
    packets that never arrive. noise: the share in whose place random bytes come. back_s: so much is taken from the time
    stamps. connections: how many it has had.
    """

    def __init__(self, shown: Film) -> None:
        self.film = shown
        self.lost = self.noise = self.back_s = 0.0
        self.connections = 0
        self._chance = random.Random(5)
        self._closed = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._listen, name="bent-camera")]
        self._threads[0].start()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"rtsp://127.0.0.1:{self.port}/camera"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        for thread in self._threads:
            thread.join(10)
        self._listener.close()

    def _listen(self) -> None:
        while not self._closed.is_set():
            if select.select([self._listener], [], [], _STEP_S)[0]:
                connection, _ = self._listener.accept()
                self.connections += 1
                self._threads.append(threading.Thread(target=self._serve, args=(connection,), name="bent-camera-link"))
                self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        with closing(connection), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, suppress(OSError):
            udp.bind(("127.0.0.1", 0))
            _Link(self, connection, udp, self._chance).run(self._closed)


class _Link:
    """One viewer."""

    def __init__(
        self, camera: BentCamera, connection: socket.socket, udp: socket.socket, chance: random.Random
    ) -> None:
        self._camera = camera
        self._connection = connection
        self._udp = udp
        self._chance = chance
        self._asked = b""
        self._to: tuple[str, int] | None = None  # the viewer's UDP port, else interleaved
        self._due_s: float | None = None  # of the next picture, while playing
        self._film: Film | None = None
        self._at = self._sequence = self._ticks = 0

    def run(self, closed: threading.Event) -> None:
        """Until the viewer goes, or the camera does."""
        while not closed.is_set():
            wait_s = _STEP_S if self._due_s is None else max(0.0, min(_STEP_S, self._due_s - time.monotonic()))
            if select.select([self._connection], [], [], wait_s)[0]:
                read = self._connection.recv(65_536)
                if not read:
                    return
                self._asked += read
                self._answer_all()
            if self._due_s is not None and time.monotonic() >= self._due_s:
                self._send_picture()

    def _answer_all(self) -> None:
        while self._asked:
            if self._asked[:1] == b"$":  # the viewer's own RTCP, interleaved
                if len(self._asked) < 4 or len(self._asked) < (end := 4 + int.from_bytes(self._asked[2:4])):
                    return
                self._asked = self._asked[end:]
                continue
            if b"\r\n\r\n" not in self._asked:
                return
            head, _, self._asked = self._asked.partition(b"\r\n\r\n")
            self._answer(head)

    def _answer(self, head: bytes) -> None:
        verb = head.split(b" ", 1)[0]
        number = re.search(rb"CSeq: *(\d+)", head)
        lines = [b"RTSP/1.0 200 OK", b"CSeq: " + (number[1] if number else b"0")]
        body = b""
        if verb == b"OPTIONS":
            lines.append(b"Public: DESCRIBE, SETUP, PLAY, TEARDOWN")
        elif verb == b"DESCRIBE":
            self._film = self._camera.film
            body = self._description()
            lines += [b"Content-Type: application/sdp", b"Content-Length: %d" % len(body)]
        elif verb == b"SETUP":
            lines += [b"Session: 1", b"Transport: " + self._set_up(head)]
        elif verb == b"PLAY":
            lines += [b"Session: 1"]
            self._due_s = time.monotonic()
        self._connection.sendall(b"\r\n".join(lines) + b"\r\n\r\n" + body)

    def _description(self) -> bytes:
        codec = self._camera.film.codec
        kind = PAYLOAD_TYPE[codec]
        mode = f"a=fmtp:{kind} packetization-mode=1\r\n" if codec == "h264" else ""
        return (
            f"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=bent\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=video 0 RTP/AVP {kind}\r\n"
            f"a=rtpmap:{kind} {codec.upper()}/{CLOCK_HZ}\r\n{mode}a=control:track\r\n"
        ).encode()

    def _set_up(self, head: bytes) -> bytes:
        if ports := _UDP.search(head):
            self._to = ("127.0.0.1", int(ports[1]))
            own = self._udp.getsockname()[1]
            return b"RTP/AVP;unicast;client_port=%s-%s;server_port=%d-%d" % (ports[1], ports[2], own, own + 1)
        return b"RTP/AVP/TCP;unicast;interleaved=0-1"

    def _send_picture(self) -> None:
        camera = self._camera
        if camera.film is not self._film:
            self._film, self._at = camera.film, 0
        shown = camera.film
        units = [unit.rstrip(b"\0") for unit in re.split(rb"\x00\x00\x01", shown.pictures[self._at])[1:]]
        packets = [piece for unit in units for piece in _pieces(unit, shown.codec)]
        for number, packet in enumerate(packets):
            self._send(packet, shown.codec, last=number == len(packets) - 1)
        self._at = (self._at + 1) % len(shown.pictures)
        self._ticks += CLOCK_HZ // shown.fps
        assert self._due_s is not None
        self._due_s += 1 / shown.fps

    def _send(self, payload: bytes, codec: Codec, *, last: bool) -> None:
        stamp = (self._ticks + 2**31 - round(self._camera.back_s * CLOCK_HZ)) % 2**32
        kind = PAYLOAD_TYPE[codec] | (0x80 if last else 0)
        packet = struct.pack("!BBHII", 0x80, kind, self._sequence % 2**16, stamp, 7) + payload
        self._sequence += 1
        if self._chance.random() < self._camera.lost:
            return
        if self._chance.random() < self._camera.noise:
            packet = self._chance.randbytes(len(packet))
        if self._to:
            self._udp.sendto(packet, self._to)
        else:
            self._connection.sendall(b"$\0" + len(packet).to_bytes(2) + packet)


def _pieces(unit: bytes, codec: Codec) -> list[bytes]:
    """A NAL unit as RTP payloads: as it is, or in fragmentation units (RFC 6184, 5.8; RFC 7798, 4.4.3)."""
    if len(unit) <= PIECE_BYTES:
        return [unit]
    if codec == "h264":
        before, kind, body = bytes([unit[0] & 0xE0 | 28]), unit[0] & 0x1F, unit[1:]
    else:
        before, kind, body = bytes([unit[0] & 0x81 | 49 << 1, unit[1]]), unit[0] >> 1 & 0x3F, unit[2:]
    cuts = [body[at : at + PIECE_BYTES] for at in range(0, len(body), PIECE_BYTES)]
    flags = [(0x80 if at == 0 else 0) | (0x40 if at == len(cuts) - 1 else 0) for at in range(len(cuts))]
    return [before + bytes([flag | kind]) + cut for flag, cut in zip(flags, cuts, strict=True)]
