"""Files: synced, rotated, never half a line after a kill, each row once however often it is delivered."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import zlib
from typing import TYPE_CHECKING

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.config.model import Broker
from gateway.config.scalars import Size
from gateway.errors import Unreachable
from gateway.ports import Row
from gateway.sinks.file import File, FileAlerts, FileSeries
from tests.sinks.alerts import alert, rows
from tests.sinks.test_mqtt import Gateway

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.servers.influx import Influx


def series(first: int, last: int) -> list[Row]:
    """Rows of two points each, one of them with a text that holds what looks like a sound, later block."""
    fake = "a\n# zhiwang epoch=e1 position=9999 bytes=0 crc=00000000\n"
    return [Row(n, 0, "", 2, f'm,d=a v={n} {n}\nm,d=b t="{fake}" {n}\n'.encode()) for n in range(first, last + 1)]


def written(path: Path) -> list[int]:
    """Which rows' first points a file of line protocol has."""
    return [int(line.split()[-1]) for line in path.read_text().splitlines() if line.startswith("m,d=a")]


def whole(path: Path) -> bool:
    """Whether the file is sound blocks from its beginning to its end, each after its comment."""
    content = path.read_bytes()
    while content:
        comment, _, rest = content.partition(b"\n")
        said = dict(part.split(b"=") for part in comment.removeprefix(b"# zhiwang ").split())
        body, content = rest[: int(said[b"bytes"])], rest[int(said[b"bytes"]) :]
        if zlib.crc32(body) != int(said[b"crc"], 16) or not body.endswith(b"\n"):
            return False
    return True


def names(folder: Path) -> list[str]:
    """The files of the sink."""
    return sorted(path.name for path in folder.glob("log*"))


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    """What the app gives a sink, in epoch e1."""
    gateway = Gateway(Broker(url="mqtt://127.0.0.1:1"), tmp_path)
    await gateway.history.begin("e1")
    yield gateway
    await gateway.history.aclose()


@pytest.mark.parametrize("ending", [".lp", ".jsonl"])
async def test_a_file_cut_anywhere_is_whole_again_and_has_each_row_once(
    gateway: Gateway, tmp_path: Path, ending: str
) -> None:
    """Given two deliveries, for a file torn anywhere in the second: the same file after redelivery."""
    kind, path = File(file="log"), tmp_path / f"log{ending}"
    stream = FileSeries if ending == ".lp" else FileAlerts
    every = series(1, 4) if ending == ".lp" else rows(alert(n, "flood-1") for n in range(1, 5))
    sink = stream("log", kind, gateway.around)
    await sink.deliver(every[:2])
    first = path.stat().st_size
    await sink.deliver(every[2:])
    await sink.aclose()
    complete = path.read_bytes()
    for length in range(first, len(complete), 1 if ending == ".lp" else 9):
        path.write_bytes(complete[:length] + b"\0" * (length % 3))
        sink = stream("log", kind, gateway.around)
        await sink.deliver(every[1:])
        await sink.aclose()
        if ending == ".lp":
            assert written(path) == [1, 2, 3, 4]
            assert whole(path)
        else:
            lines = [json.loads(line) for line in path.read_text().splitlines()]
            assert [(line["seq"], line["prev"]) for line in lines] == [(1, None), (2, 1), (3, 2), (4, 3)]
    assert names(tmp_path) == [path.name]


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=st.lists(st.integers(1, 60), min_size=1, max_size=12), again=st.integers(0, 5))
async def test_any_deliveries_with_restarts_and_repeats_are_all_rows_in_order(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], again: int
) -> None:
    """Across rotations and reopenings nothing is double and nothing is missing, and no file outgrows its bound."""
    folder = tmp_path_factory.mktemp("any")
    gateway = Gateway(Broker(url="mqtt://127.0.0.1:1"), folder)
    await gateway.history.begin("e1")
    done = 0
    for size in sizes:
        sink = FileSeries("log", File(file="log", rotate=Size(10_000), keep=1000), gateway.around)
        await sink.deliver(series(max(1, done + 1 - again), done + size))
        await sink.aclose()
        done += size
    files = [*sorted(folder.glob("log-*.lp")), folder / "log.lp"]
    assert [n for path in files for n in written(path)] == list(range(1, done + 1))
    assert all(whole(path) for path in files)
    assert max(path.stat().st_size for path in files) <= 10_000
    await gateway.history.aclose()


