"""The verb `bench`: what this box can do."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import msgspec

from gateway.cli.typed import positive
from gateway.cli.words import counted, told
from gateway.config.box import EngineName, VisionConfig
from gateway.config.model import DEFAULT_MODEL, Camera, Motion
from gateway.errors import GatewayError
from gateway.language import of_environment

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from gateway.vision.engine_capacity import Step, Wanted

EXAMPLE = "zhiwang bench vision --fps 5 --size 1080p"
CLIP_S = 4.0
QUIET_S, BUSY = 10.0, 0.2  # a quiet street: something crosses it in a fifth of its time
DEFAULT_SIZE = "1080p"
OTHERS = 0.1  # share of the cores from which on what other programs do changes the answer


class Answer(msgspec.Struct, frozen=True):
    """`bench vision --json`: `cameras` were carried; `alone`: so many fill 85 % of the cores by their CPU."""

    cameras: int
    alone: int
    model: str
    engine: str
    cores: int
    engines: int
    fps: float
    size: str
    gated: bool
    rate: float
    p50_s: float
    p95_s: float
    decode: float
    inference: float
    rest: float
    others: float
    unwell: str


def arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `bench`."""
    verbs = parser.add_subparsers(dest="bench_verb", metavar="vision", required=True)
    vision = verbs.add_parser("vision", help="how many cameras of this kind this box can carry")
    vision.add_argument(
        "videos", nargs="*", type=Path, metavar="VIDEO", help="as cameras send them, in turn; default: a made one"
    )
    vision.add_argument("--model", default=DEFAULT_MODEL, help=f"a manifest's name or an .onnx file ({DEFAULT_MODEL})")
    vision.add_argument("--fps", type=float, default=5.0, metavar="N", help="looks a second wanted (default 5)")
    vision.add_argument("--size", metavar="S", help="720p, 1080p or WIDTHxHEIGHT (default: VIDEO's, else 1080p)")
    vision.add_argument(
        "--seconds", type=float, default=4.0, metavar="S", help="for each number of cameras (default 4)"
    )
    vision.add_argument(
        "--cameras", type=positive, default=128, metavar="N", help="try no more than these (default 128)"
    )
    vision.add_argument(
        "--engines", type=positive, metavar="N", help="threads that look (default: CONFIG's, else all cores)"
    )
    vision.add_argument(
        "--engine", choices=get_args(EngineName), help="what runs the model (default: CONFIG's, else auto)"
    )
    vision.add_argument("--config", type=Path, metavar="CONFIG", help="whose `vision:` is used, and whose model")
    vision.add_argument(
        "--gated",
        action="store_true",
        help="look only where something moved; the made video is then quiet for four fifths of its time",
    )
    vision.add_argument("--json", action="store_true", help="one JSON object")
    vision.set_defaults(measure=_vision)


def run(args: argparse.Namespace) -> int:
    """Run one of them."""
    measure: Callable[[argparse.Namespace], int] = args.measure
    return measure(args)


def _vision(args: argparse.Namespace) -> int:
    try:
        from gateway.vision import engine_capacity as capacity  # noqa: PLC0415 - an extra: only this verb needs it
    except ImportError as error:
        raise GatewayError(f"measuring cameras needs {error.name}: pip install 'zhiwang[vision]'") from error
    from gateway.clock import WallClock  # noqa: PLC0415 - as above

    cores = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="zhiwang-bench-") as folder:
        wanted = _wanted(args, Path(folder), cores)
        say = _Lines(wanted, quiet=args.json)
        steps = capacity.most_cameras(wanted, cores, WallClock(), say)
    good = [step for step in steps if capacity.kept(step, wanted)]
    best = max(good, key=lambda step: step.cameras, default=None)
    shown = best or steps[0]
    answer = Answer(
        cameras=best.cameras if best else 0,
        alone=capacity.alone(steps, wanted, cores),
        model=wanted.manifest.name,
        engine=wanted.vision.engine,
        cores=cores,
        engines=wanted.engines,
        fps=wanted.camera.rate,
        size=args.size or ("" if args.videos else DEFAULT_SIZE),
        gated=args.gated,
        rate=round(shown.rate, 2),
        p50_s=round(shown.p50_s, 4),
        p95_s=round(shown.p95_s, 4),
        decode=round(shown.decode, 3),
        inference=round(shown.inference, 3),
        rest=round(shown.rest, 3),
        others=round(sum(step.others for step in steps) / len(steps), 3),
        unwell=shown.unwell,
    )
    print(msgspec.json.encode(answer).decode() if args.json else _said(answer))
    return 0


