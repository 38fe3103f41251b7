"""A recorder in a process of its own, to be killed or given a bad disk: `python -m tests.recording.child FOLDER`.

A line on stdin is a command, its answer one on stdout. `admit N0 COUNT` · `checkpoint N` · `beside BYTES` · `flush` ·
`stats` · `wants` · `close`.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import msgspec

from gateway.clock import WallClock
from gateway.recording.beside import Beside
from gateway.recording.recorder import Recorder
from tests.recording.made import ABOUT, NOTHING, T0, cut, state

QUEUE_BYTES = 100_000
VIDEO = Beside("/camera/gate/video")


async def _obey() -> None:
    recorder = Recorder(
        Path(sys.argv[1]),
        ABOUT,
        WallClock(),
        budget=10_000_000,
        file_bytes=1_000_000,
        file_ns=10**15,
        queue_bytes=QUEUE_BYTES,
    )
    recorder.begin(NOTHING)
    while True:
        answer: object = "done"
        match (await asyncio.to_thread(sys.stdin.readline)).split():
            case ["admit", n0, count]:
                recorder.admitted(cut(int(n0), int(count)))
            case ["checkpoint", n]:
                recorder.checkpoint(state(int(n)))
            case ["beside", count]:
                recorder.beside(VIDEO, T0, bytes(int(count)))
            case ["flush"]:
                answer = [str(path) for path in await recorder.flush()]
            case ["stats"]:
                answer = recorder.stats()
            case ["wants"]:
                answer = recorder.wants_checkpoint()
            case _:
                await recorder.aclose()
                return
        sys.stdout.write(msgspec.json.encode(answer).decode() + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(_obey())
