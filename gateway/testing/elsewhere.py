"""The same core in another process, where Python hashes text in another order.

As a program: reads a pickled Recipe and then lists of steps from stdin, answers each with a digest of what came.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING, Self

import msgspec

from gateway.testing.cores import Maker, run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.testing.cores import Came, Recipe
    from gateway.testing.said import Step

MODULE = "gateway.testing.elsewhere"


class CannotGo(Exception):
    """The kinds cannot be had in another process, and why."""


class Elsewhere:
    """Another process with its own order of hashes; ended on leaving. Raises CannotGo."""

    def __init__(self, recipe: Recipe, seed: int) -> None:
        try:
            self._begin = pickle.dumps(sys.path) + pickle.dumps(recipe)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise CannotGo(str(error)) from error
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed on leaving
        self._process = subprocess.Popen(  # noqa: S603 - this interpreter
            [sys.executable, "-m", MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, "PYTHONHASHSEED": str(seed), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )

    def __enter__(self) -> Self:
        self._send(self._begin)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()
        self._errors.close()

    def digest(self, steps: Sequence[Step]) -> str:
        """Of what comes of these steps there."""
        self._send(pickle.dumps(list(steps)))
        assert self._process.stdout  # noqa: S101 - it is a pipe
        answer = self._process.stdout.readline()
        if not answer:
            self._errors.seek(0)
            said = self._errors.read().decode("utf-8", "replace").strip().splitlines()
            raise CannotGo(said[-1] if said else "the other process ended")
        return answer.decode().strip()

    def _send(self, pickled: bytes) -> None:
        assert self._process.stdin  # noqa: S101 - it is a pipe
        with contextlib.suppress(BrokenPipeError):  # it ended, and says why where its answer is read
            self._process.stdin.write(pickled)
            self._process.stdin.flush()


def digest_of(came: Came) -> str:
    """A short hash of everything that a core said, and of its state."""
    parts = [came.series, came.alerts, came.requests, came.dead, came.state]
    return hashlib.sha256(msgspec.msgpack.encode(parts)).hexdigest()


def main() -> None:
    """See the module."""
    packed = sys.stdin.buffer
    sys.path[:] = pickle.load(packed)  # noqa: S301 - from the process that started this one
    maker = Maker(pickle.load(packed))  # noqa: S301 - as above
    while True:
        try:
            steps = pickle.load(packed)  # noqa: S301 - as above
        except EOFError:
            return
        print(digest_of(run(maker.core(), steps)), flush=True)  # noqa: T201 - the answer


if __name__ == "__main__":
    main()
