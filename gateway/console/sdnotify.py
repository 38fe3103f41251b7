"""sd_notify: tells systemd that the service is ready, alive, or ending (sd_notify(3)). Without systemd: nothing.

```
notify = Notifier.from_environment(os.environ)
notify.ready("12 sources, 4 cameras")          # Type=notify
notify.alive()                                  # every notify.watchdog_s / 2, from the event loop (WatchdogSec=)
notify.stopping()
```
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Notifier:
    """Sends states to the datagram socket that systemd names in NOTIFY_SOCKET; a socket that fails is ignored."""

    def __init__(self, address: str | None, watchdog_s: float | None = None) -> None:
        self._address = address
        self.watchdog_s = watchdog_s if address else None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], pid: int | None = None) -> Notifier:
        """Read NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID. `pid`: this process; a watchdog may be another's."""
        usec = environ.get("WATCHDOG_USEC", "")
        owner = environ.get("WATCHDOG_PID", "")
        mine = pid is None or owner in {"", str(pid)}
        return cls(environ.get("NOTIFY_SOCKET"), int(usec) / 1e6 if usec.isdigit() and mine else None)

    def ready(self, status: str = "") -> None:
        """Starting is done."""
        self._send("READY=1", status)

    def alive(self, status: str = "") -> None:
        """The event loop turns: call it at half the watchdog's time."""
        self._send("WATCHDOG=1", status)

    def stopping(self) -> None:
        """Draining has begun."""
        self._send("STOPPING=1", "")

    def _send(self, state: str, status: str) -> None:
        if not self._address:
            return
        # a leading @ stands for the abstract namespace
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        lines = [state, *([f"STATUS={status}"] if status else [])]
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as sock:
            try:
                sock.sendto("\n".join(lines).encode(), address)
            except OSError:  # systemd is restarting or its queue is full: the next call tells it
                return
