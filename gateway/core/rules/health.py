"""`health`: what sources, cameras, sinks and disks say of themselves becomes equipment alerts (SEMANTICS.md §1, §4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from gateway.config.model import RuleCommon
from gateway.core.machine import UPDATE_NS, Transition
from gateway.core.rule import Moment, Subject

if TYPE_CHECKING:
    from gateway.core.state import State
    from gateway.events import Health

SEVERE = frozenset({"disk", "clock", "recorder"})
CONFIGURED = frozenset({"source", "camera", "sensor", "sink"})  # of these the core knows which there are
MODERATE = frozenset({"source", "camera", "sink", "rule", "engine"})


class Condition(msgspec.Struct, frozen=True, array_like=True):
    """What one component last said about one condition.

    detail: what the alert says; newer: what the component has said since, "" where that is the same; told_ns: the
    elapsed time at which the alert last said something.
    """

    slot: int
    component: str
    condition: str
    ok: bool
    detail: str
    since_ns: int
    newer: str = ""
    told_ns: int = 0


class HealthRule:
    """One subject a component and condition."""

    name, place, kind, owner = "health", -3, "health", ""
    common = RuleCommon(class_="equipment")
    colours, limits, lows = ("blue",), (0.0,), ()

    def __init__(self, state: State) -> None:
        self._book = state.book("health", Condition)
        self._slots: list[str] = []
        self._behind: set[str] = set()  # derived: the keys of what has something newer to tell

    def restored(self) -> None:
        """Find the slots again."""
        self._slots = [key for key, _ in sorted(self._book.items(), key=lambda item: item[1].slot)]
        self._behind = {key for key, said in self._book.items() if said.newer}

    def subject(self, slot: int) -> Subject:
        """The component of a slot; its severity is by its kind."""
        said = self._book.get(self._slots[slot])
        assert said is not None  # noqa: S101 - slots are made with their record
        kind = said.component.partition("/")[0]
        severity = "severe" if kind in SEVERE else "moderate" if kind in MODERATE else "minor"
        text = f"{said.component}{{condition={said.condition}}}"
        camera = said.component.partition("/")[2] if kind == "camera" else ""
        return Subject(text, camera=camera, severity=severity, detail=said.detail)

    def health(self, health: Health, moment: Moment) -> list[Transition]:
        """Raise what is not well, clear what is well again; good news about the unknown is no news."""
        key = f"{health.component} {health.condition}"
        was = self._book.get(key)
        if was is None:
            if health.ok:
                return []
            self._slots.append(key)
        elif was.ok == health.ok:
            return []
        slot = was.slot if was else len(self._slots) - 1
        since = moment.admitted_ns if was is None or not health.ok else was.since_ns
        detail = health.detail if not health.ok else was.detail if was else ""
        told_ns = moment.elapsed_ns
        self._keep(Condition(slot, health.component, health.condition, health.ok, detail, since, told_ns=told_ns))
        level = 0 if health.ok else 1
        return [Transition(moment.n, slot, "level", level, moment.admitted_ns, since, np.nan, moment.admitted_ns)]

    def said(self, health: Health, moment: Moment) -> list[Transition]:
        """As `health`, and where what is not well is said in other words by now, the alert is told again.

        Not of what the core says of itself: when it says so follows how inputs were grouped.
        """
        was = self._book.get(f"{health.component} {health.condition}")
        if was is None or was.ok or health.ok:
            return self.health(health, moment)
        if health.detail:
            self._keep(msgspec.structs.replace(was, newer=health.detail if health.detail != was.detail else ""))
        return self._tell(was.slot, moment)

    def tick(self, moment: Moment) -> list[Transition]:
        """What was said too soon after the alert last spoke is told as soon as it may speak again."""
        slots = sorted(self._slots.index(key) for key in self._behind)
        return [transition for slot in slots for transition in self._tell(slot, moment)]

    def _tell(self, slot: int, moment: Moment) -> list[Transition]:
        said = self._book.get(self._slots[slot])
        if said is None or not said.newer or moment.elapsed_ns - said.told_ns < UPDATE_NS:
            return []
        self._keep(msgspec.structs.replace(said, detail=said.newer, newer="", told_ns=moment.elapsed_ns))
        at_ns = moment.admitted_ns
        return [Transition(moment.n, slot, "updated", 1, at_ns, said.since_ns, np.nan, at_ns)]

    def _keep(self, said: Condition) -> None:
        key = self._slots[said.slot]
        if self._book.get(key) != said:
            self._book.put(key, said)
        (self._behind.add if said.newer else self._behind.discard)(key)

    def unwell(self, kind: str) -> list[Condition]:
        """What components of a kind said last and is not well, by component and condition."""
        return [said for _, said in self._book.items() if not said.ok and said.component.startswith(f"{kind}/")]

    def abandon(self, parts: frozenset[str]) -> list[str]:
        """Forget what sources, cameras, sensors and sinks said that are no longer among the parts; their subjects.

        A camera whose model cannot be had is configured, but no part of the core: that it says so stands.
        """
        gone: list[str] = []
        for said in [said for _, said in self._book.items() if not said.ok and said.component not in parts]:
            if said.component.partition("/")[0] in CONFIGURED and said.condition != "model":
                self._keep(msgspec.structs.replace(said, ok=True, newer=""))
                gone.append(self.subject(said.slot).text)
        return gone
