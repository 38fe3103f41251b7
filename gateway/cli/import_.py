"""`zhiwang import`: into a recording from what people have."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Self

import msgspec

from gateway.cli.times import optional_moment, shown
from gateway.cli.typed import positive, typed
from gateway.cli.words import told
from gateway.clock import WallClock, zone_or_utc
from gateway.config.scalars import Duration
from gateway.errors import ConfigError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable

    from rich.progress import Progress

    from gateway.exchange.choosing import Asked
    from gateway.exchange.importing import Imported

EXAMPLE = "zhiwang import monday.log --config gateway.yaml -o monday.mcap"
HELP = """\
What a source is, is told by its name; a folder stands for all files in it that are known:
  .log .txt .jsonl .gz   what mosquitto_sub wrote; - is standard input
      mosquitto_sub -t '#' -F '%U %t %p' > monday.log     also '%I %t %p', -v behind ts, %j and %J
      mosquitto_sub -t '#' -F '%U %t %x' > monday.log     payloads that are no text: with --payload hex
  .csv .tsv .parquet     readings of a sensor, a row a moment; columns are found by name, or told:
      zhiwang import air.csv --config gateway.yaml -o air.mcap --time at --column pm25='PM2.5 raw' --tag site=harbour
  .mp4 .avi .mkv …       a camera's video: its detector looks at it, as `zhiwang detect` does
      zhiwang import crossing/ --config gateway.yaml -o day.mcap --start 2026-08-14T02:00
  influx:NAME            what the configuration's sink NAME wrote, asked for again, between --from and --to; or a URL:
      zhiwang import http://127.0.0.1:8086 --db sensing --from 2026-08-01 --config gateway.yaml -o august.mcap
  .mcap alerts.jsonl     alerts of gateways, as messages to their ops centre, for a centre's configuration
Everything named is merged by time. A tick stands at each whole second, as in a recording of a running gateway."""
INTERRUPTED = 130
_SHOWN = 12


def arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `import`."""
    parser.epilog = HELP
    parser.add_argument("sources", nargs="+", metavar="SOURCE", help="a file, a folder, influx:NAME or a URL")
    parser.add_argument("--config", type=Path, required=True, metavar="C", help="the gateway's YAML file")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="F.mcap", help="the recording to write")
    parser.add_argument("--format", choices=("mosquitto", "csv", "parquet", "video", "alerts"), help="of all files")
    parser.add_argument("--source", metavar="BROKER", help="whose messages a log holds (default: by their topics)")
    parser.add_argument(
        "--sensor", action="append", default=[], metavar="NAME", help="whose readings; of a query: each"
    )
    parser.add_argument("--camera", metavar="NAME", help="which camera took the video (default: by the files' names)")
    parser.add_argument("--time", metavar="COLUMN", help="the column that has the time")
    parser.add_argument(
        "--column", action="append", default=[], metavar="VALUE=COLUMN", help="which column a value or tag stands in"
    )
    parser.add_argument("--named", metavar="COLUMN", help="the column that says which value a row has, the only one")
    parser.add_argument("--tag", action="append", default=[], metavar="TAG=TEXT", help="a tag that no column has")
    parser.add_argument("--zone", metavar="ZONE", help="of times that state none (default: the sensor's)")
    parser.add_argument("--shift", type=typed(_shift), default=0, metavar="D", help="added to every time of a reading")
    parser.add_argument("--payload", choices=("text", "hex"), default="text", help="how a log's payloads are written")
    parser.add_argument(
        "--window", type=typed(Duration.parse), default=Duration(10**10), metavar="D", help="lines are sorted in (10 s)"
    )
    parser.add_argument(
        "--hole",
        type=typed(Duration.parse),
        metavar="D",
        help="a broker of which nothing came for so long was not heard, instead of its sensors being silent",
    )
    parser.add_argument(
        "--by-day", action="store_true", help="a recording a day, each beginning anew, into the folder that -o names"
    )
    parser.add_argument("--start", metavar="T", help="when the first video was begun")
    parser.add_argument(
        "--keep-video", action="store_true", help="have the video itself in the recording, too (nobody is blurred)"
    )
    parser.add_argument("--every", type=positive, metavar="N", help="look at each Nth frame (default: by rate:)")
    parser.add_argument("--threads", type=positive, default=1, metavar="N", help="engines side by side (default 1)")
    parser.add_argument("--from", dest="from_", metavar="T", help="only what came from here on")
    parser.add_argument("--to", metavar="T", help="and before this")
    _server_arguments(parser)
    parser.add_argument("--json", action="store_true", help="the summary as one JSON object")


