"""`zhiwang check`: reads a configuration and tells every error at once; touches no broker, camera, sink or secret.

It looks at the outbox too, beside a running gateway or without one, and writes nothing there. What it finds of it are
warnings at most: a start succeeds whatever the outbox is like.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.cli import words
from gateway.clock import WallClock
from gateway.config.cross import RESERVED_SINKS
from gateway.config.findings import dotted
from gateway.config.load import review
from gateway.config.printed import printed
from gateway.language import of_environment
from gateway.outbox import Budget
from gateway.outbox.survey import Survey, survey

if TYPE_CHECKING:
    import argparse

    from gateway.config.load import Review
    from gateway.config.model import Config
    from gateway.language import Language

EXAMPLE = "zhiwang check gateway.yaml --print"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument("config", nargs="+", type=Path, metavar="CONFIG", help="a gateway's YAML file")
    parser.add_argument(
        "--print", action="store_true", dest="effective", help="the effective configuration and its sources"
    )
    parser.add_argument("--json", action="store_true", help="findings and summary for machines, one object a file")


def run(args: argparse.Namespace) -> int:
    """Exit code 0 where every file can be used (warnings allowed), else 2."""
    from gateway.registry import registry  # noqa: PLC0415 - the kinds' modules load only when a file is read

    known = registry()
    worst = 0
    for path in args.config:
        reviewed = review(path, known)
        stored = _surveyed(reviewed.config) if reviewed.config else Survey([], [])
        print(
            _as_json(path, reviewed, stored, effective=args.effective)
            if args.json
            else _as_text(path, reviewed, stored, args.effective)
        )
        worst = max(worst, 0 if reviewed.config else 2)
    return worst


def _surveyed(config: Config) -> Survey:
    """What stands in the outbox that this configuration would run on."""
    bounds = Budget(int(config.outbox.budget), int(config.outbox.age), int(config.outbox.ballast))
    return survey(config.state, bounds, {*config.sinks, *RESERVED_SINKS}, WallClock())


SECTIONS = ("brokers", "sensors", "cameras", "rules", "sinks")


def contents(config: Config, language: Language) -> str:
    """What a configuration contains, in one phrase: `2 brokers, 1 sensor, 3 rules (1 shadow)`."""
    parts = [words.counted(language, len(getattr(config, section)), section.removesuffix("s")) for section in SECTIONS]
    modes = Counter(rule.common.mode for rule in config.rules.values() if rule.common.mode != "live")
    if modes:
        parts[3] += f" ({', '.join(f'{count} {mode}' for mode, count in sorted(modes.items()))})"
    return words.listed(language, parts)


def _verdict(reviewed: Review, stored: Survey) -> str:
    errors = len(reviewed.errors())
    language = of_environment()
    warnings = len(reviewed.findings) - errors + len(stored.warnings)
    parts = [words.counted(language, errors, "error"), words.counted(language, warnings, "warning")]
    return words.listed(language, parts)


def _as_text(path: Path, reviewed: Review, stored: Survey, effective: bool) -> str:
    rows = [words.finding(str(finding)) for finding in reviewed.findings]
    rows += [f"outbox: {words.told('warning: ')}{words.told(one)}" for one in stored.warnings]
    rows += [f"outbox: {words.told(one)}" for one in stored.notes]
    if effective and reviewed.config is not None:
        rows.insert(0, printed(reviewed.lines))
    config = reviewed.config
    sha = f"{words.told('config ')}{config.sha[:12]}" if config else ""
    holds = f"{config.gateway} · {contents(config, of_environment())} · {sha} · " if config else ""
    return "\n".join([*rows, f"{path}: {holds}{_verdict(reviewed, stored)}"])


def _as_json(path: Path, reviewed: Review, stored: Survey, *, effective: bool) -> str:
    config = reviewed.config
    answer: dict[str, object] = {
        "file": str(path),
        "ok": config is not None,
        "findings": [
            {
                "file": finding.file,
                "line": finding.line,
                "path": dotted(finding.path),
                "problem": finding.problem,
                "warning": finding.warning,
            }
            for finding in reviewed.findings
        ],
        "gateway": config.gateway if config else None,
        "config_sha": config.sha if config else None,
        "contains": contents(config, "en") if config else None,
        "outbox": {"notes": stored.notes, "warnings": stored.warnings},
    }
    if effective and config is not None:
        answer["effective"] = [
            {"path": dotted(line.path), "value": line.text, "from": line.origin} for line in reviewed.lines
        ]
    return json.dumps(answer, ensure_ascii=False)
