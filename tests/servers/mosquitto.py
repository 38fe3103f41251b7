"""A real mosquitto on a free loopback port, with the shipped configuration; only port, user and folder are its own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from tests.conftest import ROOT, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SHIPPED = ROOT / "configs" / "mosquitto.conf"


class Mosquitto:
    """A broker that a test may stop, kill and restart: same port, same data folder (sessions, queues, retained)."""

    def __init__(self, folder: Path, extra: str = "") -> None:
        self.folder = folder
        self.host = "127.0.0.1"
        self.port = free_port()
        self.log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self.configure(extra)

    @property
    def url(self) -> str:
        """As a configuration names it."""
        return f"mqtt://{self.host}:{self.port}"

    @property
    def pid(self) -> int:
        """Of the running broker."""
        assert self._process is not None
        return self._process.pid

    def configure(self, extra: str = "") -> None:
        """Write the shipped configuration with our own port and folder, and `extra` lines; takes effect at `start`."""
        own = {"listener": f"{self.port} {self.host}", "persistence_location": f"{self.folder}/"}
        lines = [
            f"{key} {own[key]}" if (key := line.split(" ")[0]) in own else line
            for line in SHIPPED.read_text(encoding="utf-8").splitlines()
        ]
        if os.geteuid() == 0:
            lines.append("user root")  # it would drop to the user mosquitto, who cannot write here
        (self.folder / "mosquitto.conf").write_text("\n".join([*lines, *extra.splitlines(), ""]), encoding="utf-8")

    def start(self) -> None:
        """Start it and wait until it accepts connections."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [mosquitto_binary(), "-c", str(self.folder / "mosquitto.conf")], stdout=log, stderr=log
            )
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection((self.host, self.port), timeout=1).close()
            except OSError:
                assert self._process.poll() is None, self.log.read_text(encoding="utf-8")
                assert time.monotonic() < deadline, f"mosquitto did not listen: {self.log.read_text(encoding='utf-8')}"
                time.sleep(0.02)
            else:
                return

    def stop(self) -> None:
        """End it in order: it saves its sessions, queues and retained messages."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a power cut would: what it did not save is gone."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Make it hang: the kernel still accepts connections, nobody answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after `pause`."""
        os.kill(self.pid, signal.SIGCONT)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGCONT)
        for _ in range(10):  # one was seen to go on after the first, at the end of a short test
            process.send_signal(how)
            with suppress(subprocess.TimeoutExpired):
                process.wait(1)
                return
        process.kill()
        process.wait()
        pytest.fail("mosquitto did not end within 10 s")


def mosquitto_binary() -> str:
    """Where mosquitto is (Debian puts it in /usr/sbin, which a user's PATH may lack), or the test is skipped."""
    found = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip("mosquitto is not installed (apt-get install mosquitto)")
    return found


@pytest.fixture(scope="session")
def mosquitto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    """One broker for every test that leaves it running; use topics and client ids of your own."""
    broker = Mosquitto(tmp_path_factory.mktemp("mosquitto"))
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def own_mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker for one test alone, which may stop, kill or pause it."""
    with broker_in(tmp_path / "mosquitto") as broker:
        yield broker


@contextmanager
def broker_in(folder: Path, extra: str = "") -> Iterator[Mosquitto]:
    """A broker of its own in a folder that is made for it, until the block ends."""
    folder.mkdir()
    broker = Mosquitto(folder, extra)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()
