"""A whole gateway, one input at a time: what its alert rows should be."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

from gateway.events import Detections, Health, Looked, Restart, Tick
from tests.core.build import plan_of
from tests.core.reference.alerts import SEVERITY, LedgerReference, Line
from tests.core.reference.condition import UPDATE_NS, Change
from tests.core.reference.ingest import Key, Seen, Series, believed, braced
from tests.core.reference.moves import CasesReference, MotionRuleReference, MovesReference
from tests.core.reference.rules import CountReference, RateReference, StuckReference, ThresholdReference, gap_of
from tests.core.reference.visits import TrackReference, VisitorsReference

if TYPE_CHECKING:
    from gateway.config.model import Config, Rule
    from gateway.config.scalars import Comparison, Gate
    from gateway.events import Input

TRACKED = ("enter", "leave", "dwell", "crowd", "cross")
REFERENCES = {"threshold": ThresholdReference, "rate": RateReference, "count": CountReference}
MOVING = {"speed": MotionRuleReference, "wrong_way": MotionRuleReference}
MOVING |= dict.fromkeys(("stopped", "abandoned", "near_miss"), CasesReference)  # type: ignore[arg-type]  as below
REFERENCES |= MOVING  # type: ignore[arg-type]  as below
REFERENCES |= dict.fromkeys(TRACKED, TrackReference)  # type: ignore[arg-type]  each takes what it needs
"""The kinds that a configuration names; `silent`, `stuck`, `health` and adrift clocks are the gateway's own."""
OWN = ("silent", "stuck", "health", "adrift")
COMPARE = {
    ">": float.__gt__,
    ">=": float.__ge__,
    "<": float.__lt__,
    "<=": float.__le__,
    "==": float.__eq__,
    "!=": float.__ne__,
}
NAN = float("nan")
Said = tuple[int, str, str, Change, str, float | None]
"""Place, rule, subject, change, severity, limit."""


class Sent(NamedTuple):
    """A message in plain words. `claimed_ns`: what its payload says; None where it says nothing."""

    sensor: str
    tags: tuple[tuple[str, str], ...]
    values: dict[str, float]
    claimed_ns: int | None
    retain: bool = False


class Thing:
    """A device: its series, and when it was heard."""

    def __init__(self, sensor: str, tags: tuple[tuple[str, str], ...]) -> None:
        self.sensor, self.tags = sensor, tags
        self.series: dict[str, Series] = {}
        self.heard_elapsed: int | None = None
        self.heard_admitted: int | None = None
        self.silent = False
        self.adrift, self.adrift_since, self.adrift_elapsed = False, 0, None


class Ill:
    """A condition that is not well: how its component words it, and how and when the alert last did."""

    def __init__(self, wording: str, started: int, elapsed: int) -> None:
        self.wording, self.told, self.started, self.told_elapsed = wording, wording, started, elapsed

    def news(self, key: str, admitted: int, elapsed: int) -> list[Said]:
        """The wording where the alert has another one and has been quiet for long enough."""
        if self.wording == self.told or elapsed - self.told_elapsed < UPDATE_NS:
            return []
        self.told, self.told_elapsed = self.wording, elapsed
        change = Change("updated", 1, admitted, self.started, NAN, self.wording)
        return [(-3, "health", key, change, "", None)]


