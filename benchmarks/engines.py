"""What each engine and precision sees and costs: mAP on COCO, boxes beside onnxruntime's, CPU-s for 1,000 pictures.

    python benchmarks/engines.py [MODEL…]      a manifest's name or an .onnx file; default: these three

On $ZHIWANG_DATA/data/coco (64 images), with the boxes that enter the door (score 0.1 and above). CPU is that of all the
process's threads over the whole path, best of three rounds in turns. An engine that is not here is left out, with the
reason.
"""

from __future__ import annotations

import contextlib
import io
import resource
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from coco import CATEGORY_ID, DATA, MODELS, COCOeval, ground_truth

from gateway.models import find
from gateway.vision.boxes import overlaps
from gateway.vision.detector import Detector, manifest_of
from gateway.vision.engine_bench import ENGINES
from gateway.vision.offline import Item, files_of, read

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pycocotools.coco import COCO

    from gateway.config.box import VisionConfig
    from gateway.config.manifest import Manifest
    from gateway.vision.heads import Found

ROUNDS = 3
SAME = 0.9  # IoU


def main() -> None:
    """One row a model and engine."""
    items = [item for item in read(files_of([DATA / "data/coco/images"])) if isinstance(item, Item)]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = ground_truth(DATA / "data/coco")
    print(f"{'model':26} {'engine':15} {'CPU-s/1,000':>11} {'mAP':>6} {'mAP50':>6}   believed boxes found again")
    for model in sys.argv[1:] or MODELS:
        compare(manifest_of(Path(model)) if model.endswith(".onnx") else find(model), items, truth)


def compare(manifest: Manifest, items: Sequence[Item], truth: COCO) -> None:
    """The rows of one model."""
    detectors: list[tuple[VisionConfig, Detector]] = []
    for vision in ENGINES:
        detector = Detector(manifest, vision=vision)
        if detector.engine.falls:
            print(f"{manifest.name:26} {vision.engine:15} not here: {detector.engine.falls[0].why}")
        else:
            detectors.append((vision, detector))
    seen: list[list[Found]] = []
    costs: list[list[float]] = []
    for _ in range(ROUNDS):
        rounds = [looked(detector, items) for _, detector in detectors]
        seen = [found for found, _ in rounds]
        costs.append([cpu_s for _, cpu_s in rounds])
    for (vision, _), found, cpu_s in zip(detectors, seen, np.array(costs).min(axis=0), strict=True):
        named = vision.engine + ("" if vision.precision == "auto" else f" {vision.precision}")
        score, score50 = precision(manifest, items, found, truth)
        again, believed = agreement(seen[0], found, manifest.score)
        cost = 1000 * cpu_s / len(items)
        print(
            f"{manifest.name:26} {named:15} {cost:11.2f} {score:6.3f} {score50:6.3f}   {again} of {believed}",
            flush=True,
        )


def looked(detector: Detector, items: Sequence[Item]) -> tuple[list[Found], float]:
    """What was found in each picture, and the CPU that it took."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    found = [detector.detect([item.picture])[0] for item in items]
    after = resource.getrusage(resource.RUSAGE_SELF)
    return found, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def precision(manifest: Manifest, items: Sequence[Item], found: Sequence[Found], truth: COCO) -> tuple[float, float]:
    """(mAP, mAP50)."""
    results = [
        {
            "image_id": int(item.path.stem),
            "category_id": CATEGORY_ID[manifest.labels[label]],
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "score": score,
        }
        for item, boxes in zip(items, found, strict=True)
        for (x1, y1, x2, y2), score, label in zip(
            boxes.xyxy.tolist(), boxes.score.tolist(), boxes.label.tolist(), strict=True
        )
        if manifest.labels[label]
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        judged = COCOeval(truth, truth.loadRes(results), "bbox")
        judged.evaluate()
        judged.accumulate()
        judged.summarize()
    return float(judged.stats[0]), float(judged.stats[1])


def agreement(ours: Sequence[Found], theirs: Sequence[Found], least: float) -> tuple[int, int]:
    """How many of our boxes at or above a score are among theirs (label and place), and how many those are."""
    again = believed = 0
    for a, b in zip(ours, theirs, strict=True):
        sure = a.score >= least
        both = overlaps(np.concatenate([a.xyxy[sure], b.xyxy]), SAME)[: sure.sum(), sure.sum() :]
        again += int((both & (a.label[sure][:, None] == b.label)).any(axis=1).sum())
        believed += int(sure.sum())
    return again, believed


if __name__ == "__main__":
    main()
