"""`zhiwang check`: what it prints and how it ends."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.cli import main
from gateway.config.load import loads
from gateway.registry import registry
from tests.config.texts import CORNER

GROUND = """\
gateway: a
brokers: {here: {url: "mqtt://h"}}
sensors: {s: {mqtt: here, topic: x, plain: v}}
rules: {r: {threshold: s.v, levels: {red: 1}}}
"""


@pytest.fixture
def ground(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.yaml"
    path.write_text(GROUND, encoding="utf-8")
    return path


def test_a_good_configuration_ends_in_what_it_contains(ground: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(ground)]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{ground}: a · 1 broker, 1 sensor, no cameras, 1 rule, no sinks · config ")
    assert out.endswith(" · no errors, no warnings\n")


def test_a_bad_one_ends_in_2_and_the_number_of_its_errors(ground: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ground.write_text(GROUND.replace("threshold", "treshold").replace("topic", "topik"), encoding="utf-8")
    assert main(["check", str(ground)]) == 2
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith(
        f"{ground}:3  sensors.s.topik: unknown key; did you mean topic? (keys of a mqtt plain sensor: "
    )
    assert out[1].startswith(f"{ground}:4  rules.r.treshold: unknown key; did you mean threshold?")
    assert out[2:] == [f"{ground}: 2 errors, no warnings"]


def test_one_bad_file_of_several_ends_in_2(ground: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(ground), str(tmp_path / "nowhere.yaml")]) == 2
    assert "nowhere.yaml:1  cannot be read: No such file or directory" in capsys.readouterr().out


def test_what_it_prints_is_the_same_configuration(ground: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--print", str(ground)]) == 0
    printed = capsys.readouterr().out
    assert f"# {ground}:3" in printed
    config = loads(printed.rpartition(f"{ground}: a")[0], ground.parent, registry())
    assert config.sha == loads(GROUND, ground.parent, registry()).sha


def test_for_machines_it_is_one_object_a_file(ground: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--json", "--print", str(ground)]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["ok"], answer["gateway"], answer["findings"]) == (True, "a", [])
    assert {"path": "rules.r.for", "value": "0 s", "from": "default"} in answer["effective"]
    ground.write_text("gateway: a\nlgo: {}\n", encoding="utf-8")
    assert main(["check", "--json", str(ground)]) == 2
    finding = json.loads(capsys.readouterr().out)["findings"][0]
    assert (finding["line"], finding["path"], finding["warning"]) == (2, "lgo", False)
    assert "did you mean log?" in finding["problem"]


def test_the_real_kinds_read_the_corner(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(CORNER, encoding="utf-8")
    assert main(["check", str(path)]) == 0
    assert "2 brokers, 2 sensors, 1 camera, 3 rules (1 shadow), 2 sinks" in capsys.readouterr().out


def test_checking_loads_no_vision_and_no_page() -> None:
    program = (
        "import sys; from gateway.cli import main; main(['check', 'configs/cameras.yaml']);"
        "print(sorted({'cv2', 'av', 'onnxruntime', 'nicegui'} & set(sys.modules)))"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
