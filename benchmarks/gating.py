"""What it costs to watch, decoding included: beside a plain loop, on a busy clip, a quiet street, and asleep.

    python benchmarks/gating.py PYTHON [ROUNDS]

PYTHON is one that has supervision and onnxruntime (python -m venv …; pip install supervision onnxruntime): the plain
loop runs there (parts/plain_loop.py). Ours is vision with the core's tracker, as fast as frames are taken. All look
with YOLOX-nano for people; ours with an input of the clip's shape (`zhiwang models fit`), the loop with the model as it
came. CPU seconds are of the whole process, loop and ours in turns. Recall is over people's boxes of the ground truth
(IoU 0.5) in every frame: where nobody looked, where the tracks stand then. The quiet street (parts/quiet.py) is scored
in the fifth of its time in which things move, each time after a stillness. The price of gating is the recall of "gated"
beside that of "every frame". Asleep: a street in which nothing moves but noise, at 25 frames/s, with a look every 3 s.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a file

import av
import cv2
import numpy as np
from parts.mot import overlap, read_mot
from parts.quiet import quiet
from scipy.optimize import linear_sum_assignment

from gateway.clock import WallClock
from gateway.config.model import Camera, Motion
from gateway.config.scalars import Duration
from gateway.core.state import State
from gateway.core.track import Tracker
from gateway.events import Detections, Health, Looked
from gateway.models.fit import Size, fit, fitting
from gateway.vision.detector import manifest_of
from gateway.vision.vision import Vision
from tests.vision.scenes import noisy, street

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from gateway.config.manifest import Manifest
    from gateway.events import Input

NS = 1_000_000_000
START = 1_700_000_000 * NS
DATA = Path(os.environ.get("ZHIWANG_DATA", Path(__file__).resolve().parents[2] / "shared"))
CLIP = DATA / "data/video/pets2009-s2l1.avi"
TRUTH = DATA / "data/video/pets2009-s2l1.gt.txt"
MODEL = DATA / "models/yolox_nano.onnx"
PLAIN = Path(__file__).with_name("parts") / "plain_loop.py"
FPS, ROUNDS, IOU, SCORE = 10, 3, 0.5, 0.4
ASLEEP_S, ASLEEP_FPS = 40, 25
SIZES = {"720p": (1280, 720), "1080p": (1920, 1080)}
AWAKE = Motion(sleep=Duration(0))
Gate = Motion | Literal["off"]


class Try(NamedTuple):
    """One way of watching: a gate, a look at every so manieth frame at most, an input of the clip's shape or not."""

    motion: Gate
    every: int = 1
    square: bool = False


class Came(NamedTuple):
    """A run: its CPU seconds, each frame's boxes float[n, 4] (left, top, width, height), looks, frames not decoded."""

    cpu_s: float
    boxes: list[NDArray[np.float64]]
    looks: int = 0
    asleep: int = 0


