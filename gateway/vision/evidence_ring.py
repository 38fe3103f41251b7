"""What each camera keeps for alerts: its last looks, as small pictures with their boxes, and its coded packets.

A look's frame is made small beside the engines, in the thread `evidence`: raw, so that what is pixelated later was
coded once. Packets are kept from a key frame on, as they came; a reel begins with those that are there and goes on with
those that come until its time is over, whatever the ring drops meanwhile.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from gateway.vision.evidence_picture import Look

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import av

    from gateway.vision.annexb import Codec
    from gateway.vision.board import Last
    from gateway.vision.tap import TakesVideo

LOG = logging.getLogger(__name__)
NS = 1_000_000_000
WIDEST_PX = 768  # a look's picture: 0.5 MB, a face at 10 m of a wide lens is 20 px
LOOKS = 12  # pictures a camera keeps: 2.4 s at 5 looks/s, 6 MB; a condition is asked about within a second or so
FOUND_NS = 200 * NS  # boxes are kept for as long as a clip may be made of them
RING_BYTES = 8_000_000  # SEMANTICS.md §11: 10 s at 6 Mbit/s
REEL_BYTES = 16_000_000
REELS = 8  # under way at a time and camera


class Shot(NamedTuple):
    """A look and its frame, made small."""

    look: Look
    frame: av.VideoFrame


class Packet(NamedTuple):
    """A coded picture in Annex B and when its frame was taken."""

    event_ns: int
    codec: Codec
    data: bytes
    key: bool


class Reel:
    """Packets for a clip: those of [from_ns, to_ns] and what goes before them from the last key frame on."""

    def __init__(self, from_ns: int, to_ns: int, packets: Iterable[Packet]) -> None:
        self.from_ns, self.to_ns = from_ns, to_ns
        self.packets = list(packets)
        self.bytes = sum(len(packet.data) for packet in self.packets)
        self.broken = False

    def add(self, packet: Packet) -> None:
        """One more, where it still belongs to it."""
        if self.broken or packet.event_ns > self.to_ns or not (self.packets or packet.key):
            return
        if self.bytes + len(packet.data) > REEL_BYTES:
            self.broken = True  # what came until now is the clip
            return
        self.packets.append(packet)
        self.bytes += len(packet.data)

    def whole(self) -> Sequence[Packet]:
        """From the last key frame before its time on."""
        first = 0
        for at, packet in enumerate(self.packets):
            if packet.key and packet.event_ns <= self.from_ns:
                first = at
        return self.packets[first:]


class Ring:
    """One camera's. Looks come from the engines' threads, packets from the camera's."""

    def __init__(self, camera: str, labels: tuple[str, ...]) -> None:
        self.camera, self._labels = camera, labels
        self._lock = threading.Lock()
        self._shots: deque[Shot] = deque(maxlen=LOOKS)
        self._looks: deque[Look] = deque()
        self._packets: deque[Packet] = deque()
        self._bytes = 0
        self._reels: list[Reel] = []
        self._said = False

    # ── looks ──

    def found(self, last: Last) -> Look:
        """Remember what was found in a frame; the look."""
        captured, found = last.captured, last.found
        labels = tuple(self._labels[label] if label < len(self._labels) else "" for label in found.label.tolist())
        size = captured.frame.width, captured.frame.height
        look = Look(captured.event_ns, captured.number, *size, found.xyxy, found.score, labels)
        with self._lock:
            self._looks.append(look)
            while self._looks[0].event_ns < look.event_ns - FOUND_NS:
                self._looks.popleft()
        return look

    def picture(self, look: Look, frame: av.VideoFrame) -> None:
        """Keep a look's frame, made small."""
        width = min(frame.width, WIDEST_PX)
        height = max(1, round(frame.height * width / frame.width))
        small = frame.reformat(width=width, height=height, format="yuv420p") if width < frame.width else frame
        with self._lock:
            self._shots.append(Shot(look, small))

    def shot(self, frame: int, event_ns: int) -> Shot | None:
        """The look of that number, the nearest in time where it is gone, the newest for number 0."""
        with self._lock:
            shots = list(self._shots)
        if not shots or not frame:
            return shots[-1] if shots else None
        exact = next((shot for shot in shots if shot.look.number == frame), None)
        return exact or min(shots, key=lambda shot: abs(shot.look.event_ns - event_ns))

    def looks(self, from_ns: int, to_ns: int) -> list[Look]:
        """What was found in that time, and the looks next to it on both sides."""
        with self._lock:
            looks = sorted(self._looks, key=lambda look: look.event_ns)
        before = [look for look in looks if look.event_ns < from_ns][-1:]
        after = [look for look in looks if look.event_ns > to_ns][:1]
        return [*before, *(look for look in looks if from_ns <= look.event_ns <= to_ns), *after]

    def between(self, event_ns: int, last: Look) -> list[Look]:
        """The look of that time and those up to the last one, in either direction; none where the first is gone."""
        low, high = sorted((event_ns, last.event_ns))
        with self._lock:
            looks = sorted((one for one in self._looks if low <= one.event_ns <= high), key=lambda one: one.event_ns)
        if event_ns > last.event_ns:
            looks.reverse()
        return looks if looks and looks[0].event_ns == event_ns and looks[-1].event_ns == last.event_ns else []

    def newest_ns(self) -> int | None:
        """Event time of the last look."""
        with self._lock:
            return self._looks[-1].event_ns if self._looks else None

    # ── packets ──

    def began(self) -> None:
        """A connection begins: what comes does not go on from what is there."""
        with self._lock:
            self._packets.clear()
            self._bytes = 0
            for reel in self._reels:
                reel.broken = reel.broken or bool(reel.packets)

    def packet(self, packet: Packet) -> None:
        """Keep a packet, unless no key frame came before it."""
        with self._lock:
            if packet.key or self._packets:
                self._packets.append(packet)
                self._bytes += len(packet.data)
            while self._bytes > RING_BYTES and self._packets:
                self._drop_group()
                if not self._packets and not self._said:
                    self._said = True
                    LOG.warning(
                        "camera %s: from one key frame to the next are more than %d MB, too much to be kept for a "
                        "clip: ask the camera for a key frame every 2 s",
                        self.camera,
                        RING_BYTES // 10**6,
                    )
            for reel in self._reels:
                reel.add(packet)

    def _drop_group(self) -> None:
        """The oldest key frame goes with all that needs it."""
        while self._packets:
            self._bytes -= len(self._packets.popleft().data)
            if self._packets and self._packets[0].key:
                return

    def reel(self, from_ns: int, to_ns: int) -> Reel | None:
        """Begin a reel; None where too many are under way. `end` it."""
        with self._lock:
            if len(self._reels) >= REELS:
                return None
            reel = Reel(from_ns, to_ns, (packet for packet in self._packets if packet.event_ns <= to_ns))
            self._reels.append(reel)
            return reel

    def end(self, reel: Reel) -> None:
        """Nothing more is added to it."""
        with self._lock:
            if reel in self._reels:
                self._reels.remove(reel)


class Taken:
    """Hands the cameras' packets to their rings, and to the recording where there is one (vision.tap.TakesVideo)."""

    def __init__(self, rings: dict[str, Ring], other: TakesVideo | None) -> None:
        self._rings, self._other = rings, other

    def wants(self, camera: str) -> bool:
        """Whether anybody wants this camera's packets."""
        return camera in self._rings or self._others(camera) is not None

    def began(self, camera: str) -> None:
        """A connection begins."""
        if ring := self._rings.get(camera):
            ring.began()
        if other := self._others(camera):
            other.began(camera)

    def packet(self, camera: str, event_ns: int, codec: Codec, data: bytes, *, key: bool) -> None:
        """One picture in Annex B."""
        if ring := self._rings.get(camera):
            ring.packet(Packet(event_ns, codec, data, key))
        if other := self._others(camera):
            other.packet(camera, event_ns, codec, data, key=key)

    def unfit(self, camera: str, codec: str) -> None:
        """No H.264 or H.265: there will be no clips of it, but pictures."""
        if other := self._others(camera):
            other.unfit(camera, codec)

    def _others(self, camera: str) -> TakesVideo | None:
        return self._other if self._other is not None and self._other.wants(camera) else None
