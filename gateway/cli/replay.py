"""`zhiwang replay`: a recording through the same core again, mute."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from gateway.cli.progress import bar
from gateway.cli.times import asked_of, shown
from gateway.cli.typed import typed
from gateway.cli.words import chinese, told
from gateway.clock import zone_or_utc
from gateway.config.scalars import Duration
from gateway.errors import ConfigError

if TYPE_CHECKING:
    import argparse
    from datetime import tzinfo

    from gateway.language import Language
    from gateway.recording.parts import About, Gap
    from gateway.recording.reader import Recording
    from gateway.replaying.diff import Diff
    from gateway.replaying.difference import Difference
    from gateway.replaying.outcome import Keeps
    from gateway.replaying.play import Played
    from gateway.replaying.reinfer import Reinferred

EXAMPLE = "zhiwang replay day.mcap --config changed.yaml --diff"
HELP = """\
Several files of one gateway are played in order, those of several each through a core of its own; a folder stands for
all files in it. Nothing of the configuration is opened: no broker, camera or sink. What comes out has status test, and
goes where --out and --alerts say. (A centre fed with all: zhiwang import *.mcap --config centre.yaml -o all.mcap)

  zhiwang replay day.mcap                                 does this version say what was said then?
  zhiwang replay day.mcap --alerts day.alerts.jsonl       pin it …
  zhiwang replay day.mcap --expect day.alerts.jsonl       … and hold on to it: exit 3 where something differs
  zhiwang replay day.mcap --config new.yaml --diff        what a change would have meant; --timeline F.svg draws it
  zhiwang replay day.mcap --diff other.mcap               two recordings; .yaml: configurations; .jsonl: versions
  zhiwang replay day.mcap --reinfer yolox-nano --diff     another model, on the recorded video"""
NOTHING_PLAYED, ANSWER_IS_NO, INTERRUPTED = 1, 3, 130
RECORDED = "recorded"
WITHIN = Duration(2 * 10**9)
NOT_AS_RECORDED = "the alerts are not those that were recorded: --diff shows what differs"


def speed(text: str) -> float | None:
    """`max`, or how many times as fast as it was."""
    if text == "max":
        return None
    try:
        number = float(text.removesuffix("x"))
    except ValueError:
        number = 0.0
    if not 0 < number < 1e6:
        raise ValueError(f"found {text!r}; max, or a number above 0 is expected: 1 is as fast as it was, 10 ten times")
    return number


def arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `replay`."""
    parser.epilog = HELP
    parser.add_argument("files", nargs="+", type=Path, metavar="F.mcap", help="recordings of one gateway, or a folder")
    parser.add_argument("--config", type=Path, metavar="C", help="what if: this configuration instead of the recorded")
    parser.add_argument("--speed", type=typed(speed), default="max", metavar="N", help="1, 10, … or max (default)")
    parser.add_argument(
        "--from", dest="from_", metavar="T", help="tell what came from here on: 2026-11-24T14:00, 14:00"
    )
    parser.add_argument("--to", metavar="T", help="until here")
    parser.add_argument("--alerts", type=Path, metavar="F.jsonl", help="write the alerts, a change a line")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write alerts.jsonl, series.lp and requests.jsonl")
    parser.add_argument("--expect", type=Path, metavar="F.jsonl", help="exit 3 where the alerts are not these")
    parser.add_argument(
        "--diff",
        nargs="?",
        const=RECORDED,
        metavar="B",
        help="what differs: from what was recorded, another recording (.mcap), another configuration (.yaml) or the "
        "alerts of another version (.jsonl); exit 3 where something does",
    )
    parser.add_argument(
        "--within",
        type=typed(Duration.parse),
        metavar="D",
        help="apart and still the same (2 s)",
    )
    parser.add_argument("--timeline", type=Path, metavar="F.svg", help="with --diff: a picture of it")
    parser.add_argument(
        "--reinfer", nargs="?", const="", metavar="MODEL", help="detect again on the recorded video, with this model"
    )
    parser.add_argument("--json", action="store_true", help="the result as one JSON object")


class Asked(NamedTuple):
    """The span in UTC nanoseconds, and how fast."""

    from_ns: int | None
    to_ns: int | None
    speed: float | None


def run(args: argparse.Namespace) -> int:
    """0 done; 1 nothing is there to play; 2 wrong use; 3 --expect or --diff find a difference; 130 interrupted."""
    from gateway.recording.reader import Recording  # noqa: PLC0415 - `--help` does without

    if args.timeline and not args.diff:
        raise ConfigError(["--timeline draws what --diff finds: give --diff too"])
    if args.within is not None and not args.diff:
        raise ConfigError(["--within is how far apart --diff takes alerts for the same: give --diff too"])
    _refuse_to_overwrite(args)
    recordings = Recording.of_each(args.files)
    if len(recordings) > 1:
        return _each(args, recordings)
    return _one(args, next(iter(recordings.values())))


