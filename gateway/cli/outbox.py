"""The verb `outbox`: look into the durable store, beside the running gateway or after it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gateway.cli.typed import positive
from gateway.cli.words import told
from gateway.clock import WallClock
from gateway.config.scalars import Size
from gateway.errors import ConfigError
from gateway.outbox import look

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from gateway.outbox import Gap

EXAMPLE = "zhiwang outbox stat gateway.yaml"
ANSWER_IS_NO = 3
SHOWN_GAPS = 10  # --json has all
SHOWN_CHARS = 160  # of a body, where a person reads

STORE_DO = "do: restart the gateway: it sets a damaged store aside and begins a fresh one; keep the old file"
ROWS_DO = "do: nothing: the gateway sets such rows aside when a sink comes to them, and says so; see the disk's health"

VERBS = {
    "stat": "how far each sink is, how much waits, how many dead letters there are",
    "peek": "the next rows of each sink",
    "rejected": "dead letters: what could not be used or was refused for good, and why",
    "retry": "deliver or step dead letters again; a running gateway takes them up within seconds",
    "check": "read every page; exit 3 if the store is damaged",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `outbox`."""
    verbs = parser.add_subparsers(dest="outbox_verb", metavar="|".join(VERBS), required=True)
    for name, summary in VERBS.items():
        verb = verbs.add_parser(name, help=summary, description=summary)
        verb.add_argument("config", nargs="?", type=Path, metavar="CONFIG", help="the gateway's configuration")
        verb.add_argument("--state", type=Path, metavar="DIR", help="the state folder itself, instead of CONFIG")
        verb.add_argument("--json", action="store_true", help="one JSON object a line")
        if name == "peek":
            verb.add_argument("--sink", metavar="NAME", help="only this sink")
        if name in {"peek", "rejected"}:
            verb.add_argument(
                "-n", "--rows", type=positive, default=10, metavar="N", help="at most so many (default 10)"
            )
        if name == "retry":
            verb.add_argument("--id", type=int, action="append", metavar="ID", help="only this letter; may be repeated")


def run(args: argparse.Namespace) -> int:
    """Run the verb; 3 where a check's answer is no."""
    folder = _folder(args.config, args.state)
    with look.connected(folder, write=args.outbox_verb == "retry") as connection:
        if args.outbox_verb == "stat":
            return _stat(look.state(connection, WallClock().now_ns()), as_json=args.json)
        if args.outbox_verb == "peek":
            rows, gaps = look.peek(connection, args.sink, args.rows), look.gaps_of(connection, args.sink, args.rows)
            return _peek(rows, gaps, as_json=args.json)
        if args.outbox_verb == "rejected":
            return _rejected(look.rejected(connection, args.rows), as_json=args.json)
        if args.outbox_verb == "retry":
            marked = look.retry(connection, args.id)
            print(msgspec.json.encode({"asked_again": marked}).decode() if args.json else told(_asked(marked)))
            return 0
        return _check(look.check(connection), folder, as_json=args.json)


def _folder(config: Path | None, state: Path | None) -> Path:
    if (config is None) == (state is None):
        raise ConfigError(
            ["outbox: give either a configuration or --state DIR, such as: zhiwang outbox stat gateway.yaml"]
        )
    if state is not None:
        return state
    from gateway.config.load import load  # noqa: PLC0415 — `--state` does without the configuration's libraries
    from gateway.registry import registry  # noqa: PLC0415 — as above

    return load(config or Path(), registry()).state


def _print_json(rows: Sequence[msgspec.Struct]) -> int:
    for row in rows:
        print(msgspec.json.encode(row).decode())
    return 0


def _stat(state: look.State, *, as_json: bool) -> int:
    if as_json:
        return _print_json([state])
    print(
        f"epoch {state.epoch} · next seq {state.next_seq} · {_size(state.bytes)}, of it {_size(state.free_bytes)} free"
    )
    for sink in state.sinks:
        waits = f"{sink.waiting_rows} rows ({_size(sink.waiting_bytes)}) wait, oldest {sink.lag_s:.0f} s"
        print(f"  {sink.sink:<16} {sink.stream:<9} {told(waits if sink.waiting_rows else 'has everything')}")
    again = f", {state.letters_asked_again} asked for again" if state.letters_asked_again else ""
    print(told(f"dead letters: {state.letters} ({_size(state.letters_bytes)}){again}"))
    _gaps(state.gaps[:SHOWN_GAPS])
    return 0


def _gaps(gaps: list[Gap]) -> None:
    for gap in gaps:
        what = f"{gap.points} points of {len(gap.series)} series ({gap.rows} rows) dropped: {gap.why}"
        print(f"  {gap.sink:<16} {told('gap')} {_time(gap.from_ns)} – {_time(gap.to_ns)}: {told(what)}")


def _peek(rows: list[look.Peeked], gaps: list[Gap], *, as_json: bool) -> int:
    if as_json:
        return _print_json(rows)
    _gaps(gaps)
    for row in rows:
        what = row.key or f"{row.count} points"
        print(f"{row.sink} {row.stream} #{row.position} {_time(row.at_ns)} {what}, {row.bytes} B: {_short(row.body)}")
    if not rows:
        print(told("nothing waits"))
    return 0


def _rejected(letters: list[look.Rejection], *, as_json: bool) -> int:
    if as_json:
        return _print_json(letters)
    for one in letters:
        again = told(" (asked for again)") if one.asked_again else ""
        print(f"{one.id} {_time(one.at_ns)} {one.where} {one.topic or one.key}: {one.reason}{again}")
        print(f"    {_short(one.body)}")
    if not letters:
        print(told("no dead letters"))
    return 0


def _check(checked: look.Checked, folder: Path, *, as_json: bool) -> int:
    if as_json:
        _print_json([checked])
    elif checked.problems:
        for problem in checked.problems:
            print(f"FAIL  {problem}")
        rows_only = all(problem.endswith(look.UNFIT) and "state" not in problem for problem in checked.problems)
        do = ROWS_DO if rows_only else STORE_DO
        print(f"      {told(do)}")
    else:
        print(told(f"ok    {folder}: every page of {_size(checked.bytes)} was read"))
    return ANSWER_IS_NO if checked.problems else 0


def _asked(marked: int) -> str:
    return f"{marked} dead letters will be taken up by the running gateway within seconds, or at its next start"


def _size(count: int) -> str:
    step = 1_000_000 if count >= 10_000_000 else 1_000
    return str(Size(count // step * step)) if count >= step else f"{count} B"


def _time(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns / 1e9, UTC).isoformat(timespec="milliseconds")


def _short(body: str) -> str:
    line = " ⏎ ".join(body.split("\n")).removesuffix(" ⏎ ")
    return line if len(line) <= SHOWN_CHARS else f"{line[:SHOWN_CHARS]} …"
