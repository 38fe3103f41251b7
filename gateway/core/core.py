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
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from gateway.core.alerts import Alerts, Shelf
from gateway.core.body import Bodies
from gateway.core.coverage import Coverage
from gateway.core.ingest import Arrived, Ingest
from gateway.core.machine import Transition
from gateway.core.readings import Readings, as_of, grouped
from gateway.core.recent import Recent
from gateway.core.rule import Moment, Rule, Speaker, Subject
from gateway.core.rules.health import HealthRule
from gateway.core.rules.making import Making
from gateway.core.rules.silent import Adrift, Silent
from gateway.core.rules.stuck import stuck_rules
from gateway.core.state import State
from gateway.core.watch import Run
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
    from collections.abc import Mapping, Sequence

    from gateway.config.kinds import Kind
    from gateway.core.plan import Plan

Said = tuple[int, Speaker, Transition]
"""A rule's place, the rule, and what it says."""
REPLIES = 1000  # replies kept, so that a repeated command gets its first one
REPLY_EXPIRES_NS = 60 * 10**9
NONE = np.zeros(0, np.int64)
NO_READINGS = grouped(NONE.astype(np.int32), NONE, NONE, NONE.astype(np.float64), NONE)


class Told(msgspec.Struct, frozen=True, array_like=True):
    """The first reply to a command, and its place among all."""

    place: int
    body: bytes


