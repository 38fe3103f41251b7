"""Alerts of several gateways as their ops centre would have heard them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from gateway.events import Command, Cut, Input, Message, Tick
from gateway.exchange.choosing import Asked
from gateway.exchange.importing import import_into
from gateway.recording.parts import Checkpoint
from gateway.recording.reader import Recording
from gateway.recording.writer import FileWriter
from gateway.replaying.outcome import Memory
from gateway.replaying.play import play
from tests.exchange.street import T0, S, imported, read

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.replaying.play import Played

STREET = """
gateway: {name}
community: {{code: "330383017", zh: 江口社区}}
timezone: Asia/Shanghai
brokers: {{here: {{url: "mqtt://127.0.0.1:1883"}}}}
sensors:
  water: {{mqtt: here, topic: "water/{{gauge}}", json: {{time: t, level: v}}}}
rules:
  flood: {{threshold: water.level, levels: {{yellow: 2, orange: 3}}, clear_by: 0.1}}
"""
CENTRE = """
gateway: centre
timezone: Asia/Shanghai
brokers: {city: {url: "mqtt://127.0.0.1:1883"}}
sensors:
  flood:
    mqtt: city
    topic: "zhiwang/v1/{community}/{from}/alert/city/{severity}/flood"
    json: {time: changed, level: value, state: state}
    kinds: {state: str}
rules:
  district: {threshold: flood.level, levels: {red: 3.5}}
"""
LEVELS = [1, 2.5, 3.2, 2.5, 1.5, 2.2, 4, 1]


def _day(folder: Path, name: str, shift_s: int) -> tuple[Path, Played, Memory]:
    """A gateway's day: its recording, with the alerts that it said."""
    folder.mkdir()
    lines = [
        f'{T0 + shift_s + 10 * i}.0 water/g1 {{"t": {T0 + shift_s + 10 * i}, "v": {level}}}'
        for i, level in enumerate(LEVELS)
    ]
    (folder / "day.log").write_text("\n".join([*lines, f"{T0 + shift_s + 100} water/g1 {{}}"]))
    imported(folder, folder / "day.log", text=STREET.format(name=name))
    memory = Memory()
    played = play(Recording.open([folder / "out.mcap"]), memory)
    about = Recording.open([folder / "out.mcap"]).files[0].about
    writer = FileWriter(folder / "said.mcap", about, Checkpoint(0, T0 * S, 0, 1, None))
    for line in memory.alerts:
        writer.alert(line.replace(b'"status":"test"', b'"status":"actual"'), T0 * S)
        writer.alert(line, T0 * S)  # as if a shadow rule had said the same
    writer.close()
    return folder / "said.mcap", played, memory


def _expected(played: Played, name: str) -> list[tuple[str, str, int]]:
    base = f"zhiwang/v1/330383017/{name}/alert/city"
    return [
        (f"{base}/{severity}/{row.rule}", row.change, row.seq) for row in played.alerts for severity in row.severities
    ]


def _heard(messages: list[tuple[int, str, bytes]], name: str) -> list[tuple[str, str, int]]:
    told = [(topic, json.loads(body)) for _, topic, body in messages if f"/{name}/" in topic]
    return [(topic, body["change"], body["seq"]) for topic, body in told]


def test_every_change_comes_on_the_topics_that_the_gateway_would_have_used(tmp_path: Path) -> None:
    first, played, _ = _day(tmp_path / "a", "lg-1", 0)
    second, other, memory = _day(tmp_path / "b", "lg-2", 5)
    assert {row.change for row in played.alerts} >= {"raised", "raised_level", "lowered_level", "cleared", "returned"}
    lines = tmp_path / "b" / "alerts.jsonl"
    lines.write_bytes(b"\n".join(memory.alerts) + b"\nno alert\n")
    del second
    done, centre = imported(tmp_path, first, lines, text=CENTRE)
    messages = centre.messages()
    assert _heard(messages, "lg-1") == _expected(played, "lg-1")
    assert _heard(messages, "lg-2") == _expected(other, "lg-2")
    assert [at for at, _, _ in messages] == sorted(at for at, _, _ in messages)
    assert {one.input.source for one in centre.inputs if isinstance(one.input, Message)} == {"city"}
    assert [f"{lines}:{len(memory.alerts) + 1}" in line for line in done.findings.lines()] == [True]
    alerts = play(Recording.open([tmp_path / "out.mcap"]), Memory()).alerts
    assert [(row.rule, row.change) for row in alerts if row.change == "raised"] == [("district", "raised")] * 2


def test_an_acknowledged_end_is_heard_wherever_the_alert_was(tmp_path: Path) -> None:
    """Given an alert that rose, cleared and was acknowledged then, its end goes to each of its topics."""
    _, played, _ = _day(tmp_path / "a", "lg-1", 0)
    alert = played.alerts[0].id
    came = read(tmp_path / "a" / "out.mcap")
    about = came.about
    last = came.inputs[-1]
    acknowledged: list[Input] = [Command("c1", alert, "acknowledge", "me"), Tick()]
    writer = FileWriter(tmp_path / "more.mcap", about, Checkpoint(0, 0, 0, 1, None))
    inputs = [*(one.input for one in came.inputs), *acknowledged]
    admitted = np.array([*(one.admitted_ns for one in came.inputs), *[last.admitted_ns] * 2], np.int64)
    elapsed = np.array([*(one.elapsed_ns for one in came.inputs), *[last.elapsed_ns] * 2], np.int64)
    writer.inputs(Cut(0, inputs, admitted, elapsed))
    writer.close()
    memory = Memory()
    played = play(Recording.open([tmp_path / "more.mcap"]), memory)
    assert played.alerts[-1].change == "acknowledged"
    assert len(played.alerts[-1].severities) == 2
    (tmp_path / "alerts.jsonl").write_bytes(b"\n".join(memory.alerts))
    path = tmp_path / "centre.yaml"
    path.write_text(CENTRE)
    import_into(tmp_path / "centre.mcap", path, Asked(sources=(str(tmp_path / "alerts.jsonl"),)))
    assert _heard(read(tmp_path / "centre.mcap").messages(), "lg-1") == _expected(played, "lg-1")
