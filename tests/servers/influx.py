"""Real time-series servers on free loopback ports: influxd 1.6 and VictoriaMetrics, each in a folder of its own."""

from __future__ import annotations

import json
import shutil
import signal
import ssl
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING, TypeVar

import pytest

from tests.conftest import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.certificates import Certificate


class _Server:
    """A program that a test may stop and start again: same port, same data."""

    def __init__(self, folder: Path, ca: Path | None = None) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http{'s' if ca else ''}://127.0.0.1:{self.port}"
        self._trust = ssl.create_default_context(cafile=str(ca)) if ca else None
        self.log = folder / "log"
        self._command: list[str] = []
        self._ready = "/"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.begin()
        deadline = time.monotonic() + 30
        while True:
            try:
                self._get(self._ready, {})
            except OSError:
                assert self._process is not None
                assert self._process.poll() is None, self.log.read_text(encoding="utf-8")[-2000:]
                assert time.monotonic() < deadline, self.log.read_text(encoding="utf-8")[-2000:]
                time.sleep(0.05)
            else:
                return

    def begin(self) -> None:
        """Start it, and do not wait: with a certificate that nobody believes nobody is answered."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, cwd=self.folder)

    def stop(self) -> None:
        """End it in order."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGCONT)
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)

    def pause(self) -> None:
        """Make it hang: the kernel still accepts connections, nobody answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after `pause`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _get(self, path: str, parameters: dict[str, str], body: bytes | None = None) -> bytes:
        url = f"{self.url}{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, data=body, timeout=10, context=self._trust) as answer:  # noqa: S310 - our own server
            return bytes(answer.read())


S = TypeVar("S", bound=_Server)


class Influx(_Server):
    """influxd 1.6. `login`: ask for the user `admin` with password `secret`; `tls`: a certificate and its authority."""

    def __init__(self, folder: Path, *, login: bool = False, tls: tuple[Certificate, Path] | None = None) -> None:
        super().__init__(folder, tls and tls[1])
        self._login = {"u": "admin", "p": "secret"} if login else {}
        (folder / "influxdb.conf").write_text(
            f"""
            reporting-disabled = true
            bind-address = "127.0.0.1:{free_port()}"
            [meta]
            dir = "{folder}/meta"
            [data]
            dir = "{folder}/data"
            wal-dir = "{folder}/wal"
            query-log-enabled = false
            [monitor]
            store-enabled = false
            [http]
            bind-address = "127.0.0.1:{self.port}"
            auth-enabled = {str(login).lower()}
            log-enabled = false
            https-enabled = {str(tls is not None).lower()}
            https-certificate = "{tls[0].crt if tls else ""}"
            https-private-key = "{tls[0].key if tls else ""}"
            """,
            encoding="utf-8",
        )
        self._command = [binary("influxd", "influxdb"), "-config", str(folder / "influxdb.conf")]
        self._ready = "/ping"

    def start(self) -> None:
        """Start it; with `login`, make its first user."""
        super().start()
        if self._login:
            self.query("CREATE USER admin WITH PASSWORD 'secret' WITH ALL PRIVILEGES")

    def query(self, influxql: str, db: str = "") -> list[dict[str, object]]:
        """Rows of the first result, as dicts; times in nanoseconds."""
        answer = json.loads(self._get("/query", {"q": influxql, "db": db, "epoch": "ns", **self._login}, b""))
        assert "error" not in answer["results"][0], answer
        return [
            {**dict(zip(series["columns"], values, strict=True)), **series.get("tags", {})}
            for series in answer["results"][0].get("series", [])
            for values in series["values"]
        ]

    def database(self, db: str) -> str:
        """An empty database."""
        self.query(f'DROP DATABASE "{db}"')
        self.query(f'CREATE DATABASE "{db}"')
        return db


class Victoria(_Server):
    """VictoriaMetrics, single node: takes `/api/v2/write`; strings are stored as 0, times in milliseconds."""

    def __init__(self, folder: Path, *, tls: tuple[Certificate, Path] | None = None) -> None:
        super().__init__(folder, tls and tls[1])
        secure = ["-tls=true", f"-tlsCertFile={tls[0].crt}", f"-tlsKeyFile={tls[0].key}"] if tls else []
        self._command = [
            binary("victoria-metrics", "victoria-metrics"),
            f"-storageDataPath={folder}/data",
            f"-httpListenAddr=127.0.0.1:{self.port}",
            "-retentionPeriod=100y",
            "-loggerLevel=ERROR",
            *secure,
        ]
        self._ready = "/health"

    def export(self, match: str) -> list[dict[str, object]]:
        """Every series that matches, with `metric`, `values` and `timestamps` (ms), newest writes included."""
        self._get("/internal/force_flush", {})
        answer = self._get("/api/v1/export", {"match[]": match})
        return [json.loads(line) for line in answer.splitlines()]


def binary(program: str, package: str) -> str:
    """Where the program is, or the test is skipped."""
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed (apt-get install {package})")
    return found


def _run(server: S) -> Iterator[S]:
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def influx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Influx]:
    """One influxd for every test that leaves it running; take a `database` of your own."""
    yield from _run(Influx(tmp_path_factory.mktemp("influx")))


@pytest.fixture
def own_influx(tmp_path: Path) -> Iterator[Influx]:
    """An influxd for one test alone, which may stop or pause it."""
    folder = tmp_path / "influx"
    folder.mkdir()
    yield from _run(Influx(folder))


@pytest.fixture
def influx_with_login(tmp_path: Path) -> Iterator[Influx]:
    """An influxd that asks for user and password (admin, secret)."""
    folder = tmp_path / "influx-login"
    folder.mkdir()
    yield from _run(Influx(folder, login=True))


@pytest.fixture(scope="session")
def victoria(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victoria]:
    """One VictoriaMetrics for every test; use measurements of your own."""
    yield from _run(Victoria(tmp_path_factory.mktemp("victoria")))
