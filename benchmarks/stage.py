"""What the benchmarks share: real servers, a gateway as a process, what the kernel counts of one, and a table."""

from __future__ import annotations

import contextlib
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar, TypeVarTuple, cast

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # tests/servers starts the servers

import pytest  # noqa: E402 - what tests/servers says where a server is not installed

from tests.servers.gateway import Gateway, until  # noqa: E402 - as above
from tests.servers.influx import Influx, Victoria  # noqa: E402 - as above
from tests.servers.mosquitto import Mosquitto  # noqa: E402 - as above

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = [
    "Gateway",
    "Influx",
    "Mosquitto",
    "Row",
    "Victoria",
    "cpu_s",
    "folder",
    "gateway",
    "main",
    "memory_mb",
    "numbers",
    "percentile",
    "publish",
    "running",
    "server",
    "until",
    "values",
    "written_bytes",
]

S = TypeVar("S", Mosquitto, Influx, Victoria)
Ts = TypeVarTuple("Ts")
TICKS = os.sysconf("SC_CLK_TCK")


class Row(NamedTuple):
    """A line of the table. `wanted` in words, empty where nothing is; `met` None where there is nothing to meet."""

    what: str
    measured: str
    wanted: str = ""
    met: bool | None = None


def numbers(usage: str | None, *defaults: *Ts) -> tuple[*Ts]:
    """The numbers on the command line, each of its default's type and above 0; a default stands for one left out.

    usage: the benchmark's docstring, with which it ends where that is asked for, or where there is something else.
    """
    words = sys.argv[1:]
    if {"-h", "--help"} & set(words):
        print(usage)
        raise SystemExit(0)
    found: list[object] = list(defaults)
    for place, (word, default) in enumerate(zip(words, defaults, strict=False)):
        kind = float if isinstance(default, float) else int
        try:
            found[place] = number = kind(word)
        except ValueError:
            number = 0
        if not 0 < number < math.inf:
            kinds = "a number" if kind is float else "a whole number"
            raise SystemExit(f"found {word}; expected {kinds} above 0\n\n{usage}")
    return cast("tuple[*Ts]", tuple(found))


def cpu_s(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory_mb(pid: int, what: str = "VmRSS") -> float:
    """Resident memory of a process; VmHWM: the most it ever had."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    line = next(line for line in status.splitlines() if line.startswith(f"{what}:"))
    return int(line.split()[1]) / 1024


def written_bytes(pid: int) -> int:
    """What a process had the kernel write to disks so far."""
    text = Path(f"/proc/{pid}/io").read_text(encoding="utf-8")
    return int(next(line for line in text.splitlines() if line.startswith("write_bytes:")).split()[1])


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """A folder on the disk that the project stands on, where writes count, removed at the end."""
    with tempfile.TemporaryDirectory(prefix="zhiwang-bench-", dir=ROOT.parent, ignore_cleanup_errors=True) as path:
        yield Path(path)


@contextlib.contextmanager
def running(*servers: Mosquitto | Influx | Victoria) -> Iterator[None]:
    """The servers, until the block ends."""
    with contextlib.ExitStack() as stack:
        for server in servers:
            server.start()
            stack.callback(server.stop)
        yield


@contextlib.contextmanager
def gateway(at: Path, text: str) -> Iterator[Gateway]:
    """A gateway that is ready, until the block ends. `{port}` in its text becomes the port of its page."""
    at.mkdir()
    one = Gateway(at, text)
    one.write(text.replace("{port}", str(one.port)))
    one.start()
    try:
        yield one
    finally:
        one.kill()


def server(kind: Callable[[Path], S], at: Path) -> S:
    """A server with a folder of its own."""
    at.mkdir()
    return kind(at)


def publish(
    port: int, count: int, *, rate: float = 0.0, topic: str = "air", corner: tuple[int, int] | None = None
) -> subprocess.Popen[bytes]:
    """Publish `count` messages of 5 fields at QoS 1, `rate` a second (0: as fast as the broker takes them).

    corner: number of the first message and stamp (ms) of the stream's beginning, for the stream of parts/corner.py.
    """
    command = [sys.executable, str(ROOT / "benchmarks/publisher.py"), str(port), str(count), str(rate), topic]
    return subprocess.Popen([*command, *map(str, corner or ())])


def values(victoria: Victoria, measurement: str) -> int:
    """How many values of a measurement VictoriaMetrics has, of the last days."""
    _ask(victoria, "/internal/force_flush", {})
    query = f'sum(count_over_time({{__name__=~"{measurement}_.*"}}[9d]))'
    answer = json.loads(
        _ask(victoria, "/api/v1/query", {"query": query, "nocache": "1", "time": str(time.time() + 60)})
    )
    return sum(int(row["value"][1]) for row in answer["data"]["result"])


def _ask(victoria: Victoria, path: str, parameters: dict[str, str]) -> bytes:
    url = f"{victoria.url}{path}?{urllib.parse.urlencode(parameters)}"
    with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - our own server
        return bytes(answer.read())


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value that this share of the sorted values does not exceed."""
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]


def _cpu() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def machine() -> str:
    """The machine's class, in words."""
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return (
        f"{os.cpu_count()} cores {_cpu()}, {memory_gb:.0f} GB, Linux {platform.release().split('-')[0]} "
        f"{platform.machine()}, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}"
    )


def main(title: str, measure: Callable[[], Sequence[Row]]) -> None:
    """Runs a benchmark and prints its table. Ends with 0 also where a figure was missed: the table says so."""
    began = time.monotonic()
    print(f"{title}\non {machine()}", flush=True)
    try:
        rows = measure()
    except pytest.skip.Exception as missing:  # tests/servers' way of saying that a server is not installed
        raise SystemExit(f"cannot be measured: {missing}") from None
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    for row in rows:
        verdict = "" if row.met is None else "met" if row.met else "NOT met"
        print(f"  {row.what:{widths[0]}}  {row.measured:>{widths[1]}}  {row.wanted:{widths[2]}}  {verdict}".rstrip())
    print(f"  ({time.monotonic() - began:.0f} s)", flush=True)
