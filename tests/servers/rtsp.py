"""A real RTSP server (GStreamer, from Debian) on a free loopback port, serving a file as a camera would."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

SCRIPT = Path(__file__).parent / "scripts" / "rtsp_server.py"
SYSTEM_PYTHON = "/usr/bin/python3"
PACKAGES = "python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-good gstreamer1.0-plugins-bad"


class RtspServer:
    """A camera that a test may freeze (SIGSTOP), kill and restart at the same port."""

    def __init__(
        self, folder: Path, video: Path, user: str | None = None, password: str | None = None, codec: str = "h264"
    ) -> None:
        self._log = folder / "log"
        self._video = video
        self._how = ["--codec", codec, *(["--user", user, "--password", password or ""] if user else [])]
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Without a login."""
        return f"rtsp://127.0.0.1:{self.port}/camera"

    @property
    def connections(self) -> int:
        """How many connections it has had since it was last started."""
        return self._log.read_text().splitlines().count("client")

    def start(self) -> None:
        """Start it and wait until it listens."""
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [SYSTEM_PYTHON, str(SCRIPT), str(self._video), "--port", str(self.port), *self._how],
                stdout=log,
                stderr=subprocess.DEVNULL,
            )
        end = time.monotonic() + 20
        while (words := self._log.read_text().split())[:1] != ["ready"]:
            if self._process.poll() is not None or time.monotonic() > end:
                self.stop()
                raise RuntimeError(f"the RTSP server did not start: {self._log.read_text()}")
            time.sleep(0.02)
        self.port = int(words[1])

    def freeze(self) -> None:
        """Connected, but silent."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Go on after `freeze`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """Kill it and wait for its end."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class Serve(Protocol):
    """Start a server for a video; the session ends it."""

    def __call__(
        self, video: Path, user: str | None = None, password: str | None = None, codec: str = "h264"
    ) -> RtspServer:
        """The server, listening."""
        ...


@pytest.fixture(scope="session")
def rtsp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """Real RTSP servers, or the test is skipped where Debian's GStreamer server is not installed."""
    probe = [SYSTEM_PYTHON, "-c", "import gi; gi.require_version('GstRtspServer', '1.0')"]
    if not shutil.which(SYSTEM_PYTHON) or subprocess.run(probe, stderr=subprocess.DEVNULL, check=False).returncode:
        pytest.skip(f"no GStreamer RTSP server here: apt install {PACKAGES}")
    servers: list[RtspServer] = []

    def serve(video: Path, user: str | None = None, password: str | None = None, codec: str = "h264") -> RtspServer:
        server = RtspServer(tmp_path_factory.mktemp("rtsp"), video, user, password, codec)
        servers.append(server)
        server.start()
        return server

    yield serve
    for server in servers:
        server.stop()
