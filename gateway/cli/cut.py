"""The verb `cut`: last night's alert as a recording of its own, and what it came to: a test."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gateway.cli.progress import bar
from gateway.cli.record import recorded_in, size, state_of
from gateway.cli.times import shown
from gateway.cli.typed import typed
from gateway.cli.words import told
from gateway.clock import zone_or_utc
from gateway.config.scalars import Duration
from gateway.errors import ConfigError

if TYPE_CHECKING:
    import argparse

    from gateway.recording.reader import Recording
    from gateway.replaying.cutting import CutOut

EXAMPLE = "zhiwang cut LG17-4K2M -o fog.mcap --config gateway.yaml"
SMALL = 1_000_000  # bytes of a recording that is kept among tests
ANSWER_IS_NO = 3


def arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `cut`."""
    parser.add_argument("alert", metavar="ALERT", help="its short code, such as LG17-4K2M, or its id")
    parser.add_argument("files", nargs="*", type=Path, metavar="F.mcap", help="recordings, instead of a gateway's own")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="F.mcap", help="the file to write")
    parser.add_argument("--config", type=Path, metavar="C", help="the configuration of the gateway that recorded it")
    parser.add_argument("--state", type=Path, metavar="DIR", help="the state folder itself, instead of CONFIG")
    parser.add_argument(
        "--before",
        type=typed(Duration.parse),
        metavar="10min",
        help="so much of before it; default: its rule's windows",
    )
    parser.add_argument(
        "--after",
        type=typed(Duration.parse),
        metavar="5min",
        help="at most so much after it began; default: to its end",
    )
    parser.add_argument("--beside", action="store_true", help="with recorded video, boxes and positions")
    parser.add_argument("--json", action="store_true", help="the result as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Cut it out. 1 where there is no such alert; 3 where a replay does not say now what was said then."""
    from gateway.replaying.cutting import cut_out  # noqa: PLC0415 - `--help` does without

    recording = _recording(args.files, args.config, args.state)
    with bar(args.alert) as progress:
        done = cut_out(
            recording,
            args.alert,
            args.output,
            before_ns=None if args.before is None else int(args.before),
            after_ns=None if args.after is None else int(args.after),
            beside=args.beside,
            progress=progress,
        )
    if args.json:
        print(msgspec.json.encode(done, enc_hook=str).decode())
    else:
        _tell(done)
    return 0 if done.same else ANSWER_IS_NO


def _recording(files: list[Path], config: Path | None, state: Path | None) -> Recording:
    from gateway.recording.reader import Recording  # noqa: PLC0415 - as above

    if not files:
        return recorded_in(state_of(config, state, "cut LG17-4K2M -o fog.mcap --config gateway.yaml"))
    if config or state:
        raise ConfigError(["give either recordings, or a gateway's --config or --state"])
    return Recording.open(files)


def _tell(done: CutOut) -> None:
    zone = zone_or_utc(done.timezone)
    begun, ended = shown(done.begun_ns, zone), shown(done.ended_ns, zone)
    print(
        told(f"{done.path}: {done.rule} {done.subject}, {begun} to {ended}, {done.inputs} inputs, {size(done.bytes)}")
    )
    print(told(f"{done.expectation}: the {done.changes} changes of alerts that it came to"))
    if not done.ended:
        print(told("the alert held on beyond it"))
    if done.begins_late:
        print(told("the recording begins later than the rule looks back: with another rule it may judge less"))
    if done.bytes > SMALL:
        print(told("larger than 1 MB: --after 5min, or --before, make it smaller"))
    if not done.same:
        print(told("a replay by this version does not say what was said then: replay it with --diff"))
    name = re.sub(r"\W+", "_", done.path.stem).strip("_").lower() or "alert"
    print(told("as a test, in this folder:"))
    print(f"  zhiwang replay {done.path.name} --expect {done.expectation.name}")
    print(f"  def test_{name}(replay):")
    print(f'      assert replay("{done.path.name}").as_expected("{done.expectation.name}")')
    print(told("where it was a false alarm, this fails until the rule is mended:"))
    print(f'      assert not replay("{done.path.name}", config="gateway.yaml").raised("{done.rule}")')
