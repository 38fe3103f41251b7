"""Sensors, rules and sinks: maps that hold their common keys and the keys of the kinds that their keys name."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar

import msgspec

from gateway.config.decode import FAILED, NOT_BUILT, Failed, fields_of, unknown_keys
from gateway.config.model import Rule, RuleCommon, Sensor, SensorCommon, SinkCommon, SinkConfig
from gateway.config.names import nearest
from gateway.config.nodes import Leaf, Map, Node, found

if TYPE_CHECKING:
    from gateway.config.findings import Path
    from gateway.config.kinds import Kind, Registry
    from gateway.config.report import Report

C = TypeVar("C", bound=msgspec.Struct)


class Group(NamedTuple):
    """Kinds of which exactly one stands in a part; `purpose` completes "a key that says …"."""

    purpose: str
    kinds: dict[str, Kind]


def sensor(name: str, node: Node, path: Path, registry: Registry, report: Report) -> Sensor | Failed:
    """One route, or FAILED with the reasons in the report."""
    transports = Group("how its payloads come", registry.transports)
    codecs = Group("how they are read", registry.codecs)
    made = _part(node, path, report, common=SensorCommon, groups=[transports, codecs], noun="sensor")
    if isinstance(made, Failed):
        return FAILED
    common, ((transport_key, transport), (codec_key, codec)) = made
    return Sensor(name, common, transport_key, transport, codec_key, codec)


def rule(name: str, node: Node, path: Path, registry: Registry, report: Report) -> Rule | Failed:
    """One rule, or FAILED with the reasons in the report."""
    groups = [Group("what it watches", registry.rules)]
    made = _part(node, path, report, common=RuleCommon, groups=groups, noun="rule")
    return FAILED if isinstance(made, Failed) else Rule(name, made[0], *made[1][0])


def sink(name: str, node: Node, path: Path, registry: Registry, report: Report) -> SinkConfig | Failed:
    """One sink, or FAILED with the reasons in the report."""
    groups = [Group("where it writes", registry.sinks)]
    made = _part(node, path, report, common=SinkCommon, groups=groups, noun="sink")
    return FAILED if isinstance(made, Failed) else SinkConfig(name, made[0], *made[1][0])


def keys_of(struct: type[msgspec.Struct]) -> list[str]:
    """A struct's keys as configuration spells them."""
    return [field.encode_name for field in msgspec.structs.fields(struct)]


def _part(
    node: Node, path: Path, report: Report, *, common: type[C], groups: list[Group], noun: str
) -> tuple[C, list[tuple[str, msgspec.Struct]]] | Failed:
    if isinstance(node, Leaf) and node.value is None:
        node = Map(node.file, node.line, {})
    if not isinstance(node, Map):
        report.error(path, f"{found(node)}; a {noun} is a map, with a key that says {groups[0].purpose}")
        return FAILED
    known = {key for group in groups for kind in group.kinds.values() for key in keys_of(kind.struct)}
    unknown = [key for key in node.entries if key not in known and key not in keys_of(common)]
    chosen = [_chosen(node, path, report, group=group, noun=noun, unknown=unknown) for group in groups]
    strangers = _check_keys(node, path, report, common=keys_of(common), groups=groups, chosen=chosen, noun=noun)
    kinds = [(kind.key, fields_of(node, kind.struct, path, report, strangers)) for kind in chosen if kind is not None]
    shared = fields_of(node, common, path, report, strangers)
    good = [(key, made) for key, made in kinds if not isinstance(made, Failed)]
    return FAILED if isinstance(shared, Failed) or len(good) < len(groups) else (shared, good)


def _chosen(node: Map, path: Path, report: Report, *, group: Group, noun: str, unknown: list[str]) -> Kind | None:
    """The one kind of the group that the map names; reports none and several."""
    named = [key for key in group.kinds if key in node.entries]
    if len(named) == 1:
        return group.kinds[named[0]]
    exist = ", ".join(group.kinds)
    if named:
        places = " and ".join(f"{key} (line {node.entries[key].line})" for key in named)
        report.error((*path, named[1]), f"found {places}; a {noun} has one key that says {group.purpose}: keep one")
    elif not any(nearest(key, group.kinds) for key in unknown):  # a misspelt one is told as unknown key
        report.error(
            path,
            f"no key that says {group.purpose}; write one of: {exist} (found: {', '.join(unknown) or 'none'})",
        )
    return None


def _check_keys(
    node: Map,
    path: Path,
    report: Report,
    *,
    common: list[str],
    groups: list[Group],
    chosen: list[Kind | None],
    noun: str,
) -> list[str]:
    """Report the keys that neither the common ones nor the chosen kinds have; returns them."""
    known: list[str] = []
    for group, kind in zip(groups, chosen, strict=True):
        kinds = [kind] if kind is not None else list(group.kinds.values())
        known += [key for one in kinds for key in keys_of(one.struct) if key not in known]
    known += [key for key in common if key not in known]
    named = " ".join(kind.key for kind in chosen if kind is not None)
    what = f"keys of a {named} {noun}" if named else f"keys of a {noun}"
    elsewhere = {
        key: kind.key
        for group in groups
        for kind in group.kinds.values()
        for key in keys_of(kind.struct)
        if key not in known
    }
    foreign = {key: entry for key, entry in node.entries.items() if key in elsewhere and elsewhere[key] != key}
    for key in foreign:
        report.error(
            (*path, key), f"belongs to a {elsewhere[key]} {noun}, not to this one ({what}: {', '.join(known)})"
        )
    rest = {key: entry for key, entry in node.entries.items() if key not in foreign and key not in elsewhere}
    if None in chosen:  # what stands there instead of a kind is told with "no key that says …"
        rest = {key: entry for key, entry in rest.items() if nearest(key, known) or key in NOT_BUILT}
    return unknown_keys(Map(node.file, node.line, rest), known, what, path, report)
