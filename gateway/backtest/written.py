"""The files of a backtest: its table as CSV, JSON and Parquet, its alerts as Parquet, its curve as CSV.

`table.*`: a row a configuration, gateway, rule and day: configuration, gateway, rule, class, day, alerts, returned,
right, wrong, found, missed, precision, recall (empty where there is nothing to tell by). `alerts.parquet`: a row an
alert.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import msgspec

from gateway.exchange.arrow import arrow, parquet
from gateway.replaying.labels import END_NS
from gateway.whole import written_whole

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from gateway.backtest.backtest import Backtest
    from gateway.backtest.curve import Dot
    from gateway.backtest.parts import Done
    from gateway.backtest.sweep import Axis
    from gateway.backtest.table import Counts, Row

COUNTS = ("alerts", "returned", "right", "wrong", "found", "missed", "precision", "recall")
COLUMNS = ("configuration", "gateway", "rule", "class", "day", *COUNTS)


def write_table(folder: Path, table: Sequence[Row], of: Backtest) -> list[Path]:
    """Write the table and the alerts; gives the files. Raises GatewayError."""
    lines = [columns(row) for row in table]
    paths = [folder / name for name in ("table.csv", "table.json", "table.parquet", "alerts.parquet")]
    _put(paths[0], _csv(COLUMNS, [[_cell(line[name]) for name in COLUMNS] for line in lines]))
    _put(paths[1], msgspec.json.format(msgspec.json.encode(as_json(lines, of)), indent=1) + b"\n")
    pa = arrow()
    kinds = {"precision": pa.float64(), "recall": pa.float64(), **dict.fromkeys(COUNTS[:6], pa.int64())}
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in COLUMNS])
    _put_parquet(paths[2], pa.Table.from_pylist(lines, schema=schema))
    _put_parquet(paths[3], _alerts(of.results))
    return paths


def write_curve(path: Path, axes: Sequence[Axis], dots: Sequence[Dot]) -> Path:
    """A row a configuration: its values, then what it came to over all days."""
    names = ["configuration", *(one.path for one in axes), *COUNTS]
    _put(
        path, _csv(names, [[dot.configuration, *dot.values, *map(_cell, counted(dot.counts).values())] for dot in dots])
    )
    return path


def columns(row: Row) -> dict[str, object]:
    """A row by the names of its columns."""
    words = {name: getattr(row, f"{name}_" if name == "class" else name) for name in COLUMNS[:5]}
    return {**words, **counted(row.counts)}


def counted(counts: Counts) -> dict[str, object]:
    """Counts and shares by name, shares to four digits."""
    found = {name: getattr(counts, name) for name in COUNTS}
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in found.items()}


def as_json(lines: Sequence[dict[str, object]], of: Backtest) -> dict[str, object]:
    """The whole outcome for machines: the same however it was come by, so without times."""
    done = [one for one in of.results if not one.error]
    return {
        "configurations": [
            {"name": one.name, "file": one.config, "overlay": one.overlay, "key": one.key} for one in of.variants
        ],
        "tasks": len(of.tasks),
        "done": len(done),
        "messages": sum(one.messages for one in done),
        "rows": list(lines),
        "failed": [
            *(
                {"configuration": one.variant, "gateway": one.gateway, "day": one.day, "why": one.error}
                for one in of.failures
            ),
            *({"file": path, "why": why} for path, why in of.unreadable.items()),
        ],
        "holes": sorted({(one.gateway, one.day, hole) for one in done for hole in one.holes}),
    }


def _alerts(results: Sequence[Done]) -> object:
    """One row an alert: what it was, from when to when (null: it never ended), the highest severity it reached."""
    pa = arrow()
    time = pa.timestamp("ns", "UTC")
    rows = [
        {
            "configuration": done.variant,
            "gateway": done.gateway,
            "class": alert.class_,
            "severity": alert.severity,
            **{name: getattr(alert.span, name) for name in ("id", "code", "rule", "subject")},
            "raised": alert.span.raised_ns,
            "ended": None if alert.span.to_ns == END_NS else alert.span.to_ns,
            "shadow": alert.shadow,
            "returned": len(alert.returned_ns),
        }
        for done in results
        for alert in done.alerts
    ]
    words = ("configuration", "gateway", "id", "code", "rule", "subject", "class", "severity")
    kinds = [
        *((name, pa.string()) for name in words),
        ("raised", time),
        ("ended", time),
        ("shadow", pa.bool_()),
        ("returned", pa.int64()),
    ]
    return pa.Table.from_pylist(rows, schema=pa.schema(kinds))


def _cell(value: object) -> object:
    return "" if value is None else value


def _csv(names: Sequence[str], lines: Sequence[Sequence[object]]) -> bytes:
    text = io.StringIO(newline="")
    out = csv.writer(text, lineterminator="\n")
    out.writerow(names)
    out.writerows(lines)
    return text.getvalue().encode()


def _put(path: Path, content: bytes) -> None:
    """A file that is there whole or as it was."""
    with written_whole(path) as part:
        part.write_bytes(content)


def _put_parquet(path: Path, table: object) -> None:
    with written_whole(path) as part:
        parquet().write_table(table, part)
