"""The notebook in docs/: its cells run in order, and its kept outputs are what they say."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.conftest import ROOT

if TYPE_CHECKING:
    from pathlib import Path

NOTEBOOK = ROOT / "docs/tune-a-rule.ipynb"


def _cells(kind: str) -> list[dict[str, object]]:
    return [cell for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == kind]


def _kept() -> str:
    """What its cells printed when it was executed."""
    outputs = [output for cell in _cells("code") for output in cell["outputs"]]  # type: ignore[attr-defined]
    return "".join("".join(output["text"]) for output in outputs if output["output_type"] == "stream")


def test_its_cells_run_and_print_what_it_kept(tmp_path: Path) -> None:
    """Given the code cells as one script, without Jupyter, they print what stands in the notebook."""
    pytest.importorskip("matplotlib")
    script = "\n".join("".join(cell["source"]) for cell in _cells("code"))  # type: ignore[arg-type]
    environ = {"PYTHONPATH": str(ROOT), "MPLBACKEND": "agg", "TMPDIR": str(tmp_path), "PATH": "/usr/bin:/bin"}
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split() == _kept().split()


def test_its_outputs_were_made_and_name_no_machine() -> None:
    """Given the file, every figure is there, and no path of the machine that ran it."""
    text = NOTEBOOK.read_text(encoding="utf-8")
    assert text.count('"image/png"') == 2
    assert "/tmp/" not in text  # noqa: S108 - it is looked for
    assert "/home/" not in text
