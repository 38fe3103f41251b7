"""How often a rule was right: what people say of alerts, counted by local month, and which alerts they may still judge.

A person judges hours or days later, so the newest alerts that closed are kept; of older ones nothing is known any more.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from gateway import ports
from gateway.core.record import Record, Times

if TYPE_CHECKING:
    from gateway.core.record import Verdict
    from gateway.core.state import State

KEPT = {"city": 1000, "equipment": 250}
"""Closed alerts kept, by class: a storm of silent sensors must not take the city's with it."""


class Before(msgspec.Struct, frozen=True, array_like=True):
    """The start of the last alert of a rule and subject, and how many had the same.

    And of its local month: how many there were, and how many people said were right and wrong.
    """

    started_ns: int
    k: int
    month: int = 0
    raised: int = 0
    right: int = 0
    wrong: int = 0


class Tally(msgspec.Struct, frozen=True, array_like=True):
    """A rule's local month: alerts raised, and what was said of them; and how often people ever said so."""

    month: int = 0
    raised: int = 0
    right: int = 0
    wrong: int = 0
    said_right: int = 0
    said_wrong: int = 0


class Count(msgspec.Struct, frozen=True, array_like=True):
    """How many alerts of a class have closed."""

    closed: int


class Born(NamedTuple):
    """What a new alert gets: k, how many before had the same start, and how it stands among those of its month."""

    k: int
    times: Times


class Judged:
    """See the module."""

    def __init__(self, state: State, zone: str) -> None:
        self._zone = ZoneInfo(zone)
        self._before = state.book("alerts/before", Before)
        self._rules = state.book("alerts/rules", Tally)
        self._closed = state.book("alerts/closed", Record)
        self._counted = state.book("alerts/counted", Count)
        self._told: tuple[tuple[str, Tally], ...] = ()  # derived: what others read beside a step

    def month_of(self, at_ns: int) -> int:
        """The local month: year × 12 + month − 1."""
        local = datetime.fromtimestamp(at_ns // 10**9, UTC).astimezone(self._zone)
        return local.year * 12 + local.month - 1

    def raised(self, key: str, rule: str, started_ns: int, at_ns: int) -> Born:
        """Count a new alert."""
        month, tally = self.month_of(at_ns), self._rules.get(rule) or Tally()
        if tally.month - month == 1:  # an alert that is late by a month's end counts to the new one
            month = tally.month
        if tally.month != month:
            tally = msgspec.structs.replace(tally, month=month, raised=0, right=0, wrong=0)
        self._tell(rule, msgspec.structs.replace(tally, raised=tally.raised + 1))
        before = self._before.get(key) or Before(started_ns - 1, 0)
        k = before.k + 1 if before.started_ns == started_ns else 0
        if before.month != month:
            before = Before(started_ns, k, month)
        times = Times(month, before.raised + 1, before.right, before.wrong)
        self._before.put(key, Before(started_ns, k, month, times.nth, before.right, before.wrong))
        return Born(k, times)

    def say(self, record: Record, verdict: Verdict | None) -> None:
        """Count what a person says of an alert, instead of what was said before; None: that was taken back."""
        was = record.label.verdict if record.label else None
        tally, before = self._rules.get(record.rule) or Tally(), self._before.get(record.key)
        by = {side: (verdict == side) - (was == side) for side in ("right", "wrong")}
        month = record.times.month if record.times else -1
        if tally.month == month:
            tally = msgspec.structs.replace(tally, right=tally.right + by["right"], wrong=tally.wrong + by["wrong"])
        said = {
            "said_right": tally.said_right + (verdict == "right"),
            "said_wrong": tally.said_wrong + (verdict == "wrong"),
        }
        self._tell(record.rule, msgspec.structs.replace(tally, **said))
        if before is not None and before.month == month:
            changed = {"right": before.right + by["right"], "wrong": before.wrong + by["wrong"]}
            self._before.put(record.key, msgspec.structs.replace(before, **changed))

    def times(self, record: Record) -> Times | None:
        """How the last alert of its rule and subject stands by what is said now of those before it."""
        before, times = self._before.get(record.key), record.times
        if before is None or times is None or before.month != times.month:
            return times
        own = record.label.verdict if record.label else None
        return Times(times.month, times.nth, before.right - (own == "right"), before.wrong - (own == "wrong"))

    # ── alerts that closed ───────────────────────────────────────────────────────────────────────────────────────────

    def keep(self, record: Record) -> None:
        """An alert has closed: it takes the place of the oldest."""
        counted = self._counted.get(record.class_) or Count(0)
        self._closed.put(_place(record.class_, counted.closed), record)
        self._counted.put(record.class_, Count(counted.closed + 1))

    def put(self, place: str, record: Record) -> None:
        """Something was said of one that had closed."""
        self._closed.put(place, record)

    def find(self, alert_id: str) -> tuple[str, Record] | None:
        """(place, the one that closed last of those with this id or short code)."""
        for class_, most in KEPT.items():
            newest = (self._counted.get(class_) or Count(0)).closed - 1
            for n in range(newest, max(-1, newest - most), -1):
                place = _place(class_, n)
                record = self._closed.get(place)
                if record is not None and alert_id in {record.id, record.code}:
                    return place, record
        return None

    # ── for those who look ───────────────────────────────────────────────────────────────────────────────────────────

    def restored(self) -> None:
        """The books hold what was stored."""
        self._told = tuple(self._rules.items())

    def _tell(self, rule: str, tally: Tally) -> None:
        self._rules.put(rule, tally)
        self._told = tuple(self._rules.items())

    def tallies(self, now_ns: int) -> list[ports.Judged]:
        """Each rule's in the local month of `now_ns`, by name. May be called beside a step: it is then a step old."""
        month, out = self.month_of(now_ns), list[ports.Judged]()
        for rule, tally in self._told:
            now = (tally.raised, tally.right, tally.wrong) if tally.month == month else (0, 0, 0)
            out.append(ports.Judged(rule, *now, tally.said_right, tally.said_wrong))
        return out


def _place(class_: str, n: int) -> str:
    return f"{class_}/{n % KEPT[class_]:04}"
