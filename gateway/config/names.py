"""What a kind's struct may ask when it checks itself: which brokers, series, zones and rules the configuration has.

A kind's struct may define these methods; all are optional:

- `problems(self) -> list[tuple[str, str]]`: pairs of (key, problem) of its own values, which types alone cannot say;
- `check(self, names: Names) -> list[tuple[str, str]]`: pairs of (key, problem) about what else the configuration has;
- `values(self) -> tuple[str, ...]` (codecs): the values it takes out of a payload;
- `tags(self) -> tuple[str, ...]` (transports): the tags its topic makes;
- `broker(self) -> str` (transports, sinks): the broker it connects to, by name.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

import msgspec

from gateway.config.model import SensorCommon

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.config.scalars import SeriesRef

Problems = list[tuple[str, str]]
"""(key, problem). Several keys, parted by |: told at the first, and only where none of them failed by itself."""


def nearest(name: str, among: Iterable[str]) -> str:
    """`; did you mean X?` where one of the names is like it, else nothing."""
    found = difflib.get_close_matches(name, list(among), n=1, cutoff=0.65)
    return f"; did you mean {found[0]}?" if found else ""


def listed(names: Iterable[str], most: int = 24) -> str:
    """The names for an error's line: sorted, at most so many."""
    all_names = sorted(names)
    shown = ", ".join(all_names[:most])
    return (shown + ", …" if len(all_names) > most else shown) or "none"


class Names(msgspec.Struct, frozen=True):
    """The names in one configuration.

    sensors: the values of each, None where its codec does not say or is wrong itself; cameras: the zones of each;
    common: the sensors' own keys, of those that could be read; labels: what each camera's model tells apart, of those
    whose model is a shipped one; lines: those of each camera; grounds: of each camera that has a ground, the zones that
    reach to its horizon, None where that is not known; areas: of the others, m2.
    """

    brokers: frozenset[str] = frozenset()
    sensors: dict[str, tuple[str, ...] | None] = {}
    cameras: dict[str, tuple[str, ...]] = {}
    rules: frozenset[str] = frozenset()
    common: dict[str, SensorCommon] = {}
    labels: dict[str, tuple[str, ...]] = {}
    lines: dict[str, tuple[str, ...]] = {}
    grounds: dict[str, tuple[str, ...]] | None = None
    areas: dict[str, dict[str, float]] = {}

    def unit(self, series: SeriesRef) -> str:
        """The unit of a series; empty where it has none."""
        common = self.common.get(series.sensor)
        return common.units.get(series.value, "") if common else ""

    def broker(self, key: str, name: str) -> Problems:
        """What is wrong with a broker's name under `key`: nothing, or one pair."""
        return self._known(key, name, "broker", "brokers", self.brokers)

    def rule(self, key: str, name: str) -> Problems:
        """What is wrong with a rule's name under `key`."""
        return self._known(key, name, "rule", "rules", self.rules)

    def camera(self, key: str, name: str) -> Problems:
        """What is wrong with a camera's name under `key`."""
        return self._known(key, name, "camera", "cameras", self.cameras)

    def series(self, key: str, sensor: str, value: str) -> Problems:
        """What is wrong with a series' name under `key`."""
        problems = self._known(key, sensor, "sensor", "sensors", self.sensors)
        values = self.sensors.get(sensor)
        if values is not None and value not in values:
            hint = nearest(value, values)
            problems.append((key, f"sensor {sensor} has no value {value}{hint} (its values: {listed(values)})"))
        return problems

    def zone(self, key: str, text: str) -> Problems:
        """What is wrong with `camera.zone` under `key`."""
        camera, dot, zone = text.rpartition(".")
        if not dot:
            return [(key, f"found {text!r}; a zone is written <camera>.<zone>, such as river.bank")]
        problems = self.camera(key, camera)
        zones = self.cameras.get(camera)
        if zones is not None and zone not in zones:
            problems.append((key, f"camera {camera} has no zone {zone}{nearest(zone, zones)} (its: {listed(zones)})"))
        return problems

    def line(self, key: str, text: str) -> Problems:
        """What is wrong with `camera.line` under `key`."""
        camera, dot, line = text.rpartition(".")
        if not dot:
            return [(key, f"found {text!r}; a line is written <camera>.<line>, such as street.kerb")]
        problems = self.camera(key, camera)
        lines = self.lines.get(camera)
        if not problems and line not in (lines or ()):
            problems.append(
                (key, f"camera {camera} has no line {line}{nearest(line, lines or ())} (its: {listed(lines or ())})")
            )
        return problems

    def placed(self, where: str) -> tuple[str, str]:
        """(camera, zone or line) of what stands under `in`: `camera.zone`; of a camera alone, "": all its picture."""
        if where in self.cameras:
            return where, ""
        camera, _, place = where.rpartition(".")
        return camera, place

    def ground(self, key: str, where: str) -> Problems:
        """What is wrong with metres under `key` at a camera's zone: no ground, or none where the zone reaches."""
        camera, zone = self.placed(where)
        if self.grounds is None or camera not in self.cameras:
            return []
        if camera not in self.grounds:
            needs = f"needs metres: give cameras.{camera}.ground four pairs of a point in the picture and on the ground"
            return [(key, f"{needs}, {{wgs84: [[[0.2, 0.9], [lon, lat]], …]}}")]
        if zone in self.grounds[camera]:
            return [(key, f"zone {where} reaches to the horizon of cameras.{camera}.ground or above; draw it below")]
        return []

    def label(self, key: str, camera: str, label: str) -> Problems:
        """What is wrong with a label that is to be found by a camera, under `key`."""
        labels = [known for known in self.labels.get(camera, ()) if known]
        if not labels or label in labels:
            return []
        hint = nearest(label, labels)
        return [(key, f"the model of camera {camera} does not know {label}{hint} (it knows: {listed(labels)})")]

    def _known(self, key: str, name: str, what: str, where: str, known: Iterable[str]) -> Problems:
        if name in set(known):
            return []
        return [(key, f"no {what} {name}{nearest(name, known)} ({where}: {listed(known)})")]
