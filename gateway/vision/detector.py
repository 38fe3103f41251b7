"""A picture in, boxes out: the engine, its letterbox and its head as one thing, for cameras and for files alike."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Literal

import cv2

from gateway.config.manifest import Manifest
from gateway.errors import ModelError
from gateway.vision.boxes import fit_into
from gateway.vision.coco import COCO80, COCO90
from gateway.vision.engine import OnnxEngine, open_session, signature_of
from gateway.vision.heads import FLOOR, Found, find_boxes, recognise, written

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from gateway.ports import Engine

_SIDE_WHERE_FREE_PX = 300  # SSD exports with a free size were trained at it


class Detector:
    """A model ready to run in one thread; boxes under `floor` are not looked at.

    Raises ModelError when it does not load or is not what its manifest says.
    """

    def __init__(self, manifest: Manifest, slots: int = 1, floor: float = FLOOR) -> None:
        cv2.setNumThreads(1)  # the engine's own thread does it all: no pool beside it
        self.manifest = manifest
        self._floor = floor
        self.engine: Engine = OnnxEngine(manifest, slots)

    def detect(self, pictures: Sequence[NDArray[np.uint8]]) -> list[Found]:
        """The boxes of each picture (uint8[h, w, 3] RGB, any sizes), at most as many pictures as there are slots.

        Raises ModelError when the model fails on them.
        """
        fits = [
            fit_into(picture, slot, letterbox=self.manifest.letterbox, pad=self.manifest.pad)
            for picture, slot in zip(pictures, self.engine.batch, strict=False)
        ]
        outputs = self.engine.infer(len(fits))
        return find_boxes(outputs, len(fits), self.manifest, fits, self._floor)


def manifest_of(path: Path) -> Manifest:
    """A manifest for an .onnx file that has none: its family by its outputs, its labels COCO's.

    Raises ModelError saying what was found when the file is no model, or its family or labels are not known.
    """
    if not path.is_file():
        raise ModelError(f"{path}: there is no such file; give a manifest's name or an .onnx file")
    signature = signature_of(open_session(path), path.name)
    layout: Literal["nhwc", "nchw"] = "nchw" if signature.input_shape[1] == 3 else "nhwc"
    sides = signature.input_shape[2:] if layout == "nchw" else signature.input_shape[1:3]
    height_px, width_px = (side or _SIDE_WHERE_FREE_PX for side in sides)
    head = recognise(signature.output_shapes, width_px, height_px)
    classes = head.labels(signature.output_shapes)
    labels = {80: COCO80, 90: COCO90}.get(classes or 0)
    if labels is None:
        seen = ", ".join(written(shape) for shape in signature.output_shapes)
        raise ModelError(
            f"{path.name}: found outputs {seen}; without a manifest only COCO's 80 or 90 classes have names"
        )
    yolox = head.name == "yolox"
    return Manifest(
        name=path.stem,
        family=head.name,
        width_px=width_px,
        height_px=height_px,
        layout=layout,
        dtype="uint8" if signature.input_dtype == "uint8" else "float32",
        colour="bgr" if yolox else "rgb",
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        letterbox=yolox,
        pad=114 if yolox else 0,
        labels=labels,
        score=0.4,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        licence="",
        path=path,
    )
