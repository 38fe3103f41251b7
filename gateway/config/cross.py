"""What the parts of a configuration contradict together: missing names, lines out of reach, circles, places."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

import msgspec

from gateway.config.geo import DATUMS, TO_WGS84, wgs84
from gateway.config.model import TIER
from gateway.config.names import Names, Problems, listed, nearest
from gateway.config.scalars import SeriesRef

if TYPE_CHECKING:
    from gateway.config.findings import Path
    from gateway.config.model import City, Place, Point, Rule, Sensor, SinkConfig, Top
    from gateway.config.report import Report

RESERVED_RULES = ("health", "silent", "stuck")  # the gateway's own, by SEMANTICS.md §4
RESERVED_NAMES = ("time", "_time", "_measurement", "_field", "_value")  # columns of InfluxDB's own

RESERVED_SINKS = (
    "history",
    "evidence",
)  # what the page and the retained alerts are read from has a place in the outbox as any


def values_of(codec: msgspec.Struct) -> tuple[str, ...] | None:
    """The values a codec takes out of a payload, None where it does not say."""
    return cast("tuple[str, ...]", codec.values()) if hasattr(codec, "values") else None  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType] - optional, by names.py


def check_sensor(sensor: Sensor, path: Path, names: Names, report: Report) -> None:
    """The kinds' own checks, and the maps by value name."""
    for kind in (sensor.transport, sensor.codec):
        _ask(kind, path, names, report)
    values = values_of(sensor.codec)
    _stored_names(sensor, values or (), path, report)
    for key in ("units", "valid", "kinds"):
        for value in getattr(sensor.common, key):
            if values is not None and value not in values:
                problem = f"the sensor has no value {value}{nearest(value, values)} (its values: {listed(values)})"
                report.error((*path, key, value), problem)


def check_models(top: Top, models: dict[str, tuple[str, ...]], report: Report) -> dict[str, tuple[str, ...]]:
    """Models that are neither shipped (`models`: their labels by name) nor a file; the labels of each camera."""
    named: dict[Path, str] = {("model",): top.model}
    named |= {("cameras", name, "model"): camera.model for name, camera in top.cameras.items() if camera.model}
    for path, name in named.items():
        if name not in models and not name.endswith(".onnx"):
            shown = f"(models: {listed(models)}; or a path ending in .onnx)"
            report.error(path, f"no model {name}{nearest(name, models)} {shown}")
    wanted = {name: camera.model or top.model for name, camera in top.cameras.items()}
    return {name: models[model] for name, model in wanted.items() if model in models}


def check_sink(sink: SinkConfig, path: Path, names: Names, report: Report) -> None:
    """The name, and the kind's own check."""
    if sink.name in RESERVED_SINKS:
        report.error(path, f"the name {sink.name} is the gateway's own sink's; choose another")
    _ask(sink.kind, path, names, report)


def check_rule(rule: Rule, path: Path, names: Names, sensors: dict[str, Sensor], report: Report) -> None:
    """Series, gates, tags and reach of one rule, and its kind's own check."""
    if rule.name in RESERVED_RULES:
        report.error(
            path, f"the name {rule.name} is the gateway's own; choose another (reserved: {', '.join(RESERVED_RULES)})"
        )
    _ask(rule.kind, path, names, report)
    picture = rule.common.picture
    if picture is not None and picture != "off":
        report.tell(names.camera("picture", picture), path)
    watched: list[SeriesRef] = []
    for field in msgspec.structs.fields(rule.kind):
        value = getattr(rule.kind, field.name)
        if isinstance(value, SeriesRef):
            watched.append(value)
            _series(value, (*path, field.encode_name), names, sensors, report)
    for key in ("unless", "only_while"):
        gate = getattr(rule.common, key)
        if gate is not None and gate.comparison is not None:
            _series(gate.comparison.series, (*path, key), names, sensors, report)
        elif gate is not None:
            report.tell(names.rule(key, gate.rule), path)
    for ref in watched:
        if ref.sensor in sensors:
            _joined(rule, sensors[ref.sensor], path, sensors, report)
            _tags(rule, sensors[ref.sensor], path, report)
            _reach(rule, path, ref, sensors[ref.sensor], report)


def check_gates(rules: dict[str, Rule], report: Report) -> None:
    """Rules that wait for one another in a circle, and for a rule that is off."""
    after = {
        name: {key: gate.rule for key in ("unless", "only_while") if (gate := getattr(rule.common, key)) and gate.rule}
        for name, rule in rules.items()
    }
    for name, gates in after.items():
        for key, other in gates.items():
            if other in rules and rules[other].common.mode == "off":
                report.error(
                    ("rules", name, key), f"rule {other} has mode: off and never raises; turn it on or leave {key} out"
                )
            circle = _circle(name, other, after)
            if circle and name == min(circle):  # told once, at the first of its names
                report.error(
                    ("rules", name, key), f"rules wait for one another in a circle: {' → '.join([name, *circle])}"
                )