def _refuse_to_overwrite(args: argparse.Namespace) -> None:
    """An expectation that is written before it is read is always met."""
    compared = {path.resolve() for path in (args.expect, args.diff and Path(args.diff)) if path}
    for path in (args.alerts, args.out and args.out / "alerts.jsonl"):
        if path and path.resolve() in compared:
            raise ConfigError([f"{path} would be overwritten before it is compared with: write to another file"])


def _each(args: argparse.Namespace, recordings: dict[str, Recording]) -> int:
    """Several gateways, a core each, one after another."""
    if args.expect or args.diff or args.alerts:
        names = ", ".join(recordings)
        raise ConfigError([f"found recordings of {names}; --expect, --diff and --alerts are about one at a time"])
    worst = 0
    for gateway, recording in recordings.items():
        print(f"── {gateway}", file=sys.stderr if args.json else sys.stdout)
        own = {**vars(args), "out": args.out and args.out / gateway}
        worst = max(worst, _one(type(args)(**own), recording))
        if worst == INTERRUPTED:
            break
    return worst


def _one(args: argparse.Namespace, recording: Recording) -> int:
    asked = _span(args, recording)
    played, lines = _played(args, recording, asked, args.config, _files(args))
    if played.stopped:
        print(told("interrupted: what was played until then is written"), file=sys.stderr)
    difference = _expected(args.expect, played, lines) if args.expect else None
    diff = _diff(args, recording, asked, played, lines) if args.diff else None
    as_recorded = None if difference or diff or args.config else _as_recorded(recording, asked, played, lines)
    language: Language = "zh" if chinese() else "en"
    if args.json:
        print(_json(played, as_recorded, difference, diff))
    else:
        _tell(recording, asked, played, as_recorded)
        for found in (difference, diff):
            if found is not None:
                print(found.text(language, colour=sys.stdout.isatty()))
    if played.stopped:
        return INTERRUPTED
    same = (difference is None or difference.ok) and (diff is None or diff.same)
    if not same:
        return ANSWER_IS_NO
    return 0 if played.begun_ns else NOTHING_PLAYED


def _span(args: argparse.Namespace, recording: Recording) -> Asked:
    return Asked(*asked_of(recording, args.from_, args.to), args.speed)


def _files(args: argparse.Namespace) -> Keeps:
    from gateway.replaying.outcome import Both, Files  # noqa: PLC0415 - as above

    return Both(*([Files(alerts=args.alerts)] if args.alerts else []), *([Files.below(args.out)] if args.out else []))


def _played(
    args: argparse.Namespace, recording: Recording, asked: Asked, config: Path | None, keeps: Keeps
) -> tuple[Played, list[bytes]]:
    """Play with a progress bar; what came, and its alerts as lines."""
    from gateway.replaying.outcome import line_of  # noqa: PLC0415 - as above
    from gateway.replaying.play import play  # noqa: PLC0415 - as above

    again = _again(args, recording, asked)
    with bar(recording.files[0].about.gateway) as progress:
        played = play(
            recording,
            keeps,
            config=config,
            speed=asked.speed,
            from_ns=asked.from_ns,
            to_ns=asked.to_ns,
            progress=progress,
            pieces=again,
            interruptible=True,
        )
    if again is not None:
        print(again.words("zh" if chinese() else "en"), file=sys.stderr)
    return played, [line_of(row) for row in played.alerts]


def _again(args: argparse.Namespace, recording: Recording, asked: Asked) -> Reinferred | None:
    """What is played instead of the recording's own pieces."""
    if args.reinfer is None:
        return None
    from gateway.replaying.reinfer import MOST, reinferred  # noqa: PLC0415 - only this needs vision

    most = MOST if asked.speed is None else 1
    return reinferred(recording, args.reinfer or None, from_ns=asked.from_ns, to_ns=asked.to_ns, most=most)


def _expected(path: Path, played: Played, lines: list[bytes]) -> Difference:
    from gateway.replaying.compare import Against, expect  # noqa: PLC0415 - as above

    try:
        return expect(path, lines, Against.of(played.configs[-1].config) if played.configs else None)
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read ({error.strerror})"]) from error


def _as_recorded(recording: Recording, asked: Asked, played: Played, lines: list[bytes]) -> bool | None:
    """Whether it says what was said then; None where that is not to be known: nothing was, or not all was played."""
    from gateway.replaying.compare import comparable  # noqa: PLC0415 - as above

    then = list(recording.alerts(asked.from_ns, asked.to_ns))
    if played.stopped or played.holes or (not then and lines):
        return None
    return [*map(comparable, then)] == [*map(comparable, lines)]


