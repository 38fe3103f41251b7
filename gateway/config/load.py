"""A configuration file to a Config, or every error at once.

`load` is what runs; `review` also keeps warnings and where each value came from; `text_of` is what a recording keeps.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from gateway.config import cross, parts
from gateway.config.connections import check_connections
from gateway.config.decode import Failed, fields_of, unknown_keys
from gateway.config.files import tree, tree_of
from gateway.config.findings import Finding, redacted
from gateway.config.ground import areas, beyond
from gateway.config.model import Config, Top
from gateway.config.names import Names
from gateway.config.nodes import Leaf, Map, Node, block, found
from gateway.config.report import Line, Report
from gateway.config.sane import NAME, NAME_WORDS
from gateway.errors import ConfigError

P = TypeVar("P")

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.config.kinds import Registry
    from gateway.config.model import Rule, Sensor, SinkConfig

    Make = Callable[[str, Node, tuple[str, ...], Registry, Report], P | Failed]

PARTS = ("sensors", "rules", "sinks")
NAMED = ("brokers", "cameras", *PARTS)


class Review(msgspec.Struct, frozen=True):
    """What reading a configuration came to: `config` is None where `findings` has an error; `lines` is what holds."""

    config: Config | None
    findings: list[Finding]
    lines: list[Line]

    def errors(self) -> list[Finding]:
        """The findings that keep the gateway from running."""
        return [finding for finding in self.findings if not finding.warning]


def load(path: Path, registry: Registry, *, overlay: Path | None = None) -> Config:
    """The configuration in a file and what it includes. Raises ConfigError with every error."""
    return _or_raise(review(path, registry, overlay=overlay))


def loads(text: str, base: Path, registry: Registry, *, name: str = "gateway.yaml") -> Config:
    """The configuration in a text, as `load`; relative paths start from `base`."""
    return _or_raise(_review(*tree_of(text, name, base), base, registry))


def review(path: Path, registry: Registry, *, overlay: Path | None = None) -> Review:
    """The configuration in a file, with errors and warnings in the order of its lines."""
    return _review(*tree(path, overlay), path.parent, registry)


def explain(path: Path, registry: Registry, *, overlay: Path | None = None) -> list[Line]:
    """Every effective setting, and where it comes from. Raises ConfigError with every error."""
    reviewed = review(path, registry, overlay=overlay)
    _or_raise(reviewed)
    return reviewed.lines


def text_of(path: Path, *, overlay: Path | None = None) -> str:
    """The merged configuration as YAML, before secrets are resolved and without any that stand inline."""
    root, findings = tree(path, overlay)
    errors = [str(finding) for finding in findings if not finding.warning]
    if errors:
        raise ConfigError(errors)
    return block(root)


def _or_raise(reviewed: Review) -> Config:
    if reviewed.config is None:
        raise ConfigError([str(finding) for finding in reviewed.errors()])
    return reviewed.config


def _review(root: Map, findings: list[Finding], base: Path, registry: Registry) -> Review:
    report = Report(root)
    readable = root.entries or not findings  # an unreadable file would only be told to lack everything
    config = _decoded(root, base, registry, report) if readable else None
    _inline_passwords(root, (), report)
    order: dict[str, int] = {}
    told = sorted(
        dict.fromkeys([*findings, *report.findings]), key=lambda one: (order.setdefault(one.file, len(order)), one.line)
    )
    failed = any(not finding.warning for finding in told)
    return Review(None if failed else config, told, report.lines)


def _decoded(root: Map, base: Path, registry: Registry, report: Report) -> Config | None:
    top_keys = parts.keys_of(Top)
    known = [*top_keys[:6], "sensors", "cameras", "rules", "sinks", *(key for key in top_keys[6:] if key != "cameras")]
    unknown_keys(root, known, "keys of a gateway", (), report)
    _check_names(root, report)
    top = fields_of(root, Top, (), report)
    sensors = _each(root, "sensors", parts.sensor, registry, report)
    rules = _each(root, "rules", parts.rule, registry, report)
    sinks = _each(root, "sinks", parts.sink, registry, report)
    models = registry.models() if not isinstance(top, Failed) and top.cameras else {}
    names = _names(root, sensors)
    if models and not isinstance(top, Failed):
        names = msgspec.structs.replace(names, labels=cross.check_models(top, models, report))
    if not isinstance(top, Failed):
        grounds = {name: beyond(camera) for name, camera in top.cameras.items() if camera.ground}
        sizes = {name: areas(camera) for name, camera in top.cameras.items() if camera.ground}
        names = msgspec.structs.replace(names, grounds=grounds, areas=sizes)
    for name, sensor in sensors.items():
        cross.check_sensor(sensor, ("sensors", name), names, report)
    for name, rule in rules.items():
        cross.check_rule(rule, ("rules", name), names, sensors, report)
    for name, sink in sinks.items():
        cross.check_sink(sink, ("sinks", name), names, report)
    cross.check_gates(rules, report)
    if isinstance(top, Failed):
        return None
    _check_places(top, sensors, report)
    check_connections(top.brokers, sensors.values(), sinks.values(), report)
    return _assembled(top, sensors, rules, sinks, base)


def _check_names(root: Map, report: Report) -> None:
    for section in NAMED:
        node = root.entries.get(section)
        for name in node.entries if isinstance(node, Map) else ():
            if not NAME.fullmatch(name):
                report.error((section, name), f"found the name {name!r}; {NAME_WORDS}")
            elif section == "sensors" and name.startswith("zhiwang_"):
                report.error(
                    (section, name), "measurements that begin with zhiwang_ are the gateway's own; choose another"
                )


def _each(root: Map, section: str, one: Make[P], registry: Registry, report: Report) -> dict[str, P]:
    node = root.entries.get(section)
    if node is None or (isinstance(node, Leaf) and node.value is None):
        report.default({}, (section,))
        return {}
    if not isinstance(node, Map):
        report.error(
            (section,), f"{found(node)}; {section} is a map of names, never a list: {section}: {{a-name: {{…}}}}"
        )
        return {}
    made = {name: one(name, entry, (section, name), registry, report) for name, entry in node.entries.items()}
    return {name: part for name, part in made.items() if not isinstance(part, Failed)}


def _names(root: Map, sensors: dict[str, Sensor]) -> Names:
    """Names as written, so that an error in one part makes no second one where it is referred to."""

    def entries(node: Node | None) -> dict[str, Node]:
        return node.entries if isinstance(node, Map) else {}

    written = entries(root.entries.get("cameras")).items()
    cameras = {name: tuple(entries(entries(camera).get("zones"))) for name, camera in written}
    lines = {name: tuple(entries(entries(camera).get("lines"))) for name, camera in written}
    values = {
        name: cross.values_of(sensors[name].codec) if name in sensors else None
        for name in entries(root.entries.get("sensors"))
    }
    brokers, rules = (frozenset(entries(root.entries.get(section))) for section in ("brokers", "rules"))
    common = {name: sensor.common for name, sensor in sensors.items()}
    return Names(brokers, values, cameras, rules, common, lines=lines)


def _check_places(top: Top, sensors: dict[str, Sensor], report: Report) -> None:
    cross.check_place(top.place, top.city, ("place",), report)
    for name, camera in top.cameras.items():
        cross.check_place(camera.place, top.city, ("cameras", name, "place"), report)
    for name, sensor in sensors.items():
        cross.check_place(sensor.common.place, top.city, ("sensors", name, "place"), report)


def _inline_passwords(node: Node, path: tuple[str | int, ...], report: Report) -> None:
    if isinstance(node, Map):
        for key, entry in node.entries.items():
            _inline_passwords(entry, (*path, key), report)
    elif isinstance(node, Leaf) and isinstance(node.value, str) and redacted(node.value) != node.value:
        key = (
            "login: {user: …, password: {file: secrets/…}}"
            if path[:1] == ("cameras",)
            else "password: {file: secrets/…}"
        )
        report.error(path, f"a password stands inline in the URL; take it out and write {key} beside it", warning=True)


def _assembled(
    top: Top, sensors: dict[str, Sensor], rules: dict[str, Rule], sinks: dict[str, SinkConfig], base: Path
) -> Config:
    settings = {field.name: getattr(top, field.name) for field in msgspec.structs.fields(Top)}
    settings |= {"base": base, "sensors": sensors, "rules": rules, "sinks": sinks}
    settings |= {"sha": _sha(settings), "state": base / top.state if top.state else _state_folder(top.gateway)}
    return Config(**settings)


def _sha(settings: dict[str, object]) -> str:
    """SHA-256 of the decoded, defaulted structure, without this box's folders and any secret's contents."""
    decisive = {key: value for key, value in settings.items() if key not in ("base", "state")}
    encoded = msgspec.json.encode(msgspec.to_builtins(decisive, enc_hook=str), order="sorted")
    return hashlib.sha256(redacted(encoded.decode()).encode()).hexdigest()


def _state_folder(gateway: str) -> Path:
    """The StateDirectory= of systemd where there is one, else the user's own."""
    given = os.environ.get("STATE_DIRECTORY")
    return Path(given.split(":")[0]) if given else Path.home() / ".local/state/zhiwang" / gateway
