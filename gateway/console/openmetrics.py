"""`/metrics`: the samples of `View.metrics()` as text (OpenMetrics 1.0)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from gateway.console.metrics import HELP

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
_TOTAL = "_total"


def render(samples: Iterable[tuple[str, Mapping[str, str], float]]) -> str:
    """The exposition of samples (name, labels, value), grouped by family in the order of first sight.

    A name that ends in `_total` is a counter, any other a gauge. Of two samples with the same name and labels the last
    one counts, since a scraper refuses the whole page otherwise.
    """
    families: dict[str, dict[str, float]] = {}
    for name, labels, value in samples:
        families.setdefault(name, {})[_labels(labels)] = value
    lines: list[str] = []
    for name, values in families.items():
        family = name.removesuffix(_TOTAL)
        lines.append(f"# TYPE {family} {'counter' if name.endswith(_TOTAL) else 'gauge'}")
        if name in HELP:
            lines.append(f"# HELP {family} {_escape(HELP[name])}")
        lines += [f"{name}{labels} {_number(value)}" for labels, value in values.items()]
    return "\n".join([*lines, "# EOF", ""])


def _labels(labels: Mapping[str, str]) -> str:
    inside = ",".join(f'{key}="{_escape(value)}"' for key, value in labels.items())
    return f"{{{inside}}}" if inside else ""


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return repr(int(value)) if value == int(value) and abs(value) < 2**53 else repr(float(value))
