"""A camera's last analysed picture as the page shows it: small, a JPEG, made when it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import cv2
import numpy as np

from gateway.ports import Picture
from gateway.vision.evidence_picture import mask

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from gateway.config.manifest import Manifest
    from gateway.config.model import Point
    from gateway.vision.board import Last

_WIDEST_PX = 960
_QUALITY = 80


def make_picture(last: Last, manifest: Manifest, masks: Iterable[tuple[Point, ...]] = ()) -> Picture:
    """The frame as JPEG, at most 960 px wide, and the boxes that rules believe (manifest's score and up).

    masks: outlines of what is black in it.
    """
    frame, found = last.captured.frame, last.found
    width = min(frame.width, _WIDEST_PX)
    height = max(1, round(frame.height * width / frame.width))
    pixels = frame.reformat(width=width, height=height, format="bgr24").to_ndarray()
    pixels = cast("NDArray[np.uint8]", np.ascontiguousarray(pixels))
    mask(pixels, masks)
    jpeg = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()
    good = found.score >= manifest.score
    size = np.array([frame.width, frame.height] * 2, np.float32)
    labels = [manifest.labels[label] for label in found.label[good]]
    return Picture(jpeg, last.captured.event_ns, found.xyxy[good] / size, found.score[good], labels)
