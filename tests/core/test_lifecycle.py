"""The life of an alert (SEMANTICS.md §9): any order of conditions, people, time and configurations."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.events import Command, Configured, Health, Input, Restart, Tick
from tests.core.build import T0, S, Stamped, body_of, core_of, cut_of
from tests.core.cases import LEVELS, WATER_SENSOR
from tests.core.reference.gateway import Sent
from tests.core.streams import message_of, searching

if TYPE_CHECKING:
    from gateway.events import AlertRow

SEVERITIES = ("", "moderate", "severe", "extreme")
VALUES = (2.0, 3.0, 3.5, 4.0)  # of levels 0 to 3
DAY = 86_400 * S
MOST = 8 * 3600 * S  # how long an alert may be shelved, by default


class Expected(NamedTuple):
    """A row, as far as the life of the alert decides it."""

    change: str
    state: str
    severity: str
    topics: tuple[str, ...]
    open: bool
    id: str


class Alert:
    """An open alert, as a person would describe it."""

    def __init__(self, id_: str, level: int, opened: int) -> None:
        self.id, self.level, self.opened = id_, level, opened
        self.active, self.acknowledged = True, False
        self.shelf: tuple[int, int] | None = None  # until when, and up to which level
        self.reached = [level]  # levels whose topics know it
        self.label: tuple[str, str] | None = None  # verdict and note
        self.seq = 0

    @property
    def state(self) -> str:
        """In ISA-18.2's words."""
        if not self.active and self.acknowledged:
            return "normal"
        if self.shelf:
            return "shelved"
        return f"{'active' if self.active else 'cleared'}_{'acknowledged' if self.acknowledged else 'unacknowledged'}"


