"""The verb `record`: a span of what a gateway recorded, as one file to keep, send or replay."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gateway.cli.progress import bar
from gateway.cli.times import in_order, optional_moment, shown
from gateway.cli.typed import typed
from gateway.cli.words import told
from gateway.clock import WallClock, zone_or_utc
from gateway.config.scalars import Duration, Size
from gateway.errors import ConfigError, RecordingError, Unreachable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from gateway.recording.reader import Recording

EXAMPLE = "zhiwang record gateway.yaml -o night.mcap --from '22:00' --to '06:00'"
FOLDER = "recording"  # in the state folder


def arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `record`."""
    parser.add_argument("config", nargs="?", type=Path, metavar="CONFIG", help="the gateway's configuration")
    parser.add_argument("--state", type=Path, metavar="DIR", help="the state folder itself, instead of CONFIG")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="F.mcap", help="the file to write")
    parser.add_argument("--from", dest="from_", metavar="T", help="from then on: 2026-11-24T14:00, 14:00, yesterday")
    parser.add_argument("--to", metavar="T", help="until then; default: what there is")
    parser.add_argument("--last", type=typed(Duration.parse), metavar="2h", help="the last so long, instead of --from")
    parser.add_argument(
        "--batched", action="store_true", help="smaller: without a record for each message, which other tools show"
    )
    parser.add_argument("--json", action="store_true", help="the result as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Write the span. 1 where nothing was recorded in it."""
    from gateway.recording.export import Form, export  # noqa: PLC0415 - `--help` does without

    if args.from_ and args.last:
        raise ConfigError(["record: give either --from or --last"])
    state = state_of(args.config, args.state, "record gateway.yaml -o F.mcap")
    recording = recorded_in(state)
    zone = zone_or_utc(recording.files[-1].about.timezone)
    now_ns = WallClock().now_ns()
    from_ns, to_ns = span(args.from_, args.to, zone_name=recording.files[-1].about.timezone, now_ns=now_ns)
    if args.last:
        from_ns = (to_ns or now_ns) - int(args.last)
    with bar("recording") as progress:
        done = export(
            recording,
            args.output,
            from_ns=from_ns,
            to_ns=to_ns,
            form=Form(readable=not args.batched),
            progress=progress,
        )
    copy_labels(state / FOLDER, args.output, recording)
    if args.json:
        print(msgspec.json.encode(done, enc_hook=str).decode())
        return 0
    begun, ended = shown(done.begun_ns, zone), shown(done.ended_ns, zone)
    what = f"{done.inputs} inputs, {done.alerts} changes of alerts, {size(done.bytes)}"
    print(told(f"{', '.join(map(str, done.files))}: {begun} to {ended}, {what}"))
    for hole in done.holes:
        print(told(f"hole: {hole}"))
    return 0


def state_of(config: Path | None, state: Path | None, example: str) -> Path:
    """The state folder that was named. Raises ConfigError where none was, or both ways."""
    if (config is None) == (state is None):
        raise ConfigError([f"give either a configuration or --state DIR, such as: zhiwang {example}"])
    if state is not None:
        return state
    from gateway.config.load import load  # noqa: PLC0415 - `--state` does without the configuration's libraries
    from gateway.registry import registry  # noqa: PLC0415 - as above

    return load(config or Path(), registry()).state


def recorded_in(state: Path) -> Recording:
    """What a gateway recorded until now: a running one is asked to write what it still holds, else its files are read.

    Raises RecordingError where there is nothing.
    """
    from gateway.recording.reader import Recording  # noqa: PLC0415 - `--help` does without
    from gateway.sources.local import NAME  # noqa: PLC0415 - as above
    from gateway.sources.local_client import ask  # noqa: PLC0415 - as above

    files: Sequence[Path] = [state / FOLDER]
    try:
        answer = asyncio.run(ask(state / NAME, {"record": {"flush": {}}}))
        files = [Path(path) for path in msgspec.convert(answer.get("files"), list[str])] or files
    except Unreachable:  # it is stopped, and everything stands in its files
        if not files[0].is_dir():
            raise RecordingError(
                f"found no recording at {files[0]}: did a gateway run with this state folder?"
            ) from None
    return Recording.open(files)


def span(from_text: str | None, to_text: str | None, *, zone_name: str, now_ns: int) -> tuple[int | None, int | None]:
    """--from and --to. Raises ConfigError for what is no moment, or none after the other."""
    zone = zone_or_utc(zone_name)
    return in_order(from_text, to_text, lambda option, text: optional_moment(option, text or None, zone, now_ns))


def copy_labels(folder: Path, output: Path, recording: Recording) -> None:
    """What people said of the alerts goes along, as `F.labels.csv`."""
    from gateway.replaying import labels_file  # noqa: PLC0415 - `--help` does without
    from gateway.replaying.labels import Labels  # noqa: PLC0415 - as above

    zone = recording.files[-1].about.timezone
    labels = labels_file.read_beside([folder], zone)
    if len(labels):
        labels_file.write(labels_file.beside(output), Labels(labels.windows), zone)


def size(count: int) -> str:
    """Bytes in words."""
    step = 1_000_000 if count >= 10_000_000 else 1_000
    return str(Size(count // step * step)) if count >= step else f"{count} B"