def _diff(args: argparse.Namespace, recording: Recording, asked: Asked, played: Played, lines: list[bytes]) -> Diff:
    """What differs between what was asked for and its other side; draws it where that is wanted."""
    from gateway.recording.reader import Recording as Reader  # noqa: PLC0415 - as above
    from gateway.replaying.diff import diff  # noqa: PLC0415 - as above
    from gateway.replaying.outcome import Memory  # noqa: PLC0415 - as above
    from gateway.replaying.timeline import timeline  # noqa: PLC0415 - as above

    mine = _Side(lines, _about(recording, played), played.gaps)
    other = Path(args.diff)
    if args.diff == RECORDED:
        before, after = _before(args, recording, asked), mine
    elif other.suffix == ".jsonl":
        before, after = _Side(_lines_of(other), None, []), mine
    elif other.suffix in {".yaml", ".yml"}:
        again, theirs = _played(args, recording, asked, other, Memory())
        before, after = mine, _Side(theirs, _about(recording, again), again.gaps)
    else:
        second = Reader.open([other])
        again, theirs = _played(args, second, asked, args.config, Memory())
        before, after = mine, _Side(theirs, _about(second, again), again.gaps)
    holes = [*before.gaps, *after.gaps]
    found = diff(before.lines, after.lines, int(args.within or WITHIN), before.about, after.about, holes=holes)
    if args.timeline:
        timeline(found, args.timeline)
    return found


def _before(args: argparse.Namespace, recording: Recording, asked: Asked) -> _Side:
    """What was recorded then. Of an import nothing was: there it is what its own configuration and looks come to."""
    from gateway.replaying.outcome import Memory  # noqa: PLC0415 - as above

    then = [*recording.alerts(asked.from_ns, asked.to_ns)]
    imported = all(file.about.made in {"import", "cut"} for file in recording.files)
    if then or not imported or next(recording.alerts(), None) is not None:
        return _Side(then, recording.files[-1].about, [])
    if args.config is None and args.reinfer is None:
        raise ConfigError(["--diff: an import has no alerts of its own: name what to compare, such as --diff B.yaml"])
    plain = type(args)(**{**vars(args), "reinfer": None})
    played, lines = _played(plain, recording, asked, None, Memory())
    return _Side(lines, _about(recording, played), played.gaps)


class _Side(NamedTuple):
    """One of the two that are compared."""

    lines: list[bytes]
    about: About | None
    gaps: list[Gap]


def _lines_of(path: Path) -> list[bytes]:
    try:
        return [line for line in path.read_bytes().splitlines() if line.strip()]
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read ({error.strerror})"]) from error


def _about(recording: Recording, played: Played) -> About:
    """What was played: the recording's, with the configuration and the models that held at last."""
    about = recording.files[-1].about
    if not played.configs:
        return about
    last = played.configs[-1]
    return msgspec.structs.replace(about, config=last.text, config_sha=last.config.sha, models=played.models)


def _why_nothing(recording: Recording, asked: Asked, zone: tzinfo) -> str:
    begun, ended = min(file.first_ns for file in recording.files), recording.files[-1].last_ns
    if (asked.from_ns, asked.to_ns) == (None, None) or ended <= begun:
        return "nothing can be played: the recording has no input that can be read"
    return f"nothing was recorded in that span: the recording goes from {shown(begun, zone)} to {shown(ended, zone)}"


def _tell(recording: Recording, asked: Asked, played: Played, as_recorded: bool | None) -> None:
    zone = zone_or_utc(recording.files[0].about.timezone)
    for damage in (*recording.damage, *(one for file in recording.files for one in file.damage)):
        print(told(damage), file=sys.stderr)
    for hole in played.holes:
        print(told(hole))
    summary = played.summary
    if not played.begun_ns:
        print(told(_why_nothing(recording, asked, zone)), file=sys.stderr)
        return
    print(f"{shown(played.begun_ns, zone)} – {shown(played.ended_ns, zone)}")
    counts = (
        f"{summary.messages} messages, {summary.frames} frames → {played.points} points, "
        f"{len(played.alerts)} changes of alerts, {summary.alerts} raised"
    )
    print(told(counts))
    if as_recorded is not None:
        print(told("the alerts are those that were recorded" if as_recorded else NOT_AS_RECORDED))


def _json(played: Played, as_recorded: bool | None, difference: Difference | None, diff: Diff | None) -> str:
    whole: dict[str, object] = {
        "begun_ns": played.begun_ns,
        "ended_ns": played.ended_ns,
        **msgspec.structs.asdict(played.summary),
        "points": played.points,
        "changes": len(played.alerts),
        "requests": played.requests,
        "dead": played.dead,
        "state_sha": played.state_sha,
        "holes": played.holes,
        "config_shas": [one.config.sha for one in played.configs],
        "stopped": played.stopped,
        "as_recorded": as_recorded,
    }
    for name, found in (("expect", difference), ("diff", diff)):
        if found is not None:
            whole[name] = msgspec.Raw(found.json())
    return msgspec.json.encode(whole).decode()
