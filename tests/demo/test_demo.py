"""The demo as a user starts it: a process, its summary and its exit code; the page, and the end by a signal."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from gateway.app import Summary
from gateway.cli import main
from gateway.cli.demo import without
from tests.conftest import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest

COUNTERS, HOURS = 19, 24  # two of the 21 counters were out on the day of the parade
LOOKS = 50  # every fifth of the video's 250 frames
ALERTS = {
    "crowd": 4,  # 45, 210, 261 and 297 Queen Street
    "cyclist": 1,
    "stuck": 1,  # 107 Quay Street counts nobody all day
    "health": 1,  # the video has ended
}


def demo(*arguments: str) -> list[str]:
    """The command line of a demo in a process of its own."""
    return [sys.executable, "-m", "gateway", "demo", *arguments]


def test_headless_it_plays_the_day_of_the_parade_and_sums_it_up_the_same_every_time() -> None:
    done = subprocess.run(
        demo("--headless", "--seconds", "30", "--json"), capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stderr
    summary = msgspec.json.decode(done.stdout, type=Summary)
    assert summary.messages == summary.readings == COUNTERS * HOURS
    assert summary.frames == LOOKS
    assert summary.alerts == sum(ALERTS.values())
    assert summary.detections > LOOKS
    assert summary.points_delivered > summary.readings


def test_a_summary_with_a_zero_names_it() -> None:
    assert without(Summary(1, 1, 1, 1, 1, 1)) == []
    assert without(Summary(1, 1, 0, 0, 1, 1)) == ["frames", "detections"]


@contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A running demo, killed at the latest when the test ends."""
    with subprocess.Popen(demo(*arguments), stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_with_a_page_it_prints_the_url_when_the_page_is_up_and_ends_by_sigterm_with_0() -> None:
    port = free_port()
    with started("--port", str(port)) as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        url = next(line for line in lines if "http" in line)
        assert re.search(rf"http://127\.0\.0\.1:{port}/", url)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGTERM)
        rest = process.stdout.read()
        assert process.wait(timeout=15) == 0
        assert "messages" in rest


def test_write_gives_a_configuration_that_check_accepts_and_leaves_a_file_that_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "gateway.yaml"
    assert main(["demo", "--write", str(mine)]) == 0
    assert main(["check", str(mine)]) == 0
    mine.write_text("mine\n")
    assert main(["demo", "--write", str(mine)]) == 2
    assert mine.read_text() == "mine\n"
    assert "found a file" in capsys.readouterr().err


def test_a_port_that_is_taken_is_said_before_anything_starts(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert main(["demo", "--port", str(taken.getsockname()[1])]) == 1
    assert "taken" in capsys.readouterr().err
