"""A recording as tables and as lines: what the core stores is what stands there, and import reads it again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest

from gateway.app.plan import make_plan
from gateway.core import Core
from gateway.errors import RecordingError
from gateway.events import Configured, Cut, Detections, Health, Looked, Message, Restart, Tick
from gateway.exchange.json_lines import to_json_lines
from gateway.exchange.spans import UNWATCHED, Span, Watching
from gateway.exchange.tables import to_parquet
from gateway.recording.parts import Checkpoint, ModelNote
from gateway.recording.reader import Recording
from gateway.recording.writer import FileWriter
from gateway.registry import registry
from tests.exchange.street import T0, S, config_of, imported, read
from tests.recording.films import ABOUT

if TYPE_CHECKING:
    from gateway.events import Input

TEXT = """
gateway: lg-017-02
timezone: Asia/Shanghai
brokers: {here: {url: "mqtt://127.0.0.1:1883"}}
sensors:
  air:
    mqtt: here
    topic: "air/{site}/{device}/up"
    json: {time: ts, pm25: p, count: n, open: o, word: w}
    kinds: {count: int, open: bool, word: str}
    units: {pm25: ug/m3}
    same_time: overwrite
    tier: air
  other: {mqtt: here, topic: "#", plain: v, same_time: overwrite}
