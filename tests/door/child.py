"""A process to be killed, traced or starved: `python -m tests.door.child MODE FOLDER`.

commit: two sources commit for ever, each saying `go` before and `ok` after; reckless: the same with fsync turned off.
few: one source, thirty messages; off: the same with fsync turned off. starve: commit until the disk fails, then go on
in memory, as the gateway does. poison: the core dies over one of three messages.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
from pathlib import Path

from gateway.clock import WallClock
from gateway.door import Door
from gateway.errors import DiskBroken
from gateway.events import Cut, Message, Stepped
from gateway.outbox import Outbox
from tests.door.echo import EchoCore

SINKS = [("all", "series", "oldest"), ("all", "alerts", "oldest"), ("all", "requests", "oldest")]


def say(text: str) -> None:
    """One line, at once."""
    os.write(1, f"{text}\n".encode())


async def feed(door: Door, source: str, count: int) -> None:
    """Commit numbered messages, several a batch; `ok` says that the batch up to this number is durable."""
    start = f"{os.getpid()}-"
    number = 0
    while number < count:
        batch = [Message(source, "t", f"{source}-{start}{number + i}".encode()) for i in range(1 + number % 5)]
        number += len(batch)
        say(f"go {batch[-1].body.decode()}")
        await door.commit(batch)
        for one in batch:
            say(f"ok {one.body.decode()}")


async def commit(folder: Path, *, count: int = 10**9, sources: int = 2, sync: bool = True) -> None:
    """See the module."""
    outbox = Outbox.open(folder, WallClock())
    if not sync:
        await outbox._disk.ask(lambda connection: connection.execute("PRAGMA synchronous = OFF"), write=False)
    await outbox.declare(SINKS)
    door = Door(EchoCore(), outbox, WallClock(), linger_ns=1_000_000 if count == 10**9 else 0)
    await door.start()
    async with asyncio.TaskGroup() as tasks:
        for number in range(sources):
            tasks.create_task(feed(door, f"s{number}", count))
    await door.stop()
    await outbox.close()


async def starve(folder: Path) -> None:
    """See the module."""
    outbox = Outbox.open(folder, WallClock())
    await outbox.declare(SINKS)
    core = EchoCore()
    door = Door(core, outbox, WallClock(), linger_ns=0)
    await door.start()
    await door.commit([Message("here", "t", b"alert before")])
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
    try:
        while True:
            await door.commit([Message("here", "t", b"x" * 50_000)])
            say("ok")
    except DiskBroken as error:
        say(f"broken {error}")
    try:
        await door.commit([Message("here", "t", b"more")])
    except DiskBroken:
        say("still broken")
    await door.stop()
    await outbox.close()
    outbox = Outbox.open(folder, WallClock(), memory="the disk failed")
    await outbox.declare(SINKS)
    door = Door(core := EchoCore(), outbox, WallClock())
    await door.start()
    say(f"memory {outbox.durable} {core.count}")
    await door.commit([Message("here", "t", b"alert after")])
    say(f"alerts {[row.key for row in await outbox.read('alerts', 'all', 10, 10_000)]}")
    await door.stop()
    await outbox.close()


class DyingCore(EchoCore):
    """Dies over a body `kill`, as a library does that crashes."""

    def step(self, cut: Cut) -> Stepped:
        """Echo, or die."""
        if any(isinstance(one, Message) and one.body == b"kill" for one in cut.inputs):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().step(cut)


async def poison(folder: Path) -> None:
    """See the module."""
    outbox = Outbox.open(folder, WallClock())
    await outbox.declare(SINKS)
    door = Door(DyingCore(), outbox, WallClock(), linger_ns=0)
    await door.start()
    await door.commit([Message("here", "t", body) for body in (b"a", b"kill", b"b")])
    say("ok")
    await door.stop()
    await outbox.close()


if __name__ == "__main__":
    where = Path(sys.argv[2])
    if sys.argv[1] in {"starve", "poison"}:
        asyncio.run({"starve": starve, "poison": poison}[sys.argv[1]](where))
    elif sys.argv[1] in {"commit", "reckless"}:
        asyncio.run(commit(where, sync=sys.argv[1] == "commit"))
    else:
        asyncio.run(commit(where, count=30, sources=1, sync=sys.argv[1] == "few"))
