"""In which order rules are asked: each after those that its gates name."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.core.plan import Plan
    from gateway.core.rule import Rule


def needed(plan: Plan) -> list[str]:
    """The rules that gates name."""
    gates = [gate for rule in plan.rules for gate in (rule.common.unless, rule.common.only_while) if gate]
    return sorted({gate.rule for gate in gates if gate.rule})


def by_need(rules: Sequence[Rule], plan: Plan) -> list[Rule]:
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
