"""The pure core: inputs in, outputs and a delta of the state out. No clock, no I/O, no threads, no chance.

        Message … Message │ Tick │ Message … │ Detections │ Command │ …
              ingest      │      │           │            │          one after another; messages between two others
            (columns)     │      │           │            │          are taken together
                ▼         ▼      ▼           ▼            ▼
              rules ──▶ transitions ──▶ sorted by (n, rule, subject) ──▶ alerts ──▶ rows, points

How inputs are grouped into cuts does not matter: outputs, one after another, and the final state are the same bytes.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, cast

import msgspec
import numpy as np

from gateway.core.alerts import Alerts
from gateway.core.body import Bodies
from gateway.core.coverage import Coverage
from gateway.core.evidence import Captures
from gateway.core.flaws import Flaws
from gateway.core.guard import Guard
from gateway.core.ingest import Batch, Ingest, Lines
from gateway.core.lens import Lens
from gateway.core.looks import Looks
from gateway.core.machine import Transition
from gateway.core.order import by_need, needed
from gateway.core.people import People
from gateway.core.readings import NO_READINGS, Readings, as_of
from gateway.core.recent import Recent
from gateway.core.rule import Moment, Rule, Speaker, Subject
from gateway.core.rules.health import HealthRule
from gateway.core.rules.making import Making
from gateway.core.rules.silent import Adrift, Silent
from gateway.core.rules.stuck import stuck_rules
from gateway.core.sightings import Sightings
from gateway.core.state import State
from gateway.core.watch import Run, Watch
from gateway.events import (
    AlertRow,
    ClockStep,
    Command,
    Configured,
    Cut,
    DeadLetter,
    Detections,
    Evidence,
    Health,
    Input,
    Looked,
    Message,
    RequestRow,
    Restart,
    Stepped,
    Tick,
)
from gateway.ports import NO_TIME, Latest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gateway.config.kinds import Kind
    from gateway.core.plan import Plan
    from gateway.ports import Judged

Said = tuple[int, Speaker, Transition]
"""A rule's place, the rule, and what it says."""
DAY_NS = 86_400 * 10**9
NO_LINES = Lines(np.zeros(0, np.int64), [])


class Counted(msgspec.Struct, frozen=True, array_like=True):
    """What the core counts for itself: ticks so far."""

    ticks: int


