"""How well models see: mAP by pycocotools on $ZHIWANG_DATA/data/coco (64 images, YOLO-format labels).

    python benchmarks/coco.py [MODEL…]      a manifest's name or an .onnx file; default: these three

Runs `zhiwang detect` as a user does, and scores its COCO results.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from gateway.cli import main as zhiwang
from gateway.vision.coco import CATEGORY_ID, COCO80

DATA = Path(os.environ.get("ZHIWANG_DATA", Path(__file__).resolve().parents[2] / "shared"))
MODELS = (
    "ssdlite-mobilenet-v2-coco",
    str(DATA / "models/yolox_nano.onnx"),
    str(DATA / "models/fastestdet.onnx"),
)


def ground_truth(folder: Path) -> COCO:
    """The labels as COCO's own structure: class cx cy w h, fractions of the picture."""
    images: list[dict[str, object]] = []
    annotations: list[dict[str, object]] = []
    for path in sorted((folder / "images").glob("*.jpg")):
        height, width = cv2.imread(str(path)).shape[:2]
        images.append({"id": int(path.stem), "width": width, "height": height})
        text = (folder / "labels" / f"{path.stem}.txt").read_text(encoding="utf-8")
        for row in np.array(text.split(), float).reshape(-1, 5):
            w, h = row[3] * width, row[4] * height
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": int(path.stem),
                    "category_id": CATEGORY_ID[COCO80[int(row[0])]],
                    "bbox": [row[1] * width - w / 2, row[2] * height - h / 2, w, h],
                    "area": w * h,
                    "iscrowd": 0,
                }
            )
    truth = COCO()
    categories = [{"id": number, "name": name} for name, number in CATEGORY_ID.items()]
    truth.dataset = {"images": images, "annotations": annotations, "categories": categories}
    truth.createIndex()
    return truth


def score(truth: COCO, model: str) -> tuple[float, float, int]:
    """(mAP50, mAP50-95, boxes) of one model."""
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder, "results.json")
        images = str(DATA / "data/coco/images")
        if code := zhiwang(
            ["detect", images, "--model", model, "--format", "coco", "--score", "0.01", "-o", str(results)]
        ):
            raise SystemExit(code)
        found = json.loads(results.read_text(encoding="utf-8"))
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(truth, truth.loadRes(found), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats[1], evaluation.stats[0], len(found)


def main() -> None:
    """One line a model."""
    if not (DATA / "data/coco").is_dir():
        raise SystemExit(f"{DATA}/data/coco is not there; name the data's folder in ZHIWANG_DATA")
    with contextlib.redirect_stdout(io.StringIO()):
        truth = ground_truth(DATA / "data/coco")
    print(f"{len(truth.imgs)} images, {len(truth.anns)} objects\n{'model':32} {'mAP50':>6} {'mAP':>6} {'boxes':>6}")
    for model in sys.argv[1:] or MODELS:
        at_50, overall, boxes = score(truth, model)
        print(f"{Path(model).name:32} {at_50:6.3f} {overall:6.3f} {boxes:6d}", flush=True)


if __name__ == "__main__":
    main()
