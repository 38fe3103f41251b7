"""What the command does where its output cannot be written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "gateway"]
LONG, SHORT = ["schema", "config"], ["models", "list", "--json"]


@pytest.mark.parametrize("words", [LONG, SHORT, ["--help"]], ids=" ".join)
def test_a_reader_that_leaves_ends_it_without_a_word(words: list[str]) -> None:
    """Given a pipe whose other end is closed, exit 0 and no traceback."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([*COMMAND, *words], cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr.decode()) == (0, "")


@pytest.mark.parametrize("words", [LONG, SHORT], ids=" ".join)
@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["at its end", "at once"])
def test_a_full_disk_is_said_in_one_line(words: list[str], unbuffered: str) -> None:
    """Given output that cannot be written, exit 1 and why."""
    environ = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*COMMAND, *words], cwd=ROOT, env=environ, stdout=full, stderr=subprocess.PIPE, check=False
        )
    told = "zhiwang: the output cannot be written: No space left on device\n"
    assert (done.returncode, done.stderr.decode()) == (1, told)


def test_output_that_is_closed_is_none() -> None:
    """Given no standard output at all, it runs as it would."""
    done = subprocess.run(
        ["/bin/sh", "-c", 'exec "$0" -m gateway schema alert >&-', sys.executable],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        check=False,
    )
    assert (done.returncode, done.stderr.decode()) == (0, "")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """Given a password's file that is not there, its name and why, not a traceback."""
    missing = tmp_path / "password"
    done = subprocess.run(
        [*COMMAND, "watch", "mqtt://h", "--password-file", missing], cwd=ROOT, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr.decode()) == (1, f"zhiwang: {missing}: No such file or directory\n")
