"""Two hours without the broker, and a restart after them: one alert for the cause, no silence."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import msgspec
import pytest

from gateway.events import AlertRow, Health, Input, Message, Tick
from tests.e2e.played import Step, play

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = """
gateway: away
brokers: {here: {url: "mqtt://127.0.0.1:1"}}
outbox: {linger: 1 ms}
sensors:
  water: {mqtt: here, topic: "water/{gauge}", plain: level, every: 5 s}
  lone: {mqtt: here, topic: lone, plain: v, every: 20 s}
rules: {flood: {threshold: water.level, levels: {red: 3.8}}}
state: state
"""
LOST, BACK, OVER = 60, 60 + 7200, 60 + 7200 + 120


def _steps(silent_from: int) -> list[Step]:
    """A reading of each sensor every 5 s while there is a broker; from `silent_from` on only the lone one's."""
    steps = [Step(0, [Health("source/here", "connected", ok=True)])]
    for second in range(1, OVER):
        inputs: list[Input] = []
        if second % 5 == 0 and not LOST <= second < BACK:
            inputs.append(Message("here", "lone", b"1"))
            if second < silent_from:
                inputs += [Message("here", f"water/g{i}", b"2.0") for i in range(3)]
        if second in (LOST, BACK):
            inputs.append(Health("source/here", "connected", ok=second == BACK, detail="connection refused"))
        steps.append(Step(second, [*inputs, Tick()]))
    return steps


def _inputs_until(steps: list[Step], second: int) -> int:
    return sum(len(step.inputs) for step in steps if step.at_s < second)


def _changes(folder: Path) -> list[tuple[str, str, str]]:
    """(rule, subject, change) of everything that was delivered."""
    rows = [json.loads(line) for line in (folder / "rows").read_text().splitlines()]
    alerts = [
        msgspec.msgpack.decode(bytes.fromhex(body), type=AlertRow) for stream, _, body in rows if stream == "alerts"
    ]
    return [(row.rule, row.subject, row.change) for row in alerts]


@pytest.mark.parametrize("restarted", [BACK - 30, BACK, BACK + 7], ids=["before it is back", "as it is", "just after"])
async def test_two_hours_away_and_a_restart_are_one_alert_for_the_cause(tmp_path: Path, restarted: int) -> None:
    """Given a gateway that is stopped around the broker's return, when all sends again, nothing was called silent."""
    (tmp_path / "gateway.yaml").write_text(CONFIG)
    steps = _steps(silent_from=OVER)
    first = [step for step in steps if step.at_s < restarted]
    await play(tmp_path, first)
    again = Health("source/here", "connected", ok=restarted >= BACK, detail="connection refused")
    at_once = Step(restarted, [again, *next(step for step in steps if step.at_s == restarted).inputs])
    later = [step for step in steps if step.at_s > restarted]
    await play(tmp_path, [*first, at_once, *later], begin=_inputs_until(steps, restarted))
    cause = ("health", "source/here{condition=connected}")
    assert _changes(tmp_path) == [(*cause, "raised"), (*cause, "cleared")]
    with closing(sqlite3.connect(tmp_path / "state/outbox.sqlite")) as db:
        assert db.execute("SELECT count(*) FROM dead").fetchone()[0] == 0


async def test_who_does_not_come_back_with_the_broker_is_silent_after_its_grace(tmp_path: Path) -> None:
    """The test above could pass if nothing was ever silent: gauges that stay away after it are, three times `every`."""
    (tmp_path / "gateway.yaml").write_text(CONFIG)
    await play(tmp_path, _steps(silent_from=BACK))
    silent = [(subject, change) for rule, subject, change in _changes(tmp_path) if rule == "silent"]
    assert silent == [(f"water{{gauge=g{i}}}", "raised") for i in range(3)]
