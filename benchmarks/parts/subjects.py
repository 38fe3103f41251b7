"""Processes that work off the same stream, one after another, each from a queue of its own in the broker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Protocol

from stage import ROOT, cpu_s, until

from parts.air import FIELDS

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

TOPIC = "air/+/up"
DRAIN_S = 120


class Subject(Protocol):
    """What is measured. `share`: the part of the messages it is given; `costs`: CPU-s per 100,000, by round."""

    name: str
    share: float
    costs: list[float]

    def stop(self) -> None:
        """Let its messages wait in the broker."""
        ...

    def go_on(self) -> None:
        """Take them again."""
        ...

    def drain(self, count: int, total: int) -> float:
        """Work off `count` messages, `total` since the beginning; the CPU-seconds it took."""
        ...


class Resident:
    """A process that stays; stopped by SIGSTOP.

    `stored`: how many values of it can be read back; `first`: how many messages there had been when it began to listen.
    """

    def __init__(self, name: str, pid: int, stored: Callable[[], int], first: int = 0, share: float = 1.0) -> None:
        self.name, self.pid, self.share = name, pid, share
        self._first = first
        self.costs: list[float] = []
        self._stored = stored

    def stop(self) -> None:
        """SIGSTOP."""
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    def drain(self, count: int, total: int) -> float:
        """Until every value can be read back from its server."""
        del count
        before = cpu_s(self.pid)
        self.go_on()
        self.caught_up(total)
        self.stop()
        took = cpu_s(self.pid) - before
        found, wanted = self._stored(), (total - self._first) * len(FIELDS)
        assert found == wanted, f"{self.name}: {found} values stored of {wanted}"
        return took

    def caught_up(self, total: int) -> None:
        """Wait until all is stored, and acknowledged."""
        wanted = (total - self._first) * len(FIELDS)
        until(lambda: self._stored() >= wanted or time.sleep(0.4), DRAIN_S, f"{total} messages of {self.name}")
        time.sleep(1.5)


class MosquittoSub:
    """`mosquitto_sub -q 1 > /dev/null`: the floor. It ends itself after so many messages; its session stays."""

    def __init__(self, port: int) -> None:
        self.name, self.share = "mosquitto_sub -q 1 > /dev/null", 1.0
        self.costs: list[float] = []
        self.seconds = self._began = 0.0  # that the last drain took
        self.taken = 0  # messages since the beginning
        self._command = ["mosquitto_sub", "-p", str(port), "-c", "-i", "floor", "-q", "1", "-k", "600", "-t", TOPIC]
        subprocess.run([*self._command, "-E"], check=True, timeout=10)  # subscribes, and the broker queues from now on

    def stop(self) -> None:
        """It is not running."""

    def go_on(self) -> None:
        """It is started for each drain."""

    def drain(self, count: int, total: int) -> float:
        """Until it has taken as many."""
        del total
        return self.ended(self.begun(count))

    def begun(self, count: int) -> subprocess.Popen[bytes]:
        """Start it; it ends after so many messages."""
        self._began = time.monotonic()
        self.taken += count
        return subprocess.Popen([*self._command, "-C", str(count)], stdout=subprocess.DEVNULL)

    def ended(self, process: subprocess.Popen[bytes]) -> float:
        """Wait for its end; the CPU-seconds it took."""
        _, status, used = os.wait4(process.pid, 0)
        self.seconds = time.monotonic() - self._began
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0, f"mosquitto_sub ended with {process.returncode}"
        return used.ru_utime + used.ru_stime


def by_hand(stack: ExitStack, port: int, url: str) -> int:
    """Start the script that somebody would write by hand; its process."""
    command = [sys.executable, str(ROOT / "benchmarks/by_hand.py"), str(port), url]
    process = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE))
    stack.callback(process.kill)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process.pid