class Counted(msgspec.Struct, frozen=True, array_like=True):
    """What the core counts for itself: ticks and replies so far."""

    ticks: int
    replies: int


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
        self._replies = state.book("replies", Told)
        self._recent = Recent(state)
        self._alerts = Alerts(plan.gateway, state, Bodies(plan, self._recent).write)
        self._ingest = Ingest(plan.routes, state, self.counts)
        self._health = HealthRule(state)
        self._silent, self._adrift = Silent(plan.routes, state), Adrift(state)
        self._coverage = Coverage(tuple(camera.name for camera in plan.cameras), state)
        rules: dict[str, Rule] = {}
        self._rules: list[Rule] = []
        for place, config in enumerate(plan.rules):
            if config.common.mode != "off":
                rule = self._kinds[config.key].build(Making(config, place, plan, state, rules))
                rules[config.name] = rule
                self._rules.append(rule)
        for place, route in enumerate(plan.routes):
            self._rules += stuck_rules(route, plan, len(plan.rules) + place, state)
        self._gated = [rules[name] for name in _needed(plan) if name in rules]
        self._order = _by_need(self._rules, plan)
        self._quarantined: set[str] = set()
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
        self._ready = True
        self._meet()

    def _meet(self) -> None:
        for thing in self._ingest.things[self._met :]:
            self._silent.meet(thing)
            self._adrift.meet(thing)
            for rule in self._rules:
                known = len(rule.things)
                rule.meet(thing)
                for slot in range(known, len(rule.things)):
                    series = rule.subject(slot).series
                    if series is not None:
                        self._recent.watch(series)
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
        for thing in list(self._ingest.things):
            for place, field in enumerate(thing.fields):
                series = thing.base + place
                if series < len(wm) and wm[series] != NO_TIME:
                    unit = units.get((thing.route, field), "")
                    latest = Latest(
                        thing.subject(field), unit, int(wm[series]), float(value[series]), lines.get(series, {})
                    )
                    out.append(latest)
        return out

    # ── stepping ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def step(self, cut: Cut) -> Stepped:
        """Take a cut. Raises what a rule or codec raises: the door then restores and steps one input at a time."""
        if not self._ready:
            self._begin()
        out = _Out()
        run: list[Arrived] = []
        admitted, elapsed = cut.admitted_ns.tolist(), cut.elapsed_ns.tolist()
        for place, item in enumerate(cut.inputs):
            n = cut.n0 + place
            if isinstance(item, Message):
                run.append(Arrived(n, admitted[place], elapsed[place], item))
                continue
            if run:
                self._messages(run, out)
                run = []
            self._alone(item, Moment(n, admitted[place], elapsed[place], self._tally().ticks), out)
        if run:
            self._messages(run, out)
        series = "".join(out.lines).encode("utf-8", "replace")
        return Stepped(series, len(out.lines), out.alerts, out.requests, out.dead, self._state.delta())

    def _messages(self, messages: list[Arrived], out: _Out) -> None:
        taken = self._ingest.take(messages)
        self._meet()
        out.dead += taken.dead
        run = self._run(taken.readings)
        said: list[Said] = []
        elapsed = {arrived.n: arrived.elapsed_ns for arrived in messages}
        said += [(self._silent.place, self._silent, t) for t in self._silent.heard(taken.heard)]
        said += [(self._adrift.place, self._adrift, t) for t in self._adrift.heard(taken.heard)]
        if len(taken.readings.n):
            self._recent.begin(taken.readings)
            tick = self._tally().ticks
            for rule in self._order:
                changes = rule.readings(run, tick)
                if changes:
                    run.said[rule.name] = changes  # pyright: ignore[reportIndexIssue] - the run's own dict
                    said += [(rule.place, rule, t) for t in changes]
        for n, sensor in self._refusals():
            arrived = messages[n - messages[0].n]
            detail = f"sensor {sensor} has more series than sensors.{sensor}.series allows"
            moment = Moment(n, arrived.admitted_ns, arrived.elapsed_ns, 0)
            changes = self._health.health(Health(f"sensor/{sensor}", "series", ok=False, detail=detail), moment)
            said += [(self._health.place, self._health, t) for t in changes]
        self._alert(said, taken.lines, elapsed, out, taken.readings)
        self._recent.finish()

    def _refusals(self) -> list[tuple[int, str]]:
        refused, self._ingest.refused = self._ingest.refused, []
        return refused

    def _alert(
        self,
        said: list[Said],
        lines: list[tuple[int, str]],
        elapsed: Mapping[int, int],
        out: _Out,
        readings: Readings = NO_READINGS,
    ) -> None:
        """Apply transitions in the order (n, rule, subject, time); alerts' points follow those of their message."""
        if not said:
            out.lines += [line for _, line in lines]
            return
        named = [(t.n, place, rule.subject(t.slot), i) for i, (place, rule, t) in enumerate(said)]
        keys = [(n, place, subject.text, i) for n, place, subject, i in named]
        done = 0
        for n, _, _, i in sorted(keys):
            while done < len(lines) and lines[done][0] <= n:
                out.lines.append(lines[done][1])
                done += 1
            _, rule, transition = said[i]
            self._recent.at(n)
            self._alerts.take(rule, self._placed(named[i][2], n, readings), transition, elapsed[n])
            self._collect(out)
        out.lines += [line for _, line in lines[done:]]

    def _placed(self, subject: Subject, n: int, readings: Readings) -> Subject:
        """The subject where it was by input `n`, if it is a thing whose readings have `lon` and `lat`."""
        thing = subject.thing
        if thing is None or not {"lon", "lat"} <= set(thing.fields):
            return subject
        lon, lat = (
            as_of(thing.base + thing.fields.index(axis), n, readings, self._ingest.series) for axis in ("lon", "lat")
        )
        return subject if np.isnan(lon) or np.isnan(lat) else subject._replace(position=(lon, lat))

    def _collect(self, out: _Out) -> None:
        out.alerts += self._alerts.out
        out.lines += self._alerts.lines
        self._alerts.out, self._alerts.lines = [], []

    def _alone(self, item: Input, moment: Moment, out: _Out) -> None:
        said: list[Said] = []
        if isinstance(item, Tick):
            said = self._tick(moment, out)
        elif isinstance(item, Detections):
            run = self._run(None)
            for rule in self._order:
                changes = rule.detections(item, moment, run)
                run.said[rule.name] = changes  # pyright: ignore[reportIndexIssue] - the run's own dict
                said += [(rule.place, rule, t) for t in changes]
            self.counts["detections"] += len(item.score)
            self.counts["frames"] += 1
        elif isinstance(item, Looked):
            self._coverage.looked(item)
            said = [(rule.place, rule, t) for rule in self._rules for t in rule.looked(item, moment)]
        elif isinstance(item, Health):
            self._silent.health(item, moment)
            said = [(self._health.place, self._health, t) for t in self._health.health(item, moment)]
        elif isinstance(item, ClockStep):
            seconds = (item.after_ns - item.before_ns) / 1e9
            health = Health("clock/wall", "step", ok=False, detail=f"moved by {seconds:+.1f} s")
            said = [(self._health.place, self._health, t) for t in self._health.health(health, moment)]
            over = msgspec.structs.replace(health, ok=True)
            said += [(self._health.place, self._health, t) for t in self._health.health(over, moment)]
        elif isinstance(item, Command):
            self._command(item, moment, out)
        elif isinstance(item, Restart):
            self._alerts.restart(item.epoch, item.next_seq)
            self._silent.restart()
        elif isinstance(item, Configured):
            self._configured(moment)
        elif not isinstance(item, Evidence):  # evidence comes with "The detection core"
            raise TypeError(f"the core was given {type(item).__name__}, which is no input")
        self._alert(said, [], {moment.n: moment.elapsed_ns}, out)
        self._collect(out)

    def _tick(self, moment: Moment, out: _Out) -> list[Said]:
        tally = self._tally()
        said: list[Said] = [(self._silent.place, self._silent, t) for t in self._silent.tick(moment)]
        for rule in self._rules:
            said += [(rule.place, rule, t) for t in rule.tick(moment)]
        self._alerts.tick(moment.admitted_ns, moment.elapsed_ns)
        self._collect(out)
        out.lines += self._coverage.tick(moment)
        self._counted.put("", Counted(tally.ticks + 1, tally.replies))
        return said

    def _tally(self) -> Counted:
        return self._counted.get("") or Counted(0, 0)

    def _run(self, readings: Readings | None) -> Run:
        taken = NO_READINGS if readings is None else readings
        was = {rule.name: rule.table["on"][: rule.table.n].copy() for rule in self._gated}
        return Run(taken, self._ingest.series, self._ingest.things, was, {})

    # ── people and configuration ─────────────────────────────────────────────────────────────────────────────────────

    def _command(self, command: Command, moment: Moment, out: _Out) -> None:
        told = self._replies.get(command.id)
        if told is None:
            tally = self._tally()
            told = Told(tally.replies, msgspec.json.encode(self._obey(command, moment)))
            self._replies.put(command.id, told)
            self._counted.put("", Counted(tally.ticks, tally.replies + 1))
            for key, old in self._replies.items() if len(self._replies) > REPLIES else ():
                if old.place <= tally.replies - REPLIES:
                    self._replies.drop(key)
        expires = moment.admitted_ns + REPLY_EXPIRES_NS
        out.requests.append(RequestRow(command.id, "reply", command.reply_to, expires, told.body))

    def _obey(self, command: Command, moment: Moment) -> dict[str, object]:
        reply: dict[str, object] = {"id": command.id, "target": command.target, "verb": command.verb}
        found = self._alerts.find(command.target)
        if found is None:
            return {**reply, "result": "unknown", "reason": "no open alert has this id or code"}
        key, record = found
        if command.if_seq is not None and command.if_seq < record.seq:
            return {**reply, "result": "conflict", "seq": record.seq, "reason": "the alert has changed since"}
        if command.verb == "acknowledge":
            if record.acknowledged:
                return {**reply, "result": "ok", "seq": record.seq, "reason": "it was acknowledged already"}
            self._alerts.acknowledge(key, record, command.who, moment.admitted_ns)
        elif command.verb == "shelve":
            most = int(self._plan.commands.shelve_at_most)
            wanted = most if command.until_ns is None else command.until_ns - moment.admitted_ns
            if wanted <= 0:
                return {**reply, "result": "refused", "reason": "the time until which to shelve is over"}
            length = min(wanted, most)
            until, until_elapsed = moment.admitted_ns + length, moment.elapsed_ns + length
            shelf = Shelf(command.who, command.note, until, until_elapsed, record.severity)
            self._alerts.shelve(key, record, shelf, moment.admitted_ns)
        else:
            if not record.shelf:
                return {**reply, "result": "ok", "seq": record.seq, "reason": "it is not shelved"}
            self._alerts.unshelve(key, record, moment.admitted_ns)
        return {**reply, "result": "ok", "seq": self._alerts.out[-1].seq, "by": command.who}

    def _configured(self, moment: Moment) -> None:
        """A new configuration holds: know its fixed things; close the alerts of rules that are gone or were changed."""
        self._ingest.intern_fixed()
        self._meet()
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


class _Out:
    """What a cut has come to so far."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.alerts: list[AlertRow] = []
        self.requests: list[RequestRow] = []
        self.dead: list[DeadLetter] = []


def _needed(plan: Plan) -> list[str]:
    """The rules that gates name."""
    gates = [gate for rule in plan.rules for gate in (rule.common.unless, rule.common.only_while) if gate]
    return sorted({gate.rule for gate in gates if gate.rule})


def _by_need(rules: Sequence[Rule], plan: Plan) -> list[Rule]:
    """Rules in an order in which each comes after those that its gates name; `config.check` refused circles."""
    needs = {
        rule.name: [g.rule for g in (rule.common.unless, rule.common.only_while) if g and g.rule] for rule in plan.rules
    }
    done: list[Rule] = []

    def add(rule: Rule) -> None:
        if rule not in done:
            for other in rules:
                if other.name in needs.get(rule.name, ()):
                    add(other)
            done.append(rule)

    for rule in rules:
        add(rule)
    return done
