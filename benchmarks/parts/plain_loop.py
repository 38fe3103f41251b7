"""What a user would write: cv2.VideoCapture, YOLOX by onnxruntime as it comes, supervision's detections and a zone.

    python plain_loop.py VIDEO MODEL.onnx OUT.jsonl

Runs in an environment of its own (pip install supervision onnxruntime): none of it is ours. Writes each frame's boxes
of people, and prints CPU seconds, frames, and versions as JSON. YOLOX's own steps, from its demo/ONNXRuntime.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
import warnings

import cv2
import numpy as np
import onnxruntime as ort

SCORE, NMS = 0.4, 0.5


def preprocessed(picture: np.ndarray, side: int) -> tuple[np.ndarray, float]:
    """The picture as YOLOX wants it, and its scale."""
    padded = np.full((side, side, 3), 114, np.uint8)
    scale = min(side / picture.shape[0], side / picture.shape[1])
    size = (int(picture.shape[1] * scale), int(picture.shape[0] * scale))
    padded[: size[1], : size[0]] = cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(padded.transpose(2, 0, 1), np.float32)[None], scale


def decoded(raw: np.ndarray, side: int) -> np.ndarray:
    """Boxes and scores out of the raw grids, as YOLOX's demo_postprocess."""
    grids, strides = [], []
    for stride in (8, 16, 32):
        cells = side // stride
        x, y = np.meshgrid(np.arange(cells), np.arange(cells))
        grids.append(np.stack((x, y), 2).reshape(-1, 2))
        strides.append(np.full((cells * cells, 1), stride))
    grid, stride = np.concatenate(grids), np.concatenate(strides)
    raw[:, :2] = (raw[:, :2] + grid) * stride
    raw[:, 2:4] = np.exp(raw[:, 2:4]) * stride
    return raw


def main() -> None:
    """The loop."""
    sv = importlib.import_module("supervision")
    warnings.simplefilter("ignore")
    video, model, out = sys.argv[1:4]
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    name, side = session.get_inputs()[0].name, session.get_inputs()[0].shape[2]
    capture = cv2.VideoCapture(video)
    width, height = (int(capture.get(what)) for what in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    zone = sv.PolygonZone(np.array([[0, 0], [width, 0], [width, height], [0, height]]))
    lines, began, frames = [], time.process_time(), 0
    while True:
        good, picture = capture.read()
        if not good:
            break
        frames += 1
        tensor, scale = preprocessed(picture, side)
        rows = decoded(session.run(None, {name: tensor})[0][0], side)
        scores = rows[:, 4:5] * rows[:, 5:]
        xyxy = np.concatenate([rows[:, :2] - rows[:, 2:4] / 2, rows[:, :2] + rows[:, 2:4] / 2], 1) / scale
        label, score = scores.argmax(1), scores.max(1)
        sure = score > SCORE
        found = sv.Detections(xyxy=xyxy[sure], confidence=score[sure], class_id=label[sure]).with_nms(NMS)
        people = found[found.class_id == 0]
        zone.trigger(people)
        lines.append(people.xyxy.round(2).tolist())
    took_s = time.process_time() - began
    with open(out, "w", encoding="utf-8") as file:  # noqa: PTH123 - a script that stands alone
        file.writelines(json.dumps(line) + "\n" for line in lines)
    said = {"cpu_s": took_s, "frames": frames, "supervision": sv.__version__, "onnxruntime": ort.__version__}
    print(json.dumps(said))


if __name__ == "__main__":
    main()
