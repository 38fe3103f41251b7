"""The configurations of a backtest: files, each as it is or with every combination of what is swept.

All are checked before anything runs, and every error is told at once.
"""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gateway.app.plan import find_models
from gateway.backtest.sweep import grid
from gateway.config.findings import dotted
from gateway.config.load import NAMED, review
from gateway.config.names import listed, nearest
from gateway.errors import ConfigError
from gateway.replaying.configurations import overlay_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.backtest.sweep import Axis
    from gateway.config.findings import Finding
    from gateway.config.kinds import Registry
    from gateway.config.load import Review
    from gateway.config.model import Config

Findings = dict[tuple[tuple[str | int, ...], str], str]
"""What is wrong, by where and what: said once, however many combinations it is wrong in."""
RECORDED = "recorded"
"""Stands where a configuration's file would: each recording runs with the configuration that it was made with."""


class Variant(msgspec.Struct, frozen=True):
    """One configuration of a backtest.

    `name` is the file's stem (the file's path where two are alike), then what is swept: `gateway yellow=5`. `config`
    is an absolute path, None for what was recorded; `overlay` maps dotted paths to YAML texts. `key` hashes all that
    decides: the decoded structure and what its cameras' models tell. `rules`: the names of its rules, where the file
    is known.
    """

    name: str
    config: str | None
    overlay: dict[str, str]
    key: str
    rules: tuple[str, ...] = ()


def variants(
    configs: Sequence[str], axes: Sequence[Axis], registry: Registry, recorded: Sequence[str] = ()
) -> list[Variant]:
    """Each file with each combination. Raises ConfigError with every error of every one, none being run.

    recorded: the texts of the configurations in the recordings, on which `recorded` is checked.
    """
    try:
        combinations = grid(axes)
    except ValueError as error:
        raise ConfigError([f"--sweep {error}"]) from error
    findings: Findings = {}
    made: list[Variant] = []
    stems = [Path(one).stem for one in configs]
    for config, stem in zip(configs, stems, strict=True):
        short = stem if stems.count(stem) == 1 else config
        if config == RECORDED:
            _check_recorded(axes, combinations, registry, recorded, findings)
            made += [Variant(_named(RECORDED, one), None, one, _hash([RECORDED, one])) for one in combinations]
        else:
            made += _of_file(Path(config), short, axes, combinations, registry, findings)
    if findings:
        raise ConfigError(list(findings.values()))
    return made


def _check_recorded(
    axes: Sequence[Axis],
    combinations: list[dict[str, str]],
    registry: Registry,
    texts: Sequence[str],
    findings: Findings,
) -> None:
    """What is wrong with the sweeps over each recorded configuration goes to `findings`."""
    for text in dict.fromkeys(texts) if axes else ():
        with tempfile.TemporaryDirectory(prefix="zhiwang-") as folder:
            path = Path(folder, "recorded.yaml")
            path.write_text(text, encoding="utf-8")
            _of_file(path, RECORDED, axes, combinations, registry, findings)


def _of_file(
    path: Path,
    short: str,
    axes: Sequence[Axis],
    combinations: list[dict[str, str]],
    registry: Registry,
    findings: Findings,
) -> list[Variant]:
    """The variants of one file; what is wrong goes to `findings`."""
    plain = review(path, registry)
    for finding in plain.errors():
        findings[((finding.file, finding.line, *finding.path), finding.problem)] = str(finding)
    unknown = _unknown(plain, axes) if plain.config else []
    for problem in unknown:
        findings[((), problem)] = problem
    if plain.config is None or unknown:
        return []
    made: list[Variant] = []
    for overlay in combinations:
        config = _overlaid(path, overlay, registry, findings) if overlay else plain.config
        if config is not None:
            name, where = _named(short, overlay), str(path.resolve())
            made.append(Variant(name, where, overlay, key_of(config), tuple(config.rules)))
    return made


def key_of(config: Config) -> str:
    """SHA-256 of all in a configuration that decides: its structure, and the models that its cameras name."""
    manifests, _ = find_models(config)
    models = [(name, one.sha256, one.score, one.labels) for name, one in sorted(manifests.items())]
    return _hash([config.sha, models])


def _hash(decides: object) -> str:
    return hashlib.sha256(msgspec.json.encode(decides)).hexdigest()


def _named(short: str, overlay: dict[str, str]) -> str:
    """`gateway yellow=5 for=10 s`: the last parts of the paths are enough where they differ."""
    lasts = [path.rpartition(".")[2] for path in overlay]
    words = [path if lasts.count(last) > 1 else last for path, last in zip(overlay, lasts, strict=True)]
    return " ".join([short, *(f"{word}={value}" for word, value in zip(words, overlay.values(), strict=True))])


def _unknown(reviewed: Review, axes: Sequence[Axis]) -> list[str]:
    """What is wrong with swept paths that lead to no part of the configuration.

    Keys inside a part are the part's own matter: whether it takes one, the check of the whole says.
    """
    written = [tuple(str(part) for part in line.path) for line in reviewed.lines]
    problems: list[str] = []
    for one in axes:
        parts = tuple(one.path.split("."))
        for depth, part in enumerate(parts[: 2 if parts[0] in NAMED else 1]):
            there = {path[depth] for path in written if len(path) > depth and path[:depth] == parts[:depth]}
            if part not in there:
                above = ".".join(parts[:depth]) or "the configuration"
                hint = f"no {part} in {above}{nearest(part, there)} (there: {listed(there)})"
                problems.append(f"--sweep {one.path}: {hint}")
                break
    return problems


def _problem(finding: Finding) -> str:
    return f"{dotted(finding.path)}: {finding.problem}" if finding.path else finding.problem


def _overlaid(path: Path, overlay: dict[str, str], registry: Registry, findings: Findings) -> Config | None:
    """The configuration with an overlay; what is wrong with it goes to `findings`, once for all that it is said of."""
    with tempfile.TemporaryDirectory(prefix="zhiwang-") as folder:
        over = Path(folder) / "sweep.yaml"
        over.write_text(overlay_text(overlay), encoding="utf-8")
        reviewed = review(path, registry, overlay=over)
    told = " ".join(f"{key}={value}" for key, value in overlay.items())
    for finding in reviewed.errors():
        place = "" if finding.file == str(over) else f"{finding.file}:{finding.line}  "
        findings.setdefault((finding.path, finding.problem), f"--sweep {told}: {place}{_problem(finding)}")
    return reviewed.config
