"""Alert rows as the core makes them, for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gateway.events import SEVERITIES, AlertRow
from gateway.ports import Row

if TYPE_CHECKING:
    from collections.abc import Iterable

NS = 10**9
T0_NS = 1_700_000_000 * NS


def alert(
    seq: int,
    id_: str = "flood-1",
    severities: tuple[str, ...] = ("moderate",),
    change: str = "raised",
    *,
    open_: bool = True,
    shadow: bool = False,
    class_: str = "city",
    epoch: str = "e1",
    changed_ns: int = 0,
    label: str = "",
) -> AlertRow:
    """One change; its body has the fields of DESIGN.md that sinks and subscribers look at."""
    rule = id_.rpartition("-")[0]
    state = "active_unacknowledged" if open_ else "normal"
    severity = max(severities, key=SEVERITIES.index)
    body = {
        "schema": 1, "id": id_, "code": "LG17-4K2M", "epoch": epoch, "seq": seq, "class": class_, "change": change,
        "state": state, "severity": severity, "severity_max": severity, "colour": "yellow", "rule": rule,
        "subject": "water.level", "community": "330383017", "place": {"zh": "路口", "wgs84": [120.5, 27.5]},
        "started": "2026-08-14T02:02:07+08:00", "changed": "2026-08-14T02:14:00+08:00", "late_s": 0.2,
        "value": 3.3200, "unit": "m", "limit": 3.30, "title": {"zh": "河道水位", "en": "River level"},
        "text": {"zh": "…", "en": "…"}, "config_sha": "c0ffee", "model_sha": None,
    }  # fmt: skip
    if label:
        body["label"] = {"verdict": label, "who": "王工", "at": "2026-08-14T09:00:00+08:00", "note": ""}
    return msgspec.convert(
        (
            seq, id_, rule, "water.level", class_, severities, change, state, open_, shadow,
            changed_ns or T0_NS + seq * NS, msgspec.json.encode(body),
        ),
        AlertRow,
    )  # fmt: skip


def rows(alerts: Iterable[AlertRow]) -> list[Row]:
    """As the outbox hands them over."""
    return [Row(a.seq, a.changed_ns, f"{a.id}/{a.seq}", 1, msgspec.msgpack.encode(a)) for a in alerts]
