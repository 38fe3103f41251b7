"""How well and how cheaply tracks are kept: PETS2009-S2L1 at 10, 5 and 2 frames a second, and crowds of 6 to 100.

    python benchmarks/track.py [FOUND.jsonl]    detections of `zhiwang detect … --score 0.1`; default: YOLOX-nano's

All trackers get the same boxes of people in the same run: ours as the core sees it (online), as `zhiwang track` writes
it (from each track's first box on), SORT in a plain loop, and those of the package `trackers` (pip install
trackers==2.6.1) where that is installed: it is no dependency of ours. Scores are CLEAR's and the identities', IoU 0.5.
"""

from __future__ import annotations

import importlib
import importlib.util
import io
import os
import random
import statistics
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from parts.mot import Boxes, Score, read_mot, score
from parts.sort import Sort

from gateway.cli import main as zhiwang
from gateway.cli.track_files import TrackLines, detections_in, labels_of
from gateway.core.state import State
from gateway.core.track import Tracker
from gateway.events import Detections

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

DATA = Path(os.environ.get("ZHIWANG_DATA", Path(__file__).resolve().parents[2] / "shared"))
CLIP = DATA / "data/video/pets2009-s2l1.avi"
TRUTH = DATA / "data/video/pets2009-s2l1.gt.txt"
MODEL = DATA / "models/yolox_nano.onnx"
RATES = {10: 1, 5: 2, 2: 5}
PEERS = {"SORT": {}, "ByteTrack": {}, "OCSORT": {}, "BoTSORT": {"enable_cmc": False}}
MORE = {10: (0.03, 0.05), 5: (0.03, 0.05), 2: (0.10, 0.10)}
"""What is wanted over the best peer: MOTA and IDF1."""
CHEAP = 0.4
CROWDS, LOOKS, ROUNDS = (6, 20, 50, 100), 150, 5


class Peer(Protocol):
    """One tracker: boxes of a look in, an id for each of them out (0: none)."""

    def step(self, seen: Detections) -> np.ndarray:
        """The next look."""
        ...


class Ours:
    """Ours, online: only what is believed at the time."""

    def __init__(self) -> None:
        self.state = State()
        self._tracker = Tracker("a", ("person",), self.state)

    def step(self, seen: Detections) -> np.ndarray:
        """The next look."""
        tracked = self._tracker.step(seen)
        return np.where(tracked.believed, tracked.id, 0)


class Plain:
    """SORT in a loop, over the boxes at the manifest's score: it has no use for lower ones."""

    def __init__(self) -> None:
        self._sort = Sort()

    def step(self, seen: Detections) -> np.ndarray:
        """The next look."""
        ids, sure = np.zeros(len(seen.score), np.int64), np.flatnonzero(seen.score >= 0.4)
        xywh = xywh_of(seen)[sure]
        for box, one in self._sort.step(xywh):
            ids[sure[box]] = one
        return ids


class Theirs:
    """One of the package `trackers`, as it comes, told the rate."""

    def __init__(self, name: str, rate: float) -> None:
        module = importlib.import_module("trackers")
        self._boxes = importlib.import_module("supervision").Detections
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what will change in their next versions
            self._tracker = getattr(module, f"{name}Tracker")(frame_rate=rate, **PEERS[name])

    def step(self, seen: Detections) -> np.ndarray:
        """The next look; their boxes keep their order, and where not, are found again by their numbers."""
        ids = np.zeros(len(seen.score), np.int64)
        place = np.arange(len(ids))
        boxes = self._boxes(xyxy=seen.xyxy, confidence=seen.score, class_id=seen.label.astype(int))
        boxes.data["place"] = place
        came = self._tracker.update(boxes)
        if came.tracker_id is not None and len(came):
            ids[came.data["place"]] = np.maximum(came.tracker_id, -1) + 1
        return ids


class Came(NamedTuple):
    """What a tracker came to at one rate."""

    score: Score
    us: float


def xywh_of(seen: Detections) -> np.ndarray:
    """Left, top, width, height."""
    box = seen.xyxy.astype(np.float64)
    return np.concatenate([box[:, :2], box[:, 2:] - box[:, :2]], axis=1)


def peers(rate: float) -> dict[str, Callable[[], Peer]]:
    """Those of the package that can be loaded."""
    if importlib.util.find_spec("trackers") is None:
        return {}
    return {f"trackers {name}": (lambda name=name: Theirs(name, rate)) for name in PEERS}


def timed(make: Callable[[], Peer], looks: Sequence[Detections]) -> tuple[list[np.ndarray], float]:
    """(ids of each look, µs of CPU a look)."""
    peer = make()
    began = time.process_time()
    out = [peer.step(seen) for seen in looks]
    return out, (time.process_time() - began) / len(looks) * 1e6


def scored(ids: Sequence[np.ndarray], looks: Sequence[Detections], truth: dict[int, Boxes]) -> Score:
    """Against the ground truth of these frames."""
    found = {seen.frame: Boxes(one[one > 0], xywh_of(seen)[one > 0]) for seen, one in zip(looks, ids, strict=True)}
    return score(truth, found, [seen.frame for seen in looks])


def as_written(looks: Sequence[Detections], truth: dict[int, Boxes]) -> Score:
    """What `zhiwang track` writes."""
    out, tracker = io.StringIO(), Tracker("a", ("person",), State())
    lines = TrackLines(out)
    for seen in looks:
        lines.write(seen, tracker.step(seen))
    lines.close()
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(out.getvalue())
        file.flush()
        return score(truth, read_mot(Path(file.name)), [seen.frame for seen in looks])


