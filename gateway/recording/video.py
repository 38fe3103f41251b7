"""Cameras' own H.264 and H.265 packets beside the inputs, on `/camera/<name>/video`: always, or around alerts.

Recorded video is not blurred: faces and number plates stand in it as the camera sent them. So the default is off, and
who turns it on keeps the files accordingly. Packets are kept as they came, in decoding order; `timestamp` is the event
time of the packet's own frame, the one its detections have. With B-frames these times go back now and then, and
Foxglove does not play such video (FFmpeg and `--reinfer` do): it is said once, and helped by turning B-frames off in
the camera.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Literal, NamedTuple, cast

import msgspec

from gateway.config.scalars import NS
from gateway.recording.beside import Beside
from gateway.recording.protobuf import COMPRESSED_VIDEO, field, fields, head

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from gateway.config.box import Recording
    from gateway.config.model import Camera, Rule
    from gateway.events import AlertRow
    from gateway.ports import Clock

LOG = logging.getLogger(__name__)
Codec = Literal["h264", "h265"]
RING_BYTES = 8_000_000  # a camera: 10 s at 6 Mbit/s (SEMANTICS.md §11)
FIRST_BYTES = 4_000_000  # of it at once when an alert is raised, the rest with the packets that come: the recorder's
BURST_BYTES = 1_000_000  # queue is 16 MB, and several cameras may see the same
RAISES = frozenset({"raised", "raised_level", "returned"})
_STEP_NS = 10 * NS  # a wall clock that went back by less is waited for, so that what is read by time keeps its order


class Picture(NamedTuple):
    """One recorded picture: when it was taken, its codec, its Annex B bytes."""

    event_ns: int
    codec: Codec
    data: bytes


def topic(camera: str) -> str:
    """Where a camera's video stands."""
    return f"/camera/{camera}/video"


def channel(camera: str) -> Beside:
    """A camera's video as a channel."""
    return Beside(topic(camera), "foxglove.CompressedVideo", "protobuf", COMPRESSED_VIDEO, "protobuf")