async def test_a_first_block_torn_after_a_rotation_forgets_nothing(gateway: Gateway, tmp_path: Path) -> None:
    """What the file that was put away ends with is known from there."""
    kind = File(file="log", rotate=Size(10_000), keep=3)
    sink = FileSeries("log", kind, gateway.around)
    await sink.deliver(series(1, 80))
    await sink.deliver(series(81, 120))
    await sink.aclose()
    (tmp_path / "log.lp").write_bytes((tmp_path / "log.lp").read_bytes()[:-1])
    sink = FileSeries("log", kind, gateway.around)
    await sink.deliver(series(70, 120))
    await sink.aclose()
    assert written(tmp_path / "log-000001.lp") == list(range(1, 81))
    assert written(tmp_path / "log.lp") == list(range(81, 121))


async def test_full_files_are_put_away_and_the_oldest_goes(gateway: Gateway, tmp_path: Path) -> None:
    """keep: 3: the three newest full ones and the current."""
    sink = FileSeries("log", File(file="log", rotate=Size(10_000), keep=3), gateway.around)
    for n in range(8):
        await sink.deliver(series(n * 60 + 1, n * 60 + 60))  # about 6 kB each: a file each
    await sink.aclose()
    assert names(tmp_path) == [
        "log-000005.lp", "log-000006.lp", "log-000007.lp", "log.lp",
    ]  # fmt: skip
    assert written(tmp_path / "log.lp") == list(range(421, 481))


async def test_influxdb_imports_a_file_as_it_is(gateway: Gateway, tmp_path: Path, influx: Influx) -> None:
    """Its comments are none of InfluxDB's business."""
    db = influx.database("imported")
    sink = FileSeries("log", File(file="log"), gateway.around)
    plain = [Row(n, 0, "", 1, b"m,d=a v=%d %d\n" % (n, n)) for n in range(1, 6)]
    await sink.deliver(plain[:2])
    await sink.deliver(plain[2:])
    await sink.aclose()
    body = (tmp_path / "log.lp").read_bytes()
    assert body.count(b"# zhiwang") == 2
    async with aiohttp.ClientSession() as http, http.post(f"{influx.url}/write?db={db}", data=body) as answer:
        assert answer.status == 204
    assert influx.query("SELECT count(v) FROM m", db)[0]["count"] == 5


async def test_what_is_not_ours_is_kept_under_another_name(gateway: Gateway, tmp_path: Path) -> None:
    """A file that a person put there is not cut to nothing."""
    for ending, sink, every in (
        (".lp", FileSeries("log", File(file="log"), gateway.around), series(1, 1)),
        (".jsonl", FileAlerts("log", File(file="log"), gateway.around), rows([alert(1)])),
    ):
        path = tmp_path / f"log{ending}"
        path.write_text("dear diary\n")
        await sink.deliver(every)
        await sink.aclose()
        assert (tmp_path / f"log{ending}.damaged-1").read_text() == "dear diary\n"
        assert b"dear" not in path.read_bytes()


async def test_a_file_that_is_moved_away_is_begun_anew(gateway: Gateway, tmp_path: Path) -> None:
    """As logrotate does."""
    sink = FileSeries("log", File(file="log"), gateway.around)
    await sink.deliver(series(1, 1))
    (tmp_path / "log.lp").rename(tmp_path / "elsewhere")
    await sink.deliver(series(2, 2))
    await sink.aclose()
    assert (written(tmp_path / "elsewhere"), written(tmp_path / "log.lp")) == ([1], [2])


async def test_a_second_writer_waits_until_the_first_has_gone(gateway: Gateway, tmp_path: Path) -> None:
    """Two sinks of one file would tear each other's blocks."""
    first, second = (FileSeries(name, File(file="log"), gateway.around) for name in ("a", "b"))
    await first.deliver(series(1, 1))
    with pytest.raises(Unreachable, match="written by another sink or process"):
        await second.deliver(series(1, 1))
    await first.aclose()
    assert list(await second.deliver(series(1, 2))) == []
    await second.aclose()
    assert written(tmp_path / "log.lp") == [1, 2]
    with pytest.raises(Unreachable, match="closed"):
        await second.deliver(series(3, 3))