def check_place(place: Place | None, city: City, path: Path, report: Report) -> None:
    """A position outside the city's bounds, and whether it is swapped."""
    position = wgs84(place) if place is not None else None
    if place is None or position is None or city.bounds is None or _inside(position, city.bounds):
        return
    datum = next(datum for datum in DATUMS if getattr(place, datum) is not None)
    lon, lat = getattr(place, datum)
    swapped = abs(lon) <= 90 and _inside(TO_WGS84[datum]((lat, lon)), city.bounds)
    fix = f"lon and lat are swapped: write [{lat}, {lon}]" if swapped else "correct it, or city.bounds"
    report.tell([(datum, f"found [{lon}, {lat}], outside city.bounds {list(city.bounds)}; {fix}")], path)


def _ask(kind: msgspec.Struct, path: Path, names: Names, report: Report) -> None:
    if hasattr(kind, "check"):
        report.tell(cast(Problems, kind.check(names)), path)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType] - optional, by names.py


def _series(ref: SeriesRef, path: Path, names: Names, sensors: dict[str, Sensor], report: Report) -> None:
    problems = names.series("", ref.sensor, ref.value)
    report.tell(problems, path)
    sensor = sensors.get(ref.sensor)
    if not problems and sensor and sensor.common.kinds.get(ref.value) == "str":
        report.error(path, f"{ref} is a text (sensors.{ref.sensor}.kinds); a rule compares numbers")


def _tags_of(sensor: Sensor) -> tuple[str, ...] | None:
    """The tags that a sensor's transport makes, None where it does not say."""
    transport = sensor.transport
    return cast("tuple[str, ...]", transport.tags()) if hasattr(transport, "tags") else None  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType] - optional, by names.py


def _stored_names(sensor: Sensor, values: tuple[str, ...], path: Path, report: Report) -> None:
    """Names of tags and values that a store of time series refuses or takes for something else."""
    at = "topic" if hasattr(sensor.transport, "topic") else sensor.transport_key
    influx = "has a name that InfluxDB keeps for itself; call it another name"
    for tag in _tags_of(sensor) or ():
        if tag in RESERVED_NAMES:
            report.error((*path, at), f"the tag {{{tag}}} {influx}")
        elif tag == TIER:
            report.error((*path, at), "the tag {tier} is the gateway's own, written from tier:; call it another name")
        elif tag in values:
            clash = "has the name of a value of this sensor, and InfluxDB cannot tell them apart; call it another name"
            report.error((*path, at), f"the tag {{{tag}}} {clash}")
    for value in values:
        if value in RESERVED_NAMES:
            report.error((*path, sensor.codec_key), f"the value {value} {influx}")
        elif value == TIER and sensor.common.tier != "ground":
            clash = f"has the name of the tag that tier: {sensor.common.tier} writes; call it another name"
            report.error((*path, sensor.codec_key), f"the value {value} {clash}")


def _tags(rule: Rule, sensor: Sensor, path: Path, report: Report) -> None:
    tags = _tags_of(sensor)
    if tags is None:
        return
    for tag in rule.common.where:
        if tag not in tags:
            problem = f"sensor {sensor.name} has no tag {tag}{nearest(tag, tags)} (its tags: {listed(tags)})"
            report.error((*path, "where", tag), problem)


def _joined(rule: Rule, watched: Sensor, path: Path, sensors: dict[str, Sensor], report: Report) -> None:
    """Gates over another sensor's readings, which are joined on the tags that both have: there may be none."""
    mine = _tags_of(watched)
    for key in ("unless", "only_while"):
        gate = getattr(rule.common, key)
        other = sensors.get(gate.comparison.series.sensor) if gate and gate.comparison else None
        theirs = _tags_of(other) if other and other.name != watched.name else None
        if other and mine is not None and theirs and not set(mine) & set(theirs):
            shown = " and ".join(
                f"{name} ({', '.join(f'{{{tag}}}' for tag in tags) or 'no tags'})"
                for name, tags in ((other.name, theirs), (watched.name, mine))
            )
            all_of_them = f"the newest reading of any {other.name} counts for every {watched.name}"
            fix = f"give their topics a name in common, such as {{{(*mine, *theirs)[0]}}}"
            report.error((*path, key), f"{shown} share no tag: {all_of_them}; {fix}", warning=True)


def _reach(rule: Rule, path: Path, ref: SeriesRef, sensor: Sensor, report: Report) -> None:
    """Levels that no reading within the sensor's `valid` reaches: the alert could never come."""
    low, high = sensor.common.valid.get(ref.value, (-math.inf, math.inf))
    for key, above in (("levels", True), ("below", False)):
        limits = cast("dict[str, object]", getattr(rule.kind, key, None) or {})
        for colour, limit in limits.items():
            if low >= high or not isinstance(limit, (int, float)):
                continue
            if limit >= high if above else limit <= low:
                shown = f"sensors.{sensor.name}.valid.{ref.value} is [{low:g}, {high:g}]"
                report.error((*path, key, colour), f"found {limit:g}; no valid reading goes beyond it ({shown})")


def _circle(start: str, then: str, after: dict[str, dict[str, str]]) -> list[str]:
    """The way from `then` back to `start`, or nothing."""
    ways = [[then]]
    seen: set[str] = set()
    while ways:
        way = ways.pop()
        if way[-1] == start:
            return way
        if way[-1] not in seen:
            seen.add(way[-1])
            ways += [[*way, other] for other in after.get(way[-1], {}).values()]
    return []


def _inside(position: Point, bounds: tuple[float, float, float, float]) -> bool:
    return bounds[0] <= position[0] <= bounds[2] and bounds[1] <= position[1] <= bounds[3]
