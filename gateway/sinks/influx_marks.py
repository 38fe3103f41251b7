"""What is written beside backfilled series, never into them: which time of admission came late, and how much of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.ports import Row


def mark(gateway: str, sink: str, rows: Sequence[Row]) -> bytes:
    """A line of `zhiwang_gateway` for one write of backfill, the same however often it is written.

    Its time is when the first row was admitted; backfill_to (ns): the last; backfill_points: in the write. Both names
    are of a kind that needs no escaping (docs/configuration.md).
    """
    from_ns, to_ns = rows[0].at_ns, rows[-1].at_ns
    points = sum(row.count for row in rows)
    text = f"zhiwang_gateway,gateway={gateway},sink={sink} backfill_to={to_ns}i,backfill_points={points}i {from_ns}\n"
    return text.encode()