async def test_a_disk_that_fails_leaves_no_half_block_and_later_all_rows(
    gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sync that failed is not believed later, though the bytes can be read."""
    sink = FileSeries("log", File(file="log"), gateway.around)
    await sink.deliver(series(1, 1))
    sound = (tmp_path / "log.lp").read_bytes()

    def fails(*_: object) -> None:
        raise OSError(5, "Input/output error")

    for broken in (("fsync",), ("fsync", "ftruncate")):
        with monkeypatch.context() as patch:
            for name in broken:
                patch.setattr(os, name, fails)
            with pytest.raises(Unreachable, match="Input/output error"):
                await sink.deliver(series(2, 2))
        if "ftruncate" not in broken:
            assert (tmp_path / "log.lp").read_bytes() == sound
    assert list(await sink.deliver(series(2, 2))) == []
    await sink.aclose()
    assert written(tmp_path / "log.lp") == [1, 2]


async def test_alerts_are_as_the_centre_sees_them_without_shadow_ones(gateway: Gateway, tmp_path: Path) -> None:
    """Each epoch's chain begins anew."""
    gateway.durable = False
    sink = FileAlerts("log", File(file="log"), gateway.around)
    await sink.deliver(rows([alert(1), alert(2, shadow=True), alert(3), alert(1, epoch="e2")]))
    await sink.aclose()
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [(line["epoch"], line["seq"], line["prev"]) for line in lines] == [
        ("e1", 1, None),
        ("e1", 3, 1),
        ("e2", 1, None),
    ]
    assert {(line["status"], line["durable"]) for line in lines} == {("actual", False)}
    assert lines[0]["published"].endswith("+08:00")


@pytest.mark.parametrize(
    ("kind", "key"),
    [(File(file="out/"), "file"), (File(file="a", rotate=Size(9)), "rotate"), (File(file="a", keep=0), "keep")],
)
def test_what_cannot_be_is_told(kind: File, key: str) -> None:
    assert [problem[0] for problem in kind.problems()] == [key]
    assert File(file="/var/lib/zhiwang/log").problems() == []


WRITER = """
import asyncio, sys
from pathlib import Path
from gateway.config.model import Broker
from gateway.config.scalars import Size
from gateway.sinks.file import File, FileSeries
from tests.sinks.test_file import series
from tests.sinks.test_mqtt import Gateway

async def write():
    gateway = Gateway(Broker(url="mqtt://127.0.0.1:1"), Path(sys.argv[1]))
    await gateway.history.begin("e1")
    sink = FileSeries("log", File(file="log", rotate=Size(20_000), keep=100_000), gateway.around)
    done = int(sys.argv[2])
    while True:
        await sink.deliver(series(done + 1, done + 30))
        done += 30
        print(done, flush=True)

asyncio.run(write())
"""


def test_kill_9_while_writing_leaves_whole_lines_and_every_row_once(tmp_path: Path) -> None:
    """Given a writer that is killed five times, each going on from what was told as delivered, all is there."""
    done = 0
    for attempt in range(5):
        command = [sys.executable, "-c", WRITER, str(tmp_path), str(done)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout
            for _ in range(20):
                done = int(writer.stdout.readline())
            time.sleep(0.003 * attempt)
            writer.send_signal(signal.SIGKILL)
            done = max([done, *(int(line) for line in writer.stdout.read().split())])

    async def settle() -> None:
        gateway = Gateway(Broker(url="mqtt://127.0.0.1:1"), tmp_path)
        await gateway.history.begin("e1")
        sink = FileSeries("log", File(file="log", rotate=Size(20_000), keep=100_000), gateway.around)
        await sink.deliver(series(done + 1, done + 30))
        await sink.aclose()
        await gateway.history.aclose()

    asyncio.run(settle())
    files = [*sorted(tmp_path.glob("log-*.lp")), tmp_path / "log.lp"]
    assert all(whole(path) for path in files)
    assert [n for path in files for n in written(path)] == list(range(1, done + 31))
