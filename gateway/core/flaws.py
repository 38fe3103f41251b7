"""What rules find wrong with themselves: a rule that cannot say anything must not look like one with nothing to say."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from gateway.events import Health

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Sequence

    from gateway.core.machine import Transition
    from gateway.core.rule import Moment, Rule
    from gateway.core.rules.health import HealthRule


class Flaw(NamedTuple):
    """What went wrong with a rule by input `n`, so many times; `condition` as in Health."""

    n: int
    rule: str
    condition: str
    detail: str
    times: int


class Flaws:
    """Tells flaws as the health of `rule/<name>`, once, until the rule no longer has them.

    Rules put what they meet while they are stepped into `found`; what they have all the time is in `Rule.flaws()`.
    """

    def __init__(self, health: HealthRule, counts: Counter[str]) -> None:
        self._health = health
        self._counts = counts
        self.found: list[Flaw] = []

    def told(self) -> list[tuple[int, Health]]:
        """What was found since the last call, by input."""
        found, self.found[:] = sorted(self.found), []
        for flaw in found:
            self._counts[flaw.condition] += flaw.times
        return [(f.n, Health(f"rule/{f.rule}", f.condition, ok=False, detail=f.detail)) for f in found]

    def begin(self, rules: Sequence[Rule], moment: Moment) -> list[Transition]:
        """A configuration holds: what is wrong under it, and what no longer is."""
        said = self.healed(rules, moment)
        for rule in rules:
            for condition, detail in rule.flaws().items():
                said += self._health.health(Health(f"rule/{rule.name}", condition, ok=False, detail=detail), moment)
        return said

    def healed(self, rules: Sequence[Rule], moment: Moment) -> list[Transition]:
        """What rules had told of and have no longer. That a rule failed is the guard's."""
        told = [said for said in self._health.unwell("rule") if said.condition != "failed"]
        if not told:
            return []
        have = {(f"rule/{rule.name}", condition) for rule in rules for condition in rule.flaws()}
        return [
            transition
            for said in told
            if (said.component, said.condition) not in have
            for transition in self._health.health(Health(said.component, said.condition, ok=True), moment)
        ]