def _wanted(args: argparse.Namespace, folder: Path, cores: int) -> Wanted:
    from gateway.cli.detect import manifest_named  # noqa: PLC0415 - loads the extra
    from gateway.vision.engine_capacity import Wanted  # noqa: PLC0415 - as above
    from gateway.vision.engine_clips import rate_of  # noqa: PLC0415 - as above

    model, vision = args.model, VisionConfig()
    if args.config:
        from gateway.config.load import load  # noqa: PLC0415 - only where there is a configuration
        from gateway.registry import registry  # noqa: PLC0415 - as above

        config = load(args.config, registry())
        vision = config.vision
        model = config.model if args.model == DEFAULT_MODEL else model
        model = str(args.config.parent / model) if args.config and model.endswith(".onnx") else model
    if not 0 < args.fps <= 60:
        raise GatewayError(f"found --fps {args.fps:g}; looks a second, above 0 and at most 60")
    clips = _clips(args.videos, args.size, folder, gated=args.gated)
    camera = Camera(detect="", rate=args.fps, loop=True, motion=Motion() if args.gated else "off")
    if args.engine:
        vision = VisionConfig(engine=args.engine, batch=vision.batch)
    engines = args.engines or vision.engines or cores
    return Wanted(camera, clips, rate_of(clips[0]), manifest_named(model), vision, engines, args.seconds, args.cameras)


def _clips(videos: Sequence[Path], size: str | None, folder: Path, *, gated: bool) -> list[Path]:
    from gateway.vision.engine_clips import SIZES, made_video, rotated  # noqa: PLC0415 - as above

    for video in videos:
        if not video.is_file():
            raise GatewayError(f"{video}: there is no such file; give a video, or none for a made one")
    if videos and not size:
        return [video.resolve() for video in videos]
    asked = size or DEFAULT_SIZE
    match = re.fullmatch(r"(\d{2,4})x(\d{2,4})", asked)
    if asked not in SIZES and not match:
        raise GatewayError(f"found --size {asked}; it is one of {', '.join(SIZES)}, or WIDTHxHEIGHT")
    width, height = SIZES[asked] if asked in SIZES else (int(match[1]), int(match[2])) if match else (0, 0)
    even = (width // 2 * 2, height // 2 * 2)
    if not videos:
        return rotated(made_video(folder, even, QUIET_S, busy=BUSY if gated else 1.0))
    return [made_video(folder, even, CLIP_S, video, name=f"{at}.mp4") for at, video in enumerate(videos)]


class _Lines:
    """One line a number of cameras, as they are tried."""

    def __init__(self, wanted: Wanted, *, quiet: bool) -> None:
        self._wanted, self._quiet = wanted, quiet

    def __call__(self, step: Step) -> None:
        """Say what it came to."""
        from gateway.vision.engine_capacity import kept  # noqa: PLC0415 - loaded by now

        if self._quiet:
            return
        mark = "" if kept(step, self._wanted) else told(" – too many")
        line = f"{_many(step.cameras)}: {step.rate:.1f}/s each, {step.p50_s:.2f} s (p95 {step.p95_s:.2f})"
        print(told(line) + mark, file=sys.stderr, flush=True)


def _many(cameras: int) -> str:
    return counted(of_environment(), cameras, "camera")


def _said(answer: Answer) -> str:
    kind = f"{answer.size or 'this video'}, {answer.fps:g} looks a second, {answer.model}"
    lines = [
        f"This box carries {_many(answer.cameras)} ({kind}); cores: {answer.cores}, engines: {answer.engines}.",
        f"From a frame to its detections: {answer.p50_s:.2f} s (p50), {answer.p95_s:.2f} s (p95).",
        f"CPU: decoding {answer.decode:.2f}, looking {answer.inference:.2f}, the rest {answer.rest:.2f} of a core.",
    ]
    if answer.others > OTHERS:
        percent = f"{answer.others:.0%}"
        lines.append(
            f"Other programs took {percent} of these cores meanwhile; alone it would be {answer.alone}, by the CPU."
        )
    return "\n".join([*(told(line) for line in lines), *([answer.unwell] if answer.unwell else [])])