"""


def _air(device: str, at_s: float | None, **values: object) -> Message:
    body = {**({} if at_s is None else {"ts": at_s}), **values}
    return Message("here", f"air/a/{device}/up", json.dumps(body).encode())


def _messages() -> list[tuple[int, Input]]:
    """(admitted second, input): good, late, early, untimed, of 1970, of 2100, wrong, of nobody."""
    return [
        (0, Restart("", "b3f1", 1)),
        (0, Configured("sha", TEXT)),
        (0, Health("source/here", "connected", ok=True)),
        (1, _air("1", T0 + 0.5, p=1.5, n=3, o=True, w='say "hi"')),
        (2, _air("2", T0 - 7200, p=2.5)),
        (3, _air("1", None, n=-4)),
        (4, _air("1", 0, o=False)),
        (5, _air("1", 4_102_444_800, p=2000.5)),
        (6, _air("1", T0 + 5.999, p="much", w="水")),
        (7, Message("here", "free", b"7.25", event_ns=(T0 + 6) * S + 1)),
        (8, Message("here", "free", b"\xff")),
        (9, Message("there", "air/a/1/up", b"{}")),
        (10, Tick()),
    ]


def _recorded(path: Path, items: list[tuple[int, Input]], text: str = TEXT, n0: int = 0) -> Cut:
    config = config_of(text, Path())
    models = (ModelNote("gate", "yolox", "", ("person", "car"), 0.4),)
    about = msgspec.structs.replace(ABOUT, config=text, config_sha=config.sha, models=models, gateway=config.gateway)
    writer = FileWriter(path, about, Checkpoint(n0, 0, 0, 1, None))
    times = np.array([(T0 + second) * S for second, _ in items], np.int64)
    cut = Cut(n0, [one for _, one in items], times, times - T0 * S)
    writer.inputs(cut)
    writer.alert(ALERT, (T0 + 6) * S)
    writer.close()
    return cut


ALERT = json.dumps(
    {
        "schema": 1,
        "id": "dust-1",
        "code": "LG17",
        "seq": 3,
        "class": "city",
        "change": "raised",
        "state": "active_unacknowledged",
        "severity": "moderate",
        "severity_max": "moderate",
        "rule": "dust",
        "subject": "air.pm25{device=1,site=a}",
        "gateway": "lg-017-02",
        "community": None,
        "started": "2026-05-29T04:27:00+08:00",
        "changed": "2026-05-29T04:27:05.500+08:00",
        "value": 1.5,
        "unit": "ug/m3",
        "limit": None,
        "title": {"zh": "积尘", "en": "Dust"},
        "text": {"zh": "高", "en": "high"},
        "status": "actual",
        "late_s": 0.5,
    },
    ensure_ascii=False,
).encode()


def test_readings_stand_as_the_core_stores_them(tmp_path: Path) -> None:
    cut = _recorded(tmp_path / "day.mcap", _messages())
    done = to_parquet(Recording.open([tmp_path / "day.mcap"]), tmp_path / "day", Span(), UNWATCHED)
    core = Core(make_plan(config_of(TEXT, Path()), registry(), {}), registry().rules)
    stored = sorted(line for line in core.step(cut).series.decode().splitlines() if line.startswith("air"))
    table = pq.read_table(tmp_path / "day" / "air.parquet")
    assert table.schema.field("pm25").metadata == {b"unit": b"ug/m3"}
    assert [str(table.schema.field(name).type) for name in ("count", "open", "word")] == ["int64", "bool", "string"]
    lines: list[str] = []
    for name in ("time", "admitted"):
        table = table.set_column(table.column_names.index(name), name, table[name].cast("int64"))
    rows = table.to_pylist()
    for row in rows:
        fields = []
        for name, write in (("pm25", repr), ("count", "{}i".format), ("open", str), ("word", _quoted)):
            if row[name] is not None:
                value = write(row[name])
                fields.append(f"{name}={value.lower() if name == 'open' else value}")
        if row["taken"] in {"untimed", "clock_adrift"}:  # the core parts readings of one moment by 100 ns
            assert row["time"] == row["admitted"]
        lines.append(f"air,device={row['device']},site=a,tier={row['tier']} {','.join(fields)} {row['time']}")
    assert [_timed(line) for line in stored] == [_timed(line) for line in sorted(lines)]
    assert [row["taken"] for row in rows] == [
        "accepted",
        "late",
        "untimed",
        "clock_adrift",
        "clock_adrift",
        "accepted",
    ]
    other = pq.read_table(tmp_path / "day" / "other.parquet")
    assert other["time"].cast("int64").to_pylist()[-1] == (T0 + 6) * S + 1
    assert other["v"].to_pylist()[-1] == 7.25
    assert done.rows["air.parquet"] == 6
    assert done.unrouted == 1
    assert done.bad > 0


def _timed(line: str) -> tuple[str, int]:
    """A line's head and fields, and its time: what was admitted on a second stands up to 1 ms behind it."""
    head, _, at = line.rpartition(" ")
    rest = int(at) % S
    return head, int(at) - (rest if rest < 10**6 else 0)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def test_alerts_detections_and_coverage_have_tables(tmp_path: Path) -> None:
    boxes = np.array([[1, 2, 3, 4], [5, 6, 7, 8]], np.float32)
    seen = Detections("gate", 7, T0 * S, 640, 360, boxes, np.array([0.5, 0.25], np.float32), np.array([1, 9], np.int16))
    items: list[tuple[int, Input]] = [(1, seen), (1, Looked("gate", (T0 - 1) * S, T0 * S, "analysed"))]
    _recorded(tmp_path / "day.mcap", items)
    done = to_parquet(Recording.open([tmp_path / "day.mcap"]), tmp_path / "day", Span(), UNWATCHED)
    assert done.rows == {
        "zhiwang_detections.parquet": 2,
        "zhiwang_coverage.parquet": 1,
        "zhiwang_alerts.parquet": 1,
    }
    found = pq.read_table(tmp_path / "day" / "zhiwang_detections.parquet").to_pylist()
    assert [(row["camera"], row["frame"], row["label"], row["score"], row["x2"], row["width"]) for row in found] == [
        ("gate", 7, "car", 0.5, 3.0, 640),
        ("gate", 7, "9", 0.25, 7.0, 640),
    ]
    [looked] = pq.read_table(tmp_path / "day" / "zhiwang_coverage.parquet").to_pylist()
    assert (looked["why"], looked["to"].timestamp()) == ("analysed", T0)
    [alert] = pq.read_table(tmp_path / "day" / "zhiwang_alerts.parquet").to_pylist()
    assert (alert["class"], alert["title_zh"], alert["limit"], alert["value"]) == ("city", "积尘", None, 1.5)
    assert alert["changed"].timestamp() == T0 + 5.5
    assert json.loads(alert["json"]) == json.loads(ALERT)


def test_a_sensor_whose_columns_change_goes_on_in_a_second_file(tmp_path: Path) -> None:
    first = _recorded(tmp_path / "a.mcap", [(1, _air("1", T0, p=1))])
    text = TEXT.replace("p, count: n,", "p, rh: h, count: n,")
    items: list[tuple[int, Input]] = [(2, _air("1", T0 + 1, p=2, h=50))]
    _recorded(tmp_path / "b.mcap", items, text, n0=len(first.inputs))
    recording = Recording.open([tmp_path / "a.mcap", tmp_path / "b.mcap"])
    done = to_parquet(recording, tmp_path / "day", Span(), UNWATCHED)
    assert {name: rows for name, rows in done.rows.items() if "air" in name} == {"air.parquet": 1, "air@2.parquet": 1}
    assert pq.read_table(tmp_path / "day" / "air@2.parquet")["rh"].to_pylist() == [50.0]


