"""The annotated picture of an alert: who it is about is drawn, everybody and every vehicle beside is pixelated, always.

What is pixelated: every box at the floor score that is not the subject's, grown by a fifth, whose label is not known to
be harmless. Where such a box and the subject's overlap, what both hold is pixelated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from gateway.core.outline import Outline, Polyline

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from gateway.config.model import Point
    from gateway.core.about import Box
    from gateway.core.evidence import Wanted

    Pixels = NDArray[np.uint8]
    Boxes = NDArray[np.float64]

MOST_BYTES = 100_000  # SEMANTICS.md §11
GROWN = 0.2  # of a box's width and height, half on each side
SAME = 0.5  # intersection over union from which a box is another look at the subject, as the rules count it
NEAR = 0.05  # of the picture's diagonal: a ground point so near to a line is at it
BLOCKS = 8  # a pixelated box has so many blocks on its longer side: a face is one or two of them
LEAST_BLOCK_PX = 8
# fmt: off
HARMLESS = frozenset({
    "apple", "backpack", "banana", "baseball bat", "baseball glove", "bear", "bed", "bench", "bird", "blender",
    "book", "bottle", "bowl", "broccoli", "cake", "carrot", "cat", "cell phone", "chair", "clock", "couch", "cow",
    "cup", "desk", "dining table", "dog", "donut", "door", "elephant", "fire hydrant", "fork", "frisbee", "giraffe",
    "hair drier", "handbag", "horse", "hot dog", "keyboard", "kite", "knife", "laptop", "microwave", "mirror",
    "mouse", "orange", "oven", "parking meter", "pizza", "plate", "potted plant", "refrigerator", "remote",
    "sandwich", "scissors", "sheep", "sink", "skateboard", "skis", "snowboard", "spoon", "sports ball", "stop sign",
    "street sign", "suitcase", "surfboard", "teddy bear", "tennis racket", "tie", "toaster", "toilet", "toothbrush",
    "traffic light", "tv", "umbrella", "vase", "window", "wine glass", "zebra",
})
# fmt: on
"""Labels of COCO that are neither people nor vehicles. What a model of other labels finds is pixelated."""
SUBJECT_BGR, WORDS_BGR = (40, 160, 250), (255, 255, 255)


class Look(NamedTuple):
    """What was found in a frame at the floor score; boxes are px of a picture of that size."""

    event_ns: int
    number: int
    width_px: int
    height_px: int
    xyxy: NDArray[np.float32]
    score: NDArray[np.float32]
    label: tuple[str, ...]


def subjects(look: Look, wanted: Wanted) -> NDArray[np.bool_]:
    """Which boxes the alert is about, and which are other looks at the same: bool[n].

    Those that the request names, which are boxes of this look (see `followed`); without, whom its words choose.
    """
    boxes = look.xyxy.astype(np.float64)
    chosen = _named(look, wanted.boxes) if wanted.boxes else _chosen(look, wanted, boxes)
    return chosen | (overlap(boxes, boxes[chosen]) >= SAME).any(axis=1) if chosen.any() else chosen


def _chosen(look: Look, wanted: Wanted, boxes: Boxes) -> NDArray[np.bool_]:
    """Whom labels, score and place choose: bool[n]."""
    chosen = np.array([label in wanted.labels for label in look.label], bool) & (look.score >= wanted.score)
    ground = np.stack([(boxes[:, 0] + boxes[:, 2]) / 2, boxes[:, 3]], axis=1)
    if wanted.outline:
        chosen &= Outline(wanted.outline, look.width_px, look.height_px).holds(ground)
    elif wanted.line:
        near = NEAR * float(np.hypot(look.width_px, look.height_px))
        chosen &= Polyline(wanted.line, look.width_px, look.height_px).square(ground) <= near * near
    return chosen


def _named(look: Look, named: Sequence[Box]) -> NDArray[np.bool_]:
    """For each box that is named the one of this look that it is, if there is one: bool[n]."""
    mine = np.zeros(len(look.label), np.bool_)
    if len(look.label):
        alike = overlap(np.array(named, np.float64), look.xyxy.astype(np.float64) / _size(look))
        best = alike.argmax(axis=1)
        mine[best[alike[np.arange(len(named)), best] >= SAME]] = True
    return mine


def _size(look: Look) -> NDArray[np.float64]:
    return np.array([look.width_px, look.height_px] * 2, np.float64)


def followed(named: Sequence[Box], looks: Sequence[Look]) -> tuple[Box, ...]:
    """Boxes that the first of these looks has, as the last of them has them; none of who is lost on the way.

    Boxes are fractions of the picture. From look to look a box is the one that covers half of what both cover. Without
    a look to begin with there is nobody: who stands at the same spot by now may be another.
    """
    if not looks:
        return ()
    for look in looks:
        mine = _named(look, named) if named else np.zeros(len(look.label), np.bool_)
        boxes = (look.xyxy[mine].astype(np.float64) / _size(look)).tolist()
        named = [(x1, y1, x2, y2) for x1, y1, x2, y2 in boxes]
    return tuple(named)


def overlap(first: Boxes, second: Boxes) -> NDArray[np.float64]:
    """Intersection over union, float64[n, m]."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=2)
    sizes = [np.prod(np.clip(one[:, 2:] - one[:, :2], 0, None), axis=1) for one in (first, second)]
    return shared / np.maximum(sizes[0][:, None] + sizes[1][None, :] - shared, 1e-9)