def encode(camera: str, picture: Picture) -> bytes:
    """The message foxglove.CompressedVideo."""
    at = field(1, picture.event_ns // NS) + field(2, picture.event_ns % NS)
    return b"".join((field(1, at), field(2, camera), head(3, len(picture.data)), picture.data, field(4, picture.codec)))


def decode(message: bytes) -> Picture:
    """A message as `encode` wrote it. Raises ValueError where it is none."""
    found = dict(fields(message))
    at = dict(fields(cast("bytes", found.get(1, b""))))
    codec, data = bytes(cast("bytes", found.get(4, b""))).decode(), found.get(3, b"")
    if codec not in ("h264", "h265") or not isinstance(data, bytes):
        raise ValueError(f"found video in {codec or 'no format'}; h264 or h265 is expected")
    return Picture(cast("int", at.get(1, 0)) * NS + cast("int", at.get(2, 0)), codec, data)


class _Group:
    """A key frame and what follows it until the next; the first `sent` of its messages are recorded."""

    __slots__ = ("began_ns", "bytes", "messages", "sent")

    def __init__(self, began_ns: int) -> None:
        self.began_ns = began_ns
        self.messages: list[tuple[int, bytes]] = []
        self.bytes = 0
        self.sent = 0


class _Ring:
    """The last seconds of a camera: groups, so that whatever is taken out of it begins with a key frame.

    What was sent stays until it is too old, so that a later alert goes on where the one before ended, and nothing is
    recorded twice. What is `owed` to an alert is not too old before it was sent.
    """

    def __init__(self, around_ns: int) -> None:
        self.owed = False
        self._around_ns = around_ns
        self._groups: deque[_Group] = deque()
        self._open = False  # whether what comes goes on from the last group

    def cut(self) -> None:
        """What comes next does not go on from what is there."""
        self._open = False

    def add(self, log_ns: int, message: bytes, *, key: bool) -> bool:
        """Keep a packet, unless no key frame came before it; False where a group alone is too large to be kept."""
        if key:
            self._groups.append(_Group(log_ns))
            self._open = True
        if not self._open:
            return True
        self._groups[-1].messages.append((log_ns, message))
        self._groups[-1].bytes += len(message)
        while len(self._groups) > 1 and self._groups[1].began_ns <= log_ns - self._around_ns and not self.owed:
            self._groups.popleft()
        while sum(group.bytes for group in self._groups) > RING_BYTES:
            self._groups.popleft()
            self._open = bool(self._groups)
        return self._open

    def drain(self, send: Callable[[int, bytes], bool], most: int) -> None:
        """Send what was not sent yet, in order, about `most` bytes; where there is no room, the rest is sent later."""
        sent = 0
        for group in self._groups:
            while group.sent < len(group.messages):
                log_ns, message = group.messages[group.sent]
                if sent >= most or not send(log_ns, message):
                    return
                group.sent += 1
                sent += len(message)
        self.owed = False


class _Film:
    """One camera's part of the tap: its ring where only alerts are recorded, and until when they are."""

    def __init__(self, name: str, ring: _Ring | None) -> None:
        self.channel = channel(name)
        self.lock = threading.Lock()
        self.ring = ring
        self.going = False  # a key frame was recorded, and all that followed it
        self.until_ns = 0
        self.last_log_ns = 0
        self.newest_ns = 0  # event time
        self.said: set[str] = set()


class VideoTap:
    """What vision hands cameras' packets to, and who tells it of alerts (vision.tap.TakesVideo).

    `beside` is the recorder's, which never waits; an answer of False says that the message was dropped. `packet` and
    `began` come from the cameras' threads, `alerts` from the event loop.
    """

    def __init__(
        self,
        cameras: Mapping[str, Camera],
        rules: Mapping[str, Rule],
        recording: Recording,
        clock: Clock,
        beside: Callable[[Beside, int, bytes], object],
    ) -> None:
        self._clock = clock
        self._beside = beside
        self._around_ns = int(recording.around)
        self._of_rule = {name: cameras_of(rule) for name, rule in rules.items()}
        self._films: dict[str, _Film] = {}
        self._counts: dict[str, float] = dict.fromkeys(("packets", "bytes", "dropped"), 0)
        for name, camera in cameras.items():
            wanted = camera.video or recording.video
            if wanted != "off":
                self._films[name] = _Film(name, None if wanted == "always" else _Ring(self._around_ns))

    def wants(self, camera: str) -> bool:
        """Whether this camera's packets are recorded at all."""
        return camera in self._films

    def began(self, camera: str) -> None:
        """A connection begins: its packets do not go on from those before."""
        film = self._films[camera]
        with film.lock:
            film.going = False
            if film.ring:
                film.ring.cut()

    def packet(self, camera: str, event_ns: int, codec: Codec, data: bytes, *, key: bool) -> None:
        """One picture in Annex B, in decoding order; `event_ns` is when its frame was taken."""
        film = self._films[camera]
        now_ns = self._clock.now_ns()
        with film.lock:
            if event_ns < film.newest_ns and not key:
                self._say(
                    film,
                    f"camera {camera}: it codes with B-frames; they are recorded as they are, and --reinfer and FFmpeg "
                    "read them, but Foxglove does not play such video: turn B-frames off in the camera",
                )
            film.newest_ns = max(film.newest_ns, event_ns)
            back_ns = film.last_log_ns - now_ns
            film.last_log_ns = log_ns = film.last_log_ns + 1 if 0 <= back_ns < _STEP_NS else now_ns
            message = encode(camera, Picture(event_ns, codec, data))
            if film.ring is None:
                if key or film.going:
                    film.going = self._send(film, log_ns, message)
                return
            if not film.ring.add(log_ns, message, key=key):
                megabytes = RING_BYTES // 10**6
                self._say(
                    film,
                    f"camera {camera}: from one key frame to the next are more than {megabytes} MB, too much to be kept"
                    " for an alert: ask the camera for a key frame every 2 s",
                )
            if now_ns < film.until_ns or film.ring.owed:
                film.ring.drain(partial(self._send, film), BURST_BYTES)

    def unfit(self, camera: str, codec: str) -> None:
        """The camera sends something else than H.264 and H.265, `codec`; or what is wrong with it."""
        film = self._films[camera]
        with film.lock:
            self._say(
                film,
                f"camera {camera}: its video is {codec} and is not recorded, as only H.264 and H.265 are: set the "
                "camera to one of them",
            )

    def alerts(self, rows: Iterable[AlertRow]) -> None:
        """Alert changes, as they become durable: what is raised has its cameras recorded, before it and after."""
        now_ns = self._clock.now_ns()
        for row in rows:
            if row.change not in RAISES:
                continue
            for camera in self._of_rule.get(row.rule, frozenset()) | _camera_in(row.body):
                film = self._films.get(camera)
                if film and film.ring:
                    with film.lock:
                        film.until_ns = now_ns + self._around_ns
                        film.ring.owed = True
                        film.ring.drain(partial(self._send, film), FIRST_BYTES)

    def stats(self) -> dict[str, float]:
        """Counts since the start: packets and bytes recorded, and how often one found no room (dropped)."""
        return {**self._counts}

    def _send(self, film: _Film, log_ns: int, message: bytes) -> bool:
        """Record one message; False where there was no room for it."""
        if self._beside(film.channel, log_ns, message) is False:
            self._counts["dropped"] += 1
            return False
        self._counts["packets"] += 1
        self._counts["bytes"] += len(message)
        return True

    def _say(self, film: _Film, words: str) -> None:
        if words not in film.said:
            film.said.add(words)
            LOG.warning("%s", words)


def cameras_of(rule: Rule) -> frozenset[str]:
    """The cameras that a rule looks through, or whose picture goes with its alerts."""
    where = getattr(rule.kind, "in_", None)
    picture = getattr(rule.common, "picture", None)
    return frozenset(name.split(".")[0] for name in (where, picture) if isinstance(name, str))


class _Through(msgspec.Struct, frozen=True):
    """The part of an alert's body that names a camera."""

    camera: str | None = None


def _camera_in(body: bytes) -> frozenset[str]:
    camera = msgspec.json.decode(body, type=_Through).camera
    return frozenset((camera,)) if camera else frozenset()
