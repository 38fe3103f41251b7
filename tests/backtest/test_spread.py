"""Tasks over processes: the same table with any number of workers, whichever of them die."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from gateway.backtest import spread
from gateway.backtest.backtest import Asked, Backtest
from gateway.backtest.groups import groups
from gateway.backtest.parts import Task
from gateway.backtest.variants import Variant
from gateway.errors import GatewayError
from gateway.registry import registry
from tests.backtest import streams
from tests.backtest.processes import alive, below
from tests.conftest import ROOT, free_port
from tests.servers.gateway import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LONGEST_S = 60.0  # workers load pyarrow and Dask first, beside others


@pytest.fixture
def month(tmp_path: Path) -> Path:
    """A folder of six days."""
    folder = tmp_path / "month"
    folder.mkdir()
    for day in range(6):
        streams.crests(folder / f"{day}.mcap", day, [2.5 + 0.2 * day, 3.0, 4.0][: 1 + day % 3])
    return folder


def _run(
    asked: Asked, output: Path, workers: int, each: Callable[[spread.Pool], None] | None = None
) -> tuple[bytes, Backtest]:
    """A whole backtest; its table as JSON."""
    backtest = Backtest(asked, registry(), output)
    with spread.local(workers) as pool:
        if each is not None:
            each(pool)
        for done in pool.run(backtest.todo):
            backtest.take(done)
    backtest.write()
    return (output / "table.json").read_bytes(), backtest


def test_one_worker_and_two_give_the_same_table(month: Path, tmp_path: Path) -> None:
    """Given six days, one worker and two write the same table, and no process of theirs is left."""
    asked = Asked((month,), (str(streams.config(tmp_path)),))
    one, _ = _run(asked, tmp_path / "one", 1)
    two, backtest = _run(asked, tmp_path / "two", 2)
    assert one == two
    assert backtest.failures == []
    assert sum(done.messages for done in backtest.results) == 60 * 12
    assert below(os.getpid()) == []


def test_a_killed_worker_costs_nothing(month: Path, tmp_path: Path) -> None:
    """Given a worker killed with -9 while it replays, the table is complete, and the same as without."""
    asked = Asked((month,), (str(streams.config(tmp_path)),))
    calm, _ = _run(asked, tmp_path / "calm", 2)
    killed: list[int] = []

    def kill_one(pool: spread.Pool) -> None:
        run = pool.run

        def and_kill(tasks: list[Task], progress: Callable[[str, int], None] | None = None) -> object:
            def kill(_key: str, _done: int) -> None:
                if not killed:
                    killed.append(below(os.getpid())[0])
                    os.kill(killed[0], signal.SIGKILL)

            return run(tasks, kill if progress is None else progress)

        pool.run = and_kill  # type: ignore[method-assign]

    stormy, backtest = _run(asked, tmp_path / "stormy", 2, kill_one)
    assert killed
    assert backtest.failures == []
    assert stormy == calm


def test_a_task_that_kills_its_workers_is_set_aside(month: Path) -> None:
    """Given every worker of a task killed, it fails by name and the others are done."""
    found, _ = groups([month])
    tasks = [Task(f"t{place}", group, Variant("recorded", None, {}, "k")) for place, group in enumerate(found[:3])]
    poison = tasks[0].key
    with spread.local(1) as pool:

        def kill(key: str, _done: int) -> None:
            if key == poison:
                os.kill(below(os.getpid())[0], signal.SIGKILL)

        results = {done.key: done for done in pool.run(tasks, kill)}
    assert "workers died at it" in results.pop(poison).error
    assert [done.error for done in results.values()] == ["", ""]


def test_workers_end_with_a_killed_parent(month: Path, tmp_path: Path) -> None:
    """Given the backtest killed with -9, its workers end by themselves; what was done is kept for the next."""
    config = streams.config(tmp_path)
    command = [sys.executable, "-m", "gateway", "backtest", str(config), str(month), "-o", str(tmp_path / "out")]
    sweep = ["--sweep", "rules.flood.levels.yellow=2.2..3.2:0.2", "--workers", "2"]
    kept = tmp_path / "out/tasks"
    with subprocess.Popen([*command, *sweep], cwd=ROOT, stderr=subprocess.DEVNULL) as parent:
        until(lambda: kept.is_dir() and len(list(kept.glob("*.json"))) > 1, LONGEST_S)
        workers = below(parent.pid)
        parent.kill()
    assert workers
    until(lambda: not any(map(alive, workers)), LONGEST_S)
    before = len(list(kept.glob("*.json")))
    ended = subprocess.run([*command, *sweep], cwd=ROOT, capture_output=True, text=True, check=True)
    assert f"{before} of 36 tasks were done before" in ended.stderr
    assert (tmp_path / "out/curve.png").stat().st_size > 10_000


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_says_how_to_go_on(month: Path, tmp_path: Path, how: signal.Signals) -> None:
    """Given Ctrl-C to the whole terminal, or a kill, it ends with 130, a table of what is done, and no process left."""
    config, output = streams.config(tmp_path), tmp_path / "out"
    python = ["env", "--default-signal=INT", sys.executable]  # a shell leaves it ignored for what it runs behind it
    command = [*python, "-m", "gateway", "backtest", str(config), str(month), "-o", str(output)]
    sweep = ["--sweep", "rules.flood.levels.yellow=2.2..3.2:0.2", "--workers", "2"]
    with subprocess.Popen(
        [*command, *sweep], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as parent:
        until(lambda: (output / "tasks").is_dir() and len(list((output / "tasks").glob("*.json"))) > 1, LONGEST_S)
        workers = below(parent.pid)
        if how == signal.SIGINT:
            os.killpg(parent.pid, how)
        else:
            parent.send_signal(how)
        _, errors = parent.communicate()
    assert parent.returncode == 130
    assert "tasks are kept; the same command goes on from there" in errors
    assert "Traceback" not in errors
    assert "flood" in (output / "table.csv").read_text(encoding="utf-8")
    until(lambda: not any(map(alive, workers)), LONGEST_S)


def test_a_cluster_that_is_there_is_used(month: Path, tmp_path: Path) -> None:
    """Given a scheduler and a worker started by hand, the tasks go there; both are left running."""
    asked = Asked((month,), (str(streams.config(tmp_path)),))
    here, _ = _run(asked, tmp_path / "here", 1)
    port = free_port()
    address, output = f"tcp://127.0.0.1:{port}", tmp_path / "there"
    scheduler = ["distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", str(port)]
    worker = ["distributed.cli.dask_worker", address, "--host", "127.0.0.1", "--nthreads", "1", "--no-nanny"]
    worker += ["--local-directory", str(tmp_path)]
    backtest = Backtest(asked, registry(), output)
    with _started(scheduler):
        until(lambda: "has no worker; start some with" in _why_not(address), LONGEST_S)
        with _started(worker) as started:
            until(lambda: not _why_not(address), LONGEST_S)
            with spread.existing(address) as pool:
                for done in pool.run(backtest.todo):
                    backtest.take(done)
            assert alive(started.pid)
    backtest.write()
    assert (output / "table.json").read_bytes() == here


@contextlib.contextmanager
def _started(module: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A process of Dask, ended at the end."""
    command = [sys.executable, "-m", *module, "--no-dashboard", "--dashboard-address", "127.0.0.1:0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as started:
        try:
            yield started
        finally:
            started.terminate()


def _why_not(address: str) -> str:
    """Why a cluster cannot be used; empty where it can."""
    try:
        with spread.existing(address):
            return ""
    except GatewayError as error:
        return str(error)


def test_an_address_where_no_scheduler_is_is_said() -> None:
    address = f"tcp://127.0.0.1:{free_port()}"
    assert _why_not(address) == f"nobody answers at {address} (Connection refused); start one with: dask scheduler"
    assert "is written tcp://10.0.0.5:8786" in _why_not("here")


def test_no_thread_of_ours_is_left(month: Path, tmp_path: Path) -> None:
    """Given a backtest that ended, what is left of Dask is its idle offload thread, which it keeps for the process."""
    before = set(threading.enumerate())
    _run(Asked((month,), ()), tmp_path / "out", 1)
    left = {thread.name for thread in set(threading.enumerate()) - before}
    assert {name for name in left if not name.startswith("Dask-Offload")} == set()