def grown(boxes: Boxes, width_px: int, height_px: int, by: float = GROWN) -> NDArray[np.intp]:
    """Boxes grown by a fifth, as whole pixels within the picture: intp[n, 4]."""
    more = (boxes[:, 2:] - boxes[:, :2]) * by / 2
    low = np.floor(np.clip(boxes[:, :2] - more, 0, (width_px, height_px)))
    high = np.ceil(np.clip(boxes[:, 2:] + more, 0, (width_px, height_px)))
    return np.concatenate([low, high], axis=1).astype(np.intp)


def harmful(look: Look) -> NDArray[np.bool_]:
    """Which boxes show people or vehicles, or what is not known to be neither: bool[n]."""
    return np.array([label not in HARMLESS for label in look.label], bool)


def pixelate(picture: Pixels, boxes: Iterable[NDArray[np.intp]]) -> None:
    """Leave a few blocks of each box of uint8[h, w, 3], in place."""
    for x1, y1, x2, y2 in boxes:
        part = picture[y1:y2, x1:x2]
        if not part.size:
            continue
        block = max(LEAST_BLOCK_PX, -(-max(part.shape[:2]) // BLOCKS))
        size = (max(1, round(part.shape[1] / block)), max(1, round(part.shape[0] / block)))
        small = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
        picture[y1:y2, x1:x2] = cv2.resize(small, (part.shape[1], part.shape[0]), interpolation=cv2.INTER_NEAREST)


def mask(picture: Pixels, masks: Iterable[tuple[Point, ...]]) -> None:
    """Blacken outlines (fractions of the picture) in uint8[h, w, 3], in place."""
    height, width = picture.shape[:2]
    for outline in masks:
        corners = np.array([(round(x * width), round(y * height)) for x, y in outline], np.int32)
        cv2.fillPoly(picture, [corners], (0, 0, 0))


def annotate(picture: Pixels, look: Look, wanted: Wanted, masks: Iterable[tuple[Point, ...]], when: str) -> None:
    """Make uint8[h, w, 3] BGR of a look's frame what an alert may show: masks, pixels, boxes, time; in place."""
    height, width = picture.shape[:2]
    scale = np.array([width / look.width_px, height / look.height_px] * 2)
    boxes, mine = look.xyxy.astype(np.float64) * scale, subjects(look, wanted)
    pixelate(picture, grown(boxes[harmful(look) & ~mine], width, height))
    mask(picture, masks)
    size = max(0.4, height / 900)
    for box, label, score in zip(boxes[mine], np.array(look.label, object)[mine], look.score[mine], strict=True):
        x1, y1, x2, y2 = (round(float(side)) for side in box)
        cv2.rectangle(picture, (x1, y1), (x2, y2), SUBJECT_BGR, max(1, round(height / 360)))
        _words(picture, f"{label} {score:.0%}", (x1, max(y1 - 3, round(22 * size))), size, SUBJECT_BGR)
    _words(picture, when, (6, height - 8), size, WORDS_BGR)


def _words(picture: Pixels, words: str, at: tuple[int, int], size: float, colour: tuple[int, int, int]) -> None:
    cv2.putText(picture, words, at, cv2.FONT_HERSHEY_SIMPLEX, size, (0, 0, 0), 3, cv2.LINE_AA)  # seen on any ground
    cv2.putText(picture, words, at, cv2.FONT_HERSHEY_SIMPLEX, size, colour, 1, cv2.LINE_AA)


def jpeg_of(picture: Pixels, most: int = MOST_BYTES) -> bytes:
    """A JPEG of at most so many bytes: coarser, then smaller."""
    while True:
        for quality in (85, 70, 55, 40):
            made = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
            if len(made) <= most:
                return made
        height, width = picture.shape[:2]
        if min(height, width) <= 16:
            return made
        picture = cv2.resize(picture, (width * 3 // 4, height * 3 // 4), interpolation=cv2.INTER_AREA).astype(np.uint8)


def smaller(jpeg: bytes, most: int) -> bytes:
    """A JPEG again, of at most so many bytes."""
    if len(jpeg) <= most:
        return jpeg
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    return jpeg_of(np.asarray(picture, np.uint8), most) if picture is not None else jpeg
