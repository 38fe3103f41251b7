"""What a rule's `build` is given, and what every rule derives from the plan in the same way."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from gateway.config.scalars import SCALARS, SeriesRef
from gateway.core.lens import Lens
from gateway.core.watch import Gates, Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gateway.config.model import Rule as RuleConfig
    from gateway.core.flaws import Flaw
    from gateway.core.lens import Glass
    from gateway.core.plan import CameraPlan, Plan, Route
    from gateway.core.rule import Rule
    from gateway.core.state import State
    from gateway.events import Colour

ORDER: tuple[Colour, ...] = ("blue", "yellow", "orange", "red")


class Making(NamedTuple):
    """`place` is the rule's in the configuration; `rules` holds those already made (and, at the end, all).

    What the rule finds wrong with itself while it is stepped goes into `found`. `lenses` and
    `watches`: what rules made so far look through, and at which series.
    """

    config: RuleConfig
    place: int
    plan: Plan
    state: State
    rules: Mapping[str, Rule]
    found: list[Flaw]
    lenses: dict[str, Lens]
    watches: dict[tuple[object, ...], Watch]

    def route(self, sensor: str) -> Route:
        """The route of a sensor; `config.check` saw to it that it exists."""
        return next(route for route in self.plan.routes if route.name == sensor)

    def camera(self, name: str) -> CameraPlan:
        """The plan of a camera; `config.check` saw to it that it exists."""
        return next(camera for camera in self.plan.cameras if camera.name == name)

    def watch(self, series: SeriesRef) -> Watch:
        """The rule's series; rules with the same share what is known of them."""
        key = (series.sensor, series.value, *sorted(self.config.common.where.items()))
        if key not in self.watches:
            self.watches[key] = Watch(self.route(series.sensor), series.value, self.config.common.where)
        return self.watches[key]

    def unit(self, series: SeriesRef) -> str:
        """The unit of a series, as configured."""
        return self.route(series.sensor).sensor.units.get(series.value, "")

    def lens(self, name: str, make: Callable[[State, str], Glass]) -> Lens:
        """The lens of that name, which also names its state; made for the first rule that looks through it."""
        if name not in self.lenses:
            self.lenses[name] = Lens(make(self.state, f"lens/{name}"))
        return self.lenses[name]

    def gates(self) -> Gates:
        """The rule's `unless`, `only_while` and `active`."""
        gaps = {route.name: gap_ns(route) for route in self.plan.routes}
        return Gates(self.config.common, self.rules, gaps, self.plan.timezone)

    def owner(self, *more: object) -> str:
        """A hash of what decides the rule's state: its configuration without words, and `more`.

        With its mode: what was raised in the shadow must be raised again for those who are woken now. With the names
        of its things' tags: those that a topic made that was written otherwise are no longer among its subjects.
        """
        common = self.config.common
        parts = [self.config.key, self.config.kind, common.for_, common.active, common.unless, common.only_while]
        given = (getattr(self.config.kind, name) for name in self.config.kind.__struct_fields__)
        routes = [self.route(series.sensor) for series in given if isinstance(series, SeriesRef)]
        parts += [common.mode, [(route.tag_names, route.sensor.tier) for route in routes]]
        return fingerprint([*parts, common.unknown, common.where, *more])


def gap_ns(route: Route) -> int | None:
    """How long a series of this route may be without a reading before it is unknown: `max_gap`, else 3 × `every`."""
    sensor = route.sensor
    if sensor.max_gap is not None:
        return int(sensor.max_gap)
    return 3 * int(sensor.every) if sensor.every else None


def by_severity(levels: Mapping[Colour, Any]) -> dict[str, Any]:
    """Levels, mildest first."""
    return {colour: levels[colour] for colour in ORDER if colour in levels}


def fingerprint(parts: object) -> str:
    """A short hash of configuration."""
    return hashlib.sha256(msgspec.json.encode(parts, enc_hook=_plain)).hexdigest()[:16]


def _plain(value: object) -> object:
    if isinstance(value, SCALARS):
        return str(value)
    raise NotImplementedError(f"{type(value)} cannot be hashed as configuration")
