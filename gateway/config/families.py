"""The output families and how each one's own project prepares a picture: what a manifest need not say again."""

from __future__ import annotations

from typing import Literal

import msgspec

Triple = tuple[float, float, float]

_IMAGENET: Triple = (123.675, 116.28, 103.53)  # mean of ImageNet's red, green, blue, as torchvision and Paddle scale it
_IMAGENET_STD: Triple = (58.395, 57.12, 57.375)
_IMAGENET_BGR: Triple = (103.53, 116.28, 123.675)
_IMAGENET_STD_BGR: Triple = (57.375, 57.12, 58.395)
_BYTE: Triple = (255.0, 255.0, 255.0)  # pixels as 0–1
_YOLO_PAD = 114  # the grey that YOLOv5, YOLOX and their successors fill with


class Preparation(msgspec.Struct, frozen=True):
    """How a family's models want a picture, as in Manifest; `side_px`: its usual input, where an export leaves it."""

    layout: Literal["nhwc", "nchw"] = "nchw"
    dtype: Literal["uint8", "float32"] = "float32"
    colour: Literal["rgb", "bgr"] = "rgb"
    letterbox: bool = False
    centred: bool = False
    pad: int = 0
    mean: Triple = (0.0, 0.0, 0.0)
    std: Triple = (1.0, 1.0, 1.0)
    side_px: int = 640


_YOLO = Preparation(letterbox=True, centred=True, pad=_YOLO_PAD, std=_BYTE)  # ultralytics/data/augment.py, LetterBox
_DETR = Preparation(std=_BYTE)  # both: Resize to 640 × 640, ConvertImageDtype; no mean

FAMILIES: dict[str, Preparation] = {
    "ssd": Preparation(layout="nhwc", dtype="uint8", side_px=300),
    "yolox": Preparation(colour="bgr", letterbox=True, pad=_YOLO_PAD),  # yolox/data/data_augment.py, preproc
    "yolov5": _YOLO,
    "yolov8": _YOLO,
    "yolo11": _YOLO,
    "rtdetr": _DETR,
    "dfine": _DETR,
    # config/nanodet-plus-m_320.yml: keep_ratio False, BGR
    "nanodet": Preparation(colour="bgr", mean=_IMAGENET_BGR, std=_IMAGENET_STD_BGR, side_px=320),
    # configs/picodet/_base_/picodet_320_reader.yml: keep_ratio False, RGB
    "picodet": Preparation(mean=_IMAGENET, std=_IMAGENET_STD, side_px=320),
    "fastestdet": Preparation(colour="bgr", std=_BYTE, side_px=352),  # example/onnx-runtime/runtime.py, preprocess
}
