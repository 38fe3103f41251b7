"""The verb `track`: who is who in a video, offline."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from msgspec import structs
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from gateway.cli.detect import manifest_named
from gateway.cli.track_files import TrackLines, detections_in, labels_of
from gateway.cli.typed import positive, typed
from gateway.cli.whole import opened
from gateway.cli.words import told
from gateway.config.model import DEFAULT_MODEL
from gateway.config.names import listed, nearest
from gateway.core.state import State
from gateway.core.track import Tracker, Tracking
from gateway.errors import CameraError, GatewayError
from gateway.events import Detections

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from gateway.config.manifest import Manifest
    from gateway.core.track import Tracked

EXAMPLE = "zhiwang track street.mp4 -o tracks.txt"
HELP = """\
Each line is one box of one track, as in the MOT Challenge:
  frame, id, left, top, width, height, score, class, visibility
Frames count from 1, as in `detect`; left, top, width and height are pixels; class is the
place of the label in the model's list, from 1 (COCO: 1 is a person); visibility is not
known, hence -1. An id is never given twice.

To try a tracker without a model, detect once and track as often as you like:
  zhiwang detect street.mp4 --score 0.1 -o found.jsonl
  zhiwang track --from-detections found.jsonl -o tracks.txt"""
WANTED = "give either a video or --from-detections"
INTERRUPTED = 130
_EXAMPLES_SHOWN = 5


def fraction(text: str) -> float:
    """A score, 0.1 to 1."""
    number = _number(text)
    if not 0.1 <= number <= 1:
        raise ValueError(f"found {text!r}; 0.1 to 1 is expected")
    return number


def seconds(text: str) -> float:
    """A time in seconds, with or without its unit."""
    number = _number(text.removesuffix("s"))
    if not 0 < number < math.inf:
        raise ValueError(f"found {text!r}; seconds above 0 are expected, such as 1.5")
    return number


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `track`."""
    parser.epilog = HELP
    parser.add_argument("video", nargs="?", type=Path, metavar="VIDEO", help="a video file")
    parser.add_argument("--from-detections", type=Path, metavar="F", help="JSON lines of `detect`, instead of a video")
    parser.add_argument("--model", default=DEFAULT_MODEL, help=f"a manifest's name or an .onnx file ({DEFAULT_MODEL})")
    parser.add_argument("-o", "--output", type=Path, metavar="F", help="default: standard output")
    parser.add_argument(
        "--score",
        type=typed(fraction),
        metavar="S",
        help="boxes from here on begin tracks, lower ones continue them (default: the manifest's; 0.4)",
    )
    parser.add_argument(
        "--label", action="append", metavar="NAME", help="only things of this label; may be repeated (default: all)"
    )
    parser.add_argument(
        "--lost",
        type=typed(seconds),
        default=Tracking().lost_s,
        metavar="S",
        help="how long a track may be unseen, seconds (default 1)",
    )
    parser.add_argument("--every", type=positive, default=1, metavar="N", help="each Nth frame of a video (default 1)")
    parser.add_argument("--threads", type=positive, default=1, metavar="N", help="engines side by side (default 1)")


def run(args: argparse.Namespace) -> int:
    """0 when something was tracked, 1 when nothing could be read, 130 when it was interrupted (with what there was)."""
    if (args.video is None) == (args.from_detections is None):
        print(f"zhiwang track: {told(WANTED)}", file=sys.stderr)
        return 2
    tell = Console(stderr=True, highlight=False, soft_wrap=True)
    with _progress() as progress:
        work = _Work(args, progress)
        try:
            code = _tracked(work, args.output)
        except ImportError as error:
            raise GatewayError(f"tracking needs {error.name}: pip install 'zhiwang[vision]'") from error
    said = f"{work.looks} looks, {work.tracks} tracks, {work.boxes} boxes, {len(work.bad)} frames could not be read"
    tell.print(told(said), markup=False)
    for line in work.bad[:_EXAMPLES_SHOWN]:
        tell.print(f"  {line}", markup=False)
    if len(work.bad) > _EXAMPLES_SHOWN:
        tell.print(f"  and {len(work.bad) - _EXAMPLES_SHOWN} more", markup=False)
    if work.untimed:
        tell.print(told(f"{work.untimed} frames are not later than the one before and were left out"), markup=False)
    if code == INTERRUPTED:
        tell.print(told("interrupted: what was tracked until then is written"), markup=False)
    return code or (0 if work.looks else 1)


