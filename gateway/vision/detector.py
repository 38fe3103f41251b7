"""A picture in, boxes out: the engine, its letterbox and its head as one thing, for cameras and for files alike."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import cv2

from gateway.config.families import FAMILIES
from gateway.config.manifest import Manifest
from gateway.errors import ModelError
from gateway.vision.boxes import fit_into
from gateway.vision.engine import OnnxEngine
from gateway.vision.engine_onnxruntime import OrtSession
from gateway.vision.heads import FLOOR, Found, find_boxes
from gateway.vision.outputs import listed
from gateway.vision.planes import Scaler
from gateway.vision.recognise import labels_of, recognise

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from gateway.config.box import VisionConfig
    from gateway.vision.planes import Part


class Detector:
    """A model ready to run in one thread; boxes under `floor` are not looked at. `vision`: which engine runs it.

    Raises ModelError when it does not load or is not what its manifest says.
    """

    def __init__(
        self, manifest: Manifest, slots: int = 1, floor: float = FLOOR, vision: VisionConfig | None = None
    ) -> None:
        cv2.setNumThreads(1)  # the engine's own thread does it all: no pool beside it
        self.manifest = manifest
        self._floor = floor
        self._scaler = Scaler()
        self.engine = OnnxEngine(manifest, slots, vision)

    def detect(self, pictures: Sequence[NDArray[np.uint8] | Part]) -> list[Found]:
        """The boxes of each picture (uint8[h, w, 3] RGB, or a part of a frame), any sizes; in px of the whole picture.

        As many go through the model at once as there are slots. Raises ModelError when the model fails on them.
        """
        slots = len(self.engine.batch)
        found: list[Found] = []
        for begin in range(0, len(pictures), slots):
            found += self._look(pictures[begin : begin + slots])
        return found

    def _look(self, pictures: Sequence[NDArray[np.uint8] | Part]) -> list[Found]:
        manifest = self.manifest
        fits = [
            fit_into(
                picture,
                slot,
                letterbox=manifest.letterbox,
                pad=manifest.pad,
                centred=manifest.centred,
                scaler=self._scaler,
            )
            for picture, slot in zip(pictures, self.engine.batch, strict=False)
        ]
        outputs = self.engine.infer(len(fits))
        return find_boxes(outputs, len(fits), manifest, fits, self._floor)


def manifest_of(path: Path) -> Manifest:
    """A manifest for an .onnx file that has none: its family by its outputs, its labels by its notes or COCO's.

    Raises ModelError saying what was found when the file is no model, or its family or labels are not known.
    """
    return look_into(path)[0]


def look_into(path: Path) -> tuple[Manifest, str]:
    """As manifest_of, and beside it what was seen: the outputs, the form, where the labels are from."""
    if not path.is_file():
        raise ModelError(f"{path}: there is no such file; give a manifest's name or an .onnx file")
    signature = OrtSession(path).signature
    try:
        known = recognise(signature)
        labels, whence = labels_of(known, signature)
    except ModelError as error:
        raise ModelError(f"{path.name}: {error}") from error
    usual = FAMILIES[known.head.name]
    manifest = Manifest(
        name=path.stem,
        family=known.head.name,
        width_px=known.width_px,
        height_px=known.height_px,
        layout="nchw" if signature.input_shape[1] == 3 else "nhwc",
        dtype="uint8" if signature.input_dtype == "uint8" else "float32",
        colour=usual.colour,
        mean=usual.mean,
        std=usual.std,
        letterbox=usual.letterbox,
        centred=usual.centred,
        pad=usual.pad,
        labels=labels,
        score=0.4,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        licence="",
        path=path,
    )
    return manifest, f"{known.form}: {listed(signature.outputs)}; labels: {whence}"
