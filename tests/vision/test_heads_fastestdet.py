"""FastestDet: small maps and its real weights, as its own project decodes them; YOLOX-nano's real weights likewise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import onnxruntime as ort
import pytest

from gateway.vision.detector import Detector, manifest_of
from tests.vision.graphs import HEIGHT, WIDTH, known
from tests.vision.reference import Box, picture, same, sigmoid, stretched, suppressed, unboxed

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

PICTURES = ("000000000139", "000000000632", "000000000885", "000000001353", "000000005992")


def decoded(output: NDArray[np.float32], size: tuple[int, int]) -> list[Box]:
    """A cell at a time, in input px.

    dog-qiuqiu/FastestDet: utils/tool.py, handle_preds, and example/onnx-runtime/runtime.py, detection.
    """
    boxes = []
    _, high, wide = output.shape
    for y in range(high):
        for x in range(wide):
            cell = output[:, y, x].astype(float)
            label = int(np.argmax(cell[5:]))
            score = cell[0] * cell[5 + label]
            width, height = sigmoid(cell[3]), sigmoid(cell[4])
            across, down = (x + np.tanh(cell[1])) / wide, (y + np.tanh(cell[2])) / high
            edges = (across - width / 2, down - height / 2, across + width / 2, down + height / 2)
            boxes.append(Box(*(edge * side for edge, side in zip(edges, size * 2, strict=True)), score, label))
    return boxes


def test_fastestdet_as_handle_preds(tmp_path: Path) -> None:
    """[1, 5 + C, H, W]: objectness × best class; tanh moves by up to a cell, sigmoid is a share of the picture."""
    rng = np.random.default_rng(1)
    output = rng.normal(0, 1.5, (85, 4, 6)).astype(np.float32)
    size = (WIDTH, HEIGHT)
    output[0], output[5:] = rng.uniform(0, 1, (4, 6)), rng.uniform(0, 1, (80, 4, 6)) ** 30
    model = manifest_of(known(tmp_path / "fastestdet.onnx", {"758": output[None]}))
    assert (model.family, model.colour, model.letterbox, model.std) == ("fastestdet", "bgr", False, (255.0,) * 3)
    same(Detector(model).detect([picture()])[0], stretched(suppressed(decoded(output, size)), size))


@pytest.mark.parametrize("name", PICTURES)
def test_fastestdets_own_weights(shared: Path, name: str) -> None:
    """Given COCO pictures, then our boxes are those of its own steps: resized, BGR / 255, run, decoded by the cell."""
    path = shared / "models/fastestdet.onnx"
    bgr = cv2.imread(str(shared / f"data/coco/images/{name}.jpg"))
    resized = cv2.resize(bgr, (352, 352)).transpose(2, 0, 1)[None].astype(np.float32) / 255
    [output] = ort.InferenceSession(str(path)).run(None, {"input.1": resized})
    wanted = stretched(suppressed(decoded(output[0], (352, 352))), (352, 352), (bgr.shape[1], bgr.shape[0]))
    same(Detector(manifest_of(path)).detect([np.ascontiguousarray(bgr[:, :, ::-1])])[0], wanted)


def decoded_yolox(output: NDArray[np.float32], side: int) -> list[Box]:
    """An anchor at a time, in input px. Megvii-BaseDetection/YOLOX: yolox/utils/demo_utils.py, demo_postprocess."""
    boxes, at = [], 0
    for stride in (8, 16, 32):
        for y in range(side // stride):
            for x in range(side // stride):
                row = output[at].astype(float)
                at += 1
                label = int(np.argmax(row[5:]))
                across, down = (row[0] + x) * stride, (row[1] + y) * stride
                w, h = float(np.exp(row[2])) * stride, float(np.exp(row[3])) * stride
                score = row[4] * row[5 + label]
                boxes.append(Box(across - w / 2, down - h / 2, across + w / 2, down + h / 2, score, label))
    return boxes


@pytest.mark.parametrize("name", PICTURES)
def test_yolox_nanos_own_weights(shared: Path, name: str) -> None:
    """Given COCO pictures, then our boxes are those of its own steps (yolox/data/data_augment.py, preproc)."""
    path = shared / "models/yolox_nano.onnx"
    bgr = cv2.imread(str(shared / f"data/coco/images/{name}.jpg"))
    ratio = min(416 / bgr.shape[0], 416 / bgr.shape[1])
    resized = cv2.resize(bgr, (int(bgr.shape[1] * ratio), int(bgr.shape[0] * ratio)), interpolation=cv2.INTER_LINEAR)
    padded = np.full((416, 416, 3), 114, np.uint8)
    padded[: resized.shape[0], : resized.shape[1]] = resized
    [output] = ort.InferenceSession(str(path)).run(None, {"images": padded.transpose(2, 0, 1)[None].astype(np.float32)})
    kept = suppressed(decoded_yolox(output[0], 416))
    wanted = unboxed(kept, (416, 416), centred=False, picture=(bgr.shape[1], bgr.shape[0]))
    same(Detector(manifest_of(path)).detect([np.ascontiguousarray(bgr[:, :, ::-1])])[0], wanted)