class GatewayReference:
    """Takes inputs one by one."""

    def __init__(self, config: Config, labels: tuple[str, ...]) -> None:
        self.config, self.labels = config, labels
        self.zone = ZoneInfo(config.timezone)
        self.ledger = LedgerReference()
        self.things: dict[tuple[str, tuple[tuple[str, str], ...]], Thing] = {}
        self.up: dict[str, int | None] = {}
        self.health: dict[str, Ill] = {}
        self.series_rules: dict[tuple[str, Key], ThresholdReference | RateReference] = {}
        self.counts: dict[str, CountReference | TrackReference] = {}
        self.watched: dict[str, VisitorsReference] = {}
        self.moving: dict[str, MovesReference] = {}
        self.moves: dict[str, MotionRuleReference | CasesReference] = {}
        self.stuck: dict[Key, StuckReference] = {}
        self.ticks = 0
        self.counted: Counter[str] = Counter()
        for sensor in config.sensors.values():  # without wildcards: known from the start
            if not {"+", "#"} & set(sensor.transport.topic.filter.split("/")):  # type: ignore[attr-defined]  the only one
                self.things[sensor.name, ()] = Thing(sensor.name, ())
        self.order = self._by_need()
        for rule in self.order:
            if rule.key == "count":
                self.counts[rule.name] = self._count(rule)
            elif rule.key in TRACKED:
                self.counts[rule.name] = self._tracked(rule)
            elif rule.key in MOVING:
                self.moves[rule.name] = self._moving(rule)

    @property
    def lines(self) -> list[Line]:
        """The alert rows so far."""
        return self.ledger.lines

    # ── inputs ──

    def take(self, n: int, item: Sent | Input, admitted: int, elapsed: int) -> None:
        """One input; `n` is its admission number."""
        said: list[Said] = []
        if isinstance(item, Sent):
            self._message(n, item, admitted, elapsed, said)
        elif isinstance(item, Tick):
            self._tick(admitted, elapsed, said)
        elif isinstance(item, Health):
            self._health(item, admitted, elapsed, said)
        elif isinstance(item, Detections | Looked):
            self._look(item, said)
        elif isinstance(item, Restart):
            self.up = dict.fromkeys(self.up)
        for _, rule, subject, change, severity, limit in sorted(said, key=lambda one: (one[0], one[2])):
            self.ledger.take(rule, subject, change, severity, limit)

    def _look(self, item: Detections | Looked, said: list[Said]) -> None:
        """A camera saw something, or covered some time."""
        watched = self.watched.get(item.camera)
        seen = watched.detections(item) if watched and isinstance(item, Detections) else None
        if watched and isinstance(item, Looked):
            watched.looked(item)
        moving = self.moving.get(item.camera)
        scene = moving.detections(item) if moving and isinstance(item, Detections) else None
        if moving and isinstance(item, Looked):
            moving.looked(item)
        for rule in self.order:
            if rule.name in self.moves and self._camera(rule) == item.camera:
                moves = self.moves[rule.name]
                if isinstance(item, Looked):
                    moves.looked(item)
                elif scene is not None:
                    moves.take(scene)
                self._collect_moves(rule, moves, said)
            if rule.name in self.counts and self._camera(rule) == item.camera:
                reference = self.counts[rule.name]
                if isinstance(item, Looked):
                    reference.looked(item)
                elif isinstance(reference, CountReference):
                    reference.detections(item)
                elif seen is not None:
                    reference.take(item.event_ns, seen)
                self._collect_count(rule, said)

    def _message(self, n: int, sent: Sent, admitted: int, elapsed: int, said: list[Said]) -> None:
        sensor = self.config.sensors[sent.sensor].common
        thing = self.things.setdefault((sent.sensor, sent.tags), Thing(sent.sensor, sent.tags))
        verdict = believed(sensor, sent.claimed_ns, admitted)
        self.counted[verdict] += 1
        if not sent.retain:
            self._alive(thing, verdict == "clock_adrift", admitted, elapsed, said)
        if verdict:
            return
        accepted: list[tuple[Key, Seen]] = []
        for value, number in sent.values.items():
            series = thing.series.setdefault(value, Series())
            event, why = series.take(sent.claimed_ns, admitted + n % 10_000 * 100, number)
            if event is None:
                self.counted[why] += 1
                continue
            series.last_tick = self.ticks
            accepted.append((Key(sent.sensor, sent.tags, value), Seen(n, event, number, admitted)))
        for key, seen in accepted:
            if sensor.stuck is not None:
                stuck = self.stuck.setdefault(key, StuckReference(sensor))
                stuck.reading(seen)
                place = len(self.config.rules) + list(self.config.sensors).index(sent.sensor)
                said += [(place, "stuck", key.subject(), change, "minor", None) for change in stuck.changes]
                stuck.changes.clear()
        for rule in self.order:
            for key, seen in accepted:
                if rule.name not in {**self.counts, **self.moves} and self._watches(rule, key):
                    reference = self._reference(rule, key)
                    held_back = self._suppressed(rule, key.sensor, dict(key.tags), seen.event_ns)
                    reference.reading(seen, suppressed=held_back)
                    self._collect(rule, key, said)

    def _alive(self, thing: Thing, adrift: bool, admitted: int, elapsed: int, said: list[Said]) -> None:
        name = thing.sensor + braced(thing.tags)
        if thing.silent:
            thing.silent = False
            said.append((-2, "silent", name, Change("level", 0, admitted, 0, NAN), "", None))
        thing.heard_elapsed, thing.heard_admitted = elapsed, admitted
        condition = thing.sensor + braced((*thing.tags, ("condition", "clock_adrift")))
        if adrift:
            if thing.adrift_elapsed is None:
                thing.adrift_since, thing.adrift_elapsed = admitted, elapsed
            if elapsed - thing.adrift_elapsed >= 60 * 10**9 and not thing.adrift:
                thing.adrift = True
                said.append(
                    (
                        -1,
                        "health",
                        condition,
                        Change("level", 1, admitted, thing.adrift_since, NAN, "clock_adrift"),
                        "minor",
                        None,
                    )
                )
        else:
            thing.adrift_elapsed = None
            if thing.adrift:
                thing.adrift = False
                said.append((-1, "health", condition, Change("level", 0, admitted, 0, NAN), "", None))

    def _tick(self, admitted: int, elapsed: int, said: list[Said]) -> None:
        for key, ill in self.health.items():
            said += ill.news(key, admitted, elapsed)
        for thing in self.things.values():
            sensor = self.config.sensors[thing.sensor]
            since = self.up.get(sensor.transport.mqtt)  # type: ignore[attr-defined]  the only transport here
            every = sensor.common.every
            if every is None or since is None or thing.silent:
                continue
            deadline = max(since, since if thing.heard_elapsed is None else thing.heard_elapsed) + 3 * int(every)
            if elapsed > deadline:
                thing.silent = True
                when = admitted - (elapsed - deadline)
                started = when - 3 * int(every) if thing.heard_admitted is None else thing.heard_admitted
                name = thing.sensor + braced(thing.tags)
                said.append((-2, "silent", name, Change("level", 1, when, started, NAN), "minor", None))
        for rule in self.order:
            for (name, key), reference in self.series_rules.items():
                lateness = int(self.config.sensors[key.sensor].common.allowed_lateness)
                if name == rule.name and self._series(key).last_tick < self.ticks:
                    reference.condition.pass_time(admitted - lateness)
                    self._collect(rule, key, said)
        self.ticks += 1

    def _health(self, health: Health, admitted: int, elapsed: int, said: list[Said]) -> None:
        kind, _, name = health.component.partition("/")
        if kind == "source" and health.condition == "connected":
            was = self.up.get(name)
            self.up[name] = (elapsed if was is None else was) if health.ok else None
        key = f"{health.component}{{condition={health.condition}}}"
        ill = self.health.get(key)
        if ill is not None and not health.ok:
            ill.wording = health.detail or ill.wording
            said += ill.news(key, admitted, elapsed)
        if (ill is None) == health.ok:
            return
        severity = {"disk": "severe", "clock": "severe", "recorder": "severe"}.get(
            kind, "moderate" if kind in {"source", "camera", "sink", "rule", "engine"} else "minor"
        )
        if ill is None:
            self.health[key] = Ill(health.detail, admitted, elapsed)
        else:
            del self.health[key]
        change = Change("level", int(not health.ok), admitted, admitted, NAN, health.detail)
        said.append((-3, "health", key, change, severity, None))

    # ── rules ──

    def _by_need(self) -> list[Rule]:
        """Each rule after those that its gates name."""
        done: list[Rule] = []

        def add(rule: Rule) -> None:
            for gate in (rule.common.unless, rule.common.only_while):
                if gate and gate.rule:
                    add(self.config.rules[gate.rule])
            if rule not in done and rule.common.mode != "off":
                done.append(rule)

        for rule in self.config.rules.values():
            add(rule)
        return done

    def _watches(self, rule: Rule, key: Key) -> bool:
        series = getattr(rule.kind, rule.key)
        wanted = rule.common.where.items() <= dict(key.tags).items()
        return (series.sensor, series.value) == (key.sensor, key.value) and wanted

    def _reference(self, rule: Rule, key: Key) -> ThresholdReference | RateReference:
        made = self.series_rules.get((rule.name, key))
        if made is None:
            made = REFERENCES[rule.key](rule, self.config.sensors[key.sensor].common)  # type: ignore[call-arg]  of series
            self.series_rules[rule.name, key] = made  # type: ignore[assignment]  as above
        return made  # type: ignore[return-value]  as above

    def _place(self, rule: Rule) -> int:
        return list(self.config.rules).index(rule.name)

    def _collect(self, rule: Rule, key: Key, said: list[Said]) -> None:
        reference = self.series_rules[rule.name, key]
        for change in reference.condition.changes:
            severity = SEVERITY[reference.colours[change.level - 1]] if change.level else ""
            said.append(
                (
                    self._place(rule),
                    rule.name,
                    key.subject(),
                    change,
                    severity,
                    reference.limit(change.level, change.value),
                )
            )
        reference.condition.changes.clear()

    def _where(self, rule: Rule) -> str:
        """The zone, line or camera that a rule over looks watches."""
        return rule.kind.over if rule.key == "cross" else rule.kind.in_  # type: ignore[attr-defined]  by its key

    def _tracked(self, rule: Rule) -> TrackReference:
        camera, where = self._camera(rule), self._where(rule)
        if camera not in self.watched:
            self.watched[camera] = VisitorsReference(self.config.cameras[camera], self.labels, 0.4)
        place = "" if where == camera else where.rpartition(".")[2]
        return TrackReference(rule, place, self.watched[camera], lambda at_ns: self._suppressed(rule, None, {}, at_ns))

    def _moving(self, rule: Rule) -> MotionRuleReference | CasesReference:
        camera, where = self._camera(rule), self._where(rule)
        if camera not in self.moving:
            self.moving[camera] = MovesReference(plan_of(self.config), camera, self.labels)
        place = "" if where == camera else where.rpartition(".")[2]
        make = MOVING[rule.key]
        return make(rule, place, self.moving[camera], lambda at_ns: self._suppressed(rule, None, {}, at_ns))

    def _collect_moves(self, rule: Rule, moves: MotionRuleReference | CasesReference, said: list[Said]) -> None:
        where = self._where(rule)
        changes = [("", one) for one in moves.changes] if isinstance(moves, MotionRuleReference) else moves.changes
        for case, change in changes:
            severity = SEVERITY[moves.colours[change.level - 1]] if change.level else ""
            limit = moves.limit(change.level, change.value)
            said.append((self._place(rule), rule.name, where + case, change, severity, limit))
        moves.changes.clear()

    def _camera(self, rule: Rule) -> str:
        where = self._where(rule)
        return where if where in self.config.cameras else where.rpartition(".")[0]

    def _count(self, rule: Rule) -> CountReference:
        camera = self._camera(rule)
        where = rule.kind.in_  # type: ignore[attr-defined]  a Count
        zone = None if where == camera else self.config.cameras[camera].zones[where.rpartition(".")[2]]
        return CountReference(rule, zone, self.labels, 0.4, lambda at_ns: self._suppressed(rule, None, {}, at_ns))

    def _collect_count(self, rule: Rule, said: list[Said]) -> None:
        reference = self.counts[rule.name]
        for change in reference.changes:
            severity = SEVERITY[reference.colours[change.level - 1]] if change.level else ""
            limit = reference.limit(change.level, change.value)
            told = change._replace(detail=reference.detail)
            said.append((self._place(rule), rule.name, self._where(rule), told, severity, limit))
        reference.changes.clear()

    # ── gates ──

    def _suppressed(self, rule: Rule, sensor: str | None, tags: dict[str, str], at_ns: int) -> bool:
        common = rule.common
        for gate, wanted in ((common.unless, False), (common.only_while, True)):
            if gate is not None:
                holds = self._holds(gate, sensor, tags, at_ns)
                if (common.unknown == "suppress") if holds is None else (holds != wanted):
                    return True
        return common.active is not None and not self._within(common.active.spans_min, at_ns)

    def _within(self, spans: tuple[tuple[int, int], ...], at_ns: int) -> bool:
        local = datetime.fromtimestamp(at_ns // 10**9, UTC).astimezone(self.zone)
        minute = local.hour * 60 + local.minute
        return any(a <= minute < b if a < b else minute >= a or minute < b for a, b in spans)

    def _holds(self, gate: Gate, sensor: str | None, tags: dict[str, str], at_ns: int) -> bool | None:
        """Whether the comparison or the other rule holds for the same tags; None is unknown."""
        if gate.comparison is not None:
            return self._compares(gate.comparison, sensor, tags, at_ns)
        assert gate.rule is not None
        if gate.rule in self.moves:
            return self.moves[gate.rule].condition.level > 0
        if gate.rule in self.counts:
            return self.counts[gate.rule].condition.level > 0
        return any(
            reference.condition.level > 0
            for (name, key), reference in self.series_rules.items()
            if name == gate.rule and _agree(dict(key.tags), tags)
        )

    def _compares(self, comparison: Comparison, sensor: str | None, tags: dict[str, str], at_ns: int) -> bool | None:
        wanted = comparison.series
        found = [
            series
            for thing in self.things.values()
            if thing.sensor == wanted.sensor and _agree(dict(thing.tags), tags)
            if wanted.sensor != sensor or dict(thing.tags) == tags
            if (series := thing.series.get(wanted.value)) and series.watermark is not None
        ]
        if not found:
            return None
        newest = max(found, key=lambda series: series.watermark or 0)
        gap = gap_of(self.config.sensors[wanted.sensor].common)
        assert newest.watermark is not None
        if gap is not None and at_ns - newest.watermark > gap:
            return None
        return bool(COMPARE[comparison.op](newest.values[-1], comparison.limit))

    def _series(self, key: Key) -> Series:
        return self.things[key.sensor, key.tags].series[key.value]


def _agree(a: dict[str, str], b: dict[str, str]) -> bool:
    """Whether the tags that both have are equal."""
    return all(b[key] == value for key, value in a.items() if key in b)
