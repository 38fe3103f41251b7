"""How the offline detector writes what it found: COCO results, MOT, JSON lines."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Protocol, TextIO

from gateway.vision.coco import CATEGORY_ID
from gateway.vision.offline import Looked, believed

if TYPE_CHECKING:
    from collections.abc import Callable


class Writer(Protocol):
    """Takes one picture's boxes at a time, in order; `close` ends the document."""

    def write(self, looked: Looked) -> None:
        """Boxes of the next picture."""
        ...

    def close(self) -> None:
        """The document is whole."""
        ...


class CocoWriter:
    """COCO's results format: a JSON array of {image_id, category_id, bbox: [x, y, w, h], score}.

    image_id is the file's stem, as a number where it is one, and <stem>/<frame> for a video's frame. category_id is
    COCO's own (1–90, with its gaps) where the label is one of COCO's, else the label's index + 1.
    """

    def __init__(self, out: TextIO, labels: tuple[str, ...], score: float) -> None:
        self._out = out
        self._labels = labels
        self._score = score
        self._lead = "["

    def write(self, looked: Looked) -> None:
        """One object a box."""
        stem = looked.path.stem
        image: int | str = f"{stem}/{looked.frame}" if looked.frame else int(stem) if stem.isdecimal() else stem
        for (x1, y1, x2, y2), score, label in believed(looked.found, self._score):
            row = {
                "image_id": image,
                "category_id": CATEGORY_ID.get(self._labels[label], label + 1),
                "bbox": [round(x1, 2), round(y1, 2), round(x2 - x1, 2), round(y2 - y1, 2)],
                "score": round(score, 5),
            }
            self._out.write(f"{self._lead}\n{json.dumps(row)}")
            self._lead = ","

    def close(self) -> None:
        """The array's end."""
        self._out.write("[]\n" if self._lead == "[" else "\n]\n")


class MotWriter:
    """MOTChallenge detections: frame, -1, left, top, width, height, score, -1, -1, -1. Every label alike.

    Frames count from 1; images count by the number that is their name, else by their place.
    """

    def __init__(self, out: TextIO, _labels: tuple[str, ...], score: float) -> None:
        self._out = out
        self._score = score
        self._image = 0

    def write(self, looked: Looked) -> None:
        """One line a box."""
        self._image += 1
        stem = looked.path.stem
        frame = looked.frame or (int(stem) if stem.isdecimal() else self._image)
        for (x1, y1, x2, y2), score, _ in believed(looked.found, self._score):
            self._out.write(f"{frame},-1,{x1:.2f},{y1:.2f},{x2 - x1:.2f},{y2 - y1:.2f},{score:.5f},-1,-1,-1\n")

    def close(self) -> None:
        """Lines need no end."""


class JsonLinesWriter:
    """One JSON object a picture: source, frame, time_s, width, height, boxes: [{label, score, xyxy}]."""

    def __init__(self, out: TextIO, labels: tuple[str, ...], score: float) -> None:
        self._out = out
        self._labels = labels
        self._score = score

    def write(self, looked: Looked) -> None:
        """One line, also where nothing was found."""
        boxes = [
            {"label": self._labels[label], "score": round(score, 5), "xyxy": [round(side, 2) for side in xyxy]}
            for xyxy, score, label in believed(looked.found, self._score)
        ]
        row = {
            "source": str(looked.path),
            "frame": looked.frame,
            "time_s": round(looked.time_s, 6),
            "width": looked.width_px,
            "height": looked.height_px,
            "boxes": boxes,
        }
        self._out.write(json.dumps(row, ensure_ascii=False) + "\n")

    def close(self) -> None:
        """Lines need no end."""


FORMATS: dict[str, Callable[[TextIO, tuple[str, ...], float], Writer]] = {
    "coco": CocoWriter,
    "mot": MotWriter,
    "jsonl": JsonLinesWriter,
}
