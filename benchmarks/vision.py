"""Images a second of the whole detection path beside the bare session on the same tensors, on 1 and 2 threads.

    python benchmarks/vision.py [MODEL…]      a manifest's name or an .onnx file; default: both

Whole path: letterbox or stretch, normalisation, inference, decoding, NMS; reading the picture is excluded. Bare:
`session.run` on the tensors that the same pictures became. The two run in turns; each figure is the median over the
pairs. Expected: a ratio of at least 0.90.
"""

from __future__ import annotations

import os
import statistics
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from gateway.config.model import DEFAULT_MODEL
from gateway.models import find
from gateway.vision.detector import Detector, manifest_of
from gateway.vision.offline import Item, files_of, read

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from gateway.config.manifest import Manifest
    from gateway.vision.engine_onnxruntime import OrtSession

DATA = Path(os.environ.get("ZHIWANG_DATA", Path(__file__).resolve().parents[2] / "shared"))
MODELS = (DEFAULT_MODEL, str(DATA / "models/yolox_nano.onnx"))
PICTURES = 16  # a turn: a fifth of a second on one core
PAIRS = 31  # many short ones: what else the machine does falls on few of them


def pictures() -> list[NDArray[np.uint8]]:
    """COCO's pictures where they are, else noise of the same size."""
    found = [item.picture for item in read(files_of([DATA / "data/coco/images"])) if isinstance(item, Item)]
    rng = np.random.default_rng(0)
    return found[:PICTURES] or [rng.integers(0, 256, (480, 640, 3), np.uint8) for _ in range(PICTURES)]


def timed(work: list[Callable[[], None]]) -> float:
    """Seconds until all have run, each in a thread of its own."""
    start = threading.Barrier(len(work) + 1)

    def run(call: Callable[[], None]) -> None:
        start.wait()
        call()

    threads = [threading.Thread(target=run, args=(call,)) for call in work]
    for thread in threads:
        thread.start()
    start.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    return time.perf_counter() - began


def compare(manifest: Manifest, threads: int, images: list[NDArray[np.uint8]]) -> tuple[float, float, float]:
    """(images/s of the whole path, images/s bare, median ratio) of one model."""

    def both() -> tuple[Callable[[], None], Callable[[], None]]:
        detector = Detector(manifest)
        engine = detector.engine
        tensors = []
        for image in images:
            detector.detect([image])
            tensors.append(engine.tensor(1).copy())
        name, session = engine.session.signature.input_name, cast("OrtSession", engine.session).inference

        def whole() -> None:
            for image in images:
                detector.detect([image])

        def bare() -> None:
            for tensor in tensors:
                session.run(None, {name: tensor})

        return whole, bare

    wholes, bares = zip(*(both() for _ in range(threads)), strict=True)
    count = len(images) * threads
    pairs = []
    for turn in range(PAIRS):
        if turn % 2:
            bare = timed(list(bares))
            whole = timed(list(wholes))
        else:
            whole = timed(list(wholes))
            bare = timed(list(bares))
        pairs.append((count / whole, count / bare, bare / whole))
    whole_rate, bare_rate, ratio = (statistics.median(column) for column in zip(*pairs, strict=True))
    return whole_rate, bare_rate, ratio


def main() -> None:
    """One line a model and number of threads."""
    images = pictures()
    print(f"{'model':28} {'threads':>7} {'whole/s':>8} {'bare/s':>8} {'ratio':>6}")
    for model in sys.argv[1:] or MODELS:
        manifest = manifest_of(Path(model)) if model.endswith(".onnx") else find(model)
        for threads in (1, 2):
            whole, bare, ratio = compare(manifest, threads, images)
            print(f"{manifest.name:28} {threads:7d} {whole:8.1f} {bare:8.1f} {ratio:6.3f}", flush=True)


if __name__ == "__main__":
    main()
