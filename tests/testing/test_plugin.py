"""The pytest plugin in a project of somebody's own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from gateway.replaying.compare import comparable
from tests.conftest import ROOT

if TYPE_CHECKING:
    from pathlib import Path

DAY = ROOT / "tests/recordings/below.mcap"
TEST = """
def test_a_day(replay):
    assert replay("day.mcap").as_expected("day.alerts.jsonl")
"""
WHAT_IF = """
def test_what_if(replay):
    came = replay(["day.mcap"], overlay={"rules.dry.mode": "'off'"})
    assert not came.raised("dry")
    assert came.series.count(b"water") and not came.played.holes
"""
SETTINGS = "[pytest]\nfilterwarnings = error\nasyncio_default_fixture_loop_scope = function\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a recording, what is expected of it, and a test."""
    shutil.copy(DAY, tmp_path / "day.mcap")
    shutil.copy(DAY.with_suffix(".alerts.jsonl"), tmp_path / "day.alerts.jsonl")
    (tmp_path / "pytest.ini").write_text(SETTINGS)
    (tmp_path / "test_day.py").write_text(TEST)
    return tmp_path


def outcome_of(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run its tests; the plugin comes as it does where the package is installed."""
    named = [] if _installed() else ["-p", "gateway.testing.plugin"]
    command = [sys.executable, "-m", "pytest", "-q", *named, *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, check=False, timeout=60
    )


def _installed() -> bool:
    from importlib.metadata import entry_points  # noqa: PLC0415 - only here

    return any(entry.value == "gateway.testing.plugin" for entry in entry_points(group="pytest11"))


def test_a_day_that_says_what_it_said_passes(project: Path) -> None:
    done = outcome_of(project)

    assert done.returncode == 0, done.stdout


def test_a_day_of_which_nothing_is_left_fails_whatever_is_expected(project: Path) -> None:
    """Given a recording that was cut off before its first input, and an expectation of no alerts."""
    (project / "day.mcap").write_bytes((project / "day.mcap").read_bytes()[:1500])
    (project / "day.alerts.jsonl").write_bytes(b"")

    done = outcome_of(project)

    assert done.returncode == 1
    assert "day.mcap: nothing was played" in done.stdout


def test_a_day_that_says_something_else_fails_with_what_differs(project: Path) -> None:
    lines = (project / "day.alerts.jsonl").read_bytes().splitlines(keepends=True)
    (project / "day.alerts.jsonl").write_bytes(b"".join(lines[:-1]))

    done = outcome_of(project)

    assert done.returncode == 1
    assert "day.alerts.jsonl: 0 missing, 1 unexpected, 0 changed" in done.stdout
    assert "+ unexpected " in done.stdout
    assert "if this is what it should say: pytest --accept-alerts" in done.stdout
    assert "replayed.py" not in done.stdout, "the failure stands in the test, not in ours"


def test_what_is_accepted_is_expected_from_then_on(project: Path) -> None:
    (project / "day.alerts.jsonl").unlink()

    missing, accepted, again = outcome_of(project), outcome_of(project, "--accept-alerts"), outcome_of(project)

    assert "changes of alerts came; if they are right: pytest --accept-alerts" in missing.stdout
    assert [missing.returncode, accepted.returncode, again.returncode] == [1, 0, 0]
    written, kept = project / "day.alerts.jsonl", DAY.with_suffix(".alerts.jsonl")
    told = [[*map(comparable, path.read_bytes().splitlines())] for path in (written, kept)]
    assert told[0] == told[1]


def test_what_if_a_setting_were_another(project: Path) -> None:
    (project / "test_day.py").write_text(WHAT_IF)

    done = outcome_of(project)

    assert done.returncode == 0, done.stdout


def test_a_project_that_does_not_use_it_loads_nothing_of_it(project: Path) -> None:
    (project / "test_day.py").write_text(
        "import sys\n\n\ndef test_own():\n    mine = {name for name in sys.modules if name.startswith('gateway')}\n"
        "    assert mine <= {'gateway', 'gateway.testing', 'gateway.testing.plugin'}, mine\n"
        "    assert 'numpy' not in sys.modules\n"
    )

    done = outcome_of(project)

    assert done.returncode == 0, done.stdout
