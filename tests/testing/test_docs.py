"""What docs/replay.md shows of pytest is true."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from gateway.cli import main
from tests.conftest import ROOT
from tests.testing.test_plugin import SETTINGS

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_its_tests_pass_on_the_recording_that_it_tells_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given the files that its commands make, when its Python is run by pytest, then every test passes."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "tests/recordings/corner.mcap", "day.mcap")
    (tmp_path / "changed.yaml").write_text(_changed())
    (tmp_path / "pytest.ini").write_text(SETTINGS)
    blocks = BLOCK.findall((ROOT / "docs/replay.md").read_text(encoding="utf-8"))
    (tmp_path / "test_docs.py").write_text("\n\n".join(blocks), encoding="utf-8")
    assert main(["replay", "day.mcap", "--alerts", "day.alerts.jsonl"]) == 0
    assert main(["cut", "PLAY-G0DE", "day.mcap", "-o", "surge.mcap"]) == 0

    command = [sys.executable, "-m", "pytest", "-q", "test_docs.py"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=100)

    assert done.returncode == 0, done.stdout
    assert "4 passed" in done.stdout


def _changed() -> str:
    """As its sed does."""
    from tests.e2e.played import CONFIG  # noqa: PLC0415 - of the gateway that was recorded

    return CONFIG.replace("orange: 2 m/min", "orange: 3 m/min").replace("for: 8 s", "for: 20 s")
