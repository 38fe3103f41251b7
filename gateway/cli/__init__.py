"""The command `zhiwang`: one module a verb, loaded only when it is asked for.

A verb's module has `EXAMPLE` (one line, shown first in its help), `arguments(parser)` and `run(args) -> int`.
Exit codes: 0 done; 1 it failed while running; 2 wrong usage or configuration; 3 it ran and the answer is no.
"""

from __future__ import annotations

import errno
import importlib
import os
import sys
from keyword import iskeyword
from typing import TYPE_CHECKING

from gateway import __version__
from gateway.cli.parser import Parser
from gateway.cli.words import finding, told
from gateway.errors import ConfigError, GatewayError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

VERBS = {
    "run": "run a gateway",
    "demo": "see the main job at work, with recorded streams",
    "check": "read a configuration and report every error",
    "watch": "follow alerts in the terminal; acknowledge and shelve",
    "detect": "run the detector over images, folders and video",
    "track": "follow who is who through a video, in MOT format",
    "import": "make a recording of mosquitto_sub logs, CSV, Parquet, videos or an InfluxDB",
    "export": "make Parquet, JSON lines or video of a recording",
    "record": "a span of what a gateway recorded, as one file",
    "cut": "one alert of a recording, as a test",
    "replay": "run a recording through the same core again: expect, what if, diff",
    "labels": "what people said of the alerts of a recording: right or wrong",
    "backtest": "many recordings through many configurations; sweeps; one table",
    "outbox": "look into the durable store",
    "evidence": "pictures and clips of alerts: list, pin, open what is sealed",
    "models": "list, fetch, check and measure models",
    "bench": "what this box can do: how many cameras it carries",
    "schema": "print the JSON Schema of the configuration or of an alert",
}
UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""What a disk says of a write; it names no file."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code."""
    try:
        try:
            return _main(argv)
        finally:
            if sys.stdout:  # None where it is closed
                sys.stdout.flush()
    except BrokenPipeError:  # whoever read has read enough
        _give_up_output()
        return 0
    except OSError as error:
        if error.filename is None and error.errno not in UNWRITABLE:
            raise
        _give_up_output()
        where = error.filename or "the output cannot be written"
        print(f"zhiwang: {told(where)}: {told(error.strerror or '')}", file=sys.stderr)
        return 1


def module_of(verb: str) -> ModuleType:
    """A verb's module, loaded; behind the name of one that Python keeps for itself stands a `_`."""
    return importlib.import_module(f"gateway.cli.{verb}{'_' if iskeyword(verb) else ''}")


def _give_up_output() -> None:
    """Write nothing more to standard output, where it cannot be written: Python would try again at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _main(argv: Sequence[str] | None) -> int:
    words = list(sys.argv[1:] if argv is None else argv)
    parser = Parser(
        prog="zhiwang",
        description="智网: streams and cameras in, detections, alerts and time series out.",
        epilog="zhiwang VERB --help begins with an example.",
    )
    parser.add_argument("--version", action="version", version=f"zhiwang {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    asked = next((word for word in words if not word.startswith("-")), None)
    for name, summary in VERBS.items():
        if name == asked:
            module = module_of(name)
            verb = verbs.add_parser(
                name,
                help=summary,
                description=f"{told('example: ')}{module.EXAMPLE}\n\n{told(summary)}",
            )
            module.arguments(verb)
            verb.set_defaults(run=module.run)
        else:
            verbs.add_parser(name, help=summary)
    args = parser.parse_args(words)
    try:
        return int(args.run(args))
    except ConfigError as error:
        print("\n".join(finding(one) for one in error.findings), file=sys.stderr)
        return 2
    except GatewayError as error:
        print(f"zhiwang: {told(str(error))}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
