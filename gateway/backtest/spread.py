"""Spreads tasks over processes with Dask: its own workers on this machine, or a cluster that is there.

A worker that dies takes nothing with it: its task goes to another, and a new worker takes its place. A task that took
three workers with it is set aside. Without a dashboard, on loopback only; workers end when this process does, also when
it is killed (Dask's own watch on the parent).
"""

from __future__ import annotations

import contextlib
import logging
import socket
import tempfile
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gateway.backtest.parts import failed
from gateway.backtest.program import program_key
from gateway.backtest.worker import TOPIC, Report, perform_in_worker, program_of_worker
from gateway.errors import GatewayError, Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from typing import Any

    from gateway.backtest.parts import Done, Task

RETRIES = 2
CONNECT_S = 10
SETTINGS: dict[str, object] = {
    "distributed.worker.multiprocessing-method": "spawn",  # a forked copy of threads and locks may hang
    "distributed.scheduler.allowed-failures": RETRIES,
    "distributed.scheduler.http.routes": [],  # nothing is served beside the scheduler's own port
    "distributed.worker.http.routes": [],
    "distributed.worker.memory.terminate": False,  # a replay's memory is bounded; the kernel's judgement is enough
    "distributed.worker.memory.pause": False,
    "distributed.admin.tick.limit": "60 s",  # a step of the core holds the GIL: that is no fault to be told
}


class Pool:
    """Workers to which tasks go. `workers`: how many there are."""

    def __init__(self, client: Any, workers: int) -> None:
        self._client = client
        self.workers = workers

    def run(self, tasks: Sequence[Task], progress: Callable[[str, int], None] | None = None) -> Iterator[Done]:
        """What each task came to, as they end. `progress(task's key, bytes done)` is called in a thread of Dask."""
        from distributed import KilledWorker, as_completed  # noqa: PLC0415 - Dask loads only where it is used

        if progress is not None:
            self._client.subscribe_topic(TOPIC, _told(progress))
        largest_first = sorted(tasks, key=lambda task: -task.group.bytes)  # so that none of them is alone at the end
        futures = {
            self._client.submit(perform_in_worker, task, key=f"backtest-{task.key}", retries=RETRIES, pure=False): task
            for task in largest_first
        }
        waiting = as_completed(list(futures), loop=self._client.loop)
        try:
            for future in waiting:
                task = futures.pop(future)
                try:
                    yield future.result()
                except KilledWorker as error:
                    where = getattr(error.last_worker, "address", "unknown")
                    yield failed(task, f"{RETRIES + 1} workers died at it, the last at {where}: out of memory?")
        finally:
            self._client.cancel(list(futures))
            if progress is not None:
                self._client.unsubscribe_topic(TOPIC)


@contextlib.contextmanager
def local(workers: int) -> Generator[Pool]:
    """So many processes of one thread each on this machine, ended at the end."""
    dask, distributed = _libraries()
    with (
        dask.config.set(SETTINGS),
        distributed.LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            scheduler_kwargs={"dashboard": False},
            memory_limit=0,
            local_directory=tempfile.gettempdir(),  # where Dask itself removes what a killed one left
            silence_logs=logging.CRITICAL,
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        from gateway.backtest.on_start import OnStart  # noqa: PLC0415 - it imports Dask

        client.register_plugin(OnStart())
        yield Pool(client, workers)


@contextlib.contextmanager
def existing(address: str) -> Generator[Pool]:
    """The workers of a cluster that is there. Raises GatewayError where it has none, or none of this program."""
    _, distributed = _libraries()
    _knock(address)
    try:
        client = distributed.Client(address, set_as_default=False, timeout=CONNECT_S)
    except (OSError, ValueError) as error:
        raise Unreachable(f"{address} answers, but is no Dask scheduler: {error}") from error
    with client:
        yield Pool(client, _same_program(client, address))


def _knock(address: str) -> None:
    """Try the address itself first: a Dask client tries for long, and leaves its thread behind. Raises GatewayError."""
    parts = urlsplit(address)
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or not port:
        raise GatewayError(f"found {address!r}; the address of a scheduler is written tcp://10.0.0.5:8786")
    try:
        socket.create_connection((host, port), CONNECT_S).close()
    except OSError as error:
        raise Unreachable(
            f"nobody answers at {address} ({error.strerror or error}); start one with: dask scheduler"
        ) from error


def _same_program(client: Any, address: str) -> int:
    """How many workers there are, all of which run this very program."""
    try:
        programs: dict[str, str] = client.run(program_of_worker)
    except ModuleNotFoundError as error:
        raise GatewayError(f"a worker of {address} has no {error.name}: install this zhiwang there") from error
    if not programs:
        raise GatewayError(f"the cluster at {address} has no worker; start some with: dask worker {address}")
    others = sorted(worker for worker, key in programs.items() if key != program_key())
    if others:
        raise GatewayError(
            f"{', '.join(others)}: found another zhiwang there than here; results of two programs would stand in one"
            " table: install the same on all"
        )
    return len(programs)


def _told(progress: Callable[[str, int], None]) -> Callable[[tuple[float, Report]], None]:
    """What is said on the topic, as progress."""

    def take(event: tuple[float, Report]) -> None:
        _, said = event
        progress(said["key"], said["done"])

    return take


def _libraries() -> tuple[Any, Any]:
    try:
        import dask  # noqa: PLC0415 - loads only where it is used
        import distributed  # noqa: PLC0415 - as above
    except ImportError as error:
        raise GatewayError(f"a backtest needs {error.name}: pip install 'zhiwang[analysis]'") from error
    return dask, distributed
