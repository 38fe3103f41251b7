"""How well people who cross lines are counted: the 12 lines of PETS2009-S2L1 at 10, 5 and 2 frames a second.

    python benchmarks/lines.py [FOUND.jsonl]    detections of `zhiwang detect … --score 0.1`; default: YOLOX-nano's

Counted by the core that a gateway runs, with one setting for all rates; the truth is that of the ground truth's tracks.
Where the packages are installed (pip install supervision trackers==2.6.1; they are no dependencies of ours), the same
boxes are counted by supervision's LineZone on each of their trackers, as they come.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from track import CLIP, DATA, MODEL, PEERS, RATES, people

from gateway.cli import main as zhiwang
from gateway.config.model import Camera
from gateway.core.looks import Looks
from gateway.core.plan import CameraPlan, Plan
from gateway.core.state import State
from gateway.events import Looked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gateway.events import Detections

LINES = Path(os.environ.get("ZHIWANG_LINES", DATA / "data/video/pets2009-lines.json"))
WANTED = {10: 5.0, 5: 5.0, 2: 15.0}
"""At most so many per cent."""
SIZE = 768, 576


def plan_of(lines: dict[str, Any]) -> Plan:
    """A gateway with one camera that has these lines."""
    points = {
        name: tuple((x / SIZE[0], y / SIZE[1]) for x, y in (line["a"], line["b"])) for name, line in lines.items()
    }
    camera = Camera(detect="a.mp4", lines=points)
    plan = CameraPlan("a", camera, ("person",), 0.4, "")
    return Plan("g", "UTC", "", None, None, None, (), (plan,), ())  # type: ignore[arg-type]  nobody commands it


def ours(lines: dict[str, Any], looks: Sequence[Detections]) -> NDArray[np.int64]:
    """(to the right, to the left) of each line."""
    eyes, out = Looks(plan_of(lines), State()), np.zeros((len(lines), 2), np.int64)
    before = looks[0].event_ns
    for seen in looks:
        for place, crossings in enumerate(eyes.take(seen).lines.values()):
            for crossing in crossings:
                out[place, int(crossing.way < 0)] += 1
        eyes.looked(Looked("a", before, seen.event_ns, "analysed"))
        before = seen.event_ns
    return out


def theirs(name: str, rate: float, lines: dict[str, Any], looks: Sequence[Detections]) -> NDArray[np.int64]:
    """The same by supervision's LineZone on one of their trackers: the better of its two ways round."""
    sv, module = importlib.import_module("supervision"), importlib.import_module("trackers")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tracker = getattr(module, f"{name}Tracker")(frame_rate=rate, **PEERS[name])
        anchors = [sv.Position.BOTTOM_CENTER]
        zones = [
            sv.LineZone(sv.Point(*line["a"]), sv.Point(*line["b"]), triggering_anchors=anchors)
            for line in lines.values()
        ]
        for seen in looks:
            boxes = sv.Detections(xyxy=seen.xyxy, confidence=seen.score, class_id=seen.label.astype(int))
            came = tracker.update(boxes)
            came = came[came.tracker_id >= 0] if came.tracker_id is not None else came[:0]
            for zone in zones:
                zone.trigger(came)
    both = np.array([[zone.in_count, zone.out_count] for zone in zones], np.int64)
    truth = truth_of(lines)
    return min((both, both[:, ::-1]), key=lambda one: int(np.abs(one - truth).sum()))


def truth_of(lines: dict[str, Any]) -> NDArray[np.int64]:
    """What the ground truth's tracks crossed."""
    return np.array([[line["to_right"], line["to_left"]] for line in lines.values()], np.int64)


def report(found: Path) -> None:
    """The table."""
    lines: dict[str, Any] = json.loads(LINES.read_text())["lines"]
    truth, every = truth_of(lines), people(found)
    peers = PEERS if importlib.util.find_spec("trackers") and importlib.util.find_spec("supervision") else {}
    print(
        f"{len(lines)} lines, {truth.sum()} crossings\n{'fps':>4} {'counted by':32} {'errors':>6} {'%':>6} {'net':>5}"
    )
    for rate, step in RATES.items():
        looks = every[::step]
        mine = ours(lines, looks)
        said = "met" if 100 * np.abs(mine - truth).sum() / truth.sum() <= WANTED[rate] else "missed"
        beside = {f"LineZone on trackers' {name}": theirs(name, rate, lines, looks) for name in peers}
        for name, got in {"ours": mine, **beside}.items():
            errors = int(np.abs(got - truth).sum())
            more = f"wanted {WANTED[rate]:g}: {said}" if name == "ours" else ""
            print(f"{rate:4d} {name:32} {errors:6d} {100 * errors / truth.sum():6.1f} {(got - truth).sum():+5d} {more}")
    if not peers:
        print("     supervision and trackers are not installed: no peers (pip install supervision trackers==2.6.1)")


def main() -> None:
    """Detect, if need be, and count."""
    if not CLIP.exists() or not LINES.exists():
        print(f"{CLIP} or {LINES} is not there: set ZHIWANG_DATA to the folder with data/video and models")
        return
    with tempfile.TemporaryDirectory() as folder:
        found = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(folder) / "found.jsonl"
        if len(sys.argv) < 2:
            words = ["detect", str(CLIP), "--model", str(MODEL), "--score", "0.1", "--format", "jsonl"]
            assert zhiwang([*words, "-o", str(found)]) == 0
        report(found)


if __name__ == "__main__":
    main()
