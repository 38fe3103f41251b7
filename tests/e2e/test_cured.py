"""What an earlier process said of itself ends where the present one knows better."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec

from gateway.events import AlertRow, Health
from tests.e2e.played import Step, play

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = """
gateway: cured
brokers: {here: {url: "mqtt://127.0.0.1:1"}}
outbox: {linger: 1 ms}
sensors: {tank: {mqtt: here, topic: tank, plain: level}}
state: state
"""


async def test_a_state_that_could_not_be_used_is_no_alert_after_a_start_where_it_could(tmp_path: Path) -> None:
    """Given an alert about the stored state, when the next start can use it, then that is said, and ends the alert."""
    (tmp_path / "gateway.yaml").write_text(CONFIG)
    await play(tmp_path, [Step(1, [Health("disk/outbox", "state", ok=False, detail="of a newer version")])])
    await play(tmp_path, [Step(2, [Health("source/here", "connected", ok=True)])])
    rows = [json.loads(line) for line in (tmp_path / "rows").read_text().splitlines()]
    alerts = [
        msgspec.msgpack.decode(bytes.fromhex(row), type=AlertRow) for stream, _, row in rows if stream == "alerts"
    ]
    subject = "disk/outbox{condition=state}"
    assert [(row.subject, row.change) for row in alerts] == [(subject, "raised"), (subject, "cleared")]
