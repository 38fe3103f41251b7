"""What a detector expects and answers: the part of a model's manifest (models/*.toml) that vision works by."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec


class Manifest(msgspec.Struct, frozen=True):
    """One detection model.

    `family` names the head that reads its outputs (one of families.py). The input is width_px × height_px in `layout`,
    `dtype` and `colour`; a float32 input takes (pixel − mean) / std, pixels 0–255, in the input's own channel order; a
    uint8 input takes pixels as they are. `letterbox`: keep the picture's shape and fill with `pad` (0–255), else
    stretch; it lies in the top left corner, or in the middle where it is `centred`.
    `labels` by the model's own index, empty where the index is unused. `score` is where rules begin to believe a box.
    `sha256` is the .onnx file's; `path` the file itself, None until it was fetched.
    """

    name: str
    family: str
    width_px: int
    height_px: int
    layout: Literal["nhwc", "nchw"]
    dtype: Literal["uint8", "float32"]
    colour: Literal["rgb", "bgr"]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    letterbox: bool
    pad: int
    labels: tuple[str, ...]
    score: float
    sha256: str
    licence: str
    path: Path | None = None
    centred: bool = False
