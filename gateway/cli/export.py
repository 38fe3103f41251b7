"""`zhiwang export`: out of a recording to what other tools read."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gateway.cli.progress import bar
from gateway.cli.times import asked_of
from gateway.cli.words import told
from gateway.errors import ConfigError

if TYPE_CHECKING:
    import argparse

    from gateway.exchange.spans import Exported, Span, Watching
    from gateway.recording.reader import Recording

EXAMPLE = "zhiwang export day.mcap -o day/ --format parquet"
HELP = """\
parquet  one file a sensor (time, admitted, tags, values), zhiwang_alerts, zhiwang_detections, zhiwang_coverage:
             pandas.read_parquet("day/air.parquet")
jsonl    inputs.jsonl, a line a message (import reads it again), and alerts.jsonl
video    one MP4 a camera, of the video that was recorded, with the detector's boxes drawn; nobody is blurred in it"""
INTERRUPTED = 130


def arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `export`."""
    parser.epilog = HELP
    parser.add_argument("files", nargs="+", type=Path, metavar="F.mcap", help="recordings of one gateway, or a folder")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR|FILE", help="a folder; or a file")
    parser.add_argument("--format", choices=("parquet", "jsonl", "video"), default="parquet", help="default: parquet")
    parser.add_argument("--from", dest="from_", metavar="T", help="from here on: 2026-11-24T14:00, 14:00")
    parser.add_argument("--to", metavar="T", help="until here")
    parser.add_argument("--config", type=Path, metavar="C", help="parquet: read payloads by this configuration")
    parser.add_argument("--camera", metavar="NAME", help="video: only this camera's")
    parser.add_argument("--score", type=float, metavar="S", help="video: least score of boxes (default: the model's)")
    parser.add_argument("--json", action="store_true", help="the summary as one JSON object")


def run(args: argparse.Namespace) -> int:
    """0 done; 1 it failed; 2 wrong use; 130 interrupted, with what there was."""
    from gateway.exchange.spans import Watching  # noqa: PLC0415 - `--help` does without
    from gateway.exchange.stopping import asked_to_stop  # noqa: PLC0415 - as above
    from gateway.recording.reader import Recording  # noqa: PLC0415 - as above

    recording = Recording.open(args.files)
    span = _span(args, recording)
    with asked_to_stop() as stop, bar("export") as progress:
        exported = _exported(args, recording, span, Watching(progress, stop))
    damage = [*recording.damage, *(why for file in recording.files for why in file.damage)]
    if args.json:
        print(msgspec.json.encode({**msgspec.structs.asdict(exported), "damage": damage}).decode())
    else:
        _tell(args, exported, damage)
    return INTERRUPTED if exported.interrupted else 0


def _exported(args: argparse.Namespace, recording: Recording, span: Span, watching: Watching) -> Exported:
    if args.format == "jsonl":
        from gateway.exchange.json_lines import to_json_lines  # noqa: PLC0415 - as above

        return to_json_lines(recording, args.output, span, watching)
    if args.format == "video":
        from gateway.exchange.drawn import to_video  # noqa: PLC0415 - as above

        return to_video(recording, args.output, span, watching, camera=args.camera, score=args.score)
    from gateway.exchange.tables import to_parquet  # noqa: PLC0415 - as above

    if args.output.suffix == ".parquet":
        raise ConfigError([f"-o: found {args.output}; a recording becomes several files: name a folder"])
    return to_parquet(recording, args.output, span, watching, args.config)


def _span(args: argparse.Namespace, recording: Recording) -> Span:
    from gateway.exchange.spans import Span  # noqa: PLC0415 - as above

    return Span(*asked_of(recording, args.from_, args.to))


def _tell(args: argparse.Namespace, exported: Exported, damage: list[str]) -> None:
    noun = "frames" if args.format == "video" else "rows" if args.format == "parquet" else "lines"
    folder = args.output.parent if args.output.suffix in {".jsonl", ".mp4"} else args.output
    for name, rows in exported.rows.items():
        print(f"{folder / name}: {rows:,} {told(noun)}")
    if not exported.rows:
        print(told("nothing is in that span"))
    if exported.bad:
        print(told(f"{exported.bad} payloads could not be read by their sensor's codec"), file=sys.stderr)
    if exported.unrouted:
        print(told(f"{exported.unrouted} messages are of no sensor of the configuration"), file=sys.stderr)
    for why in damage:
        print(why, file=sys.stderr)
    if exported.interrupted:
        print(told("interrupted: what was exported until then is written"), file=sys.stderr)
