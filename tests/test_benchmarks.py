"""The benchmarks' command lines."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import ROOT

FOLDER = ROOT / "benchmarks"
NUMBERS = "import stage, sys; print(stage.numbers('usage', 20, 3, 10.0))"


def _python(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], cwd=FOLDER, capture_output=True, text=True, check=False)


def test_numbers_stand_at_their_place_and_are_of_their_kind() -> None:
    """Given two of three numbers, the third is the default, and a default with a point takes one with a point."""
    assert _python("-c", NUMBERS, "7", "2").stdout == "(7, 2, 10.0)\n"
    assert _python("-c", NUMBERS, "7", "2", "0.5").stdout == "(7, 2, 0.5)\n"


@pytest.mark.parametrize("words", [("x",), ("7", "2.5"), ("0",), ("7", "3", "nan"), ("--messages", "7")], ids=" ".join)
def test_what_is_no_number_above_0_is_told_with_the_usage(words: tuple[str, ...]) -> None:
    ended = _python("-c", NUMBERS, *words)
    assert ended.returncode == 1
    assert f"; expected a {'' if 'nan' in words else 'whole '}number above 0\n\nusage\n" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_benchmark_that_takes_numbers_has_help() -> None:
    ended = _python("backtest.py", "--help")
    assert ended.returncode == 0
    assert "python benchmarks/backtest.py [MESSAGES [ROUNDS]]\n" in ended.stdout
