"""The verbs `import` and `export`, as people use them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from gateway.cli import main
from gateway.recording.reader import Recording
from tests.conftest import ROOT
from tests.exchange.street import STREET, T0, read

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With the street's configuration and a log in it."""
    (tmp_path / "gateway.yaml").write_text(STREET)
    lines = [f'{T0 + i} air/a/1/up {{"ts":{T0 + i},"data":{{"pm2_5":{i}}}}}' for i in range(200)]
    (tmp_path / "day.log").write_text("\n".join([*lines, "garbage", "more of it", f"{T0 + 200} else/where x\n"]))
    return tmp_path


def _import(folder: Path, *words: str) -> int:
    return main(["import", *words, "--config", str(folder / "gateway.yaml"), "-o", str(folder / "day.mcap")])


@pytest.mark.parametrize("name", ["day.log", "gateway.yaml"])
def test_what_is_imported_is_not_written_over(folder: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Given -o with the name of a source or of the configuration, then that is refused and the file stays."""
    before = (folder / name).read_bytes()
    words = ["import", str(folder / "day.log"), "--config", str(folder / "gateway.yaml"), "-o", str(folder / name)]
    assert main(words) == 1
    assert "would be overwritten" in capsys.readouterr().err
    assert (folder / name).read_bytes() == before


def test_a_log_is_imported_replayed_and_exported(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _import(folder, str(folder / "day.log")) == 0
    said = capsys.readouterr()
    assert said.out.startswith(
        f"{folder}/day.mcap: 201 messages, 201 ticks, 2026-05-29 04:26:59 – 2026-05-29 04:30:20, "
    )
    told = said.err.splitlines()
    assert "  1 messages that no sensor reads: kept, and counted in a replay" in told
    assert "2 lines could not be used as they are:" in told
    assert told[-1].startswith(f"  {folder}/day.log:201: found 'garbage'; a line begins with a time")
    assert told[-1].endswith("(and 1 more)")
    assert main(["replay", str(folder / "day.mcap"), "--alerts", str(folder / "alerts.jsonl")]) == 0
    alerts = [json.loads(line) for line in (folder / "alerts.jsonl").read_bytes().splitlines()]
    raised = [alert for alert in alerts if alert["rule"] == "dust" and alert["change"] == "raised"]
    assert [(alert["subject"], alert["started"]) for alert in raised] == [
        ("air.pm25{device=1,site=a}", "2026-05-29T04:28:41+08:00")
    ]
    capsys.readouterr()
    assert (
        main(["export", str(folder / "day.mcap"), "-o", str(folder / "out"), "--from", "04:28", "--to", "04:29"]) == 0
    )
    said = capsys.readouterr()
    assert said.out == f"{folder}/out/air.parquet: 60 rows\n"
    command = ["export", str(folder / "day.mcap"), "-o", str(folder / "out.jsonl"), "--format", "jsonl", "--json"]
    assert main(command) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["rows"] == {"out.jsonl": 204, "out.alerts.jsonl": 0}


def test_json_says_the_same_to_machines(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _import(folder, str(folder / "day.log"), "--json", "--hole", "1 min") == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["messages"], answer["unread"], answer["counts"]["unrouted"]) == (201, 2, 1)
    assert answer["silent"] == []  # nothing was heard of its broker: nothing is said of it
    (folder / "gateway.yaml").write_text(STREET.replace("mqtt: city", "mqtt: here"))
    assert _import(folder, str(folder / "day.log"), "--json") == 0
    assert json.loads(capsys.readouterr().out)["silent"] == ["water"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["missing.log"], 1, "missing.log: there is no such file or folder"),
        (["gateway.yaml"], 1, "its name does not say what it is"),
        (["day.log", "--source", "her"], 1, "--source: found 'her'; did you mean here?"),
        (["day.log", "--from", "never"], 2, "--from: found 'never'; a moment is written as one of"),
        (["day.log", "--column", "x"], 2, "--column: found 'x'; it is written NAME=…"),
        (["influx:"], 1, "the InfluxDB sinks of the configuration: none"),
        (["day.log", "--from", "2027-01-01"], 1, "nothing was found to import"),
    ],
)
def test_wrong_words_are_said(
    folder: Path, words: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    first = words[0] if words[0].startswith("influx") else str(folder / words[0])
    assert _import(folder, first, *words[1:]) == code
    assert said in capsys.readouterr().err
    assert not (folder / "day.mcap").exists()


def test_a_bad_configuration_is_told_with_its_lines(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "gateway.yaml").write_text(STREET.replace("topic", "topik"))
    assert _import(folder, str(folder / "day.log")) == 2
    assert "gateway.yaml:8  sensors.air.topik: unknown key" in capsys.readouterr().err


def test_export_wants_a_folder_for_parquet(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _import(folder, str(folder / "day.log"))
    assert main(["export", str(folder / "day.mcap"), "-o", str(folder / "x.parquet")]) == 2
    assert "name a folder" in capsys.readouterr().err
    assert main(["export", str(folder / "day.log"), "-o", str(folder / "x")]) == 1
    assert "day.log" in capsys.readouterr().err


def _program(folder: Path, source: str, **settings: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "gateway", "import", source, "--config", "gateway.yaml", "-o", "day.mcap"]
    return subprocess.Popen(command, cwd=folder, env={"PYTHONPATH": str(ROOT), "PATH": ""}, **settings)  # type: ignore[call-overload]


def test_standard_input_is_a_log(folder: Path) -> None:
    program = _program(folder, "-", stdin=subprocess.PIPE, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    program.communicate((folder / "day.log").read_bytes(), timeout=60)
    assert program.returncode == 0
    assert len(read(folder / "day.mcap").messages()) == 201


def test_ctrl_c_leaves_what_was_imported(folder: Path) -> None:
    """Given a long log, then SIGINT after some of it was written ends with 130 and a recording that opens."""
    with (folder / "long.log").open("w") as file:
        file.writelines(f"{T0 + i // 100}.{i % 100:02} air/a/1/up {i:08}\n" for i in range(500_000))
    program = _program(folder, "long.log", stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    part, deadline = folder / "day.mcap.part", time.monotonic() + 60
    while not part.exists() or part.stat().st_size < 20_000:
        assert time.monotonic() < deadline
        assert program.poll() is None
        time.sleep(0.01)
    program.send_signal(signal.SIGINT)
    _, said = program.communicate(timeout=60)
    assert program.returncode == 130, said
    assert b"interrupted: what was imported until then is written" in said
    assert not part.exists()
    recording = Recording.open([folder / "day.mcap"])
    assert recording.files[0].damage == ()
    bodies = [int(body) for _, _, body in read(folder / "day.mcap").messages()]
    assert 0 < len(bodies) < 500_000
    assert bodies == list(range(len(bodies)))
