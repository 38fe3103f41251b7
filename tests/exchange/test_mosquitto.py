"""What mosquitto_sub writes becomes a recording: each of its formats, and what is wrong in such a file."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from gateway.errors import GatewayError
from gateway.events import Configured, Health, Message, Restart
from tests.exchange.street import STREET, T0, S, imported

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.mosquitto import Mosquitto

BODY = b'{"ts":1780000020,"data":{"pm2_5":12.5}}'


def _log(folder: Path, *lines: bytes | str, name: str = "day.log") -> Path:
    path = folder / name
    path.write_bytes(b"\n".join(line.encode() if isinstance(line, str) else line for line in lines) + b"\n")
    return path


def test_a_line_of_unix_time_topic_and_payload_keeps_its_nanoseconds(tmp_path: Path) -> None:
    log = _log(tmp_path, f"{T0}.123456789 air/a/17/up ".encode() + BODY)
    done, read = imported(tmp_path, log)
    assert read.messages() == [(T0 * S + 123456789, "air/a/17/up", BODY)]
    assert done.findings.unread == 0


@pytest.mark.parametrize(
    ("head", "zone", "second"),
    [
        ("2026-05-29T04:27:00+0800", None, T0),
        ("2026-05-29T04:27:00+08:00", None, T0),
        ("2026-05-28T20:27:00Z", None, T0),
        ("2026-05-29T04:27:00", None, T0),  # in the gateway's zone
        ("2026-05-29 04:27:00", None, T0),
        ("2026-05-28 20:27:00", "UTC", T0),
        ("May 29 04:27:00", None, T0),  # ts by itself; the year is that of the file
        ("1780000020", None, T0),
        ("1780000020000", None, T0),
    ],
)
def test_times_as_people_have_them(tmp_path: Path, head: str, zone: str | None, second: int) -> None:
    log = _log(tmp_path, head.encode() + b" air/a/17/up " + BODY)
    os.utime(log, (T0 + 3600, T0 + 3600))
    _, read = imported(tmp_path, log, zone=zone)
    assert read.messages() == [(second * S, "air/a/17/up", BODY)]


def test_a_day_of_december_in_a_file_of_january_is_last_years(tmp_path: Path) -> None:
    log = _log(tmp_path, b"Dec 31 23:59:58 air/a/17/up " + BODY)
    os.utime(log, (1_767_225_700, 1_767_225_700))  # 2026-01-01 08:01:40 in Shanghai
    _, read = imported(tmp_path, log)
    assert read.messages()[0][0] == 1_767_196_798 * S


def test_a_topic_with_spaces_is_the_one_that_a_sensor_reads(tmp_path: Path) -> None:
    log = _log(tmp_path, f"{T0}.5 air/old harbour/17/up hello there")
    _, read = imported(tmp_path, log)
    assert read.messages() == [(T0 * S + S // 2, "air/old harbour/17/up", b"hello there")]


def test_hexadecimal_keeps_newlines_and_bytes(tmp_path: Path) -> None:
    body = bytes(range(256))
    log = _log(tmp_path, f"{T0}.0 air/a/17/up {body.hex()}", f"{T0 + 1}.0 air/a/17/up abc")
    done, read = imported(tmp_path, log, payload="hex")
    assert read.messages() == [(T0 * S, "air/a/17/up", body)]
    assert done.findings.unread == 1
    assert "day.log:2" in done.findings.lines()[0]


def test_the_source_is_the_broker_whose_sensor_reads_the_topic(tmp_path: Path) -> None:
    log = _log(tmp_path, f"{T0} air/a/17/up x", f"{T0} water/level y", f"{T0} nobody/knows z")
    done, read = imported(tmp_path, log)
    assert [one.input.source for one in read.inputs if isinstance(one.input, Message)] == ["here", "city", "here"]
    assert done.findings.counts["unrouted"] == 1


def test_a_bad_line_is_counted_shown_once_and_does_not_stop_the_rest(tmp_path: Path) -> None:
    log = _log(
        tmp_path, f"{T0} air/a/1/up a", "continued", b"\xff\xfe also", "{not json}", f"{T0 + 1} air/a/1/up b", str(T0)
    )
    done, read = imported(tmp_path, log)
    assert [body for _, _, body in read.messages()] == [b"a", b"b"]
    assert done.findings.unread == 4
    [text, json, short] = done.findings.lines()
    assert text.startswith(f"{log}:2: found 'continued'; a line begins with a time")
    assert text.endswith("(and 1 more)")
    assert f"{log}:4" in json
    assert f"{log}:6" in short


def test_lines_a_little_out_of_order_are_sorted_and_a_clock_set_back_keeps_its_distances(tmp_path: Path) -> None:
    seconds = [0, 3, 1, 2, *range(4, 62), 10, 11, 13, 200]  # 10 follows 61: the clock was set back
    log = _log(tmp_path, *(f"{T0 + second} air/a/1/up {place}" for place, second in enumerate(seconds)))
    done, read = imported(tmp_path, log)
    assert [int(body) for _, _, body in read.messages()] == [0, 2, 3, 1, *range(4, 66)]
    assert [at // S - T0 for at, _, _ in read.messages()] == [*range(62), 61, 62, 64, 200]
    assert done.findings.counts["shifted"] == 3
    assert [f"{log}:63" in line for line in done.findings.lines()] == [True]


def test_one_line_of_the_year_2100_moves_nothing_else(tmp_path: Path) -> None:
    seconds = [*range(30), 2_330_000_000, *range(30, 60)]
    log = _log(tmp_path, *(f"{T0 + second} air/a/1/up {place}" for place, second in enumerate(seconds)))
    done, read = imported(tmp_path, log)
    assert [at // S - T0 for at, _, _ in read.messages()] == [*range(60), 2_330_000_000]
    assert done.findings.counts["shifted"] == 0


def test_a_recording_begins_as_a_run_does_and_ticks_each_whole_second(tmp_path: Path) -> None:
    log = _log(tmp_path, f"{T0}.5 air/a/1/up x", f"{T0 + 3} air/a/1/up y", f"{T0 + 3}.25 air/a/1/up z")
    _, read = imported(tmp_path, log)
    assert [type(one.input) for one in read.inputs[:2]] == [Restart, Configured]
    said = [(one.admitted_ns, one.input) for one in read.inputs if isinstance(one.input, Health)]
    assert said == [(T0 * S + S // 2, Health("source/here", "connected", ok=True))]
    assert read.ticks() == [second * S for second in range(T0 + 1, T0 + 5)]
    assert [one.n for one in read.inputs] == list(range(len(read.inputs)))
    assert [one.elapsed_ns for one in read.inputs] == [one.admitted_ns - T0 * S for one in read.inputs]
    assert [one.admitted_ns for one in read.inputs] == sorted(one.admitted_ns for one in read.inputs)
    at_three = [type(one.input).__name__ for one in read.inputs if one.admitted_ns == (T0 + 3) * S]
    assert at_three == ["Message", "Tick"]
    assert read.about.made == "import"
    assert read.about.gateway == "lg-017-02"
    assert "levels" in read.about.config


def test_the_same_import_gives_the_same_bytes(tmp_path: Path) -> None:
    log = _log(tmp_path, *(f"{T0 + i} air/a/1/up {i}" for i in range(100)))
    imported(tmp_path, log)
    first = (tmp_path / "out.mcap").read_bytes()
    imported(tmp_path, log)
    assert (tmp_path / "out.mcap").read_bytes() == first


def test_a_hole_is_a_source_that_was_not_connected(tmp_path: Path) -> None:
    log = _log(tmp_path, f"{T0} air/a/1/up x", f"{T0 + 1000} air/a/1/up y")
    _, read = imported(tmp_path, log, hole_ns=600 * S, source="here")
    said = [(one.admitted_ns // S - T0, one.input.ok) for one in read.inputs if isinstance(one.input, Health)]
    assert said == [(0, True), (600, False), (1000, True)]


def test_a_year_without_anything_is_not_filled_with_ticks(tmp_path: Path) -> None:
    log = _log(tmp_path, f"{T0} air/a/1/up x", f"{T0 + 500 * 86_400} air/a/1/up y")
    done, read = imported(tmp_path, log)
    assert len(read.ticks()) == 2
    assert any("no ticks stand there" in note for note in done.findings.notes)


def test_gzipped_logs_and_several_files_are_merged_by_time(tmp_path: Path) -> None:
    first = _log(tmp_path, f"{T0} air/a/1/up 0", f"{T0 + 2} air/a/1/up 2", name="a.log")
    second = tmp_path / "b.log.gz"
    second.write_bytes(gzip.compress(f"{T0 + 1} water/level 1\n{T0 + 3} water/level 3\n".encode()))
    _, read = imported(tmp_path, first, second)
    assert [body for _, _, body in read.messages()] == [b"0", b"1", b"2", b"3"]


@pytest.mark.parametrize("form", ["%U %t %p", "%I %t %p", "%j", "%J", "%U %t %x"])
def test_what_mosquitto_sub_itself_writes(tmp_path: Path, form: str, mosquitto: Mosquitto) -> None:
    program = shutil.which("mosquitto_sub")
    if program is None:
        pytest.skip("mosquitto_sub is not installed (apt-get install mosquitto-clients)")
    log = tmp_path / "day.log"
    topics = ["air/a/1/up", "air/b/2/up"]
    login = ["-h", mosquitto.host, "-p", str(mosquitto.port)]
    for topic in topics:  # retained: they are there whenever the listener comes
        subprocess.run(["mosquitto_pub", *login, "-r", "-q", "1", "-t", topic, "-m", BODY.decode()], check=True)
    with log.open("wb") as out:
        subprocess.run([program, *login, "-t", "air/#", "-F", form, "-C", "2", "-W", "10"], stdout=out, check=True)
    for topic in topics:
        subprocess.run(["mosquitto_pub", *login, "-r", "-n", "-t", topic], check=True)
    done, read = imported(tmp_path, log, payload="hex" if "%x" in form else "text", zone="UTC")
    assert sorted((topic, body) for _, topic, body in read.messages()) == [(topic, BODY) for topic in topics]
    assert done.findings.unread == 0
    assert abs(read.messages()[0][0] / S - log.stat().st_mtime) < 10


def test_a_configuration_without_sensors_is_said(tmp_path: Path) -> None:
    text = STREET.partition("sensors:")[0]
    with pytest.raises(GatewayError, match="no sensor that a broker's messages belong to"):
        imported(tmp_path, _log(tmp_path, f"{T0} a b"), text=text)


def test_an_empty_log_writes_no_recording(tmp_path: Path) -> None:
    with pytest.raises(GatewayError, match="nothing was found to import"):
        imported(tmp_path, _log(tmp_path))
    assert not list(tmp_path.glob("*.mcap*"))
