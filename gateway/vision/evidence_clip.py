"""Clips of the seconds around an alert: everybody blurred, sealed as they came, or as they came."""

from __future__ import annotations

import base64
import binascii
import io
from fractions import Fraction
from typing import TYPE_CHECKING, Literal, NamedTuple, cast

import av
import av.error
import cv2
import numpy as np

from gateway.errors import CameraError, EvidenceError
from gateway.vision.annexb import Coded, decode
from gateway.vision.evidence_picture import grown, harmful, mask, overlap, pixelate
from gateway.vision.film import FilmWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from gateway.config.model import Point
    from gateway.vision.evidence_picture import Look
    from gateway.vision.evidence_ring import Packet

NS = 1_000_000_000
LONG_NS = NS  # between two looks: somebody may have come and gone
WIDEST_PX = 960
MATCH = 0.1  # intersection over union from which two looks' boxes are taken for one: they are hidden where they are not
_TICK = Fraction(1, 90_000)
SEALED = "application/vnd.zhiwang.sealed"


class Clipping(NamedTuple):
    """How: privacy, the public key (base64url of 32 bytes, for `sealed`), masks; `over`: whether to give it up."""

    privacy: Literal["blur", "sealed", "none"]
    key: str
    masks: tuple[tuple[Point, ...], ...]
    over: Callable[[], bool] = lambda: False


def clip_of(packets: Sequence[Packet], looks: Sequence[Look], how: Clipping) -> tuple[str, bytes]:
    """(media type, bytes) of a clip. Raises EvidenceError where there is nothing to make it of."""
    if not packets:
        raise EvidenceError("the camera gave no H.264 or H.265 packets around it; pictures are all there is")
    if how.privacy == "blur":
        try:
            return "video/mp4", blurred(packets, looks, how)
        except (cv2.error, av.error.FFmpegError, CameraError, ValueError) as error:
            raise EvidenceError(f"its frames cannot be coded anew ({error})") from None
    if how.masks and how.privacy == "none":
        raise EvidenceError("packets cannot be masked as they came; use privacy: blur or sealed, or leave masks out")
    film = as_it_came(packets)
    return (SEALED, sealed(film, how.key)) if how.privacy == "sealed" else ("video/mp2t", film)


def blurred(packets: Sequence[Packet], looks: Sequence[Look], how: Clipping) -> bytes:
    """MP4 (H.264) in which every person and vehicle is pixelated; a frame that no look is near is, whole."""
    out = io.BytesIO()
    ordered = sorted(looks, key=lambda look: look.event_ns)
    with FilmWriter(out) as writer:
        for shown in decode(Coded(one.event_ns, one.codec, one.data) for one in packets):
            if how.over():
                raise EvidenceError("the gateway ended before it was made")
            width = min(shown.frame.width, WIDEST_PX)
            height = max(2, round(shown.frame.height * width / shown.frame.width))
            small = shown.frame.reformat(width=width, height=height, format="rgb24").to_ndarray()
            picture = cast("NDArray[np.uint8]", np.ascontiguousarray(small))
            boxes = hidden(ordered, shown.event_ns, width, height)
            if boxes is None:
                pixelate(picture, [np.array([0, 0, width, height])])
                picture[:] = cv2.GaussianBlur(picture, (0, 0), width / 40)
            else:
                pixelate(picture, boxes)
            mask(picture, how.masks)
            writer.write(picture, shown.event_ns)
        if not writer.frames:
            raise EvidenceError("none of the packets around it could be decoded")
    return out.getvalue()


def hidden(looks: Sequence[Look], at_ns: int, width: int, height: int) -> NDArray[np.intp] | None:
    """What of a frame is hidden, px intp[n, 4]; None: all of it, for the looks before and after are too far.

    Boxes of both looks that are one thing stand where it should be in between; those that are not stand as they are.
    """
    before = next((look for look in reversed(looks) if look.event_ns <= at_ns), None)
    after = next((look for look in looks if look.event_ns >= at_ns), None)
    if before is None or after is None:
        only = before or after
        if only is None or abs(only.event_ns - at_ns) > LONG_NS // 2:
            return None
        before = after = only
    elif after.event_ns - before.event_ns > LONG_NS:
        return None
    first, second = (_boxes(look, width, height) for look in (before, after))
    if before is after:
        return grown(first, width, height)
    share = (at_ns - before.event_ns) / max(after.event_ns - before.event_ns, 1)
    alike = overlap(first, second) if len(first) and len(second) else np.zeros((len(first), len(second)))
    parts: list[NDArray[np.float64]] = [first[~(alike >= MATCH).any(axis=1)], second[~(alike >= MATCH).any(axis=0)]]
    for one, other in np.argwhere(alike >= MATCH).tolist():
        parts.append((first[one] * (1 - share) + second[other] * share)[None])
    return grown(np.concatenate(parts), width, height)


def _boxes(look: Look, width: int, height: int) -> NDArray[np.float64]:
    scale = np.array([width / look.width_px, height / look.height_px] * 2)
    return look.xyxy[harmful(look)].astype(np.float64).reshape(-1, 4) * scale


def as_it_came(packets: Sequence[Packet]) -> bytes:
    """The packets in an MPEG transport stream, not decoded: nothing in it is hidden."""
    out = io.BytesIO()
    try:
        with av.open(out, "w", format="mpegts") as container:
            codec = "hevc" if packets[0].codec == "h265" else "h264"
            stream = container.add_mux_stream(codec, rate=25)
            stream.time_base = _TICK
            begin_ns = min(one.event_ns for one in packets)
            last = -1
            for one in packets:
                packet = av.Packet(one.data)
                packet.stream = stream
                packet.time_base = _TICK
                packet.pts = (one.event_ns - begin_ns) * 9 // 100_000
                last = packet.dts = max(last + 1, min(packet.pts, last + 3600)) if last >= 0 else packet.pts
                packet.is_keyframe = one.key
                container.mux_one(packet)
    except av.error.FFmpegError as error:
        raise EvidenceError(f"the packets cannot be written as a file ({error.strerror})") from None
    return out.getvalue()


def sealed(body: bytes, key: str) -> bytes:
    """Encrypted to a public key (libsodium's crypto_box_seal): only who has its private half reads it."""
    try:
        from nacl.public import PublicKey, SealedBox  # noqa: PLC0415 - an extra
    except ImportError:
        raise EvidenceError("sealing needs PyNaCl: pip install 'zhiwang[evidence]'") from None
    return bytes(SealedBox(PublicKey(raw_key(key))).encrypt(body))


def unsealed(body: bytes, private: str) -> bytes:
    """What `sealed` hid. Raises EvidenceError where the key is another, or the file was changed."""
    try:
        from nacl.exceptions import CryptoError  # noqa: PLC0415 - an extra
        from nacl.public import PrivateKey, SealedBox  # noqa: PLC0415 - an extra
    except ImportError:
        raise EvidenceError("opening what is sealed needs PyNaCl: pip install 'zhiwang[evidence]'") from None
    try:
        return bytes(SealedBox(PrivateKey(raw_key(private))).decrypt(body))
    except CryptoError:
        raise EvidenceError("this key does not open it: it was sealed for another one, or it was changed") from None


def raw_key(text: str) -> bytes:
    """The 32 bytes of a key as it is written. Raises EvidenceError where it is none."""
    try:
        raw = base64.urlsafe_b64decode(text.strip() + "=")
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != 32:
        raise EvidenceError("found no key; 43 letters and digits are expected, as `zhiwang evidence key` makes them")
    return raw