def test_a_span_bounds_what_is_exported(tmp_path: Path) -> None:
    _recorded(tmp_path / "day.mcap", [(second, _air("1", T0 + second, p=second)) for second in range(10)])
    span = Span((T0 + 3) * S, (T0 + 6) * S)
    recording = Recording.open([tmp_path / "day.mcap"])
    to_parquet(recording, tmp_path / "day", span, UNWATCHED)
    assert pq.read_table(tmp_path / "day" / "air.parquet")["pm25"].to_pylist() == [3.0, 4.0, 5.0]
    done = to_json_lines(recording, tmp_path / "day.jsonl", span, UNWATCHED)
    assert done.rows == {"day.jsonl": 3, "day.alerts.jsonl": 0}


def test_lines_hold_every_input_and_are_imported_again(tmp_path: Path) -> None:
    cut = _recorded(tmp_path / "day.mcap", _messages())
    to_json_lines(Recording.open([tmp_path / "day.mcap"]), tmp_path / "day", Span(), UNWATCHED)
    lines = [json.loads(line) for line in (tmp_path / "day" / "inputs.jsonl").read_bytes().splitlines()]
    assert [line["n"] for line in lines] == list(range(len(cut.inputs) - 1))
    assert lines[3]["time"] == "2026-05-28T20:27:01.000000000Z"
    assert json.loads((tmp_path / "day" / "alerts.jsonl").read_bytes()) == json.loads(ALERT)
    _, again = imported(tmp_path, tmp_path / "day" / "inputs.jsonl", text=TEXT)
    mine = [(one.input, one.admitted_ns) for one in again.inputs if isinstance(one.input, Message)]
    whole = [
        (one, at) for one, at in zip(cut.inputs, cut.admitted_ns.tolist(), strict=True) if isinstance(one, Message)
    ]
    assert [(one.topic, one.body, one.event_ns, at) for one, at in mine] == [
        (one.topic, one.body, one.event_ns, at) for one, at in whole
    ]


def test_an_interrupted_export_leaves_whole_files(tmp_path: Path) -> None:
    writer_items = [(second, _air("1", T0 + second, p=second)) for second in range(100)]
    _recorded(tmp_path / "day.mcap", list(writer_items))
    asked = iter([False, *[True] * 10])
    watching = Watching(lambda done, of: None, lambda: next(asked))  # noqa: ARG005 - nobody looks
    done = to_parquet(Recording.open([tmp_path / "day.mcap"]), tmp_path / "day", Span(), watching)
    assert done.interrupted
    assert [path.name for path in (tmp_path / "day").iterdir()] == list(done.rows)
    for path in (tmp_path / "day").iterdir():
        pq.read_table(path)


def test_a_recorded_configuration_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    about = msgspec.structs.replace(ABOUT, config="gateway: g\nsensors: {air: {modbuss: x}}\n", config_sha="1")
    writer = FileWriter(tmp_path / "day.mcap", about, Checkpoint(0, 0, 0, 1, None))
    writer.inputs(Cut(0, [Tick()], np.array([T0 * S]), np.array([0])))
    writer.close()
    recording = Recording.open([tmp_path / "day.mcap"])
    with pytest.raises(RecordingError, match="cannot be used by this one; give a mended one with --config"):
        to_parquet(recording, tmp_path / "day", Span(), UNWATCHED)
    path = tmp_path / "gateway.yaml"
    path.write_text(TEXT)
    assert to_parquet(recording, tmp_path / "day", Span(), UNWATCHED, path).rows == {}


def test_what_was_exported_is_imported_to_the_same_readings(tmp_path: Path) -> None:
    _recorded(tmp_path / "day.mcap", [(i, _air(str(i % 3), T0 + i + 0.001, p=i / 8, n=i, w="x y")) for i in range(50)])
    to_parquet(Recording.open([tmp_path / "day.mcap"]), tmp_path / "day", Span(), UNWATCHED)
    imported(tmp_path, tmp_path / "day" / "air.parquet", text=TEXT)
    assert len(read(tmp_path / "out.mcap").messages()) == 50
    to_parquet(Recording.open([tmp_path / "out.mcap"]), tmp_path / "again", Span(), UNWATCHED)
    first, second = (
        pq.read_table(tmp_path / name / "air.parquet").drop_columns(["admitted"]) for name in ("day", "again")
    )
    assert first.to_pydict().keys() == second.to_pydict().keys()
    for name in first.column_names:
        assert first[name].to_pylist() == second[name].to_pylist()