def _server_arguments(parser: argparse.ArgumentParser) -> None:
    server = parser.add_argument_group("an InfluxDB by its URL")
    server.add_argument("--db", metavar="NAME", help="InfluxDB 1.x: the database")
    server.add_argument("--bucket", metavar="NAME", help="InfluxDB 2.x: the bucket")
    server.add_argument("--org", default="", metavar="NAME", help="InfluxDB 2.x: the organisation")
    server.add_argument("--user", metavar="NAME", help="InfluxDB 1.x, where it asks")
    server.add_argument("--password-file", type=Path, metavar="F", help="InfluxDB 1.x: the file with the password")
    server.add_argument("--token-file", type=Path, metavar="F", help="InfluxDB 2.x: the file with the token")
    server.add_argument("--ca", type=Path, metavar="F", help="certificates that sign the server's, a PEM file")
    server.add_argument("--query", metavar="Q", help="InfluxQL or Flux in place of ours, for one --sensor")


def run(args: argparse.Namespace) -> int:
    """0 done, with what could not be read said; 1 where nothing could; 2 wrong use; 130 interrupted."""
    from gateway.exchange.importing import Watching, import_into  # noqa: PLC0415 - `--help` does without
    from gateway.exchange.stopping import asked_to_stop  # noqa: PLC0415 - as above

    asked = _asked(args)
    with asked_to_stop() as stop, _Bar() as bar:
        imported = import_into(args.output, args.config, asked, Watching(begun=bar, stop=stop))
    if args.json:
        print(_json(args.output, imported))
    else:
        _tell(args.output, imported)
    return INTERRUPTED if imported.written.interrupted else 0


def _shift(text: str) -> int:
    """A length of time, either way."""
    back = text.strip().startswith("-")
    return (-1 if back else 1) * Duration.parse(text.strip().lstrip("+-"))


def _asked(args: argparse.Namespace) -> Asked:
    from gateway.config.load import load  # noqa: PLC0415 - as above
    from gateway.exchange.choosing import Asked  # noqa: PLC0415 - as above
    from gateway.exchange.columns import Told  # noqa: PLC0415 - as above
    from gateway.exchange.influx import Login  # noqa: PLC0415 - as above
    from gateway.registry import registry  # noqa: PLC0415 - as above

    zone, now_ns = zone_or_utc(load(args.config, registry()).timezone), WallClock().now_ns()

    return Asked(
        sources=tuple(args.sources),
        format=args.format,
        source=args.source,
        sensors=tuple(args.sensor),
        camera=args.camera,
        told=Told(args.time, args.named, _pairs("--column", args.column), _pairs("--tag", args.tag)),
        zone=args.zone,
        payload=args.payload,
        window_ns=int(args.window),
        hole_ns=None if args.hole is None else int(args.hole),
        shift_ns=args.shift,
        start_ns=optional_moment("--start", args.start, zone, now_ns),
        from_ns=optional_moment("--from", args.from_, zone, now_ns),
        to_ns=optional_moment("--to", args.to, zone, now_ns),
        now_ns=now_ns,
        every=args.every,
        threads=args.threads,
        keep_video=args.keep_video,
        login=Login(
            args.db, args.bucket, args.org, args.user, _secret(args.password_file), _secret(args.token_file), args.ca
        ),
        query=args.query,
        by_day=args.by_day,
    )


