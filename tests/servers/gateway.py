"""A gateway as a process: started, watched through its own socket and /readyz, stopped or killed by its pid."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

START_S = 30.0


def until(true: Callable[[], Any], seconds: float = 30.0, what: str = "") -> Any:
    """What `true` gives once it is true; fails after `seconds`."""
    ends = time.monotonic() + seconds
    while not (value := true()):
        assert time.monotonic() < ends, f"waited {seconds} s in vain for {what or true}"
        time.sleep(0.02)
    return value


class Gateway:
    """`zhiwang run` of a configuration text in a folder of its own."""

    def __init__(self, folder: Path, text: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.config = folder / "gateway.yaml"
        self.log = folder / "gateway.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.write(text)

    def write(self, text: str) -> None:
        """Write the configuration, with a state folder and a port of the test's own."""
        page = "" if "\nhttp:" in text else f'http: {{listen: "127.0.0.1:{self.port}", page: false}}\n'
        self.config.write_text(f"{text}\nstate: {self.folder / 'state'}\n{page}", encoding="utf-8")

    @property
    def pid(self) -> int:
        """The process."""
        assert self._process is not None
        return self._process.pid

    def start(self, *, ready: bool = True, prefix: tuple[str, ...] = ()) -> None:
        """Start it, and wait until it is ready."""
        with self.log.open("ab") as log:
            command = [*prefix, sys.executable, "-m", "gateway", "run", str(self.config)]
            here = {**os.environ, "STATE_DIRECTORY": str(self.folder / "home")}  # nothing of a test in the user's own
            self._process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=here)
        if ready:
            until(self.ready, START_S, f"the gateway to be ready: {self.log.read_text()[-2000:]}")

    def ready(self) -> bool:
        """Whether /readyz says so."""
        assert self._process is not None
        assert self._process.poll() is None, f"the gateway ended: {self.log.read_text()[-3000:]}"
        try:
            return self.get("/readyz")[0] == 200
        except (urllib.error.URLError, ConnectionError):
            return False

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of its HTTP server."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def metric(self, name: str) -> float:
        """The sum of a metric over its labels."""
        rows = [line.rsplit(" ", 1) for line in self.get("/metrics")[1].splitlines() if not line.startswith("#")]
        return sum(float(value) for key, value in rows if key.split("{")[0] == name)

    def ask(self, **request: object) -> dict[str, Any]:
        """A request to the local socket."""
        import socket  # noqa: PLC0415 - used here alone

        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(10)
            sock.connect(str(self.folder / "state" / "zhiwang.sock"))
            sock.sendall(json.dumps(request).encode() + b"\n")
            with sock.makefile() as lines:
                return json.loads(lines.readline())

    def open_alerts(self) -> list[dict[str, Any]]:
        """Its open alerts."""
        return self.ask(open={})["open"]

    def kill(self) -> None:
        """End it at once, as kill -9 does."""
        self._end(signal.SIGKILL)

    def stop(self, seconds: float = 15.0) -> int:
        """SIGTERM; gives the exit code."""
        return self._end(signal.SIGTERM, seconds)

    def ended(self, seconds: float = START_S) -> int:
        """Wait until it has ended by itself, as a killed or finished process; gives the exit code (-9: killed)."""
        assert self._process is not None
        process = self._process
        code = process.wait(seconds)
        self._process = None
        return code

    def _end(self, how: signal.Signals, seconds: float = 15.0) -> int:
        if self._process is None:
            return 0
        process, self._process = self._process, None
        process.send_signal(how)
        return process.wait(seconds)


@pytest.fixture
def gateway_of(tmp_path: Path) -> Iterator[Callable[[str], Gateway]]:
    """Makes gateways of configuration texts; ends those that still run."""
    made: list[Gateway] = []

    def make(text: str) -> Gateway:
        folder = tmp_path / f"gateway-{len(made)}"
        folder.mkdir()
        made.append(Gateway(folder, text))
        return made[-1]

    yield make
    for gateway in made:
        gateway.kill()
