"""What a sweep ends in: alerts, and labelled alerts lost, against what was swept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gateway.backtest.table import Counts, summed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.backtest.sweep import Axis
    from gateway.backtest.table import Row
    from gateway.backtest.variants import Variant


class Dot(msgspec.Struct, frozen=True):
    """One configuration of a sweep: where it stands, and what it came to over all days.

    `values` are as they were written, in the axes' order; `at` is where the first stands on the curve's axis. `line`
    names the curve that it belongs to: the file, and the other axes' values.
    """

    configuration: str
    file: str
    values: tuple[str, ...]
    at: float
    line: str
    counts: Counts


def curve(table: Sequence[Row], variants: Sequence[Variant], axes: Sequence[Axis]) -> tuple[str, list[Dot]]:
    """(whose alerts are counted, the dots in the order of the configurations).

    Where all that is swept belongs to one rule, that rule's alerts are; else all alerts of the city.
    """
    rules = {one.path.split(".")[1] for one in axes if one.path.startswith("rules.")}
    rule = rules.pop() if len(rules) == 1 and all(one.path.startswith("rules.") for one in axes) else ""
    counted = [row for row in table if (row.rule == rule if rule else row.class_ == "city")]
    by_name = summed(counted, "configuration")
    first, *others = axes
    numbers = dict(zip(first.values, first.numbers(), strict=True))
    dots: list[Dot] = []
    files = {variant.config for variant in variants if variant.overlay}
    for variant in variants:
        if not variant.overlay:
            continue
        values = tuple(variant.overlay[one.path] for one in axes)
        words = [f"{one.path.rpartition('.')[2]} {value}" for one, value in zip(others, values[1:], strict=True)]
        file = variant.name.partition(" ")[0]
        line = ", ".join([*([file] if len(files) > 1 else []), *words])
        counts = by_name.get((variant.name,), Counts())
        dots.append(Dot(variant.name, file, values, numbers[values[0]], line, counts))
    return rule or "all rules of the city", dots