class Life(RuleBasedStateMachine):
    """One gauge with three levels."""

    def __init__(self) -> None:
        super().__init__()
        self.now, self.n, self.seq = T0, 1, 1
        self.variant, self.core = 0, core_of(self._text(0))
        self.alert: Alert | None = None
        self.ended: list[Alert] = []
        self.level = 0  # of the condition
        self.stamp, self.nudge = T0, 0
        self.last_started, self.k, self.started = -1, 0, -1
        self.rows: list[AlertRow] = []
        self.replies: dict[str, tuple[Command, bytes]] = {}

    @staticmethod
    def _text(variant: int) -> str:
        """0 and 1: the rule, under two configurations that mean the same; 2: without it."""
        rules = f"rules:\n  flood: {{threshold: water.level, {LEVELS}, coverage: {0.5 + variant / 10}}}\n"
        return f"sensors:{WATER_SENSOR}{'' if variant == 2 else rules}"

    # ── stepping ──

    def _step(self, item: Input, expected: list[Expected]) -> bytes:
        """Step one input, and compare its rows; the reply, where there is one."""
        stepped = self.core.step(cut_of(self.n, [Stamped(item, self.now, self.now - T0)]))
        self.n += 1
        found = [
            Expected(row.change, row.state, body_of(row)["severity"], row.severities, row.open, row.id)
            for row in stepped.alerts
        ]
        assert found == expected
        for row in stepped.alerts:
            assert row.seq == self.seq, "without a hole"
            assert body_of(row)["epoch"] == "b3f1"
            self.seq += 1
        for alert in (*self.ended, *([self.alert] if self.alert else [])):
            alert.seq = max([alert.seq, *(row.seq for row in stepped.alerts if row.id == alert.id)])
            labels = [body_of(row)["label"] for row in stepped.alerts if row.id == alert.id]
            found_labels = [label and (label["verdict"], label["note"]) for label in labels]  # type: ignore[index,call-overload]  # a map
            assert found_labels == [alert.label] * len(labels)
        self.rows += stepped.alerts
        return stepped.requests[0].body if stepped.requests else b""

    def _row(self, change: str, *, everywhere: bool = False, of: Alert | None = None) -> Expected:
        """What the alert, as it is now, should say."""
        alert = of or self.alert
        assert alert is not None
        topics = [SEVERITIES[level] for level in (alert.reached if everywhere else alert.reached[-1:])]
        is_open = alert.active or not alert.acknowledged
        return Expected(change, alert.state, SEVERITIES[alert.level], tuple(topics), is_open, alert.id)

    def _id(self, started: int) -> str:
        """Derived from what it is, and how many before were the same."""
        self.k = self.k + 1 if started == self.last_started else 0
        self.last_started = started
        parts = ["lg-017-02", "b3f1", "flood", "water.level", started, self.k]
        return f"flood-{hashlib.sha256(msgspec.json.encode(parts)).digest()[:8].hex()}"

    @initialize()
    def begin(self) -> None:
        """As every gateway."""
        for item in (Restart("", "b3f1", 1), Configured("", ""), Health("source/here", "connected", ok=True)):
            self._step(item, [])

    # ── the world ──

    @rule(level=st.integers(0, 3), later=st.booleans())
    def reading(self, level: int, later: bool) -> None:
        """The water is at a level; perhaps twice at one time, in two readings."""
        if later:
            self.now += S
            self.stamp, self.nudge = self.now, 0
        self.nudge += 1
        value = VALUES[level] + self.nudge * 1e-6
        item = message_of(Sent("water", (), {"level": value}, self.stamp))
        was, expected = self.level, list[Expected]()
        self.level = 0 if self.variant == 2 else level
        if not was and self.level:
            self.started = self.stamp
        if self.level and not self.alert:
            self.alert = Alert(self._id(self.started), level, self.now)
            expected = [self._row("raised")]
        elif self.alert and self.level != was:
            expected = self._moved(self.alert, was, self.level)
        self._step(item, expected)
        self._forget()

    def _moved(self, alert: Alert, was: int, level: int) -> list[Expected]:
        """The condition of an open alert changed its level."""
        if not level:
            alert.active = False
            return [self._row("cleared", everywhere=True)]
        expected = []
        if alert.shelf and level > alert.shelf[1]:
            alert.shelf = None
            expected.append(self._row("unshelved"))
        change = "returned" if not was else "raised_level" if level > was else "lowered_level"
        if change != "lowered_level":
            alert.acknowledged = False
        alert.active, alert.level = True, level
        if level > max(alert.reached):
            alert.reached.append(level)
        return [*expected, self._row(change, everywhere=change == "returned")]

    def _forget(self) -> None:
        if self.alert and not self.alert.active and self.alert.acknowledged:
            self.ended.append(self.alert)
            self.alert = None

    @rule(seconds=st.sampled_from((1, 60, 3600, 9 * 3600, 25 * 3600)))
    def tick(self, seconds: int) -> None:
        """Time passes."""
        self.now += seconds * S
        self.stamp, self.nudge = self.now, 0
        alert, expected = self.alert, list[Expected]()
        if alert and alert.shelf and alert.shelf[0] <= self.now:
            alert.shelf = None
            expected = [self._row("unshelved")]
        elif alert and not alert.active and self.now - alert.opened >= DAY:
            alert.acknowledged = True
            expected = [self._row("closed", everywhere=True)]
        self._step(Tick(), expected)
        self._forget()

    # ── people ──

    def _command(
        self, verb: str, expected: list[Expected], of: Alert | None = None, **more: object
    ) -> dict[str, object]:
        one = of or self.alert
        target = one.id if one else "flood-0000000000000000"
        id_ = f"c{len(self.replies)}"
        command = Command(id_, target, verb, "duty", reply_to="page", **more)  # type: ignore[arg-type]  a verb
        reply = self._step(command, expected)
        self.replies[id_] = (command, reply)
        self._forget()
        return msgspec.json.decode(reply)

    @rule()
    def acknowledge(self) -> None:
        """Somebody has seen it."""
        alert, expected = self.alert, list[Expected]()
        if alert and not alert.acknowledged:
            alert.acknowledged = True
            expected = [self._row("acknowledged", everywhere=not alert.active)]
        assert self._command("acknowledge", expected)["result"] == ("ok" if alert else "unknown")

    @precondition(lambda self: self.alert)
    @rule(hours=st.sampled_from((None, -1, 1, 100)))
    def shelve(self, hours: int | None) -> None:
        """Not now: for so long, at most as long as is allowed."""
        alert = self.alert
        assert alert is not None
        until = None if hours is None else self.now + hours * 3600 * S
        if until is not None and until <= self.now:
            assert self._command("shelve", [], until_ns=until)["result"] == "refused"
            return
        alert.shelf = (min(self.now + MOST, until or self.now + MOST), alert.level)
        assert self._command("shelve", [self._row("shelved")], until_ns=until)["result"] == "ok"

    @precondition(lambda self: self.alert)
    @rule()
    def unshelve(self) -> None:
        """Now again."""
        assert self.alert is not None
        was, self.alert.shelf = self.alert.shelf, None
        assert self._command("unshelve", [self._row("unshelved")] if was else [])["result"] == "ok"

    @precondition(lambda self: self.alert or self.ended)
    @rule(data=st.data(), verb=st.sampled_from(("right", "wrong", "unmark")), note=st.sampled_from(("", "seen")))
    def judge(self, data: st.DataObject, verb: str, note: str) -> None:
        """Somebody says whether it was right, of an alert that is open or has closed: nothing else of it moves."""
        every = [*self.ended, *([self.alert] if self.alert else [])]
        alert = every[data.draw(st.integers(0, len(every) - 1))]
        label = None if verb == "unmark" else (verb, note)
        same, alert.label = label == alert.label, label
        expected = [] if same else [self._row("labelled", of=alert)]
        assert self._command(verb, expected, alert, note=note)["result"] == "ok"

    @precondition(lambda self: self.alert)
    @rule()
    def command_that_is_too_old(self) -> None:
        """Somebody answers what he saw before the last change."""
        assert self.alert is not None
        reply = self._command("acknowledge", [], if_seq=self.alert.seq - 1)
        assert (reply["result"], reply["seq"]) == ("conflict", self.alert.seq)

    @precondition(lambda self: self.replies)
    @rule(data=st.data())
    def command_again(self, data: st.DataObject) -> None:
        """A repeated id gets its first reply, and changes nothing."""
        command, first = self.replies[data.draw(st.sampled_from(sorted(self.replies)))]
        assert self._step(command, []) == first

    # ── machines ──

    @rule(variant=st.integers(0, 2))
    def configure(self, variant: int) -> None:
        """Another configuration: a new core goes on from the state of the old one."""
        changed = variant != self.variant
        self.variant = variant
        state = self.core.snapshot()
        self.core = core_of(self._text(variant))
        self.core.restore(state, [])
        self._step(Restart("", "b3f1", self.seq), [])
        expected = list[Expected]()
        if changed:
            self.level = 0
            if self.alert:
                self.alert.active, self.alert.acknowledged = False, True
                expected = [self._row("closed", everywhere=True)]
        self._step(Configured("", ""), expected)
        self._step(Health("source/here", "connected", ok=True), [])
        self._forget()

    @invariant()
    def open_alerts_are_those_whose_last_row_is_open(self) -> None:
        """So who follows the rows knows the list."""
        last = {row.id: row for row in self.rows}
        open_ids = [id_ for id_, row in last.items() if row.open]
        assert open_ids == ([self.alert.id] if self.alert else [])


Life.TestCase.settings = searching(60)
TestLife = Life.TestCase