class Core:
    """See the module. Fulfils ports.Core."""

    def __init__(self, plan: Plan, kinds: Mapping[str, Kind]) -> None:
        """`kinds`: the rule kinds by key."""
        self._plan = plan
        self._kinds = kinds
        self.counts: Counter[str] = Counter()
        self._build()

    def _build(self) -> None:
        plan, state = self._plan, State()
        self._state = state
        self._counted = state.book("counted", Counted)
        self._recent = Recent(state)
        self._alerts = Alerts(plan.gateway, plan.timezone, state, Bodies(plan, self._recent).write)
        self._people = People(state, self._alerts, int(plan.commands.shelve_at_most), plan.timezone)
        self._ingest = Ingest(plan.routes, state, self.counts)
        self._health = HealthRule(state)
        self._guard = Guard(state, self._health, self._alerts)
        self._flaws = Flaws(self._health, self.counts)
        things = self._ingest.things
        self._silent, self._adrift = Silent(plan.routes, things, state), Adrift(things, state)
        self._coverage = Coverage(tuple(camera.name for camera in plan.cameras), state)
        self._looks = Looks(plan, state)
        self._sightings = Sightings(plan, state)
        self._captures = Captures(plan, state)
        rules, lenses, watches = dict[str, Rule](), dict[str, Lens](), dict[tuple[object, ...], Watch]()
        self._rules: list[Rule] = []
        for place, config in enumerate(plan.rules):
            if config.common.mode != "off":
                making = Making(config, place, plan, state, rules, self._flaws.found, lenses, watches)
                rule = self._kinds[config.key].build(making)
                rules[config.name] = rule
                self._rules.append(rule)
        for place, route in enumerate(plan.routes):
            self._rules += stuck_rules(route, plan, len(plan.rules) + place, state, lenses)
        self._lenses = lenses.values()
        self._gated = [rules[name] for name in needed(plan) if name in rules]
        self._order = by_need(self._rules, plan)
        self._met = 0
        self._ready = False

    # ── state ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def snapshot(self) -> bytes:
        """The whole state."""
        return self._state.snapshot()

    def restore(self, snapshot: bytes | None, deltas: Sequence[bytes]) -> None:
        """Begin again from a snapshot and the deltas after it."""
        self._build()
        for blob in ([snapshot] if snapshot else []) + list(deltas):
            self._state.restore(blob)
        self._begin()

    def _begin(self) -> None:
        self._ingest.restored()
        self._health.restored()
        self._alerts.judged.restored()
        self._ready = True
        self._meet()

    def _meet(self) -> None:
        new = self._ingest.things[self._met :]
        if not new:
            return
        for thing in new:
            self._silent.meet(thing)
            self._adrift.meet(thing)
        for rule in self._rules:
            self._recent.watch(rule.meet(new))
        for lens in self._lenses:
            lens.settle()
        self._met = len(self._ingest.things)

    def latest(self) -> list[Latest]:
        """Each series' last accepted value, with the lines of its rules. For the page: it may be a step old."""
        lines: dict[int, dict[str, float]] = {}
        for rule in self._rules:
            for slot in range(len(rule.things)) if rule.kind in {"above", "below", "outside"} else ():
                series = rule.subject(slot).series
                if series is not None:
                    lines.setdefault(series, {}).update(zip(rule.colours, rule.limits, strict=True))
        units = {(route.name, field.name): field.unit for route in self._plan.routes for field in route.decoder.fields}
        wm, value, out = self._ingest.series["wm"], self._ingest.series["value"], list[Latest]()
        for thing in list(self._ingest.present):
            for field, series in zip(thing.fields, thing.series, strict=True):
                if series < len(wm) and wm[series] != NO_TIME:
                    unit, named = units.get((thing.route, field), ""), thing.subject(field)
                    out.append(Latest(named, unit, int(wm[series]), float(value[series]), lines.get(series, {})))
        return out

    def judged(self, now_ns: int) -> list[Judged]:
        """What people said of each rule's alerts, by rule, in the local month of `now_ns`. It may be a step old."""
        return self._alerts.judged.tallies(now_ns)

    # ── stepping ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def step(self, cut: Cut) -> Stepped:
        """Take a cut. Raises what a rule or codec raises: the door then restores and steps one input at a time."""
        if not self._ready:
            self._begin()
        out = _Out()
        begin = 0  # of the messages that are not taken yet
        self._guard.alone = len(cut.inputs) == 1
        for place, item in enumerate(cut.inputs):
            if not isinstance(item, Message):
                self._messages(cut, begin, place, out)
                begin = place + 1
                admitted_ns, elapsed_ns = int(cut.admitted_ns[place]), int(cut.elapsed_ns[place])
                self._alone(item, Moment(cut.n0 + place, admitted_ns, elapsed_ns, self._tally().ticks), out)
        self._messages(cut, begin, len(cut.inputs), out)
        series = "".join(out.lines).encode("utf-8", "replace")
        return Stepped(series, len(out.lines), out.alerts, out.requests, out.dead, self._state.delta())

    def _messages(self, cut: Cut, begin: int, end: int, out: _Out) -> None:
        """Take the messages of a cut that stand between two other inputs."""
        if begin == end:
            return
        messages = cast("Sequence[Message]", cut.inputs[begin:end])
        batch = Batch(cut.n0 + begin, messages, cut.admitted_ns[begin:end], cut.elapsed_ns[begin:end])
        taken = self._ingest.take(batch)
        self._meet()
        out.dead += taken.dead
        run = self._run(taken.readings)
        said: list[Said] = []
        said += [(self._silent.place, self._silent, t) for t in self._silent.heard(taken.heard)]
        said += [(self._adrift.place, self._adrift, t) for t in self._adrift.heard(taken.heard)]
        said += [(self._ingest.flood.place, self._ingest.flood, t) for t in self._ingest.flood.said()]
        if len(taken.readings.n):
            self._recent.begin(taken.readings)
            tick = self._tally().ticks
            for rule in self._order:
                changes = self._guard.ask(rule, rule.readings, run, tick)
                if changes:
                    run.said[rule.name] = changes  # pyright: ignore[reportIndexIssue] - the run's own dict
                    said += [(rule.place, rule, t) for t in changes]
        first = batch.moment(batch.n0)
        out.dead += self._guard.letters(first, messages[0])
        said += self._own(self._guard.settle(first))
        for n, health in [*self._refusals(), *self._flaws.told()]:
            said += self._own(self._health.health(health, batch.moment(n)))
        self._collect(out)
        self._alert(said, taken.lines, batch.moment, out, taken.readings)
        self._recent.finish()

    def _own(self, changes: list[Transition]) -> list[Said]:
        """What the health rule says."""
        return [(self._health.place, self._health, t) for t in changes]

    def _refusals(self) -> list[tuple[int, Health]]:
        refused, self._ingest.refused = self._ingest.refused, []
        why = "sensor {0} has more series than sensors.{0}.series allows"
        return [(n, Health(f"sensor/{name}", "series", ok=False, detail=why.format(name))) for n, name in refused]

    def _alert(
        self,
        said: list[Said],
        lines: Lines,
        moment: Callable[[int], Moment],
        out: _Out,
        readings: Readings = NO_READINGS,
        item: Input | None = None,
    ) -> None:
        """Apply transitions in the order (n, rule, subject, time); alerts' points follow those of their message."""
        if not said:
            out.lines += lines.text
            return
        named = [(t.n, place, rule.subject(t.slot), i) for i, (place, rule, t) in enumerate(said)]
        keys = [(n, place, subject.text, i) for n, place, subject, i in named]
        done = 0
        for n, _, _, i in sorted(keys):
            until = int(np.searchsorted(lines.n, n, side="right"))
            out.lines += lines.text[done:until]
            done = until
            _, rule, transition = said[i]
            self._recent.at(n)
            subject = self._placed(named[i][2], n, readings)
            self._alerts.take(rule, subject, transition, moment(n).elapsed_ns)
            rows = self._alerts.out
            out.requests += self._captures.raised(rule, subject, transition.slot, rows, item, moment(n))
            self._collect(out)
        out.lines += lines.text[done:]

    def _placed(self, subject: Subject, n: int, readings: Readings) -> Subject:
        """The subject where it was by input `n`, if it is a thing whose readings have `lon` and `lat`."""
        thing = subject.thing
        if thing is None or not {"lon", "lat"} <= set(thing.fields):
            return subject
        lon, lat = (as_of(thing.series_of(axis), n, readings, self._ingest.series) for axis in ("lon", "lat"))
        return subject if np.isnan(lon) or np.isnan(lat) else subject._replace(position=(lon, lat))

    def _collect(self, out: _Out) -> None:
        out.alerts += self._alerts.out
        out.lines += self._alerts.lines
        self._alerts.out, self._alerts.lines = [], []

    def _alone(self, item: Input, moment: Moment, out: _Out) -> None:
        said: list[Said] = []
        if isinstance(item, Tick):
            said = self._tick(moment, out)
        elif isinstance(item, Detections | Looked) and _astray(item, moment):
            self.counts["camera_astray"] += 1
        elif isinstance(item, Detections):
            run, look = self._run(None), self._looks.take(item)
            out.requests += self._sightings.take(look, moment)
            self._captures.sees(self._order, look, self._guard)
            for rule in self._order:
                changes = self._guard.ask(rule, rule.detections, look, moment, run)
                run.said[rule.name] = changes  # pyright: ignore[reportIndexIssue] - the run's own dict
                said += [(rule.place, rule, t) for t in changes]
            self.counts["detections"] += len(item.score)
            self.counts["frames"] += 1
        elif isinstance(item, Looked):
            self._coverage.looked(item)
            self._looks.looked(item)
            said = [(r.place, r, t) for r in self._rules for t in self._guard.ask(r, r.looked, item, moment)]
        elif isinstance(item, Health):
            self._silent.health(item, moment)
            said = self._own(self._health.said(item, moment))
        elif isinstance(item, ClockStep):
            seconds = (item.after_ns - item.before_ns) / 1e9
            health = Health("clock/wall", "step", ok=False, detail=f"moved by {seconds:+.1f} s")
            said = self._own(self._health.health(health, moment))
            said += self._own(self._health.health(msgspec.structs.replace(health, ok=True), moment))
        elif isinstance(item, Command):
            out.requests.append(self._people.take(item, moment))
        elif isinstance(item, Restart):
            self._alerts.restart(item.epoch, item.next_seq, moment.admitted_ns)
            self._silent.restart()
        elif isinstance(item, Configured):
            said = self._configured(moment)
        elif isinstance(item, Evidence):
            self._alerts.attach(item, moment.elapsed_ns)
        else:
            raise TypeError(f"the core was given {type(item).__name__}, which is no input")
        out.requests += self._captures.begun(self._rules, item, moment)
        said += self._own(self._guard.settle(moment))
        self._alert(said, NO_LINES, lambda _: moment, out, item=item)
        self._collect(out)

    def _tick(self, moment: Moment, out: _Out) -> list[Said]:
        tally = self._tally()
        said: list[Said] = [(self._silent.place, self._silent, t) for t in self._silent.tick(moment)]
        said += [(self._ingest.flood.place, self._ingest.flood, t) for t in self._ingest.flood.tick(moment)]
        said += self._own(self._health.tick(moment) + self._flaws.healed(self._rules, moment))
        for rule in self._rules:
            said += [(rule.place, rule, t) for t in self._guard.ask(rule, rule.tick, moment)]
        self._alerts.tick(moment.admitted_ns, moment.elapsed_ns)
        self._collect(out)
        out.lines += self._coverage.tick(moment) + self._looks.tick(moment)
        out.requests += self._sightings.tick(moment)
        self._counted.put("", Counted(tally.ticks + 1))
        return said

    def _tally(self) -> Counted:
        return self._counted.get("") or Counted(0)

    def _run(self, readings: Readings | None) -> Run:
        taken = NO_READINGS if readings is None else readings
        was = {rule.name: rule.on() for rule in self._gated}
        return Run(taken, self._ingest.series, self._ingest.present, was, {})

    # ── configuration ────────────────────────────────────────────────────────────────────────────────────────────────

    def _configured(self, moment: Moment) -> list[Said]:
        """A new configuration holds: know its fixed things; close the alerts of what is gone or was changed."""
        self._state.settle()
        self._captures.configured()
        self._ingest.intern_fixed()
        self._meet()
        said = self._own(self._guard.lift(moment) + self._flaws.begin(self._rules, moment))
        for sensor in self._ingest.roomy():
            said += self._own(self._health.health(Health(f"sensor/{sensor}", "series", ok=True), moment))
        parts = self._plan.components()
        gone = [("silent", text) for text in self._silent.abandon()]
        gone += [("health", text) for text in self._ingest.flood.abandon()]
        gone += [("health", text) for text in [*self._adrift.abandon(self._plan.routes), *self._health.abandon(parts)]]
        for rule, text in gone:
            self._alerts.end(rule, text, moment.admitted_ns, "it is no longer configured")
        owners = {rule.name: rule.owner for rule in self._rules}
        for key, record in self._alerts.records():
            if record.class_ == "equipment" and record.rule in {"health", "silent"}:
                continue
            if record.rule == "stuck":
                owner = next((r.owner for r in self._rules if r.owner == record.owner), None)
            else:
                owner = owners.get(record.rule)
            if owner is None:
                self._alerts.close(key, record, moment.admitted_ns, "its rule was removed")
            elif owner != record.owner:
                self._alerts.close(key, record, moment.admitted_ns, "its rule was changed")
        return said


class _Out:
    """What a cut has come to so far."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.alerts: list[AlertRow] = []
        self.requests: list[RequestRow] = []
        self.dead: list[DeadLetter] = []


def _astray(item: Detections | Looked, moment: Moment) -> bool:
    """Whether a camera's time cannot be: one look of 2100 must not blind it for ever. A file may run ahead."""
    if isinstance(item, Detections):
        return item.event_ns > moment.admitted_ns + DAY_NS
    return item.to_ns > moment.admitted_ns + DAY_NS or item.to_ns - item.from_ns > DAY_NS
