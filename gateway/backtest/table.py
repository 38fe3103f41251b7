"""The table that a backtest ends in: alerts by configuration, gateway, rule and day, scored where labels are given.

An alert counts on the local day it was raised, once, also where it goes on in the next day's recording. The window of a
label counts on the day it begins, where the recordings cover any of it.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import msgspec

from gateway.backtest.groups import local_day
from gateway.replaying.labels import Labels

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gateway.backtest.parts import Alert, Done
    from gateway.backtest.variants import Variant
    from gateway.replaying.labels import Window

DAY_NS = 86_400 * 10**9


class Counts(msgspec.Struct, frozen=True):
    """What can be added up.

    alerts: raised. returned: how often the condition of one that was still open held again, which makes no new alert.
    right + wrong: alerts that were judged; found + missed: right windows with an alert, and without.
    """

    alerts: int = 0
    returned: int = 0
    right: int = 0
    wrong: int = 0
    found: int = 0
    missed: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.alerts + other.alerts,
            self.returned + other.returned,
            self.right + other.right,
            self.wrong + other.wrong,
            self.found + other.found,
            self.missed + other.missed,
        )

    @property
    def precision(self) -> float | None:
        """Share of the judged alerts that were right; None where none was judged."""
        return self.right / (self.right + self.wrong) if self.right + self.wrong else None

    @property
    def recall(self) -> float | None:
        """Share of the right windows in which an alert came; None where there is no such window."""
        return self.found / (self.found + self.missed) if self.found + self.missed else None


class Row(msgspec.Struct, frozen=True):
    """One rule's day. `day` is empty for a label that names an alert which never came, and no time."""

    configuration: str
    gateway: str
    rule: str
    class_: str
    day: str
    counts: Counts


def rows(results: Sequence[Done], variants: Sequence[Variant], labels: Mapping[str, Labels]) -> list[Row]:
    """The table, in the order of the configurations, then by gateway, rule and day; `labels`: by gateway.

    Every rule has each of its gateway's days, with 0 where it raised nothing.
    """
    by_both: defaultdict[tuple[str, str], list[Done]] = defaultdict(list)
    for done in results:
        if not done.error:
            by_both[done.variant, done.gateway].append(done)
    seen: defaultdict[str, set[str]] = defaultdict(set)
    for (_, gateway), parts in by_both.items():
        seen[gateway].update(alert.span.rule for done in parts for alert in done.alerts if alert.raised)
    made: list[Row] = []
    for variant in variants:
        for gateway in sorted(gateway for name, gateway in by_both if name == variant.name):
            parts = sorted(by_both[variant.name, gateway], key=lambda done: done.from_ns)
            scored = _Scored(parts, labels.get(gateway, Labels()))
            made += scored.rows(variant.name, gateway, {*seen[gateway], *variant.rules})
    return made


def summed(of: Iterable[Row], *columns: str) -> dict[tuple[str, ...], Counts]:
    """The rows that agree in the named columns, added up."""
    sums: defaultdict[tuple[str, ...], Counts] = defaultdict(Counts)
    for row in of:
        sums[tuple(getattr(row, column) for column in columns)] += row.counts
    return dict(sums)


class _Scored:
    """One gateway under one configuration: alerts and labels by rule and day."""

    def __init__(self, parts: Sequence[Done], labels: Labels) -> None:
        self._zone = parts[-1].timezone
        self._spans = [(done.from_ns, done.to_ns) for done in parts]
        self._alerts = together(parts)
        self._classes = {alert.span.rule: alert.class_ for alert in self._alerts}
        self._counts: defaultdict[tuple[str, str], Counts] = defaultdict(Counts)
        for alert in self._alerts:
            if alert.raised:
                verdict = labels.of_span(alert.span)
                one = Counts(alerts=1, right=int(verdict == "right"), wrong=int(verdict == "wrong"))
                self._counts[alert.span.rule, self._day(alert.span.raised_ns)] += one
            for at_ns in alert.returned_ns:
                self._counts[alert.span.rule, self._day(at_ns)] += Counts(returned=1)
        for window in labels.windows:
            if window.verdict == "right" and self._covered(window):
                self._look_for(window)

    def rows(self, configuration: str, gateway: str, rules: set[str]) -> list[Row]:
        days = {day for from_ns, to_ns in self._spans for day in self._days(from_ns, to_ns)}
        keys = {*self._counts, *((rule, day) for rule in rules for day in days)}
        return [
            Row(configuration, gateway, rule, self._classes.get(rule, "city"), day, self._counts[rule, day])
            for rule, day in sorted(keys)
        ]

    def _look_for(self, window: Window) -> None:
        fitting = [alert for alert in self._alerts if window.fits(alert.span)]
        timed = window.from_ns <= window.to_ns
        at_ns = window.from_ns if timed else fitting[0].span.raised_ns if fitting else None
        first_ns = self._spans[0][0]
        day = "" if at_ns is None else self._day(max(at_ns, first_ns) if timed else at_ns)
        self._counts[window.rule, day] += Counts(found=int(bool(fitting)), missed=int(not fitting))

    def _covered(self, window: Window) -> bool:
        """Whether a recording covers any of it; a window that names an alert only is not looked for elsewhere."""
        if window.from_ns > window.to_ns:
            return True
        return any(window.from_ns <= to_ns and from_ns <= window.to_ns for from_ns, to_ns in self._spans)

    def _day(self, at_ns: int) -> str:
        return local_day(at_ns, self._zone)

    def _days(self, from_ns: int, to_ns: int) -> set[str]:
        return {self._day(at_ns) for at_ns in (*range(from_ns, to_ns, DAY_NS), to_ns)}


def together(parts: Iterable[Done]) -> list[Alert]:
    """The alerts of consecutive results; one that goes on in the next is one alert."""
    by_id: dict[str, Alert] = {}
    for done in parts:
        for alert in done.alerts:
            before = by_id.get(alert.span.id)
            by_id[alert.span.id] = alert if before is None else _joined(before, alert)
    return list(by_id.values())


def _joined(before: Alert, after: Alert) -> Alert:
    span = msgspec.structs.replace(
        before.span, to_ns=after.span.to_ns, verdict=after.span.verdict or before.span.verdict
    )
    again = before.returned_ns + after.returned_ns
    return msgspec.structs.replace(after, span=span, raised=before.raised, returned_ns=again)