def _tracked(work: _Work, output: Path | None) -> int:
    """Track and write; the exit code as far as it is known."""
    code = 0
    try:
        with opened(output) as out:
            lines = TrackLines(out)
            try:
                for seen, tracked in work.run():
                    lines.write(seen, tracked)
            except KeyboardInterrupt:
                code = INTERRUPTED
            lines.close()
            work.tracks, work.boxes = lines.tracks, lines.written
    except BrokenPipeError:
        raise
    except OSError as error:
        where = error.filename or output or "standard output"
        print(f"zhiwang: {where}: {told(error.strerror or type(error).__name__)}", file=sys.stderr)
        return 1
    return code


class _Work:
    """One run over one video, and what it came to."""

    def __init__(self, args: argparse.Namespace, progress: Progress) -> None:
        self._args = args
        self._progress = progress
        self._task = progress.add_task("", total=None, rate="")
        self.looks = self.untimed = self.tracks = self.boxes = 0
        self.bad: list[str] = []

    def run(self) -> Iterator[tuple[Detections, Tracked]]:
        """Each look with its tracks. Raises GatewayError where the model or the detections cannot be used."""
        args = self._args
        if args.from_detections is not None:
            labels, total = labels_of(args.from_detections)
            looks, score = detections_in(args.from_detections, labels), Tracking().score
        else:
            manifest = manifest_named(args.model)
            labels, score = manifest.labels, manifest.score
            total, looks = self._video(manifest)
        wanted = _wanted(args.label, labels)
        how = Tracking(score=score if args.score is None else args.score, lost_s=args.lost)
        tracker = Tracker("video", labels, State(), how=how)
        self._progress.update(self._task, total=total)
        last_ns: int | None = None
        for seen in looks:
            if last_ns is not None and seen.event_ns <= last_ns:
                self.untimed += 1
                continue
            last_ns = seen.event_ns
            self.looks += 1
            mine = seen if wanted is None else _only(seen, wanted)
            yield mine, tracker.step(mine)
            speed = self._progress.tasks[0].speed
            rate = f"{speed:.1f}/s" if speed else ""
            self._progress.update(self._task, advance=1, rate=rate)

    def _video(self, manifest: Manifest) -> tuple[int | None, Iterator[Detections]]:
        """(how many looks there may be, the looks)."""
        from gateway.vision.stream import Stream  # noqa: PLC0415 - PyAV loads only when needed

        args = self._args
        try:
            with Stream(str(args.video)) as stream:
                frames = stream.frames_promised
        except CameraError as error:
            self.bad.append(str(error))
            return None, iter(())
        return math.ceil(frames / args.every) or None, self._seen(manifest)

    def _seen(self, manifest: Manifest) -> Iterator[Detections]:
        """The video's looks, by the model."""
        from gateway.vision.offline import Bad, look, read  # noqa: PLC0415 - OpenCV and onnxruntime load when needed

        args = self._args
        for result in look(read([args.video], args.every), manifest, args.threads):
            if isinstance(result, Bad):
                self.bad.append(f"{result.path}: {result.reason}")
                continue
            yield Detections(
                "video",
                result.frame,
                round(result.time_s * 1e9),
                result.width_px,
                result.height_px,
                result.found.xyxy,
                result.found.score,
                result.found.label,
            )


def _wanted(names: list[str] | None, labels: tuple[str, ...]) -> NDArray[np.int16] | None:
    """The indices of the labels asked for; None: all. Raises GatewayError for one that there is not."""
    if names is None:
        return None
    for name in names:
        if name not in labels:
            there = nearest(name, labels) or f"; allowed: {listed(filter(None, labels))}"
            raise GatewayError(f"--label: found {name!r}{there}")
    return np.array([i for i, label in enumerate(labels) if label in names], np.int16)


def _only(seen: Detections, wanted: NDArray[np.int16]) -> Detections:
    mine = np.isin(seen.label, wanted)
    return structs.replace(seen, xyxy=seen.xyxy[mine], score=seen.score[mine], label=seen.label[mine])


def _progress() -> Progress:
    return Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
