"""`zhiwang backtest`: many recordings through many configurations, spread over processes; one table at the end."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.backtest.sweep import axis
from gateway.cli.progress import bar
from gateway.cli.typed import positive, typed
from gateway.cli.words import told
from gateway.errors import ConfigError

if TYPE_CHECKING:
    import argparse
    from contextlib import AbstractContextManager

    from gateway.backtest.backtest import Asked, Backtest, Ended
    from gateway.backtest.spread import Pool

EXAMPLE = "zhiwang backtest gateway.yaml recording/ --sweep rules.flood.levels.yellow=2.4..3.2:0.2"
HELP = """\
Recordings are replayed apart from one another, a day of a gateway and a configuration at a time: a worker each. What is
done is kept in the folder of -o: the same command goes on where it was stopped, or takes in what was added.

  zhiwang backtest recording/                             each recording with its own configuration
  zhiwang backtest old.yaml new.yaml monday.mcap …        two configurations side by side
  zhiwang backtest new.yaml recording/ --labels F.csv     precision and recall by what people said of alerts
  zhiwang backtest … --sweep rules.flood.for=10 s..60 s:10 s --sweep rules.flood.levels.yellow=2.6,2.8,3.0
  zhiwang backtest … --scheduler tcp://10.0.0.5:8786      on a Dask cluster that sees the same files

An alert that is open at midnight is counted once. A rule that was changed begins each day with nothing, so that what it
sees over midnight counts on both days: --whole replays each gateway in one go, exactly, on one core."""
CONFIGS = (".yaml", ".yml")
FAILED, INTERRUPTED = 1, 130


def arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `backtest`."""
    parser.epilog = HELP
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="configurations (.yaml), recordings, or folders of them"
    )
    parser.add_argument(
        "--config", action="append", default=[], metavar="C", help="a further configuration, or: recorded"
    )
    parser.add_argument(
        "--sweep",
        action="append",
        default=[],
        type=typed(axis),
        metavar="PATH=VALUES",
        help="a key and its values: 5..20, 5..20:2.5, 10 s..60 s:10 s or a,b,c; several make a grid",
    )
    parser.add_argument(
        "--labels", type=Path, metavar="F.csv", help="what was right and wrong (default: beside the files)"
    )
    parser.add_argument("--workers", type=positive, metavar="N", help="processes on this machine (default: one a core)")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="the workers of this Dask cluster instead")
    parser.add_argument("--whole", action="store_true", help="each gateway in one go, not day by day")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("backtest"),
        metavar="DIR",
        help="what is kept and written (backtest/)",
    )
    parser.add_argument("--json", action="store_true", help="the table as one JSON object")


def run(args: argparse.Namespace) -> int:
    """0 done; 1 where a recording could not be replayed; 2 wrong use; 130 interrupted, with what there was."""
    from gateway.backtest.backtest import Backtest  # noqa: PLC0415 - `--help` does without
    from gateway.cli.backtest_shown import show  # noqa: PLC0415 - as above
    from gateway.registry import registry  # noqa: PLC0415 - as above

    backtest = Backtest(_asked(args), registry(), args.output)
    if backtest.found_kept:
        _tell(f"{backtest.found_kept} of {len(backtest.tasks)} tasks were done before")
    interrupted = _worked_off(backtest, args)
    ended = backtest.write()
    show(backtest, ended, as_json=args.json)
    _tell_outcome(backtest, ended, args.output, interrupted=interrupted)
    if interrupted:
        return INTERRUPTED
    return FAILED if backtest.failures or backtest.unreadable else 0


def _asked(args: argparse.Namespace) -> Asked:
    """What is asked for, configurations and recordings told apart. Raises ConfigError."""
    from gateway.backtest.backtest import Asked  # noqa: PLC0415 - as above

    if args.workers and args.scheduler:
        raise ConfigError(["--workers starts workers here, --scheduler takes those of a cluster: give one of them"])
    configs = [one for one in args.files if one.endswith(CONFIGS)] + args.config
    files = tuple(Path(one) for one in args.files if not one.endswith(CONFIGS))
    if not files:
        raise ConfigError(["found no recording among the arguments: name .mcap files, or a folder of them"])
    return Asked(files, tuple(dict.fromkeys(configs)), tuple(args.sweep), args.labels, args.whole)


def _worked_off(backtest: Backtest, args: argparse.Namespace) -> bool:
    """Do what is left to do; True: it was interrupted."""
    todo = backtest.todo
    if not todo:
        return False
    sizes = {task.key: task.group.bytes for task in backtest.tasks}
    done_bytes = {done.key: done.bytes for done in backtest.results}
    total = sum(sizes.values())
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends it as Ctrl-C does: in order
    try:
        with _pool(args, len(todo)) as pool, bar("backtest") as shown:

            def progress(key: str, done: int) -> None:
                done_bytes[key] = done
                shown(sum(done_bytes.values()), total)

            for done in pool.run(todo, progress):
                backtest.take(done)
                progress(done.key, sizes[done.key])
    except KeyboardInterrupt:
        return True
    finally:
        signal.signal(signal.SIGTERM, before)
    return False


def _pool(args: argparse.Namespace, tasks: int) -> AbstractContextManager[Pool]:
    from gateway.backtest import spread  # noqa: PLC0415 - Dask loads only where something is to be done

    if args.scheduler:
        return spread.existing(args.scheduler)
    return spread.local(min(tasks, args.workers or len(os.sched_getaffinity(0))))


def _tell(text: str) -> None:
    print(told(text), file=sys.stderr)


def _tell_outcome(backtest: Backtest, ended: Ended, folder: Path, *, interrupted: bool) -> None:
    """What cannot be seen from the table."""
    for path, why in backtest.unreadable.items():
        _tell(f"left out: {why if path in why else f'{path}: {why}'}")
    for done in backtest.failures:
        _tell(f"failed: {done.gateway} {done.day}, {done.variant}: {done.error}")
    holes = {(done.gateway, done.day): done.holes for done in backtest.results if done.holes}
    for (gateway, day), found in holes.items():
        _tell(f"{gateway} {day}: holes in the recording: {len(found)}, first {found[0]}")
    if ended.incomplete:
        _tell(f"not complete, and in no curve: {', '.join(ended.incomplete)}")
    if interrupted:
        count = len(backtest.results)
        _tell(f"interrupted: {count} of {len(backtest.tasks)} tasks are kept; the same command goes on from there")
    _tell(f"written to {folder}: {', '.join(path.name for path in ended.outputs)}")
