"""What the parts of a configuration contradict together: missing names, levels out of order, circles, places."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, cast

import msgspec

from gateway.config.geo import DATUMS, TO_WGS84, wgs84
from gateway.config.names import Names, Problems, listed, nearest
from gateway.config.scalars import COLOURS, Change, SeriesRef

if TYPE_CHECKING:
    from gateway.config.findings import Path
    from gateway.config.model import City, Place, Point, Rule, Sensor, SensorCommon, SinkConfig
    from gateway.config.report import Report

RESERVED_RULES = ("health", "silent", "stuck")  # the gateway's own, by SEMANTICS.md §4


def values_of(codec: msgspec.Struct) -> tuple[str, ...] | None:
    """The values a codec takes out of a payload, None where it does not say."""
    return cast("tuple[str, ...]", codec.values()) if hasattr(codec, "values") else None  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType] - optional, by names.py


def check_sensor(sensor: Sensor, path: Path, names: Names, report: Report) -> None:
    """The kinds' own checks, and the maps by value name."""
    for kind in (sensor.transport, sensor.codec):
        _ask(kind, path, names, report)
    values = values_of(sensor.codec)
    for key in ("units", "valid", "kinds"):
        for value in getattr(sensor.common, key):
            if values is not None and value not in values:
                problem = f"the sensor has no value {value}{nearest(value, values)} (its values: {listed(values)})"
                report.error((*path, key, value), problem)


def check_sink(sink: SinkConfig, path: Path, names: Names, report: Report) -> None:
    """The kind's own check."""
    _ask(sink.kind, path, names, report)


def check_rule(rule: Rule, path: Path, names: Names, sensors: dict[str, Sensor], report: Report) -> None:
    """Series, gates, tags and levels of one rule, and its kind's own check."""
    if rule.name in RESERVED_RULES:
        report.error(
            path, f"the name {rule.name} is the gateway's own; choose another (reserved: {', '.join(RESERVED_RULES)})"
        )
    _ask(rule.kind, path, names, report)
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
            _tags(rule, sensors[ref.sensor], path, report)
    _levels(rule, path, sensors[watched[0].sensor].common if watched and watched[0].sensor in sensors else None, report)


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
    report.error((*path, datum), f"found [{lon}, {lat}], outside city.bounds {list(city.bounds)}; {fix}")


def _ask(kind: msgspec.Struct, path: Path, names: Names, report: Report) -> None:
    if hasattr(kind, "check"):
        report.tell(cast(Problems, kind.check(names)), path)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType] - optional, by names.py


def _series(ref: SeriesRef, path: Path, names: Names, sensors: dict[str, Sensor], report: Report) -> None:
    problems = names.series("", ref.sensor, ref.value)
    report.tell(problems, path)
    sensor = sensors.get(ref.sensor)
    if not problems and sensor and sensor.common.kinds.get(ref.value) == "str":
        report.error(path, f"{ref} is a text (sensors.{ref.sensor}.kinds); a rule compares numbers")


def _tags(rule: Rule, sensor: Sensor, path: Path, report: Report) -> None:
    if not hasattr(sensor.transport, "tags"):
        return
    tags = cast("tuple[str, ...]", sensor.transport.tags())  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType] - optional, by names.py
    for tag in rule.common.where:
        if tag not in tags:
            problem = f"sensor {sensor.name} has no tag {tag}{nearest(tag, tags)} (its tags: {listed(tags)})"
            report.error((*path, "where", tag), problem)


def _shown(limit: object) -> str:
    if isinstance(limit, tuple):
        return f"[{', '.join(_shown(one) for one in cast('tuple[object, ...]', limit))}]"
    return f"{limit:g}" if isinstance(limit, float) else str(limit)


def _number(limit: object) -> float | None:
    if isinstance(limit, Change):
        return limit.per_second
    return float(limit) if isinstance(limit, (int, float)) else None


def _levels(rule: Rule, path: Path, sensor: SensorCommon | None, report: Report) -> None:
    """Levels that do not get worse with their colour, and levels that no valid reading reaches."""
    watched = next(
        (v for f in msgspec.structs.fields(rule.kind) if isinstance(v := getattr(rule.kind, f.name), SeriesRef)), None
    )
    valid = sensor.valid.get(watched.value) if sensor and watched else None
    for key, sign in (("levels", 1.0), ("below", -1.0), ("outside", 1.0)):
        written = cast("dict[str, object]", getattr(rule.kind, key, None) or {})
        steps = [(colour, written[colour]) for colour in COLOURS if colour in written]
        if key == "outside":
            _bands(steps, (*path, key), report)
            continue
        known = [(colour, limit, number) for colour, limit in steps if (number := _number(limit)) is not None]
        for (low, low_limit, low_number), (high, high_limit, high_number) in pairwise(known):
            if sign * high_number <= sign * low_number:
                pair = f"{high} {_shown(high_limit)} beside {low} {_shown(low_limit)}"
                order = "rise" if sign > 0 else "fall"
                report.error((*path, key, high), f"found {pair}; {key} {order} from blue to red")
        for colour, limit, number in known:
            reached = valid is None or (number < valid[1] if sign > 0 else number > valid[0])
            if not reached and not isinstance(limit, Change):
                report.error(
                    (*path, key, colour), f"found {_shown(limit)}; no valid reading reaches it (valid: {_shown(valid)})"
                )


def _bands(steps: list[tuple[str, object]], path: Path, report: Report) -> None:
    bands = [(colour, cast("tuple[float, float]", band)) for colour, band in steps if isinstance(band, tuple)]
    for colour, (low, high) in bands:
        if low >= high:
            report.error((*path, colour), f"found [{low:g}, {high:g}]; the lower bound comes first: [low, high]")
    for (mild, (low, high)), (worse, (lower, higher)) in pairwise(bands):
        if lower > low or higher < high or (lower, higher) == (low, high):
            problem = (
                f"found {worse} [{lower:g}, {higher:g}] beside {mild} [{low:g}, {high:g}]; the worse band is the wider"
            )
            report.error((*path, worse), problem)


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
