"""CSV and Parquet of readings become messages: columns by name or told, rows in any order, and what is wrong there."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from gateway.errors import GatewayError
from gateway.exchange.columns import Told
from tests.exchange.street import STREET, T0, S, imported

if TYPE_CHECKING:
    from pathlib import Path


def _csv(folder: Path, text: str, name: str = "air.csv", encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_text(text, encoding=encoding)
    return path


def _rows(read: list[tuple[int, str, bytes]]) -> list[tuple[int, str, dict[str, object]]]:
    return [(at // S - T0, topic, json.loads(body)) for at, topic, body in read]


def test_columns_are_found_by_name_and_what_was_guessed_is_said(tmp_path: Path) -> None:
    text = f"Timestamp,site,Device,PM2.5 (ug/m3),hum\n{T0},a,17,12.5,40\n{T0 + 1},b,18,,41\n"
    done, read = imported(tmp_path, _csv(tmp_path, text))
    assert _rows(read.messages()) == [
        (0, "air/a/17/up", {"ts": T0, "data": {"pm2_5": 12.5, "hum": 40.0}}),
        (1, "air/b/18/up", {"ts": T0 + 1, "data": {"hum": 41.0}}),
    ]
    assert any("guessed pm25 from column 'PM2.5 (ug/m3)'" in note for note in done.findings.notes)


def test_rows_by_device_are_put_in_the_order_of_their_times(tmp_path: Path) -> None:
    rows = [f"{T0 + second},a,{device},{second}" for device in range(3) for second in range(2000)]
    text = "\n".join(["time,site,device,pm25", *rows, "2026-13-01,a,1,2", f'{T0},"a,1', ""])
    done, read = imported(tmp_path, _csv(tmp_path, text))
    came = [(at // S - T0, topic) for at, topic, _ in read.messages()]
    assert came == [(second, f"air/a/{device}/up") for second in range(2000) for device in range(3)]
    assert any("put in the order of their times" in note for note in done.findings.notes)
    assert [line.partition(": found")[0] for line in done.findings.lines()] == [
        f"{tmp_path}/air.csv:6003",
        f"{tmp_path}/air.csv:6002",
    ]


def test_a_character_that_only_looks_like_a_line_break_parts_nothing(tmp_path: Path) -> None:
    text = f'time,site,device,pm25\n{T0 + 1},"a\u2028b",1,2\n{T0},a\x0bb,1,3\n{T0},"c\nd",1,4\n'
    _, read = imported(tmp_path, _csv(tmp_path, text))
    assert [topic for _, topic, _ in read.messages()] == ["air/a\x0bb/1/up", "air/c\nd/1/up", "air/a\u2028b/1/up"]


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_separators_and_zones(tmp_path: Path, separator: str) -> None:
    text = separator.join(["time", "site", "device", "pm25"]) + "\n"
    text += separator.join(["2026/05/29 04:27:00", "a", '"17"', "1"]) + "\n"
    _, read = imported(tmp_path, _csv(tmp_path, text))
    assert _rows(read.messages())[0][:2] == (0, "air/a/17/up")
    _, read = imported(tmp_path, _csv(tmp_path, text), zone="UTC")
    assert _rows(read.messages())[0][:2] == (8 * 3600, "air/a/17/up")


def test_what_excel_saves_in_china(tmp_path: Path) -> None:
    text = "监测时间,site,device,pm25\n2026-05-29 04:27:00,龙港,17,1\n"
    for encoding in ("gb18030", "utf-8-sig"):
        _, read = imported(tmp_path, _csv(tmp_path, text, encoding=encoding))
        assert _rows(read.messages())[0][:2] == (0, "air/龙港/17/up")


def test_told_columns_and_tags(tmp_path: Path) -> None:
    told = Told("when", None, {"pm25": "raw", "device": "box"}, {"site": "harbour"})
    text = f"time,when,box,pm25,raw\nx,{T0},9,1,2\n"
    _, read = imported(tmp_path, _csv(tmp_path, text, name="x.csv"), told=told, sensors=("air",))
    assert _rows(read.messages()) == [(0, "air/harbour/9/up", {"ts": T0, "data": {"pm2_5": 2.0}})]


def test_one_tag_may_be_the_files_name_and_one_value_may_be_called_value(tmp_path: Path) -> None:
    text = STREET.replace('"air/{site}/{device}/up"', '"air/{device}"').replace(", rh: data.hum", "")
    path = _csv(tmp_path, f"timestamp,value\n{T0},3\n", name="speed_6005.csv")
    _, read = imported(tmp_path, path, text=text, sensors=("air",))
    assert _rows(read.messages()) == [(0, "air/speed_6005", {"ts": T0, "data": {"pm2_5": 3.0}})]


def test_rows_that_name_their_only_value(tmp_path: Path) -> None:
    text = f"time,site,device,key,value\n{T0},a,1,pm25,2\n{T0},a,1,rh,40\n{T0 + 1},a,1,noise,3\n"
    for name in ("air.csv", "air.parquet"):
        path = _csv(tmp_path, text)
        if name.endswith("parquet"):
            pq.write_table(pa_csv.read_csv(path), tmp_path / name)
        done, read = imported(tmp_path, tmp_path / name, told=Told(named="key"))
        assert [body["data"] for _, _, body in _rows(read.messages())] == [{"pm2_5": 2.0}, {"hum": 40.0}]
        assert "found 'noise' (--named); the sensor has pm25, rh" in done.findings.lines()[0]
    with pytest.raises(GatewayError, match="no column called value"):
        imported(tmp_path, _csv(tmp_path, f"time,site,device,key,v\n{T0},a,1,pm25,2\n"), told=Told(named="key"))


@pytest.mark.parametrize(
    ("head", "words"),
    [
        ("a,site,device,pm25", "no column for the time; found the columns a, site, device, pm25; name it: --time"),
        ("time,site,device,x", "no column for a value of sensor air"),
        ("time,pm25", "no column for site and device"),
        ("", "found no headings"),
    ],
)
def test_missing_columns_are_named_with_those_that_are_there(tmp_path: Path, head: str, words: str) -> None:
    with pytest.raises(GatewayError, match=words.replace("(", r"\(")):
        imported(tmp_path, _csv(tmp_path, f"{head}\n1,2,3,4\n"))


def test_told_names_that_are_not_there_are_said_with_the_nearest(tmp_path: Path) -> None:
    path = _csv(tmp_path, f"time,site,device,pm25\n{T0},a,1,2\n")
    with pytest.raises(GatewayError, match=r"found 'pm_25'; sensor air has .*did you mean pm25"):
        imported(tmp_path, path, told=Told(columns={"pm_25": "pm25"}))
    with pytest.raises(GatewayError, match=r"no column 'pm255'.*did you mean pm25"):
        imported(tmp_path, path, told=Told(columns={"pm25": "pm255"}))
    with pytest.raises(GatewayError, match=r"--sensor: found 'aire'; did you mean air"):
        imported(tmp_path, path, sensors=("aire",))
    with pytest.raises(GatewayError, match=r"2 sensors; say whose readings .*x.csv holds with --sensor: air, water"):
        imported(tmp_path, _csv(tmp_path, "time,v\n1,2\n", name="x.csv"))


def test_bad_cells_cost_themselves(tmp_path: Path) -> None:
    text = (
        f"time,site,device,pm25,rh\n{T0},a,1,much,40\n{T0 + 1},a,1,nan,NA\n{T0 + 2},a/b,1,1,1\n,a,1,1,1\n"
        f"{T0 + 3},a,1,2\n1970-01-01,a,1,1,1\n{T0 + 4},a,1,5,6\n"
    )
    done, read = imported(tmp_path, _csv(tmp_path, text))
    assert [(at, body["data"]) for at, _, body in _rows(read.messages())] == [
        (0, {"hum": 40.0}),
        (4, {"pm2_5": 5.0, "hum": 6.0}),
    ]
    said = "\n".join(done.findings.lines())
    assert "air.csv:2: found 'much' for pm25; expected a number" in said
    assert "air.csv:4: found 'a/b' for site; a tag is a level of a topic" in said
    assert "air.csv:5: found nothing; a time is a number" in said
    assert "air.csv:6: found 4 cells; a row has as many cells as there are headings: 5" in said
    assert "air.csv:7: found a time of 1969-12-31T16:00:00; readings from 2020 on are believed" in said
    assert done.findings.counts["empty"] == 1


def test_old_data_may_be_moved(tmp_path: Path) -> None:
    path = _csv(tmp_path, f"time,site,device,pm25\n{T0 - 4000 * 86_400},a,1,2\n")
    _, read = imported(tmp_path, path, shift_ns=4000 * 86_400 * S)
    assert _rows(read.messages()) == [(0, "air/a/1/up", {"ts": T0, "data": {"pm2_5": 2.0}})]


@pytest.mark.parametrize(
    "times",
    [
        pa.array([T0 * S + 1, (T0 + 1) * S], pa.timestamp("ns", "UTC")),
        pa.array([T0 * 1000, (T0 + 1) * 1000], pa.timestamp("ms", "Asia/Shanghai")),
        pa.array([T0 + 8 * 3600, T0 + 1 + 8 * 3600], pa.timestamp("s")),  # in the gateway's zone
        pa.array([T0, T0 + 1], pa.int64()),
        pa.array(["2026-05-29T04:27:00", "2026-05-29T04:27:01"]),
    ],
)
def test_parquet_with_times_of_every_type(tmp_path: Path, times: pa.Array) -> None:
    table = pa.table({"time": times, "site": ["a", "b"], "device": [17, 18], "pm25": [1.5, None], "rh": [2, 3]})
    pq.write_table(table, tmp_path / "air.parquet")
    _, read = imported(tmp_path, tmp_path / "air.parquet")
    rows = _rows(read.messages())
    assert [row[:2] for row in rows] == [(0, "air/a/17/up"), (1, "air/b/18/up")]
    assert [row[2]["data"] for row in rows] == [{"pm2_5": 1.5, "hum": 2.0}, {"hum": 3.0}]


def test_parquet_in_any_order_and_with_bad_rows(tmp_path: Path) -> None:
    times = [datetime.fromtimestamp(T0 + second, UTC) for second in (5, 3, 4)] + [None]
    table = pa.table({"time": times, "site": list("abcd"), "device": list("1234"), "pm25": ["1", "x", "3", "4"]})
    pq.write_table(table, tmp_path / "air.parquet")
    done, read = imported(tmp_path, tmp_path / "air.parquet")
    assert [(at, topic) for at, topic, _ in _rows(read.messages())] == [(4, "air/c/3/up"), (5, "air/a/1/up")]
    assert "air.parquet: row 2: found 'x' for pm25" in "\n".join(done.findings.lines())


def test_what_is_no_parquet_is_said(tmp_path: Path) -> None:
    path = _csv(tmp_path, "no", name="air.parquet")
    with pytest.raises(GatewayError, match="cannot be read as Parquet"):
        imported(tmp_path, path)


def test_a_folder_of_tables_is_merged_by_time(tmp_path: Path) -> None:
    folder = tmp_path / "week"
    folder.mkdir()
    _csv(folder, f"time,site,device,pm25\n{T0},a,1,2\n{T0 + 2},a,1,2\n", name="air.csv")
    _csv(folder, f"time,v\n{T0 + 1},7\n", name="water.csv")
    _csv(folder, "of no known kind", name="readme.md")
    _, read = imported(tmp_path, folder)
    assert [(at, topic) for at, topic, _ in _rows(read.messages())] == [
        (0, "air/a/1/up"),
        (1, "water/level"),
        (2, "air/a/1/up"),
    ]
