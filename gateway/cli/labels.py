"""The verb `labels`: what people said of the alerts of a recording, and saying it; how each rule did by that."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gateway.cli.times import shown
from gateway.cli.words import told
from gateway.clock import zone_or_utc
from gateway.errors import ConfigError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from gateway.recording.reader import Recording
    from gateway.replaying.labels import Labels, Score, Span, Window

EXAMPLE = "zhiwang labels day.mcap --set LG17-4K2M wrong --note fog"
ANSWER_IS_NO = 3
WORDS = ("right", "wrong", "none")


class Listed(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """One alert, as `--json` tells it; times in ISO 8601 with the recording's offset, `to` null where it held on."""

    id: str
    code: str
    rule: str
    subject: str
    from_: str
    to: str | None
    verdict: str | None
    note: str
    who: str


def arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `labels`."""
    parser.add_argument("files", nargs="+", type=Path, metavar="F.mcap", help="recordings of one gateway, or a folder")
    parser.add_argument(
        "--set",
        nargs=2,
        action="append",
        default=[],
        metavar=("ALERT", "VERDICT"),
        help="say that this alert (its code or id) was right or wrong; none takes that back; may be repeated",
    )
    parser.add_argument("--note", default="", help="why, kept with --set")
    parser.add_argument("--keep", action="store_true", help="also write down what the recording itself holds")
    parser.add_argument(
        "--alerts", type=Path, metavar="F.jsonl", help="alerts of a replay, instead of the recorded ones"
    )
    parser.add_argument(
        "--labels", type=Path, metavar="F.csv", help="the file of labels; default: beside the recording"
    )
    parser.add_argument("--scores", action="store_true", help="how each rule did by its labels, instead of its alerts")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def run(args: argparse.Namespace) -> int:
    """List them, or write down what is said. 2 where a file of labels has faults; 3 where there is no such alert."""
    from gateway.recording.reader import Recording  # noqa: PLC0415 - `--help` does without
    from gateway.replaying import labels_file  # noqa: PLC0415 - as above
    from gateway.replaying.labels import Labels, spans  # noqa: PLC0415 - as above

    wrong = [word for _, word in args.set if word not in WORDS]
    if wrong:
        raise ConfigError([f"--set: found {wrong[0]!r}; one of right, wrong, none is written"])
    recording = Recording.open(args.files)
    zone = recording.files[-1].about.timezone
    lines = _lines(recording, args.alerts)
    alerts, own = spans(lines), Labels.of_recording(recording)
    path = args.labels or labels_file.beside(args.files[0])
    kept = labels_file.read(path, zone) if path.is_file() else Labels()
    if args.set or args.keep:
        kept, missing = _said(Labels(_lacking(own, kept)).and_then(kept) if args.keep else kept, alerts, args)
        if missing:
            print(
                f"zhiwang: {missing}: {told('there is no alert with this code or id in the recording')}",
                file=sys.stderr,
            )
            return ANSWER_IS_NO
        labels_file.write(path, kept, zone)
        if not args.json:
            print(told(f"{path}: {len(kept)} labels"))
    labels = own.and_then(kept)
    if args.scores:
        _tell_scores(labels, lines, as_json=args.json)
    else:
        _tell_alerts(alerts, labels, zone, as_json=args.json)
    return 0


def _lines(recording: Recording, alerts: Path | None) -> list[bytes]:
    if alerts is None:
        return list(recording.alerts())
    try:
        return alerts.read_bytes().splitlines()
    except OSError as error:
        raise ConfigError([f"{alerts}: {error.strerror}"]) from error


def _lacking(own: Labels, kept: Labels) -> list[Window]:
    """What the recording holds of alerts that the file does not name."""
    named = {window.alert for window in kept.windows}
    return [window for window in own.windows if window.alert not in named]


def _said(kept: Labels, alerts: Sequence[Span], args: argparse.Namespace) -> tuple[Labels, str]:
    """The labels with what was said now; or the word that names no alert."""
    from gateway.replaying.labels import Labels, window_of  # noqa: PLC0415 - `--help` does without

    windows = list(kept.windows)
    for word, verdict in args.set:
        found = [alert for alert in alerts if word == alert.id or word.upper() == alert.code]
        if not found:
            return kept, word
        alert = found[-1]  # a code may have come again: the last one is meant
        windows = [window for window in windows if window.alert != alert.id]
        if verdict != "none":
            windows.append(window_of(alert, verdict, args.note))
    return Labels(windows), ""


def _tell_alerts(alerts: Sequence[Span], labels: Labels, zone_name: str, *, as_json: bool) -> None:
    from gateway.replaying.labels import END_NS  # noqa: PLC0415 - `--help` does without
    from gateway.replaying.labels_file import written  # noqa: PLC0415 - as above

    zone = zone_or_utc(zone_name)
    for alert in alerts:
        window, verdict = labels.window_for(alert), labels.of_span(alert)
        note, who = (window.note if window else alert.note), alert.who if verdict == alert.verdict else ""
        ended = alert.to_ns != END_NS
        if as_json:
            to = written(alert.to_ns, zone_name) if ended else None
            begun = written(alert.from_ns, zone_name)
            one = Listed(alert.id, alert.code, alert.rule, alert.subject, begun, to, verdict, note, who)
            print(msgspec.json.encode(one).decode())
            continue
        end = shown(alert.to_ns, zone)[11:] if ended else "…"
        said = " · ".join(part for part in (told(verdict) if verdict else "-", who, note) if part)
        print(f"{shown(alert.from_ns, zone)} – {end:8}  {alert.code}  {alert.rule} {alert.subject}  {said}")
    if not alerts and not as_json:
        print(told("no alerts are recorded here; those of a replay are given with --alerts F.jsonl"))


def _tell_scores(labels: Labels, lines: Sequence[bytes], *, as_json: bool) -> None:
    from gateway.replaying.labels import scores  # noqa: PLC0415 - `--help` does without

    for score in scores(labels, lines):
        if as_json:
            whole = {**msgspec.to_builtins(score), "precision": score.precision, "recall": score.recall}
            print(msgspec.json.encode(whole).decode())
        else:
            print(told(_sentence(score)))


def _sentence(score: Score) -> str:
    counts = f"{score.rule}: raised {score.raised}, judged {score.judged}, wrong {score.wrong}, missed {score.missed}"
    parts = [f"precision {score.precision:.2f}"] if score.precision is not None else []
    parts += [f"recall {score.recall:.2f}"] if score.recall is not None else []
    return " · ".join([counts, *parts])
