"""A rule that raises is set aside, alone: the others go on, and an equipment alert says so (SEMANTICS.md §6)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import msgspec

from gateway.events import DeadLetter, Health

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.core.alerts import Alerts
    from gateway.core.machine import Transition
    from gateway.core.rule import Moment, Rule
    from gateway.core.rules.health import HealthRule
    from gateway.core.state import State
    from gateway.events import Message

log = logging.getLogger(__name__)
REASON = 300  # characters of what a rule raised


class Quarantined(msgspec.Struct, frozen=True, array_like=True):
    """A rule that raised, and what."""

    rule: str
    reason: str


class Guard:
    """Asks rules.

    In a cut of one input a rule that raises is quarantined until the next configuration holds; in a longer cut it
    raises, and the door brings the core back and steps one input at a time.
    """

    def __init__(self, state: State, health: HealthRule, alerts: Alerts) -> None:
        self.alone = False
        self._state = state
        self._health = health
        self._alerts = alerts
        self._book = state.book("quarantine", Quarantined)
        self._fresh: list[Quarantined] = []

    def ask(self, rule: Rule, call: Callable[..., list[Transition]], *given: object) -> list[Transition]:
        """What a rule says; nothing where it is quarantined."""
        key = f"{rule.name} {rule.owner}"
        if key in self._book:
            return []
        try:
            return call(*given)
        except Exception as error:  # the one call that runs a rule: its bug must not stop the others (STYLE 7)
            if not self.alone:
                raise
            log.exception("rule %s raised and was quarantined", rule.name)
            failed = Quarantined(rule.name, f"{type(error).__name__}: {error}"[:REASON])
            self._book.put(key, failed)
            self._state.clear(rule.table)  # what it had half done is gone; it will start empty
            self._fresh.append(failed)
            return []

    def settle(self, moment: Moment) -> list[Transition]:
        """What quarantining came to: an equipment alert, and open alerts of which nothing is known any more."""
        fresh, self._fresh = self._fresh, []
        said: list[Transition] = []
        for failed in fresh:
            for key, record in self._alerts.records():
                if record.rule == failed.rule and record.active and not record.unknown:
                    self._alerts.lose(key, record, moment.admitted_ns)
            said += self._health.health(Health(f"rule/{failed.rule}", "failed", ok=False, detail=failed.reason), moment)
        return said

    def letters(self, moment: Moment, message: Message) -> list[DeadLetter]:
        """The message that made rules raise, to be looked into; call before `settle`."""
        return [
            DeadLetter(
                moment.admitted_ns,
                f"rule/{failed.rule}",
                message.topic,
                f"rule {failed.rule} raised {failed.reason}",
                message.body,
            )
            for failed in self._fresh
        ]

    def lift(self, moment: Moment) -> list[Transition]:
        """A configuration holds: every rule has its chance again, beginning with nothing."""
        said: list[Transition] = []
        for key, failed in self._book.items():
            self._book.drop(key)
            for place, record in self._alerts.records():
                if record.rule == failed.rule:
                    self._alerts.close(place, record, moment.admitted_ns, "its rule had failed and begins anew")
            said += self._health.health(Health(f"rule/{failed.rule}", "failed", ok=True), moment)
        return said
