"""Changes of conditions to changes of alerts (SEMANTICS.md §9), without people."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from tests.core.reference.condition import Change

SEVERITY = {"blue": "minor", "yellow": "moderate", "orange": "severe", "red": "extreme"}
ORDER = list(SEVERITY.values())


class Line(NamedTuple):
    """One row as it should be."""

    seq: int
    rule: str
    subject: str
    change: str
    severity: str
    topics: tuple[str, ...]
    started_ns: int
    changed_ns: int
    value: float | None
    limit: float | None
    detail: str


class Standing:
    """An open alert."""

    def __init__(self, severity: str, started_ns: int) -> None:
        self.active, self.severity, self.started_ns = True, severity, started_ns
        self.topics = [severity]
        self.value: float | None = None
        self.limit: float | None = None
        self.detail = ""


class LedgerReference:
    """Alerts by rule and subject. Nobody acknowledges, so none closes within a day."""

    def __init__(self) -> None:
        self.open: dict[tuple[str, str], Standing] = {}
        self.lines: list[Line] = []

    def take(self, rule: str, subject: str, change: Change, severity: str, limit: float | None) -> None:
        """A change of a condition; `severity` is that of its level."""
        key, value = (rule, subject), None if change.value != change.value else float(change.value)
        alert = self.open.get(key)
        if change.kind != "level":
            if alert and alert.active:
                if change.kind == "updated":
                    alert.value, alert.detail = value, change.detail
                self._write(key, alert, change.kind, change.at_ns)
            return
        if not change.level:
            if alert and alert.active:
                alert.active, alert.value = False, value
                self._write(key, alert, "cleared", change.at_ns, everywhere=True)
            return
        if alert is None:
            alert = self.open[key] = Standing(severity, change.started_ns)
            word = "raised"
        elif not alert.active:
            word = "returned"
        elif severity == alert.severity:
            return
        else:
            word = "raised_level" if ORDER.index(severity) > ORDER.index(alert.severity) else "lowered_level"
        alert.active, alert.severity, alert.value, alert.limit = True, severity, value, limit
        alert.detail = change.detail
        if ORDER.index(severity) > max(map(ORDER.index, alert.topics)):
            alert.topics.append(severity)
        self._write(key, alert, word, change.at_ns, everywhere=word == "returned")

    def _write(
        self, key: tuple[str, str], alert: Standing, change: str, at_ns: int, *, everywhere: bool = False
    ) -> None:
        topics = tuple(alert.topics) if everywhere else (max(alert.topics, key=ORDER.index),)
        self.lines.append(
            Line(
                len(self.lines) + 1,
                *key,
                change,
                alert.severity,
                topics,
                alert.started_ns,
                at_ns,
                alert.value,
                alert.limit,
                alert.detail,
            )
        )