class Door:
    """Tracks people as the core does, as inputs come."""

    def __init__(self, manifest: Manifest, every: int) -> None:
        self._every = every
        self.ended = asyncio.Event()
        self.looks: list[Detections] = []
        self.blind_s = 0.0
        self._person = manifest.labels.index("person")
        self._tracker = Tracker("a", ("person",), State())
        self._shown: dict[int, NDArray[np.float64]] = {}

    async def commit(self, batch: Sequence[Input]) -> None:
        """Everything at once."""
        for got in batch:
            if isinstance(got, Detections):
                self._see(got)
            elif isinstance(got, Looked) and got.why not in {"analysed", "still"} and not self.ended.is_set():
                self.blind_s += (got.to_ns - got.from_ns) / NS
            elif isinstance(got, Health) and got.condition == "ended" and not got.ok:
                self.ended.set()

    def shown(self, frames: int) -> list[NDArray[np.float64]]:
        """What it said of each frame at that frame's time."""
        self._carry(frames)
        return [self._shown.get(frame, np.zeros((0, 4))) for frame in range(frames)]

    def _see(self, got: Detections) -> None:
        frame = _frame(got.event_ns)
        self._carry(frame)
        people = got.label == self._person
        only = Detections(
            got.camera, got.frame, got.event_ns, got.width_px, got.height_px,
            got.xyxy[people], got.score[people], np.zeros(int(people.sum()), np.int16),
        )  # fmt: skip
        self._tracker.step(only)
        self._shown[frame] = _xywh(only.xyxy[only.score >= SCORE])
        self.looks.append(only)

    def _carry(self, until: int) -> None:
        """Of the frames since the last look, where those found by it stand: still, where nothing had moved."""
        if not self.looks:
            return
        last = self.looks[-1]
        first = _frame(last.event_ns)
        for frame in range(first + 1, until):
            if until - first > self._every:  # a gate was shut: nothing moved
                self._shown[frame] = self._shown[first]
                continue
            standing = self._tracker.standing(START + frame * NS // FPS)
            here = (standing.seen_ns == last.event_ns) & (standing.score >= SCORE)
            self._shown[frame] = _xywh(standing.xyxy[here | (standing.believed & (standing.score >= SCORE))])


def _frame(event_ns: int) -> int:
    return round((event_ns - START) * FPS / NS)


def _xywh(xyxy: NDArray[np.floating]) -> NDArray[np.float64]:
    box = xyxy.astype(np.float64)
    return np.concatenate([box[:, :2], box[:, 2:] - box[:, :2]], axis=1)


def ours(video: Path, frames: int, tried: Try, model: Path, fps: float = FPS) -> Came:
    """Vision and tracks over a file, as fast as it goes."""
    manifest = manifest_of(MODEL if tried.square else model)
    motion, every = tried.motion, tried.every

    async def run() -> Came:
        camera = Camera(detect=str(video), rate=fps / every, motion=motion)
        nth = every if motion == "off" else 1  # a gate sees to the rate itself, from the frame on that woke it
        vision = Vision(
            {"a": camera},
            {"a": manifest},
            Path(),
            WallClock(),
            1,
            every_nth=nth,
            start_ns=START,
            paced=False,
            gated=True,
        )
        door = Door(manifest, every)
        began = time.process_time()
        task = asyncio.get_running_loop().create_task(vision.run(door.commit))
        await door.ended.wait()
        shown = door.shown(frames)
        took_s = time.process_time() - began
        stats = vision.camera_stats()["a"]
        task.cancel()
        await asyncio.wait([task])
        return Came(took_s, shown, int(stats["analysed"]), int(stats["asleep"]))

    return asyncio.run(run())


def fitted(to: Path) -> Path:
    """The model for pictures of the clip's shape, as `zhiwang models fit` makes it."""
    own = manifest_of(MODEL)
    with av.open(str(CLIP)) as clip:
        shown = clip.streams.video[0]
        to.write_bytes(fit(own, fitting(own, Size(shown.width, shown.height))))
    return to


def plain(python: str, video: Path) -> Came:
    """The loop, in its own environment."""
    with tempfile.NamedTemporaryFile("r", suffix=".jsonl") as out:
        command = [python, str(PLAIN), str(video), str(MODEL), out.name]
        said = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout
        lines = Path(out.name).read_text(encoding="utf-8").splitlines()
    boxes = [_xywh(np.array(json.loads(line), np.float64).reshape(-1, 4)) for line in lines]
    return Came(json.loads(said)["cpu_s"], boxes, len(boxes))


def recall(came: Came, order: Sequence[int], frames: Sequence[int]) -> tuple[float, float]:
    """(recall, precision) in these frames; `order`: which frame of the clip each one shows."""
    hits = real = said = 0
    truth = read_mot(TRUTH)
    for frame in frames:
        there, found = truth[order[frame] + 1].xywh, came.boxes[frame]
        real, said = real + len(there), said + len(found)
        if len(found):
            iou = overlap(there, found)
            rows, columns = linear_sum_assignment(-iou)
            hits += int((iou[rows, columns] >= IOU).sum())
    return hits / real, hits / max(said, 1)


def rows(
    rounds: int,
    python: str,
    video: Path,
    order: Sequence[int],
    scored: Sequence[int],
    tries: dict[str, Try],
    model: Path,
    wanted: Mapping[str, float],
) -> None:
    """The loop and ours in turns: CPU, looks, recall, ratio."""
    loops: list[Came] = []
    mine: dict[str, list[Came]] = {name: [] for name in tries}
    for _ in range(rounds):
        loops.append(plain(python, video))
        for name, tried in tries.items():
            mine[name].append(ours(video, len(order), tried, model))
    cpu_s = statistics.median(loop.cpu_s for loop in loops)
    found, sure = recall(loops[0], order, scored)
    print(f"  {'plain loop':34} {cpu_s:6.2f} s {len(order):5d} looks  recall {found:.3f} precision {sure:.3f}")
    for name, came in mine.items():
        got, right = recall(came[0], order, scored)
        ratio = statistics.median(loop.cpu_s / one.cpu_s for loop, one in zip(loops, came, strict=True))
        line = f"  {name:34} {statistics.median(one.cpu_s for one in came):6.2f} s {came[0].looks:5d} looks  "
        line += f"recall {got:.3f} precision {right:.3f}  {ratio:5.2f} times cheaper"
        if name in wanted:
            met = ratio >= wanted[name] and got >= found - 0.02
            line += f", wanted {wanted[name]:g} at recall ≥ {found - 0.02:.3f}: {'met' if met else 'missed'}"
        print(line + (f"  ({came[0].asleep} frames not decoded)" if came[0].asleep else ""), flush=True)


def still(to: Path, size: tuple[int, int]) -> Path:
    """A street in which nothing moves, as a camera sends it: H.264, a key frame every 2 s, 4 Mbit/s at 1080p."""
    rng = np.random.default_rng(2)
    picture = np.asarray(cv2.resize(street(), size), np.float32)
    with av.open(str(to), "w") as container:
        rate = {"b": str(round(4e6 * size[0] * size[1] / (1920 * 1080))), "preset": "superfast", "bf": "0"}
        stream = container.add_stream("libx264", rate=ASLEEP_FPS, options=rate)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = *size, "yuv420p", 2 * ASLEEP_FPS
        for _ in range(ASLEEP_S * ASLEEP_FPS):
            frame = av.VideoFrame.from_ndarray(noisy(picture, 2, rng), "gray")
            container.mux(stream.encode(frame.reformat(format="yuv420p")))
        container.mux(stream.encode())
    return to


def asleep(folder: Path) -> None:
    """CPU seconds a minute of one camera: every frame decoded and 5 looks a second, gated, asleep."""
    for name, size in SIZES.items():
        video = still(folder / f"{name}.mp4", size)
        cells = []
        gates: tuple[Gate, ...] = ("off", AWAKE, Motion())
        for motion in gates:
            came = ours(video, 0, Try(motion, 5), MODEL, ASLEEP_FPS)
            cells.append(f"{came.cpu_s * 60 / ASLEEP_S:6.2f} s ({came.looks} looks, {came.asleep} not decoded)")
        print(f"  {name:6} ungated {cells[0]}, gated {cells[1]}, with sleep {cells[2]}", flush=True)


def main() -> None:
    """All of it."""
    if not CLIP.exists():
        print(f"{CLIP} is not there: set ZHIWANG_DATA to the folder with data/video and models")
        return
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    print("load", *(f"{one:.1f}" for one in os.getloadavg()), "cores", os.cpu_count())
    python, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else ROUNDS
    with tempfile.TemporaryDirectory() as folder:
        order = list(range(len(read_mot(TRUTH))))
        print("busy clip (PETS2009 S2L1), scored in every frame")
        busy = {
            "every frame": Try("off"), "every frame, gated": Try(Motion()),
            "every frame, the model as it came": Try("off", square=True),
            "every 2nd, tracks between": Try("off", 2), "every 2nd, gated": Try(Motion(), 2),
            "every 3rd, tracks between": Try("off", 3), "every 3rd, gated": Try(Motion(), 3),
        }  # fmt: skip
        model = fitted(Path(folder) / "fitted.onnx")
        wanted = {"every frame": 2.5, "every 2nd, gated": 4, "every 3rd, gated": 4}
        rows(rounds, python, CLIP, order, order, busy, model, wanted)
        street_ = Path(folder) / "quiet.mp4"
        order = quiet(CLIP, street_)
        moving = [frame for frame, source in enumerate(order) if frame == source]
        print(f"quiet street, scored in the {len(moving)} frames in which something moves")
        calm = {
            "every frame": Try("off"), "gated": Try(AWAKE), "gated, with sleep": Try(Motion()),
            "every 2nd, with sleep": Try(Motion(), 2), "every 3rd, with sleep": Try(Motion(), 3),
        }  # fmt: skip
        wanted = {"every 2nd, with sleep": 10, "every 3rd, with sleep": 10}
        rows(rounds, python, street_, order, moving, calm, model, wanted)
        print(f"one camera in which nothing moves, {ASLEEP_FPS} frames/s: CPU a minute")
        asleep(Path(folder))


if __name__ == "__main__":
    main()
