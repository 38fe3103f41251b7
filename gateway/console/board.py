"""The open alerts that `watch` has heard of, and which of them are wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gateway.console.alert import Alert, worst_first
from gateway.events import SEVERITIES, SEVERITY_OF

if TYPE_CHECKING:
    from gateway.console.feeds import Heard


class Wanted(msgspec.Struct, frozen=True):
    """What to show: at least this severity (the highest an alert has had counts), this rule, this class."""

    severity: str = "minor"
    rule: str | None = None
    class_: str | None = None

    def fits(self, alert: Alert) -> bool:
        """Whether an alert is wanted."""
        highest = alert.severity_max or alert.severity
        rank = SEVERITIES.index(highest) if highest in SEVERITIES else len(SEVERITIES)
        return (
            rank >= SEVERITIES.index(self.severity)
            and self.rule in {None, alert.rule}
            and self.class_ in {None, alert.class_}
        )


def severity_of(word: str) -> str:
    """`severe` or `orange` → severe. Raises ValueError."""
    severity = SEVERITY_OF.get(word, word)
    if severity not in SEVERITIES:
        allowed = ", ".join((*SEVERITIES, *SEVERITY_OF))
        raise ValueError(f"found {word!r}; a severity is one of {allowed}")
    return severity


class Board:
    """Open alerts by id; what came twice, or late, changes nothing."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self._open: dict[str, Alert] = {}
        self._seen: dict[str, tuple[str, int]] = {}
        self._bodies: dict[str, dict[str, object]] = {}

    def take(self, heard: Heard) -> bool:
        """Take what was heard; whether it is news that is wanted."""
        alert = heard.alert
        if alert is None:
            self._seen.pop(heard.id, None)
            self._bodies.pop(heard.id, None)
            gone = self._open.pop(heard.id, None)
            return gone is not None and self.wanted.fits(gone)
        epoch, seq = self._seen.get(alert.id, ("", 0))
        if epoch == alert.epoch and alert.seq <= seq:
            return False
        self._seen[alert.id] = (alert.epoch, alert.seq)
        if alert.is_closed:
            self._open.pop(alert.id, None)
            self._bodies.pop(alert.id, None)
        else:
            self._open[alert.id] = alert
            self._bodies[alert.id] = heard.body
        if len(self._seen) > 2 * len(self._open) + 1000:  # closed ones are remembered a while, not for ever
            self._seen = {key: seen for key, seen in self._seen.items() if key in self._open}
        return self.wanted.fits(alert)

    def shown(self) -> list[Alert]:
        """The wanted ones that are open, worst first."""
        return worst_first([alert for alert in self._open.values() if self.wanted.fits(alert)])

    def body(self, alert: Alert) -> str:
        """An open alert's JSON as it came."""
        return msgspec.json.encode(self._bodies[alert.id]).decode()

    def find(self, word: str) -> Alert | None:
        """The open alert with this id or code."""
        return next((a for a in self._open.values() if word in {a.id, a.code} or word.upper() == a.code), None)
