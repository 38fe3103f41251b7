"""sd_notify against a datagram socket as systemd has one."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from gateway.console.sdnotify import Notifier

if TYPE_CHECKING:
    from pathlib import Path


def test_systemd_hears_ready_alive_and_stopping(tmp_path: Path) -> None:
    """Given NOTIFY_SOCKET and a watchdog, each state arrives with its status, and the watchdog's time is known."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(5)
        environ = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "42"}
        notify = Notifier.from_environment(environ, pid=42)

        notify.ready("2 sources")
        notify.alive()
        notify.stopping()

        assert [systemd.recv(200) for _ in range(3)] == [b"READY=1\nSTATUS=2 sources", b"WATCHDOG=1", b"STOPPING=1"]
    assert notify.watchdog_s == 30
    assert Notifier.from_environment(environ, pid=41).watchdog_s is None


def test_without_systemd_and_with_a_dead_one_nothing_happens(tmp_path: Path) -> None:
    """Given no socket, or one that nobody reads, notifying is harmless."""
    Notifier.from_environment({"WATCHDOG_USEC": "1"}).ready()
    Notifier(str(tmp_path / "gone")).alive()
    assert Notifier.from_environment({"WATCHDOG_USEC": "1"}).watchdog_s is None


def test_an_abstract_socket_is_spelled_with_an_at() -> None:
    """Given @name, the abstract socket hears it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind("\0zhiwang-test-notify")
        systemd.settimeout(5)
        Notifier("@zhiwang-test-notify").ready()
        assert systemd.recv(100) == b"READY=1"
