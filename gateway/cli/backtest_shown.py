"""A backtest's table as it is shown in a terminal, or as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from gateway.backtest.table import Counts, summed
from gateway.cli.words import told

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.backtest.backtest import Backtest, Ended
    from gateway.backtest.table import Row

DAYS_ABREAST = 8  # columns that can be read; more, or what the terminal has no room for, become a line of bars
WIDEST = 10_000  # characters
ROWS_SHOWN = 80
BARS = "▁▂▃▄▅▆▇█"


def show(backtest: Backtest, ended: Ended, *, as_json: bool) -> None:
    """The table on standard output."""
    if as_json:
        from gateway.backtest.written import as_json as everything  # noqa: PLC0415 - loads Arrow
        from gateway.backtest.written import columns  # noqa: PLC0415 - as above

        print(msgspec.json.encode(everything([columns(row) for row in ended.table], backtest)).decode())
        return
    console = Console(highlight=False)
    table = _swept(ended) if ended.dots else by_day(ended.table, console)
    console.width = max(console.width, _width(table, console))  # where there is no room lines break, and nothing is cut
    console.print(table)


def by_day(rows: Sequence[Row], console: Console) -> Table:
    """A line a configuration and rule: its alerts by day, abreast where they fit, and its scores."""
    if len({row.day for row in rows if row.day}) <= DAYS_ABREAST:
        table = _by_day(rows, abreast=True)
        if _width(table, console) <= console.width:
            return table
    return _by_day(rows, abreast=False)


def _width(table: Table, console: Console) -> int:
    """What all of it takes."""
    return Measurement.get(console, console.options.update(max_width=WIDEST), table).maximum


def _by_day(rows: Sequence[Row], *, abreast: bool) -> Table:
    days = sorted({row.day for row in rows if row.day})
    totals, daily = summed(rows, "configuration", "rule"), summed(rows, "configuration", "rule", "day")
    several = len({row.configuration for row in rows}) > 1
    judged = any(_judged(counts) for counts in totals.values())
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in (["configuration"] if several else []) + ["rule"]:
        table.add_column(told(name))
    for name in [day[5:] for day in days] if abreast else [f"{days[0]} – {days[-1]}"]:
        table.add_column(name, justify="right" if abreast else "left", no_wrap=True)
    _add_scores(table, judged=judged)
    for (configuration, rule), counts in list(totals.items())[:ROWS_SHOWN]:
        by_day = [daily.get((configuration, rule, day), Counts()).alerts for day in days]
        cells = [configuration] if several else []
        shown = [str(count or "·") for count in by_day] if abreast else [_bars(by_day)]
        table.add_row(*cells, rule, *shown, *_scores(counts, judged=judged))
    if len(totals) > ROWS_SHOWN:
        table.caption = told(f"{len(totals) - ROWS_SHOWN} more rows in table.csv")
    return table


def _swept(ended: Ended) -> Table:
    """A line a configuration of the sweep."""
    judged = any(_judged(dot.counts) for dot in ended.dots)
    several = len({dot.file for dot in ended.dots}) > 1
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=told(ended.whose), title_justify="left")
    for name in (["configuration"] if several else []) + [path.rpartition(".")[2] for path in ended.swept]:
        table.add_column(told(name), no_wrap=True)
    _add_scores(table, judged=judged)
    for dot in ended.dots[:ROWS_SHOWN]:
        table.add_row(*([dot.file] if several else []), *dot.values, *_scores(dot.counts, judged=judged))
    if len(ended.dots) > ROWS_SHOWN:
        table.caption = told(f"{len(ended.dots) - ROWS_SHOWN} more rows in curve.csv")
    return table


def _judged(counts: Counts) -> bool:
    return bool(counts.right or counts.wrong or counts.found or counts.missed)


def _add_scores(table: Table, *, judged: bool) -> None:
    names = ("alerts", "returned", *(("right", "wrong", "precision", "lost", "recall") if judged else ()))
    for name in names:
        table.add_column(told(name), justify="right")


def _scores(counts: Counts, *, judged: bool) -> list[str]:
    cells = [str(counts.alerts), str(counts.returned)]
    if judged:
        cells += [str(counts.right), str(counts.wrong), _share(counts.precision)]
        cells += [str(counts.missed), _share(counts.recall)]
    return cells


def _share(share: float | None) -> str:
    return "–" if share is None else f"{share:.0%}"


def _bars(counts: Sequence[int]) -> str:
    """A bar a day, the highest for the busiest day; a dot where there was nothing."""
    most = max(counts, default=0)
    return "".join(BARS[(count * len(BARS) - 1) // most] if count else "·" for count in counts)
