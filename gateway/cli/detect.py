"""The verb `detect`: the detector over images, folders and video, offline."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from gateway.cli.typed import positive
from gateway.cli.whole import opened
from gateway.cli.words import told
from gateway.config.model import DEFAULT_MODEL

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator

    from gateway.config.manifest import Manifest
    from gateway.vision.formats import Writer
    from gateway.vision.offline import Bad, Looked

EXAMPLE = "zhiwang detect street.mp4 pictures/ --format jsonl -o found.jsonl"
_EXAMPLES_SHOWN = 5


def arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `detect`."""
    parser.add_argument("sources", nargs="+", type=Path, metavar="SOURCE", help="an image, a folder or a video")
    parser.add_argument("--model", default=DEFAULT_MODEL, help=f"a manifest's name or an .onnx file ({DEFAULT_MODEL})")
    parser.add_argument("--format", choices=("coco", "mot", "jsonl"), default="jsonl", help="default: jsonl")
    parser.add_argument("-o", "--output", type=Path, metavar="F", help="default: standard output")
    parser.add_argument(
        "--score",
        type=float,
        metavar="S",
        help="least score (default: the manifest's; coco and mot: 0.1)",
    )
    parser.add_argument("--threads", type=positive, default=1, metavar="N", help="engines side by side (default 1)")
    parser.add_argument("--every", type=positive, default=1, metavar="N", help="each Nth frame of a video (default 1)")


def run(args: argparse.Namespace) -> int:
    """0 when something was read, 1 when nothing was."""
    from gateway.vision.formats import FORMATS  # noqa: PLC0415 - OpenCV and onnxruntime load only when needed
    from gateway.vision.heads import FLOOR  # noqa: PLC0415 - as above
    from gateway.vision.offline import files_of, look, read  # noqa: PLC0415 - as above

    manifest = manifest_named(args.model)
    paths = list(files_of(args.sources))
    least = args.score if args.score is not None else manifest.score if args.format == "jsonl" else FLOOR
    try:
        with opened(args.output) as out, _progress(len(paths)) as progress:
            writer = FORMATS[args.format](out, manifest.labels, least)
            results = look(read(_counted(paths, progress), args.every), manifest, args.threads, min(FLOOR, least))
            pictures, boxes, bad = _write(results, writer, progress, least)
    except OSError as error:  # pictures' own errors are counted by now: this is the output's
        print(f"zhiwang: {args.output or 'standard output'} cannot be written: {error.strerror}", file=sys.stderr)
        return 1
    _report(pictures, boxes, bad, paths)
    return 0 if pictures else 1


def manifest_named(model: str) -> Manifest:
    """The manifest of that name, or one made for an .onnx file. Raises ModelError."""
    from gateway.models import beside, find  # noqa: PLC0415 - as above

    if model.endswith(".onnx"):
        from gateway.vision.detector import manifest_of  # noqa: PLC0415 - as above

        return beside(Path(model)) or manifest_of(Path(model))
    return find(model)


def _write(
    results: Iterable[Looked | Bad], writer: Writer, progress: Progress, least: float
) -> tuple[int, int, Counter[str]]:
    from gateway.vision.offline import Bad  # noqa: PLC0415 - as above

    pictures = boxes = 0
    bad: Counter[str] = Counter()
    for result in results:
        if isinstance(result, Bad):
            bad[f"{result.path}: {result.reason}"] += 1
            continue
        writer.write(result)
        pictures += 1
        boxes += int((result.found.score >= least).sum())
        progress.update(progress.task_ids[0], pictures=pictures)
    writer.close()
    return pictures, boxes, bad


def _counted(paths: list[Path], progress: Progress) -> Iterator[Path]:
    for path in paths:
        progress.update(progress.task_ids[0], description=path.name[-40:])
        yield path
        progress.advance(progress.task_ids[0])


def _progress(files: int) -> Progress:
    progress = Progress(
        TextColumn("{task.description:40}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[pictures]} pictures"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    progress.add_task("", total=files, pictures=0)
    return progress


def _report(pictures: int, boxes: int, bad: Counter[str], paths: list[Path]) -> None:
    tell = Console(stderr=True, highlight=False, soft_wrap=True)
    unread = sum(bad.values())
    tell.print(told(f"{pictures} pictures, {boxes} boxes, {unread} could not be read"), markup=False)
    for line, count in list(bad.items())[:_EXAMPLES_SHOWN]:
        tell.print(f"  {line}" + (f" ({count} times)" if count > 1 else ""), markup=False)
    if len(bad) > _EXAMPLES_SHOWN:
        tell.print(f"  and {len(bad) - _EXAMPLES_SHOWN} more", markup=False)
    if not paths:
        tell.print(told("no image or video was found there; name files, or folders that hold them"), markup=False)
