"""Pictures of a backtest (PNG): alerts per rule and day, and the curve of a sweep."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from gateway.backtest.table import summed
from gateway.errors import GatewayError
from gateway.whole import written_whole

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from gateway.backtest.curve import Dot
    from gateway.backtest.sweep import Axis
    from gateway.backtest.table import Row

RULES = 12  # drawn one below another; the table has the rest
SIDE_BY_SIDE = 4  # configurations whose bars can still be told apart
LINES = 10  # colours that can be told apart
COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb", "#222255", "#999933", "#882255")
"""Paul Tol's bright scheme, which people who cannot tell red from green can tell apart, and three of his muted one."""
LOST = "#cc3311"


def draw_days(table: Sequence[Row], path: Path) -> None:
    """Alerts by day: a strip for each rule that raised any, the busiest first; a bar for each configuration.

    A red cross over a day: right windows that the (first) configuration missed.
    """
    every = list(dict.fromkeys(row.configuration for row in table))
    configurations = every[:SIDE_BY_SIDE]
    mine = [row for row in table if row.configuration in configurations]
    days = sorted({row.day for row in mine if row.day})
    totals = {rule: counts for (rule,), counts in summed(mine, "rule").items()}
    busiest = sorted(totals, key=lambda rule: (-totals[rule].alerts - totals[rule].missed, rule))
    rules = [rule for rule in busiest if totals[rule].alerts or totals[rule].missed][:RULES]
    counts = summed(mine, "configuration", "rule", "day")
    width = 0.8 / max(1, len(configurations))
    figure = _figure(max(7.0, min(18.0, 2.5 + 0.32 * len(days))), 1.2 + 1.15 * max(1, len(rules)))
    if not rules:
        figure.text(0.5, 0.5, "no alerts", ha="center")
    strips = figure.subplots(len(rules), 1, squeeze=False)[:, 0] if rules else ()
    for place, (rule, axes) in enumerate(zip(rules, strips, strict=True)):
        for number, name in enumerate(configurations):
            offset = (number - (len(configurations) - 1) / 2) * width
            heights = [found.alerts if (found := counts.get((name, rule, day))) else 0 for day in days]
            axes.bar([x + offset for x in range(len(days))], heights, width, color=COLOURS[number], label=name)
            missed = [x for x, day in enumerate(days) if (found := counts.get((name, rule, day))) and found.missed]
            if missed:  # an empty one that is not clipped has no place, and upsets the layout
                axes.plot([x + offset for x in missed], [0] * len(missed), "x", color=LOST, clip_on=False, zorder=3)
        axes.set_title(rule, loc="left", fontsize=9)
        _tidy(axes, days if place == len(rules) - 1 else [], len(days))
    if rules:
        _legend(figure, any(found.missed for found in totals.values()))
        which = (
            f" (the first {len(configurations)} of {len(every)} configurations)" if len(every) > SIDE_BY_SIDE else ""
        )
        figure.suptitle(f"alerts per rule and day{which}", x=0.01, ha="left", fontsize=11)
    _save(figure, path)


def draw_curve(dots: Sequence[Dot], axes: Sequence[Axis], whose: str, path: Path) -> None:
    """Alerts against the first swept parameter, and labelled alerts lost, a line for each value of the others."""
    lines: defaultdict[str, list[Dot]] = defaultdict(list)
    for dot in dots:
        lines[dot.line].append(dot)
    judged = any(dot.counts.found or dot.counts.missed for dot in dots)
    figure = _figure(8.0, 6.0 if judged else 4.2)
    panels = figure.subplots(2 if judged else 1, 1, squeeze=False, sharex=True)[:, 0]
    above, below = panels[0], panels[1] if judged else None
    for number, (name, mine) in enumerate(list(lines.items())[:LINES]):
        at, colour = [dot.at for dot in mine], COLOURS[number]
        above.plot(at, [dot.counts.alerts for dot in mine], "o-", ms=4, color=colour, label=name or "alerts")
        if any(dot.counts.returned for dot in mine):
            times = [dot.counts.alerts + dot.counts.returned for dot in mine]
            above.plot(at, times, ":", lw=1, color=colour, label=f"{name}: with returns" if name else "with returns")
        if any(dot.counts.wrong for dot in mine):
            wrong = f"{name}: wrong" if name else "of them judged wrong"
            above.plot(at, [dot.counts.wrong for dot in mine], "o--", ms=3, color=colour, alpha=0.6, label=wrong)
        if below is not None:
            colour = colour if len(lines) > 1 else LOST
            below.plot(at, [dot.counts.missed for dot in mine], "s-", ms=4, color=colour, label=name or "lost")
    right = max((dot.counts.found + dot.counts.missed for dot in dots), default=0)
    above.set_ylabel("alerts")
    for panel in panels:
        _grid(panel)
    if below is not None:
        below.set_ylabel(f"labelled alerts lost\n(of {right})")
    if len(lines) > 1 or any(dot.counts.wrong or dot.counts.returned for dot in dots):
        above.legend(frameon=False, fontsize=8)
    first, unit = axes[0], axes[0].unit()
    panels[-1].set_xlabel(f"{first.path} ({unit})" if unit else first.path)
    if first.numbers() == tuple(range(len(first.values))):  # a list of what is no number, or numbers that say the same
        panels[-1].set_xticks(range(len(first.values)), first.values)
    figure.suptitle(f"{whose} against {first.path}", x=0.01, ha="left", fontsize=11)
    _save(figure, path)


def _figure(width: float, height: float) -> Any:
    """A figure without a window, a screen or pyplot's memory of figures. Sizes in inches."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - loads only where it is used
        from matplotlib.figure import Figure  # noqa: PLC0415 - as above
    except ImportError as error:
        raise GatewayError(f"pictures need {error.name}: pip install 'zhiwang[analysis]'") from error
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _tidy(axes: Any, days: Sequence[str], count: int) -> None:
    """A strip's frame, its days only where they are given."""
    _grid(axes)
    axes.set_xlim(-0.6, max(1, count) - 0.4)
    step = max(1, -(-len(days) // 16))
    axes.set_xticks(range(0, len(days), step), [day[5:] for day in days[::step]], fontsize=8)


def _grid(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#dddddd", lw=0.6)
    axes.set_axisbelow(True)
    axes.set_ylim(bottom=0, top=None if axes.dataLim.y1 > 0 else 1)
    axes.yaxis.get_major_locator().set_params(integer=True, nbins=4)


def _legend(figure: Any, missed: bool) -> None:
    handles, names = figure.axes[0].get_legend_handles_labels()
    if missed:
        crosses = figure.axes[0].plot([], [], "x", color=LOST)
        handles, names = [*handles, *crosses], [*names, "labelled, not raised"]
    if len(names) > 1:
        figure.legend(handles, names, loc="outside upper right", ncols=min(5, len(names)), frameon=False, fontsize=8)


def _save(figure: Any, path: Path) -> None:
    with written_whole(path) as part:
        figure.savefig(part, format="png", dpi=120, metadata={"Software": None})
