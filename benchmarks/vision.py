"""Images a second of the whole detection path beside the bare session on the same tensors, on 1 and 2 threads.

    python benchmarks/vision.py [MODEL…]      a manifest's name or an .onnx file; default: both

Whole path: letterbox or stretch, normalisation, inference, decoding, NMS; reading the picture is excluded. Bare:
`session.run` on the tensors that the same pictures became. The two run in turns; each figure is the median over the
pairs. Expected: a ratio of at least 0.90.

Then what a camera costs beside its inference: 1080p frames as a decoder gives them, through the board and back; CPU
of the thread for a look less that of the bare session on its tensor, in turns, ÷ the latter. Expected: at most 5 %.
"""

from __future__ import annotations

import os
import statistics
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar, cast

import av
import cv2
import numpy as np

from gateway.clock import WallClock
from gateway.config.model import DEFAULT_MODEL
from gateway.models import find
from gateway.vision import tiles
from gateway.vision.board import Board, Captured
from gateway.vision.boxes import fit_into
from gateway.vision.detector import Detector, manifest_of
from gateway.vision.heads import find_boxes
from gateway.vision.offline import Item, files_of, read
from gateway.vision.planes import planes_of, whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from gateway.config.manifest import Manifest
    from gateway.vision.engine_onnxruntime import OrtSession
    from gateway.vision.heads import Found

T = TypeVar("T")
DATA = Path(os.environ.get("ZHIWANG_DATA", Path(__file__).resolve().parents[2] / "shared"))
MODELS = (DEFAULT_MODEL, str(DATA / "models/yolox_nano.onnx"))
PICTURES = 16  # a turn: a fifth of a second on one core
ROUNDS = 12
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

        def all_of_it() -> None:
            for image in images:
                detector.detect([image])

        def bare() -> None:
            for tensor in tensors:
                session.run(None, {name: tensor})

        return all_of_it, bare

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


class Share(NamedTuple):
    """CPU ms of one look, medians: bare inference, then what is beside it, and of that what each step takes alone."""

    bare: float
    beside: float
    scaling: float
    tensor: float
    boxes: float
    handing: float


def frames() -> list[av.VideoFrame]:
    """1080p, 4:2:0, of the same pictures."""
    size = (1920, 1080)
    return [
        av.VideoFrame.from_ndarray(np.asarray(cv2.resize(image, size), np.uint8), "rgb24").reformat(format="yuv420p")
        for image in pictures()
    ]


def share(manifest: Manifest, shown: list[av.VideoFrame]) -> Share:
    """What a look at a 1080p frame takes beside the bare session, in this thread."""
    detector = Detector(manifest)
    engine, board = detector.engine, Board({"a": 1000.0}, 0, WallClock(), lambda: None)
    name, session = engine.session.signature.input_name, cast("OrtSession", engine.session).inference
    into = {"letterbox": manifest.letterbox, "pad": manifest.pad, "centred": manifest.centred}
    took: dict[str, list[float]] = {}

    def timed_ms(what: str, call: Callable[[], T]) -> T:
        began = time.thread_time()
        result = call()
        took.setdefault(what, []).append((time.thread_time() - began) * 1000)
        return result

    def hand_over(number: int, frame: av.VideoFrame, look: Callable[[], Found]) -> None:
        board.offer(Captured("a", number, number * 10**7, frame))
        board.done(board.take(), look())
        board.release(board.collect()[1])

    for number in range(len(shown) * ROUNDS):
        frame = shown[number % len(shown)]
        [found] = tiles.look(detector, [frame], [tiles.EVERYTHING])
        tensor = engine.tensor(1).copy()
        timed_ms("bare", lambda tensor=tensor: session.run(None, {name: tensor}))
        timed_ms(
            "whole",
            lambda n=number, f=frame: hand_over(2 * n, f, lambda: tiles.look(detector, [f], [tiles.EVERYTHING])[0]),
        )
        part = whole(planes_of(frame))
        fit = timed_ms("scaling", lambda part=part: fit_into(part, engine.batch[0], **into))
        timed_ms("tensor", lambda: engine.tensor(1))
        outputs = engine.infer(1)
        timed_ms("boxes", lambda outputs=outputs, fit=fit: find_boxes(outputs, 1, manifest, [fit]))
        timed_ms("handing", lambda n=number, f=frame, found=found: hand_over(2 * n + 1, f, lambda: found))
    beside = statistics.median(one - other for one, other in zip(took["whole"], took["bare"], strict=True))
    return Share(
        beside=beside,
        **{what: statistics.median(each) for what, each in took.items() if what != "whole"},
    )


def main() -> None:
    """One line a model and number of threads; then one a model."""
    images = pictures()
    print(f"{'model':28} {'threads':>7} {'whole/s':>8} {'bare/s':>8} {'ratio':>6}")
    for model in sys.argv[1:] or MODELS:
        manifest = manifest_of(Path(model)) if model.endswith(".onnx") else find(model)
        for threads in (1, 2):
            rate, bare, ratio = compare(manifest, threads, images)
            print(f"{manifest.name:28} {threads:7d} {rate:8.1f} {bare:8.1f} {ratio:6.3f}", flush=True)
    print(f"\n{'1080p, CPU ms a look':28} {'bare':>6} {'beside':>6} {'share':>6}   of that, alone")
    shown = frames()
    for model in sys.argv[1:] or MODELS:
        manifest = manifest_of(Path(model)) if model.endswith(".onnx") else find(model)
        got = share(manifest, shown)
        steps = (
            f"scaling {got.scaling:.2f}, tensor {got.tensor:.2f}, boxes {got.boxes:.2f}, handing over {got.handing:.2f}"
        )
        print(
            f"{manifest.name:28} {got.bare:6.2f} {got.beside:6.2f} {got.beside / got.bare:6.1%}   {steps}", flush=True
        )


if __name__ == "__main__":
    main()