def people(found: Path) -> list[Detections]:
    """The boxes of people in a file of JSON lines."""
    labels, _ = labels_of(found)
    person = labels.index("person")
    looks = []
    for seen in detections_in(found, labels):
        mine = seen.label == person
        arrays = seen.xyxy[mine], seen.score[mine], np.zeros(int(mine.sum()), np.int16)
        looks.append(Detections("a", seen.frame, seen.event_ns, seen.width_px, seen.height_px, *arrays))
    return looks


def quality(found: Path) -> None:
    """The table of PETS2009-S2L1."""
    truth, every = read_mot(TRUTH), people(found)
    print(f"{'fps':>4} {'tracker':22} {'MOTA':>6} {'IDF1':>6} {'switches':>8} {'FP':>5} {'FN':>5} {'us/frame':>8}")
    for rate, step in RATES.items():
        looks = every[::step]
        came: dict[str, Came] = {}
        for name, make in {"ours, online": Ours, "SORT, plain loop": Plain, **peers(rate)}.items():
            ids, us = timed(make, looks)
            came[name] = Came(scored(ids, looks, truth), us)
        came["ours, as written"] = Came(as_written(looks, truth), float("nan"))
        for name, (got, us) in sorted(came.items()):
            line = f"{got.mota:6.3f} {got.idf1:6.3f} {got.switches:8d} {got.false_positives:5d} {got.misses:5d}"
            print(f"{rate:4d} {name:22} {line} {us:8.0f}")
        theirs = [one for name, one in came.items() if name.startswith("trackers")]
        if theirs:
            mota, idf1 = (max(getattr(one.score, what) for one in theirs) for what in ("mota", "idf1"))
            mine = came["ours, online"].score
            said = [
                f"{what} {got:.3f}, wanted {best + more:.3f} ({'met' if got >= best + more else 'missed'})"
                for what, got, best, more in zip(
                    ("MOTA", "IDF1"), (mine.mota, mine.idf1), (mota, idf1), MORE[rate], strict=True
                )
            ]
            print(f"     ours beside the best of each: {'; '.join(said)}")
    if not peers(10):
        print("     the package `trackers` is not installed: no peers (pip install trackers==2.6.1)")


def crowd(people_: int) -> list[Detections]:
    """People on a square, who walk about and are missed one time in ten."""
    dice = random.Random(people_)
    there = [
        [dice.uniform(0, 1900), dice.uniform(100, 1000), dice.gauss(0, 60), dice.gauss(0, 30)] for _ in range(people_)
    ]
    looks = []
    for frame in range(1, LOOKS + 1):
        rows = []
        for one in there:
            one[0], one[1] = (one[0] + one[2] / 10) % 1900, (one[1] + one[3] / 10) % 1000
            if dice.random() < 0.9:
                x, y = one[0] + dice.gauss(0, 1), one[1] + dice.gauss(0, 1)
                rows.append([x - 15, y - 70, x + 15, y, dice.choice((0.9, 0.8, 0.5, 0.3))])
        boxes = np.array(rows, np.float32)
        label = np.zeros(len(rows), np.int16)
        looks.append(Detections("a", frame, frame * 10**8, 1920, 1080, boxes[:, :4].copy(), boxes[:, 4].copy(), label))
    return looks


def cost() -> None:
    """The table of crowds: medians of rounds in turns."""
    print(
        f"\n{'people':>6} {'ours us':>8} {'plain us':>8} {'cheapest of trackers':>26} {'ours ÷ it':>9}   state a look"
    )
    for number in CROWDS:
        looks = crowd(number)
        makers: dict[str, Callable[[], Peer]] = {"ours": Ours, "plain": Plain, **peers(10)}
        took: dict[str, list[float]] = {name: [] for name in makers}
        for _ in range(ROUNDS):
            for name, make in makers.items():
                took[name].append(timed(make, looks)[1])
        us = {name: statistics.median(all_) for name, all_ in took.items()}
        theirs = {name: one for name, one in us.items() if name.startswith("trackers")}
        best = min(theirs, key=lambda name: theirs[name]) if theirs else ""
        beside = f"{best} {theirs[best]:.0f} us" if best else "not installed"
        ratio = us["ours"] / theirs[best] if best else float("nan")
        judged = f"wanted {CHEAP}: {'met' if ratio <= CHEAP else 'missed'}" if best else ""
        print(f"{number:6d} {us['ours']:8.0f} {us['plain']:8.0f} {beside:>26} {ratio:9.2f}   {kept(looks)} B {judged}")


def kept(looks: Sequence[Detections]) -> int:
    """Bytes of state that change with a look."""
    ours, sizes = Ours(), []
    for seen in looks:
        ours.step(seen)
        sizes.append(len(ours.state.delta()))
    return int(statistics.median(sizes))


def main() -> None:
    """Both tables."""
    if not CLIP.exists():
        print(f"{CLIP} is not there: set ZHIWANG_DATA to the folder with data/video and models")
        return
    print("load", *(f"{one:.1f}" for one in os.getloadavg()))
    with tempfile.TemporaryDirectory() as folder:
        found = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(folder) / "found.jsonl"
        if len(sys.argv) < 2:
            words = [
                "detect",
                str(CLIP),
                "--model",
                str(MODEL),
                "--score",
                "0.1",
                "--format",
                "jsonl",
                "-o",
                str(found),
            ]
            assert zhiwang(words) == 0
        quality(found)
    cost()


if __name__ == "__main__":
    main()