def _pairs(option: str, given: list[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in given:
        name, sign, value = text.partition("=")
        if not name or not sign or not value:
            raise ConfigError([f"{option}: found {text!r}; it is written NAME=…"])
        pairs[name] = value
    return pairs


def _secret(path: Path | None) -> str | None:
    return None if path is None else path.read_text(encoding="utf-8").strip()


class _Bar:
    """Percent, inputs a second and the time left on standard error, where that is a terminal."""

    def __init__(self) -> None:
        self._progress: Progress | None = None

    def __call__(self, told: Callable[[], tuple[float, int]]) -> None:
        """Show what `told` says from now on."""
        if not sys.stderr.isatty():
            return
        from rich.console import Console, RenderableType  # noqa: PLC0415 - only where it is shown
        from rich.progress import (  # noqa: PLC0415 - as above
            BarColumn,
            Progress,
            TaskProgressColumn,
            TextColumn,
            TimeRemainingColumn,
        )

        class Asking(Progress):
            """Asks how far it is whenever it is drawn."""

            def get_renderables(self) -> Iterable[RenderableType]:
                for task in self.tasks:
                    share, inputs = told()
                    rate = f"{inputs / task.elapsed:,.0f}/s" if task.elapsed else ""
                    self.update(task.id, completed=share, rate=rate)
                return super().get_renderables()

        columns = (BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn())
        self._progress = Asking(*columns, console=Console(stderr=True), transient=True)
        self._progress.add_task("", total=1.0, rate="")
        self._progress.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()


def _tell(output: Path, imported: Imported) -> None:
    from rich.console import Console  # noqa: PLC0415 - as above

    tell = Console(stderr=True, highlight=False, soft_wrap=True)
    written, findings = imported.written, imported.findings
    zone = zone_or_utc(imported.timezone)
    counts = findings.counts
    span = f"{shown(written.first_ns, zone)} – {shown(written.last_ns, zone)}"
    megabytes = written.bytes / 1e6
    print(told(f"{output}: {written.messages:,} messages, {written.ticks:,} ticks, {span}, {megabytes:.2f} MB"))
    more = {
        "looks": f"{counts['looks']:,} looks at video, {counts['boxes']:,} boxes",
        "unrouted": f"{counts['unrouted']:,} messages that no sensor reads: kept, and counted in a replay",
        "shifted": f"{counts['shifted']:,} came after a time that ran back",
        "empty": f"{counts['empty']:,} rows without any value were left out",
    }
    notes = [text for name, text in more.items() if counts[name]] + list(findings.notes)
    notes += [f"no reading of sensor {name} is in it: a replay finds it silent" for name in imported.silent]
    for note in notes[:_SHOWN]:
        tell.print(f"  {told(note)}", markup=False)
    if len(notes) > _SHOWN:
        tell.print(told(f"  and {len(notes) - _SHOWN} more"), markup=False)
    if findings.unread:
        tell.print(told(f"{findings.unread} lines could not be used as they are:"), markup=False)
    for line in findings.lines():
        tell.print(f"  {line}", markup=False)
    if written.interrupted:
        tell.print(told("interrupted: what was imported until then is written"), markup=False)


def _json(output: Path, imported: Imported) -> str:
    written, findings = imported.written, imported.findings
    answer: dict[str, object] = {
        "file": str(output),
        "messages": written.messages,
        "ticks": written.ticks,
        "inputs": written.inputs,
        "first_ns": written.first_ns,
        "last_ns": written.last_ns,
        "bytes": written.bytes,
        "interrupted": written.interrupted,
        "counts": dict(findings.counts),
        "notes": list(findings.notes),
        "unread": findings.unread,
        "examples": findings.lines(),
        "silent": imported.silent,
    }
    return msgspec.json.encode(answer).decode()
